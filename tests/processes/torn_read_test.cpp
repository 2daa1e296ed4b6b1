// The oracle against half values: writers overwrite values of random length with patterns that tell their key, their
// version and whether they are whole; readers in other processes look at every value they get. A torn value, one of another
// key, one that is older than what was read before, or a miss of a key that never goes would all show.

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Values = SharedDict<std::uint64_t, std::string>;

constexpr unsigned kWriters = 2;
constexpr unsigned kReaders = 2;
constexpr std::uint64_t kStaying = 32;  ///< keys below are never erased
constexpr std::uint64_t kKeys = 64;

struct Progress {
  std::atomic<unsigned> writers_done;
  std::atomic<std::uint64_t> reads;
  std::atomic<std::uint64_t> misses;
};

std::size_t random_size(std::mt19937_64& random) {
  switch (random() % 8) {
    case 0: return random() % 8000;
    case 1: return random() % 100'000 < 300 ? 60'000 : 1000;
    default: return kSmallestPattern + random() % 300;
  }
}

/// Each writer has its own keys, so that their versions only rise. args: name, number, barrier, progress, seed, turns
const RegisterChild kWriter("torn read: writer", [](std::vector<std::string> args) {
  Values d = Values::attach(args.at(0));
  const std::uint64_t self = std::stoull(args.at(1));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto progress = SharedArea<Progress>::from_token(args.at(3));
  std::mt19937_64 random(std::stoull(args.at(4)) + self);
  const std::uint64_t turns = std::stoull(args.at(5));
  barrier.arrive_and_wait();
  std::string value;
  std::uint64_t extra = 0;
  for (std::uint64_t turn = 1; turn <= turns; ++turn) {
    const std::uint64_t key = random() % (kKeys / kWriters) * kWriters + self;
    make_pattern(key, turn, random_size(random), value);
    if (key >= kStaying && random() % 3 == 0) {
      d.erase(key);
    } else if (random() % 4 == 0) {
      d.modify(key, [&](std::string& stored) { stored = value; });
    } else {
      d.insert_or_assign(key, value);
    }
    // Now and then a crowd of other keys that makes the tables grow, and leaves a trail of tombstones when it goes.
    if (turn % 64 == 0) {
      const std::uint64_t base = 1000 + self * 1'000'000;
      for (int i = 0; i < 40; ++i) d.insert(base + extra++, "crowd");
      if (extra > 4000) {
        for (std::uint64_t i = 0; i < extra; ++i) d.erase(base + i);
        extra = 0;
      }
    }
  }
  progress->writers_done.fetch_add(1);
  return 0;
});

struct Checker {
  std::array<std::uint64_t, kKeys> last{};  ///< version that this reader has seen

  /// What is wrong with `value` of `key`; empty if nothing is.
  const char* wrong(std::uint64_t key, const std::string* value) {
    if (value == nullptr) return key < kStaying ? "a key that stays is missing" : nullptr;
    const auto version = version_in(*value, key);
    if (!version) return "half a value, or another key's";
    if (*version < last[key]) return "an older value than before";
    last[key] = *version;
    return nullptr;
  }
};

/// args: as the writer's
const RegisterChild kReader("torn read: reader", [](std::vector<std::string> args) {
  const Values d = Values::attach(args.at(0));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto progress = SharedArea<Progress>::from_token(args.at(3));
  std::mt19937_64 random(std::stoull(args.at(4)) + 1000 + std::stoull(args.at(1)));
  Checker checker;
  std::string out;
  std::uint64_t reads = 0;
  std::uint64_t misses = 0;
  const auto fail = [&](const char* what, std::uint64_t key) {
    std::fprintf(stderr, "reader: %s; key %llu, after %llu reads\n", what, static_cast<unsigned long long>(key),
                 static_cast<unsigned long long>(reads));
    return 1;
  };
  barrier.arrive_and_wait();
  while (progress->writers_done.load() < kWriters) {
    for (int i = 0; i < 200; ++i, ++reads) {
      const std::uint64_t key = random() % kKeys;
      const char* wrong = nullptr;
      if (random() % 2 == 0) {
        const bool found = d.try_get(key, out);
        misses += found ? 0U : 1U;
        wrong = checker.wrong(key, found ? &out : nullptr);
      } else {
        const auto value = d.get(key);
        wrong = checker.wrong(key, value ? &*value : nullptr);
      }
      if (wrong != nullptr) return fail(wrong, key);
      if (key < kStaying && !d.contains(key)) return fail("contains misses a key that stays", key);
    }
    // Each item of an iteration is one that was there, and those that stay are all in it.
    std::array<bool, kKeys> seen{};
    const char* wrong = nullptr;
    std::uint64_t of = 0;
    d.for_each([&](const std::uint64_t& key, const std::string& value) {
      if (key >= kKeys) return;
      // for_each may hand out what was current when it passed, so only wholeness counts here.
      if (!version_in(value, key)) {
        wrong = "for_each: half a value, or another key's";
        of = key;
      }
      seen[key] = true;
    });
    if (wrong != nullptr) return fail(wrong, of);
    const auto missed = std::find(seen.begin(), seen.begin() + kStaying, false);
    if (missed != seen.begin() + kStaying)
      return fail("for_each misses a key that stays", static_cast<std::uint64_t>(missed - seen.begin()));
  }
  progress->reads.fetch_add(reads);
  progress->misses.fetch_add(misses);
  return 0;
});

struct Twins {
  std::uint64_t value;
  std::uint64_t inverse;
  std::uint64_t key;
};

/// Small values: eight bytes that may be replaced in place, and a struct. args: names of both, role, barrier, progress
const RegisterChild kSmall("torn read: small", [](std::vector<std::string> args) {
  auto words = SharedDict<std::uint32_t, std::uint64_t>::attach(args.at(0));
  auto twins = SharedDict<std::uint32_t, Twins>::attach(args.at(1));
  const bool writes = args.at(2) == "write";
  const StartBarrier barrier = StartBarrier::from_token(args.at(3));
  const auto progress = SharedArea<Progress>::from_token(args.at(4));
  std::mt19937_64 random(std::stoull(args.at(5)));
  const auto word_of = [](std::uint32_t key, std::uint64_t low) {
    return (mix(low + key) << 32) | low;  // the high half follows from key and low half
  };
  barrier.arrive_and_wait();
  if (writes) {
    for (int turn = 0; turn < (kSanitized ? 60'000 : 300'000); ++turn) {
      const auto key = static_cast<std::uint32_t>(random() % 8);
      const std::uint64_t low = random() & 0xFFFF'FFFF;
      words.insert_or_assign(key, word_of(key, low));
      if (turn % 3 == 0) twins.insert_or_assign(key, {low, ~low, key});
      if (turn % 50 == 0) twins.erase(key);
    }
    progress->writers_done.fetch_add(1);
    return 0;
  }
  std::uint64_t reads = 0;
  for (; progress->writers_done.load() < kWriters; ++reads) {
    const auto key = static_cast<std::uint32_t>(random() % 8);
    const auto word = words.get(key);
    if (!word || *word != word_of(key, *word & 0xFFFF'FFFF)) return 1;
    const auto twin = twins.get(key);
    if (twin && (twin->inverse != ~twin->value || twin->key != key)) return 2;
  }
  progress->reads.fetch_add(reads);
  return 0;
});

}  // namespace

TEST_CASE("readers in other processes never see half a value, an older one, or miss a key that stays") {
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = std::size_t{16} << 20});
  for (std::uint64_t key = 0; key < kStaying; ++key) d.insert(key, pattern_of(key, 0, 100));
  const StartBarrier barrier;
  const SharedArea<Progress> progress;
  std::vector<Child> children;
  const auto start = [&](const char* role, unsigned number) {
    children.push_back(Child::start(role, {name.str(), std::to_string(number), barrier.token(), progress.token(),
                                           std::to_string(test_seed()), kSanitized ? "30000" : "120000"}));
  };
  for (unsigned i = 0; i < kWriters; ++i) start("torn read: writer", i);
  for (unsigned i = 0; i < kReaders; ++i) start("torn read: reader", i);
  barrier.open_for(kWriters + kReaders);
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (Child& child : children) REQUIRE(child.wait(2 * kHangDeadline) == 0);
  WARN(progress->reads.load() << " reads, " << progress->misses.load() << " misses, none torn");
  REQUIRE(progress->reads.load() > 1000);
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    const auto value = d.get(key);
    if (value) REQUIRE(version_in(*value, key).has_value());
  }
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("readers in other processes never see half of a small value") {
  const UniqueName words_name;
  const UniqueName twins_name;
  auto words = SharedDict<std::uint32_t, std::uint64_t>::create(words_name.str(), {.heap_size = 1 << 20});
  auto twins = SharedDict<std::uint32_t, Twins>::create(twins_name.str(), {.heap_size = 1 << 20});
  for (std::uint32_t key = 0; key < 8; ++key) words.insert(key, mix(key) << 32);
  const StartBarrier barrier;
  const SharedArea<Progress> progress;
  std::vector<Child> children;
  for (unsigned i = 0; i < kWriters + kReaders; ++i) {
    children.push_back(
        Child::start("torn read: small", {words_name.str(), twins_name.str(), i < kWriters ? "write" : "read",
                                          barrier.token(), progress.token(), std::to_string(test_seed() + i)}));
  }
  barrier.open_for(kWriters + kReaders);
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (Child& child : children) REQUIRE(child.wait(2 * kHangDeadline) == 0);
  REQUIRE(progress->reads.load() > 1000);
  SHARED_DICT_REQUIRE_SOUND(words);
  SHARED_DICT_REQUIRE_SOUND(twins);
}
