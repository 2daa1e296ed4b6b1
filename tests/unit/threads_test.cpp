// Threads in the place of processes, so that a race detector can watch the same protocol: it sees only what happens inside
// one process. The tests hold without a detector, too.

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/lock_words.hpp"
#include "support/pattern.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Values = SharedDict<std::uint64_t, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

/// Runs `body(i)` in `count` threads that start together; what they throw becomes a failure here.
template <class Body>
void in_threads(unsigned count, Body body) {
  std::atomic<unsigned> ready{0};
  std::atomic<unsigned> failed{0};
  std::vector<std::string> said(count);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() < count) std::this_thread::yield();
      try {
        body(i);
      } catch (const std::exception& error) {
        said[i] = error.what();
        failed.fetch_add(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : said) {
    INFO(text);
    CHECK(text.empty());
  }
  REQUIRE(failed.load() == 0);
}

void expect(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(what);
}

/// Tells when it is compared for the first time.
struct Observed {
  std::string text;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
  }
  friend bool operator==(const Observed& a, const Observed& b) {
    if (on_comparison) std::exchange(on_comparison, nullptr)();
    return a.text == b.text;
  }
  static inline std::function<void()> on_comparison;
};

}  // namespace

TEST_CASE("threads with a shared handle and with handles of their own count together") {
  const UniqueName name;
  Numbers shared = Numbers::create(name.str(), {.heap_size = 1 << 20});
  constexpr std::uint64_t kTurns = 5000;
  in_threads(4, [&](unsigned self) {
    std::optional<Numbers> own;
    if (self % 2 == 0) own.emplace(Numbers::attach(name.str()));
    Numbers& d = own ? *own : shared;
    for (std::uint64_t turn = 0; turn < kTurns; ++turn) {
      d.fetch_add(turn % 5, 1);
      d.modify_or_insert(10 + turn % 5, 0, [](std::uint64_t& value) { ++value; });
    }
  });
  for (std::uint64_t key = 0; key < 5; ++key) {
    REQUIRE(shared.at(key) == 4 * kTurns / 5);
    REQUIRE(shared.at(10 + key) == 4 * kTurns / 5);
  }
  SHARED_DICT_REQUIRE_SOUND(shared);
}

TEST_CASE("reading threads see whole values while others write, erase and make the tables grow") {
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = std::size_t{8} << 20});
  constexpr std::uint64_t kKeys = 24;
  constexpr std::uint64_t kStaying = 12;
  for (std::uint64_t key = 0; key < kStaying; ++key) d.insert(key, pattern_of(key, 0, 64));
  std::atomic<unsigned> writers{2};
  in_threads(4, [&](unsigned self) {
    Values own = Values::attach(name.str());
    std::mt19937_64 random(test_seed() + self);
    std::string value;
    if (self < 2) {
      std::uint64_t extra = 0;
      for (std::uint64_t turn = 1; turn <= 4000; ++turn) {
        const std::uint64_t key = random() % (kKeys / 2) * 2 + self;
        make_pattern(key, turn, 32 + random() % 300, value);
        key >= kStaying&& random() % 3 == 0 ? own.erase(key) : own.insert_or_assign(key, value);
        if (turn % 4 == 0) own.insert(1000 * (self + 1) + extra++, "crowd");
      }
      for (std::uint64_t i = 0; i < extra; ++i) expect(own.erase(1000 * (self + 1) + i), "an own key is gone");
      writers.fetch_sub(1);
      return;
    }
    std::array<std::uint64_t, kKeys> last{};
    while (writers.load() != 0) {
      const std::uint64_t key = random() % kKeys;
      if (own.try_get(key, value)) {
        const auto version = version_in(value, key);
        expect(version.has_value(), "half a value");
        expect(*version >= last[key], "an older value than before");
        last[key] = *version;
      } else {
        expect(key >= kStaying, "a key that stays is missing");
      }
      if (random() % 50 == 0) {
        std::uint64_t staying = 0;
        for (const auto& item : own) staying += item.first < kStaying ? 1U : 0U;
        expect(staying >= kStaying, "iteration misses a key that stays");
      }
      if (random() % 50 == 0) expect(own.stats().items >= kStaying, "too few items");
    }
  });
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("eight-byte values are replaced under reading threads") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t key = 0; key < 4; ++key) d.insert(key, mix(key) << 32);
  std::atomic<unsigned> writers{2};
  in_threads(4, [&](unsigned self) {
    std::mt19937_64 random(test_seed() + self);
    if (self < 2) {
      for (int turn = 0; turn < 10'000; ++turn) {
        const std::uint64_t key = random() % 4;
        const std::uint64_t low = random() & 0xFFFF'FFFF;
        d.insert_or_assign(key, (mix(low + key) << 32) | low);
      }
      writers.fetch_sub(1);
      return;
    }
    while (writers.load() != 0) {
      const std::uint64_t key = random() % 4;
      const std::uint64_t value = d.at(key);
      expect(value == ((mix((value & 0xFFFF'FFFF) + key) << 32) | (value & 0xFFFF'FFFF)), "half a number");
    }
  });
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("handles close while other handles of the same dictionary are in use") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  constexpr std::uint64_t kTurns = 300;
  in_threads(4, [&](unsigned self) {
    for (std::uint64_t turn = 0; turn < kTurns; ++turn) {
      Numbers own = Numbers::attach(name.str());
      own.fetch_add(self, 1);
      Numbers moved = std::move(own);
      moved.fetch_add(self, 1);
      d.fetch_add(100, 1);
      moved.close();
      expect(error_of([&] { moved.get(1); }) == errc::closed, "a closed handle works");
    }
  });
  for (std::uint64_t self = 0; self < 4; ++self) REQUIRE(d.at(self) == 2 * kTurns);
  REQUIRE(d.at(100) == 4 * kTurns);
  REQUIRE(d.stats().processes == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("threads that open and close the same name at once are always in one dictionary") {
  const UniqueName name;
  in_threads(4, [&](unsigned) {
    for (int turn = 0; turn < 100; ++turn) {
      Numbers d = Numbers::open_or_create(name.str(), {.heap_size = 1 << 18});
      const std::uint64_t mine = d.fetch_add(1, 1);
      expect(d.at(1) > mine, "an addition is lost");
    }
  });
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("a callback in one thread keeps only its own thread from calling back") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  std::atomic<bool> inside{false};
  std::atomic<bool> read{false};
  std::uint64_t seen = 0;
  std::thread reader([&] {
    while (!inside.load()) std::this_thread::yield();
    seen = d.at(1);
    read = true;
  });
  d.modify(1, [&](std::uint64_t& value) {
    value = 11;
    inside = true;
    while (!read.load()) std::this_thread::yield();
  });
  reader.join();
  REQUIRE(seen == 10);
  REQUIRE(d.at(1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
}

// The first attempt finds the value and no room for the other one. While it looks for leftovers, and waits a moment for another shard, somebody
// erases the key.
TEST_CASE("compare_exchange exchanges nothing where the key went while it looked for room") {
  const UniqueName name;
  auto d = SharedDict<std::string, Observed>::create(name.str(), {.heap_size = 1 << 20});
  const auto filler = [](int i) { return "filler " + std::to_string(i); };
  for (int i = 0; i < 330; ++i) d.insert(filler(i), {std::string(3000, 'f')});
  const LockWords locks(d);
  int elsewhere = 0;
  while (locks.shard_of(filler(elsewhere)) == locks.shard_of(std::string("key"))) ++elsewhere;

  bool met = false;
  for (int round = 0; round < 100 && !met; ++round) {
    d.insert("key", {std::string(900, 'a')});
    // Leaves spare blocks, which a repair frees.
    for (int i = 0; i < 40; ++i) d.insert("spare " + std::to_string(i), {std::string(50, 's')});
    for (int i = 0; i < 40; ++i) d.erase("spare " + std::to_string(i));
    std::atomic<bool> inside{false};
    std::atomic<bool> leave{false};
    std::thread holder([&] {
      d.modify(filler(elsewhere), [&](Observed&) {
        inside = true;
        while (!leave) std::this_thread::yield();
      });
    });
    while (!inside) std::this_thread::yield();
    bool erased = false;
    std::thread eraser;
    Observed::on_comparison = [&] { eraser = std::thread([&] { erased = d.erase("key"); }); };
    Observed expected{std::string(900, 'a')};
    std::optional<bool> exchanged;
    try {
      exchanged = d.compare_exchange("key", expected, {std::string(300'000, 'b')});
    } catch (const Error& error) {
      CHECK(error.code() == errc::heap_full);  // the key was still there
    }
    leave = true;
    holder.join();
    eraser.join();
    REQUIRE(erased);
    if (exchanged) REQUIRE_FALSE(*exchanged);
    met = exchanged.has_value();
  }
  CHECK(met);
}
