// A repair in a dictionary with a million items takes a while, and readers don't notice: they find every key, those of the shard under
// repair too, while the repairer stands still in the middle of it, and when it dies there and the next one begins anew. Compiled with
// SHARED_DICT_KILL_POINTS, so that the repairer stops at a store of its own, whatever else the machine does.

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_holder.hpp"
#include "support/lock_words.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr std::uint64_t kItems = 1'000'000;
constexpr std::size_t kReaders = 2;

struct Progress {
  std::array<std::atomic<std::uint64_t>, kReaders> reads;
  std::atomic<std::uint32_t> shard;  ///< to be read
  std::atomic<int> stop;
  std::uint64_t stores;  ///< of the last repair that came to its end
};

// What the repairer's kill points look at.
const detail::Shard* under_repair = nullptr;
std::uint64_t dead_owner = 0;  ///< as the shard's lock names it
std::uint64_t stores = 0;
std::uint64_t stop_at = 0;  ///< 0: nowhere

/// The shard is marked before its dead owner's lock is released, and repaired when the lock was taken anew.
void stop_there() noexcept {
  const std::uint64_t owner = under_repair->lock.load();
  const bool repairs = under_repair->dirty.load() != 0 && owner != 0 && owner != dead_owner;
  if (repairs && ++stores == stop_at) ::raise(SIGSTOP);
}

/// Every key has a value that is its own multiple: what it was times some number of writes.
bool plausible(std::uint64_t key, const std::optional<std::uint64_t>& value) {
  return value && *value % (key + 1) == 0 && *value != 0;
}

}  // namespace

TEST_CASE("readers find every key while a shard of a million items is repaired", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = std::size_t{64} << 20, .lock_timeout = kHangDeadline});
  const LockWords locks(d);
  std::vector<std::vector<std::uint64_t>> keys(locks.shards());
  for (std::uint64_t key = 0; key < kItems; ++key) {
    d.insert(key, key + 1);
    keys[locks.shard_of(key)].push_back(key);
  }
  const SharedArea<Progress> progress;
  const auto read = [&](std::size_t self, auto say) {
    std::mt19937_64 random(test_seed() + self);
    while (progress->stop.load() == 0) {
      const auto& here = keys[progress->shard.load()];
      for (int i = 0; i < 200; ++i) {
        const std::uint64_t key = i % 4 == 0 ? random() % kItems : here[random() % here.size()];
        if (plausible(key, d.get(key))) continue;
        say("key " + std::to_string(key) + " is lost, or isn't what somebody wrote");
        return Forked::kFailed;
      }
      progress->reads[self].fetch_add(200);
    }
    return 0;
  };
  std::array<std::unique_ptr<Forked>, kReaders> readers;
  for (std::size_t r = 0; r < kReaders; ++r)
    readers[r] = std::make_unique<Forked>([&, r](auto say) { return read(r, say); });
  const auto readers_go_on = [&](std::uint64_t reads) {
    for (const auto& count : progress->reads) {
      const std::uint64_t target = count.load() + reads;
      REQUIRE(eventually([&] { return count.load() >= target; }));
    }
  };

  std::mt19937_64 random(test_seed());
  std::uint64_t in_the_middle = 0;
  std::uint64_t died_there = 0;
  Effort effort(kSanitized ? 20 : 60);
  while (effort.more()) {
    INFO("round " << effort.done());
    const auto shard = static_cast<std::uint32_t>(random() % locks.shards());
    const std::uint64_t key = keys[shard][random() % keys[shard].size()];
    const detail::Shard& fields = locks.segment().shard(shard);
    progress->shard = shard;
    LockHolder(d, key).die();
    // The next writer releases the lock, takes it and repairs, the first one to the end.
    under_repair = &fields;
    dead_owner = fields.lock.load();
    stop_at = progress->stores == 0 ? 0 : 1 + random() % progress->stores;
    Forked repairer([&](auto) {
      detail::at_kill_point = stop_there;
      d.modify(key, [&](std::uint64_t& value) { value += key + 1; });
      progress->stores = stores;
      return 0;
    });
    const auto is_repairing = [&] { return fields.dirty.load() != 0 && locks.held_by(repairer.pid()).any(); };
    bool dies = false;
    if (repairer.wait_stopped()) {
      ++in_the_middle;
      REQUIRE(is_repairing());
      readers_go_on(keys[shard].size());
      REQUIRE(is_repairing());
      REQUIRE(plausible(key, d.get(key)));
      dies = random() % 2 == 0;
    }
    if (dies) {
      ++died_there;
      repairer.kill();
      REQUIRE(repairer.wait().signal == SIGKILL);
    } else {
      repairer.go_on();
      SHARED_DICT_REQUIRE_ENDED_WELL(repairer.wait());
    }
    if (random() % 2 == 0) d.modify(key, [&](std::uint64_t& value) { value += key + 1; });
    readers_go_on(200);
  }
  progress->stop = 1;
  for (auto& reader : readers) SHARED_DICT_REQUIRE_ENDED_WELL(reader->wait());
  REQUIRE(in_the_middle > effort.done() / 2);
  for (std::uint64_t key = 0; key < kItems; ++key) {
    if (!plausible(key, d.get(key))) FAIL("key " << key << " is lost");
  }
  SHARED_DICT_REQUIRE_SOUND(d);
  REQUIRE(d.size() == kItems);
  report("repairs in a large dictionary", {{"repairs", effort.done() + died_there},
                                           {"stopped in the middle", in_the_middle},
                                           {"died there", died_there},
                                           {"reads", progress->reads[0].load() + progress->reads[1].load()}});
}
