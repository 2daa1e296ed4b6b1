// Deaths of several processes at once: all holders of locks die together, a recovery meets the next death, and processes
// that die over and over leave neither records nor memory behind.

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Dict = SharedDict<std::uint64_t, std::string>;

constexpr std::uint64_t kKeys = 300;

struct Flags {
  std::atomic<std::uint32_t> inside;
};

/// Stays inside a callback on one key. args: name, flags, key
const RegisterChild kHolder("kill everyone: holder", [](std::vector<std::string> args) {
  Dict d = Dict::attach(args.at(0));
  const auto flags = SharedArea<Flags>::from_token(args.at(1));
  d.modify(std::stoull(args.at(2)), [&](std::string& value) {
    value = "never stored";
    flags->inside.fetch_add(1);
    eventually([] { return false; });
  });
  return 1;
});

/// Replaces values of changing size for ever. args: name, seed
const RegisterChild kChurner("kill everyone: churner", [](std::vector<std::string> args) -> int {
  Dict d = Dict::attach(args.at(0));
  std::mt19937_64 random(std::stoull(args.at(1)));
  std::string value;
  for (;;) {
    const std::uint64_t key = random() % kKeys;
    make_pattern(key, random(), random() % 2000, value);
    random() % 4 == 0 ? d.erase(key) : d.insert_or_assign(key, value);
  }
});

void expect_whole(const Dict& d) {
  d.for_each([](const std::uint64_t& key, const std::string& value) {
    if (!version_in(value, key)) FAIL("half a value of key " << key);
  });
}

}  // namespace

TEST_CASE("locks of several dead processes are all freed, in one after the other's recovery") {
  const UniqueName name;
  Dict d = Dict::create(name.str(), {.heap_size = std::size_t{64} << 20});
  for (std::uint64_t key = 0; key < kKeys; ++key) d.insert(key, pattern_of(key, 1, 100));
  for (int round = 0; round < 5; ++round) {
    const SharedArea<Flags> flags;
    std::vector<Child> holders;
    // On keys of different shards as far as there are several; of two that want the same, one only waits for the other.
    for (int i = 0; i < 4; ++i) {
      holders.push_back(
          Child::start("kill everyone: holder", {name.str(), flags.token(), std::to_string(round * 40 + i)}));
    }
    REQUIRE(eventually([&] { return flags->inside.load() >= 1; }));
    REQUIRE(eventually([&] { return d.stats().processes >= 5; }));
    for (Child& holder : holders) holder.kill();
    for (Child& holder : holders) REQUIRE(holder.wait() == -SIGKILL);
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      REQUIRE(d.modify(key, [&](std::string& value) { REQUIRE(version_in(value, key) == 1); }));
    }
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("processes killed over and over leave no record and no memory behind") {
  const UniqueName name;
  // More deaths than there are records: each has to be cleaned up for the next to find a place.
  Dict d = Dict::create(name.str(), {.heap_size = std::size_t{4} << 20, .max_processes = 6});
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  std::size_t committed = 0;
  for (int round = 0; round < 15; ++round) {
    std::vector<Child> churners;
    for (int i = 0; i < 4; ++i) {
      churners.push_back(Child::start("kill everyone: churner", {name.str(), std::to_string(random())}));
    }
    REQUIRE(eventually([&] { return d.stats().processes >= 5; }));
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    for (Child& churner : churners) churner.kill();
    for (Child& churner : churners) REQUIRE(churner.wait() == -SIGKILL);
    expect_whole(d);
    SHARED_DICT_REQUIRE_SOUND(d);
    for (std::uint64_t key = 0; key < kKeys; ++key) d.insert_or_assign(key, pattern_of(key, 1, 1000));
    SHARED_DICT_REQUIRE_SOUND(d);
    if (round == 4) committed = d.stats().heap_committed;
  }
  d.clear();
  SHARED_DICT_REQUIRE_SOUND(d);
  REQUIRE(d.stats().heap_used == 0);
  // What the dead had in hand is not lost to the heap: the same load never needs more than at the beginning by much.
  REQUIRE(d.stats().heap_committed <= committed * 3 / 2);
}

TEST_CASE("survivors repair at the same time as each other and as the next ones die") {
  const UniqueName name;
  Dict d = Dict::create(name.str(), {.heap_size = std::size_t{16} << 20});
  for (std::uint64_t key = 0; key < kKeys; ++key) d.insert(key, pattern_of(key, 1, 100));
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  constexpr std::size_t kChurners = 6;
  std::vector<Child> churners;
  const auto start = [&] { return Child::start("kill everyone: churner", {name.str(), std::to_string(random())}); };
  for (std::size_t i = 0; i < kChurners; ++i) churners.push_back(start());
  for (int wave = 0; wave < 30; ++wave) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 15'000));
    // Three of them within less time than a repair takes: the second and third may die while they repair for the first.
    for (int i = 0; i < 3; ++i) {
      churners[(static_cast<std::size_t>(wave) + static_cast<std::size_t>(i)) % kChurners].kill();
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 12'000));
    }
    for (int i = 0; i < 3; ++i) {
      Child& child = churners[(static_cast<std::size_t>(wave) + static_cast<std::size_t>(i)) % kChurners];
      REQUIRE(child.wait() == -SIGKILL);
      child = start();
    }
    expect_whole(d);
    for (std::uint64_t key = 0; key < kKeys; ++key) d.contains(key) ? d.assign(key, pattern_of(key, 2, 64)) : true;
  }
  for (Child& child : churners) child.kill();
  for (Child& child : churners) child.wait();
  expect_whole(d);
  for (std::uint64_t key = 0; key < kKeys; ++key) d.insert_or_assign(key, pattern_of(key, 3, 64));
  REQUIRE(d.size() == kKeys);
  SHARED_DICT_REQUIRE_SOUND(d);
}
