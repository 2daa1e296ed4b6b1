// Of two who each write one key and then read the other's, at least one sees the other's write: an operation that has returned is
// visible to everybody. A release of the lock that isn't a full barrier breaks this within some thousand rounds.

#include <shared_dict/shared_dict.hpp>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

TEST_CASE("two writers that then read each other's key don't both miss") {
  constexpr std::uint64_t kRounds = 200'000;
  const Place place;
  SharedDict<std::uint64_t, std::uint64_t> d =
      SharedDict<std::uint64_t, std::uint64_t>::create("name", {.heap_size = 1 << 22, .directory = place.path()});
  d.insert(0, 0);
  d.insert(1, 0);
  std::atomic<std::uint64_t> round_of[2] = {0, 0};
  std::vector<std::uint64_t> seen[2] = {std::vector<std::uint64_t>(kRounds + 1), std::vector<std::uint64_t>(kRounds + 1)};
  const auto work = [&](std::size_t me) {
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      round_of[me].store(round);
      for (int spins = 0; round_of[1 - me].load() < round; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
      d.insert_or_assign(me, round);
      seen[me][round] = d.get(1 - me, 0);
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  std::uint64_t both_missed = 0;
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    both_missed += seen[0][round] < round && seen[1][round] < round ? 1U : 0U;
  }
  REQUIRE(both_missed == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
