// Of two who each write one key and then look at the other's, at least one sees the other's write: an operation that has returned is
// visible to everybody. A store that publishes without being a full barrier breaks this within some thousand rounds.

#include <shared_dict/shared_dict.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr std::uint64_t kRounds = kSanitized ? 40'000 : 500'000;
constexpr std::uint64_t kKeys = 64;

/// Many keys: two that have one lock would show nothing, as taking it orders their writes.
std::uint64_t key_of(std::uint64_t who, std::uint64_t turn) { return turn % kKeys * 2 + who; }

/// Rounds 1 to kRounds: each of two threads calls write(itself, round), then sees(the other, round): whether that has written
/// in this round. True unless both of them didn't see it in one.
template <class Write, class Sees>
bool one_sees_the_other(Write write, Sees sees) {
  std::array<std::atomic<std::uint64_t>, 2> round_of{};
  std::array<std::vector<char>, 2> seen{std::vector<char>(kRounds + 1), std::vector<char>(kRounds + 1)};
  const auto work = [&](std::size_t me) {
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      round_of[me].store(round);
      for (int spins = 0; round_of[1 - me].load() < round; ++spins) {
        if (spins > 1000) std::this_thread::yield();
      }
      write(me, round);
      seen[me][round] = sees(1 - me, round) ? 1 : 0;
    }
  };
  std::thread other(work, 1);
  work(0);
  other.join();
  for (std::uint64_t round = 1; round <= kRounds; ++round) {
    if (seen[0][round] == 0 && seen[1][round] == 0) return false;
  }
  return true;
}

/// Too large to be replaced in place: its slot is led to another entry.
struct Wide {
  std::uint64_t round;
  std::array<std::uint64_t, 3> rest;
};

template <class Value>
auto new_dict(const Place& place) {
  return SharedDict<std::uint64_t, Value>::create("name", {.heap_size = 1 << 22, .directory = place.path()});
}

}  // namespace

TEST_CASE("two who overwrite a value in place and then read each other's key don't both miss") {
  const Place place;
  auto d = new_dict<std::uint64_t>(place);
  for (std::uint64_t key = 0; key < 2 * kKeys; ++key) d.insert(key, 0);
  REQUIRE(one_sees_the_other(
      [&](std::uint64_t who, std::uint64_t round) { d.insert_or_assign(key_of(who, round), round); },
      [&](std::uint64_t who, std::uint64_t round) { return d.get(key_of(who, round), 0) == round; }));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("two who overwrite a value by another entry and then read each other's key don't both miss") {
  const Place place;
  auto d = new_dict<Wide>(place);
  for (std::uint64_t key = 0; key < 2 * kKeys; ++key) d.insert(key, {});
  REQUIRE(one_sees_the_other(
      [&](std::uint64_t who, std::uint64_t round) { d.insert_or_assign(key_of(who, round), {round, {}}); },
      [&](std::uint64_t who, std::uint64_t round) { return d.get(key_of(who, round))->round == round; }));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("two who insert or erase a key and then look for each other's don't both miss") {
  const Place place;
  auto d = new_dict<std::uint64_t>(place);
  // Odd rounds insert keys, and even ones erase those of the round before.
  const auto key = [](std::uint64_t who, std::uint64_t round) { return key_of(who, (round - 1) / 2); };
  const auto inserts = [](std::uint64_t round) { return round % 2 == 1; };
  REQUIRE(one_sees_the_other(
      [&](std::uint64_t who, std::uint64_t round) {
        if (inserts(round)) {
          d.insert(key(who, round), round);
        } else {
          d.erase(key(who, round));
        }
      },
      [&](std::uint64_t who, std::uint64_t round) { return d.contains(key(who, round)) == inserts(round); }));
  SHARED_DICT_REQUIRE_SOUND(d);
}
