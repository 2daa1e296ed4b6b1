// Counting together: whatever way several processes have of adding one, no addition is lost and none happens twice.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr std::size_t kProcesses = 4;
constexpr std::size_t kKeys = 16;
constexpr std::size_t kTurns = 40'000;

using Counters = SharedDict<std::string, std::uint64_t>;
using Texts = SharedDict<std::string, std::string>;

struct Added {
  std::array<std::array<std::uint64_t, kKeys>, kProcesses> by;
};

std::string key_of(std::size_t i) { return "counter " + std::to_string(i); }

void add_one(Counters& d, const std::string& key, std::uint64_t how) {
  switch (how) {
    case 0:
    case 1: d.fetch_add(key, 1); break;
    case 2:
      if (!d.modify(key, [](std::uint64_t& value) { ++value; })) d.fetch_add(key, 1);
      break;
    case 3: d.modify_or_insert(key, 0, [](std::uint64_t& value) { ++value; }); break;
    default: {
      if (!d.insert(key, 1)) {
        std::uint64_t expected = d.at(key);
        while (!d.compare_exchange(key, expected, expected + 1)) {
        }
      }
    }
  }
}

/// args: name, number of this process, barrier, area, seed
const RegisterChild kAdder("counters: adder", [](std::vector<std::string> args) {
  Counters d = Counters::attach(args.at(0));
  const std::size_t self = std::stoul(args.at(1));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto added = SharedArea<Added>::from_token(args.at(3));
  std::mt19937_64 random(std::stoull(args.at(4)) + self);
  barrier.arrive_and_wait();
  for (std::size_t turn = 0; turn < kTurns; ++turn) {
    const std::size_t key = random() % kKeys;
    add_one(d, key_of(key), random() % 5);
    ++added->by[self][key];
    // Others come and go around the counters, so that these move as the tables grow and are cleaned.
    const std::string other = "other " + std::to_string(random() % 3000);
    if (random() % 4 == 0) d.insert(other, self);
    if (random() % 4 == 0) d.erase(other);
  }
  return 0;
});

/// Counts in decimal text, so that the value changes its size. args as above.
const RegisterChild kTextAdder("counters: text adder", [](std::vector<std::string> args) {
  Texts d = Texts::attach(args.at(0));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  barrier.arrive_and_wait();
  for (int turn = 0; turn < 5000; ++turn) {
    d.modify_or_insert("text", "", [](std::string& text) { text += '+'; });
    std::string expected = d.get("number", "0");
    while (!d.compare_exchange("number", expected, std::to_string(std::stoul(expected) + 1))) {
    }
  }
  return 0;
});

const RegisterChild kDoubleAdder("counters: double adder", [](std::vector<std::string> args) {
  auto d = SharedDict<int, double>::attach(args.at(0));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  barrier.arrive_and_wait();
  for (int turn = 0; turn < 20'000; ++turn) d.fetch_add(turn % 2, 0.25);
  return 0;
});

/// Inserts its own keys until too_many_items has come often, erasing none. args: name, number, barrier, area
const RegisterChild kInserter("counters: inserter", [](std::vector<std::string> args) {
  Counters d = Counters::attach(args.at(0));
  const std::size_t self = std::stoul(args.at(1));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto inserted = SharedArea<std::array<std::uint64_t, kProcesses>>::from_token(args.at(3));
  barrier.arrive_and_wait();
  int refused = 0;
  for (std::size_t i = 0; refused < 100; ++i) {
    const auto code = error_of([&] {
      if (d.insert(std::to_string(self) + "/" + std::to_string(i), i)) ++(*inserted)[self];
    });
    if (code && code != errc::too_many_items) return 1;
    if (code) ++refused;
  }
  return 0;
});

struct Race {
  std::atomic<unsigned> arrived;
  std::atomic<std::uint64_t> inserted;
};

constexpr unsigned kRacers = 2;  // as many as there are surely processors, so that they do meet
constexpr unsigned kRaces = 2000;
constexpr std::size_t kPlaces = 16;
constexpr std::size_t kTaken = 5000;  // by items that stay: so many that the dictionary has several shards

/// Both insert until there is no place left, again and again. args: name, number, race
const RegisterChild kRacer("counters: racer", [](std::vector<std::string> args) {
  Counters d = Counters::attach(args.at(0));
  const auto race = SharedArea<Race>::from_token(args.at(2));
  unsigned met = 0;
  // Whoever waits here must not fall asleep: both have to start within less than an insertion takes.
  const auto meet = [&] {
    race->arrived.fetch_add(1);
    met += kRacers;
    const auto end = std::chrono::steady_clock::now() + kHangDeadline;
    for (unsigned turn = 1; race->arrived.load() < met; ++turn) {
      if (turn % 4096 != 0) continue;
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  };
  for (unsigned round = 0; round < kRaces; ++round) {
    if (!meet()) return 1;
    for (std::size_t i = 0; i < kPlaces; ++i) {
      if (!error_of([&] { d.insert(args.at(1) + "/" + std::to_string(i), i); })) race->inserted.fetch_add(1);
    }
    if (!meet()) return 1;
    if (d.size() != kTaken + kPlaces || race->inserted.load() != kPlaces) return 2;
    if (!meet()) return 1;
    for (std::size_t i = 0; i < kPlaces; ++i) d.erase(args.at(1) + "/" + std::to_string(i));
    if (args.at(1) == "0") race->inserted = 0;
  }
  return 0;
});

std::vector<Child> start(const char* role, const std::string& name, const StartBarrier& barrier,
                         const SharedArea<Added>& added) {
  std::vector<Child> children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children.push_back(
        Child::start(role, {name, std::to_string(i), barrier.token(), added.token(), std::to_string(test_seed())}));
  }
  return children;
}

}  // namespace

TEST_CASE("four processes that add to shared counters lose no addition") {
  const UniqueName name;
  Counters d = Counters::create(name.str(), {.heap_size = std::size_t{4} << 20});
  const StartBarrier barrier;
  const SharedArea<Added> added;
  std::vector<Child> children = start("counters: adder", name.str(), barrier, added);
  barrier.open_for(kProcesses);
  for (Child& child : children) REQUIRE(child.wait() == 0);

  INFO("SHARED_DICT_SEED=" << test_seed());
  std::uint64_t sum = 0;
  for (std::size_t key = 0; key < kKeys; ++key) {
    std::uint64_t expected = 0;
    for (const auto& by : added->by) expected += by[key];
    REQUIRE(d.at(key_of(key)) == expected);
    sum += expected;
  }
  REQUIRE(sum == kProcesses * kTurns);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("four processes that lengthen the same text lose no addition") {
  const UniqueName name;
  Texts d = Texts::create(name.str(), {.heap_size = std::size_t{4} << 20});
  const StartBarrier barrier;
  const SharedArea<Added> added;
  d.insert("number", "0");
  std::vector<Child> children = start("counters: text adder", name.str(), barrier, added);
  barrier.open_for(kProcesses);
  for (Child& child : children) REQUIRE(child.wait() == 0);
  REQUIRE(d.at("text") == std::string(kProcesses * 5000, '+'));
  REQUIRE(d.at("number") == std::to_string(kProcesses * 5000));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("four processes that add fractions lose no addition") {
  const UniqueName name;
  auto d = SharedDict<int, double>::create(name.str(), {.heap_size = 1 << 20});
  const StartBarrier barrier;
  const SharedArea<Added> added;
  std::vector<Child> children = start("counters: double adder", name.str(), barrier, added);
  barrier.open_for(kProcesses);
  for (Child& child : children) REQUIRE(child.wait() == 0);
  REQUIRE(d.at(0) == 10'000.0);
  REQUIRE(d.at(1) == 10'000.0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("max_items is exact when several processes insert at once") {
  const UniqueName name;
  constexpr std::size_t kMost = 1000;
  Counters d = Counters::create(name.str(), {.heap_size = 1 << 20, .max_items = kMost});
  const StartBarrier barrier;
  const SharedArea<std::array<std::uint64_t, kProcesses>> inserted;
  std::vector<Child> children;
  for (std::size_t i = 0; i < kProcesses; ++i) {
    children.push_back(
        Child::start("counters: inserter", {name.str(), std::to_string(i), barrier.token(), inserted.token()}));
  }
  barrier.open_for(kProcesses);
  for (Child& child : children) REQUIRE(child.wait() == 0);
  std::uint64_t sum = 0;
  for (const std::uint64_t by : *inserted) sum += by;
  REQUIRE(sum == kMost);
  REQUIRE(d.size() == kMost);
  REQUIRE(d.items().size() == kMost);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("max_items is exact when two processes insert the last item at the same instant") {
  const UniqueName name;
  Counters d = Counters::create(name.str(), {.heap_size = std::size_t{16} << 20, .max_items = kTaken + kPlaces});
  REQUIRE(d.stats().shards > 1);
  for (std::size_t i = 0; i < kTaken; ++i) d.insert(key_of(i), i);
  const SharedArea<Race> race;
  std::vector<Child> children;
  for (unsigned i = 0; i < kRacers; ++i) {
    children.push_back(Child::start("counters: racer", {name.str(), std::to_string(i), race.token()}));
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
