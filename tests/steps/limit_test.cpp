// What max_items and heap_size leave room for is never refused, at whatever instruction others take an item out of one shard and put one into
// another.

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/lock_words.hpp"
#include "support/seed.hpp"
#include "support/stepped.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::uint64_t, std::string>;

constexpr std::uint64_t kMost = 4096;  // so many that there are 64 shards, which are counted one after the other

/// The child's operation, step by step; now and then, when may_move() says so, `value` goes from one key to the other. Returns how often.
template <class V, class MayMove>
std::uint64_t move_beside(SharedDict<std::uint64_t, V>& d, const std::function<void()>& operation, std::pair<std::uint64_t, std::uint64_t> keys,
                          const V& value, MayMove may_move) {
  static std::minstd_rand random(static_cast<std::uint32_t>(test_seed()));
  std::uint64_t moves = 0;
  const auto move = [&] {
    REQUIRE(d.erase(keys.first));
    std::swap(keys.first, keys.second);
    REQUIRE(d.insert(keys.first, value));
    ++moves;
  };
  Stepped child(operation);
  while (child.step()) {
    if (random() % 100 == 0 && may_move()) move();
  }
  child.kill();
  if (moves % 2 != 0) move();
  return moves;
}

bool can_be_stepped(const char* what) {
  if (Stepped::possible()) return true;
  WARN("ptrace isn't permitted here");
  report_skipped(what, "ptrace isn't permitted");
  return false;
}

}  // namespace

TEST_CASE("an item that there is room for is not refused while others take items out and put as many in") {
  if (!can_be_stepped("moves while items are counted")) return;
  const UniqueName name;
  auto d = Numbers::create(name.str(), {.heap_size = 4 << 20, .max_items = kMost});
  const LockWords locks(d);
  // The child writes in two shards in the middle, and this process in the first and the last one.
  const std::vector<std::uint64_t> keys = locks.a_key_of_each_shard([](std::uint64_t i) { return kMost + i; });
  REQUIRE(keys.size() == 64);
  for (std::uint64_t i = 0; i < kMost - 3; ++i) d.insert(i, i);
  for (const std::uint64_t key : {keys.front(), keys[31], keys[32]}) d.insert(key, 0);

  std::uint64_t moves = 0;
  for (Effort effort(12); effort.more();) {
    const auto operation = [&] {
      d.erase(keys[31]);
      d.erase(keys[32]);
      d.update({{keys[31], 1}, {keys[32], 1}});
    };
    // What the child has just stored counts twice for a moment.
    moves += move_beside<std::uint64_t>(d, operation, {keys.front(), keys.back()}, 0, [&] { return d.size() == kMost - 2; });
    REQUIRE(d.size() == kMost);
  }
  report("moves while items are counted", {{"moves", moves}});
}

TEST_CASE("a value that there is room for is not refused while others take values out and put as large ones in") {
  if (!can_be_stepped("moves while bytes are counted")) return;
  const UniqueName name;
  constexpr std::size_t kHeap = 4 << 20;
  auto d = Words::create(name.str(), {.heap_size = kHeap});
  const LockWords locks(d);
  const std::vector<std::uint64_t> keys = locks.a_key_of_each_shard([](std::uint64_t i) { return (1 << 20) + i; });
  REQUIRE(keys.size() == 64);
  const std::string small(500, 's');
  const std::string large(100'000, 'l');
  d.insert(keys.front(), small);
  d.insert(keys[32], large);
  const auto used = [&] { return d.stats().heap_used; };
  for (std::uint64_t i = 0; used() < kHeap; ++i) d.insert(i, std::string(std::min<std::size_t>(kHeap - used() - sizeof i, 50'000), 'f'));

  std::uint64_t moves = 0;
  for (Effort effort(12); effort.more();) {
    const auto operation = [&] {
      d.erase(keys[32]);
      d.insert(keys[32], large);
    };
    const auto may_move = [&] {
      return !d.contains(keys[32]) && used() < kHeap && locks.segment().header().pool.lock.load() == 0;
    };
    moves += move_beside<std::string>(d, operation, {keys.front(), keys.back()}, small, may_move);
    REQUIRE(used() == kHeap);
  }
  report("moves while bytes are counted", {{"moves", moves}});
}
