// max_items is exact: what there is room for is never refused, at whatever instruction others take an item out of one shard and put one into
// another.

#include <shared_dict/shared_dict.hpp>

#include <cstdint>
#include <random>
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

constexpr std::uint64_t kMost = 4096;  // so many that there are 64 shards, which are counted one after the other

}  // namespace

TEST_CASE("what there is room for is not refused while others take items out and put as many in") {
  if (!Stepped::possible()) {
    WARN("ptrace isn't permitted here");
    report_skipped("moves while items are counted", "ptrace isn't permitted");
    return;
  }
  const UniqueName name;
  auto d = Numbers::create(name.str(), {.heap_size = 4 << 20, .max_items = kMost});
  const LockWords locks(d);
  // The child writes in two shards in the middle, and this process in the first and the last one.
  const std::vector<std::uint64_t> keys = locks.a_key_of_each_shard([](std::uint64_t i) { return kMost + i; });
  REQUIRE(keys.size() == 64);
  const std::uint64_t low = keys.front();
  const std::uint64_t high = keys.back();
  for (std::uint64_t i = 0; i < kMost - 3; ++i) d.insert(i, i);
  d.insert(low, 0);
  d.insert(keys[31], 0);
  d.insert(keys[32], 0);

  std::minstd_rand random(static_cast<std::uint32_t>(test_seed()));
  std::uint64_t moves = 0;
  for (Effort effort(12); effort.more();) {
    Stepped child([&] {
      d.erase(keys[31]);
      d.erase(keys[32]);
      d.update({{keys[31], 1}, {keys[32], 1}});
    });
    bool is_low = true;
    const auto move = [&] {
      REQUIRE(d.erase(is_low ? low : high));
      is_low = !is_low;
      REQUIRE(d.insert(is_low ? low : high, 0));
    };
    while (child.step()) {
      // Now and then, and only as long as there is room for both: what the child has just stored counts twice for a moment.
      if (random() % 100 != 0 || d.size() != kMost - 2) continue;
      move();
      ++moves;
    }
    child.kill();
    if (!is_low) move();
    REQUIRE(d.size() == kMost);
  }
  report("moves while items are counted", {{"moves", moves}});
}
