// The changes that all writing functions are made of: exact at their limits, one step for everybody, each item to one caller only.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
using test::SharedArea;

namespace {

using Dictionary = test::StoredDictionary;

std::uint32_t shard_of(const Dictionary& d, const std::string& key) {
  return hash_shard(d.key(key).hash, d.segment().identity().shard_count);
}

/// Keys of one shard, different ones each time.
std::vector<std::string> keys_of_shard(const Dictionary& d, std::uint32_t shard, std::size_t count) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    if (const std::string key = "key" + std::to_string(i); shard_of(d, key) == shard) keys.push_back(key);
  }
  return keys;
}

struct Counts {
  std::atomic<std::uint64_t> stored;
  std::atomic<std::uint64_t> refused;
  std::atomic<std::uint64_t> erasures_begun;
  std::atomic<std::uint64_t> erasures_ended;
  std::atomic<std::uint64_t> taken[1000];
};

}  // namespace

TEST_CASE("a change stores, keeps or erases as it was decided, and sees what was there") {
  const Dictionary d;
  std::optional<std::string> seen;
  const auto apply = [&](const std::string& key, Decision decision) {
    change(d.writer(), d.key(key), [&](const Bytes* current) {
      seen.reset();
      if (current != nullptr) seen.emplace(reinterpret_cast<const char*>(current->data()), current->size());
      return decision;
    });
  };
  apply("a", Decision::keep());
  REQUIRE_FALSE(seen);
  REQUIRE_FALSE(d.get("a"));
  apply("a", Decision::erase());
  REQUIRE_FALSE(d.get("a"));
  const std::string first = "first";
  apply("a", Decision::store(Dictionary::bytes(first)));
  REQUIRE_FALSE(seen);
  const std::string second(50'000, 'x');
  apply("a", Decision::store(Dictionary::bytes(second)));
  REQUIRE(seen == first);
  apply("a", Decision::keep());
  REQUIRE(seen == second);
  REQUIRE(d.get("a") == second);
  apply("a", Decision::erase());
  REQUIRE_FALSE(d.get("a"));
  REQUIRE(count_items(d.segment()) == 0);
  REQUIRE(count_bytes(d.segment()) == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("a decision that throws changes nothing and leaves no lock behind") {
  const Dictionary d;
  d.put("a", "1");
  REQUIRE_THROWS_AS(change(d.writer(), d.key("a"), [](const Bytes*) -> Decision { throw std::runtime_error("no"); }),
                    std::runtime_error);
  REQUIRE(d.get("a") == "1");
  REQUIRE(d.segment().shard(shard_of(d, "a")).lock.load() == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("what one shard keeps aside is there for another one when no memory is left") {
  const Dictionary d({.heap_size = 1 << 22});
  const auto key_in = [&](std::uint32_t shard) {
    static int last = 0;
    for (;;) {
      const std::string key = "key" + std::to_string(++last);
      if (shard_of(d, key) == shard) return key;
    }
  };
  const std::string value(900, 'v');
  const std::string gone = key_in(0);
  d.put(gone, value);
  d.put(key_in(0), "stays");
  d.put(key_in(1), "stays");
  d.erase(gone);  // its block is kept aside, alone in its span
  const Writer writer = d.writer();
  Heap heap(writer, 1);
  REQUIRE(test::error_of([&] {
            for (;;) heap.take_run({PageKind::large, 1, 1});
          }) == errc::heap_full);
  REQUIRE_FALSE(test::error_of([&] { d.put(key_in(1), value); }));
}

TEST_CASE("max_items is exact when several processes race at it") {
  constexpr std::uint64_t kLimit = 700;
  const Dictionary d({.heap_size = 1 << 22, .max_items = kLimit});
  REQUIRE(d.segment().identity().shard_count > 1);
  const SharedArea<Counts> counts;
  const test::StartBarrier barrier;
  std::vector<std::unique_ptr<test::Forked>> children;
  for (int child = 0; child < 3; ++child) {
    children.push_back(std::make_unique<test::Forked>([&, child](auto) {
      barrier.arrive_and_wait();
      for (int round = 0; round < 5; ++round) {
        for (int i = 0; i < 400; ++i) {
          const std::string key = std::to_string(child) + "-" + std::to_string(i);
          const std::error_code code = test::error_of([&] { d.put(key, "value"); });
          if (code && code != errc::too_many_items) return 1;
          (code ? counts->refused : counts->stored).fetch_add(1);
          // The sum is one of a moment only while nobody erases: an item that was counted may go, and another come where it wasn't yet.
          const std::uint64_t ended = counts->erasures_ended.load();
          const std::uint64_t begun = counts->erasures_begun.load();
          const bool too_many = count_items(d.segment()) > kLimit;
          if (too_many && begun == ended && counts->erasures_begun.load() == begun) return 2;
        }
        counts->erasures_begun.fetch_add(1);
        for (int i = 0; i < 400; i += 3) d.erase(std::to_string(child) + "-" + std::to_string(i));
        counts->erasures_ended.fetch_add(1);
      }
      return 0;
    }));
  }
  barrier.open_for(3);
  for (const auto& child : children) SHARED_DICT_REQUIRE_ENDED_WELL(child->wait());
  REQUIRE(counts->refused.load() > 0);
  std::error_code code;
  for (int i = 0; !code; ++i) code = test::error_of([&] { d.put("more" + std::to_string(i), "value"); });
  REQUIRE(code == errc::too_many_items);
  REQUIRE(count_items(d.segment()) == kLimit);
  REQUIRE(d.problems().empty());
}

// The first insert finds the limit far away and takes no turn. It is held up by the pool's lock before it stores, as by a stop of its
// process, while others go up to the limit.
TEST_CASE("an insert that is held up doesn't pass max_items either") {
  const Dictionary d({.heap_size = 1 << 20, .max_items = 128});
  REQUIRE(d.segment().identity().shard_count == 2);
  const auto keys = keys_of_shard(d, 0, 200);
  const std::string late = keys_of_shard(d, 1, 1).front();
  for (std::size_t i = 0; i < 120; ++i) d.put(keys[i], "v");
  std::thread held_up;
  {
    const PagePool pool(d.writer());
    held_up = std::thread([&] { static_cast<void>(test::error_of([&] { d.put(late, "v"); })); });
    // It needs a first table, so it waits for the pool, which this test has.
    const bool waiting = test::eventually(
        [&] { return d.segment().shard(1).lock.load() != 0 && d.segment().header().pool.sleepers.load() != 0; });
    // The last ones wait for that item.
    for (std::size_t i = 120; i < 140 && waiting; ++i) static_cast<void>(test::error_of([&] { d.put(keys[i], "v", std::chrono::milliseconds(5)); }));
  }
  held_up.join();
  REQUIRE(count_items(d.segment()) <= 128);
}

// heap_size is looked at before a write; those in flight may pass it by what they add, and by no more.
TEST_CASE("writes that go on at once pass heap_size at most by what they add, and the next one is refused") {
  const Dictionary d({.heap_size = 1 << 20});
  const std::string value(700'000, 'x');
  std::vector<std::thread> writers;
  {
    const PagePool pool(d.writer());
    for (const std::uint32_t shard : {0U, 1U}) {
      writers.emplace_back(
          [&, shard] { static_cast<void>(test::error_of([&] { d.put(keys_of_shard(d, shard, 1).front(), value); })); });
    }
    static_cast<void>(test::eventually([&] {
      return d.segment().shard(0).lock.load() != 0 && d.segment().shard(1).lock.load() != 0 &&
             d.segment().header().pool.sleepers.load() != 0;
    }));
  }
  for (std::thread& writer : writers) writer.join();
  REQUIRE(count_bytes(d.segment()) <= 2 * (value.size() + 10));
  REQUIRE(test::error_of([&] { d.put("more", value); }) == errc::heap_full);
  REQUIRE(d.problems().empty());
}

TEST_CASE("heap_size is exact for one writer: its last byte can be used, and no more") {
  const Dictionary d({.heap_size = 1 << 16});
  const std::string value(1000 - 7, 'x');
  int stored = 0;
  const std::error_code code = test::error_of([&] {
    for (;; ++stored) d.put("key" + std::to_string(1000 + stored), value);
  });
  REQUIRE(code == errc::heap_full);
  REQUIRE(stored == 65);
  REQUIRE(count_bytes(d.segment()) == 65'000);
  d.put("last", std::string(65'536 - 65'000 - 4, 'y'));
  REQUIRE(test::error_of([&] { d.put("b", ""); }) == errc::heap_full);
  d.put("last", std::string(65'536 - 65'000 - 4, 'z'));
  d.put("last", "");
  d.put("b", "");
  REQUIRE(d.problems().empty());
}

TEST_CASE("a clear is one step: once a reader finds one key gone, all are") {
  constexpr int kKeys = 500;
  const Dictionary d;
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i) keys.push_back("key" + std::to_string(i));
  const auto fill = [&] {
    for (const std::string& key : keys) d.put(key, "value");
  };
  fill();
  const SharedArea<std::atomic<int>> stop;
  const SharedArea<std::atomic<std::uint64_t>> phase;  // odd: full, and being cleared
  test::Forked reader([&](auto) {
    while (stop->load() == 0) {
      const std::uint64_t now = phase->load();
      bool gone = false;
      for (std::size_t i = 0; i < keys.size() && now % 2 == 1; ++i) {
        const bool there = d.get(keys[i]).has_value();
        if (phase->load() != now) break;
        if (gone && there) return 1;
        gone = gone || !there;
      }
    }
    return 0;
  });
  for (int round = 0; round < 300; ++round) {
    phase->fetch_add(1);
    std::this_thread::yield();
    clear(d.writer());
    phase->fetch_add(1);
    fill();
  }
  stop->store(1);
  SHARED_DICT_REQUIRE_ENDED_WELL(reader.wait());
  REQUIRE(count_items(d.segment()) == kKeys);
  REQUIRE(d.problems().empty());
  clear(d.writer());
  REQUIRE(count_items(d.segment()) == 0);
  REQUIRE(count_bytes(d.segment()) == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("several processes that extract take each item once and skip none") {
  const Dictionary d;
  for (int i = 0; i < 1000; ++i) d.put(std::to_string(i), "value");
  const SharedArea<Counts> counts;
  const test::StartBarrier barrier;
  std::vector<std::unique_ptr<test::Forked>> children;
  for (int child = 0; child < 3; ++child) {
    children.push_back(std::make_unique<test::Forked>([&](auto) {
      barrier.arrive_and_wait();
      while (extract_any(d.writer(), [&](Bytes key, Bytes) {
        counts->taken[std::stoul(std::string(reinterpret_cast<const char*>(key.data()), key.size()))].fetch_add(1);
      })) {
      }
      return 0;
    }));
  }
  barrier.open_for(3);
  for (const auto& child : children) SHARED_DICT_REQUIRE_ENDED_WELL(child->wait());
  for (const auto& taken : counts->taken) REQUIRE(taken.load() == 1);
  REQUIRE(count_items(d.segment()) == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("an item that its taker can't use stays") {
  const Dictionary d;
  d.put("a", "1");
  REQUIRE_THROWS_AS(extract_any(d.writer(), [](Bytes, Bytes) { throw std::runtime_error("no"); }), std::runtime_error);
  REQUIRE(d.get("a") == "1");
  REQUIRE(extract_any(d.writer(), [](Bytes, Bytes) {}));
  REQUIRE_FALSE(extract_any(d.writer(), [](Bytes, Bytes) {}));
  REQUIRE(d.problems().empty());
}

TEST_CASE("an item of a dead process that isn't counted yet is extracted too") {
  const Dictionary d;
  d.put("a", "1");
  Shard& shard = d.segment().shard(shard_of(d, "a"));
  shard.items.store(0);
  shard.dirty.store(1);
  REQUIRE(extract_any(d.writer(), [](Bytes, Bytes) {}));
  REQUIRE(d.problems().empty());
}

TEST_CASE("erase_if erases what it is told to, looks at each item once, and stops where its predicate throws") {
  const Dictionary d;
  for (int i = 0; i < 500; ++i) d.put(std::to_string(i), i % 3 == 0 ? "goes" : "stays");
  std::multiset<std::string> seen;
  const std::uint64_t erased = erase_if(d.writer(), [&](Bytes key, Bytes value) {
    seen.emplace(reinterpret_cast<const char*>(key.data()), key.size());
    return value.size() == 4;
  });
  REQUIRE(erased == 167);
  REQUIRE(seen.size() == 500);
  REQUIRE(std::set<std::string>(seen.begin(), seen.end()).size() == 500);
  REQUIRE(count_items(d.segment()) == 333);
  int asked = 0;
  REQUIRE_THROWS_AS(
      erase_if(d.writer(), [&](Bytes, Bytes) { return ++asked == 10 ? throw std::runtime_error("no") : true; }),
      std::runtime_error);
  REQUIRE(count_items(d.segment()) == 333 - 9);
  REQUIRE(d.problems().empty());
}

TEST_CASE("memory that a dead process leaked is found before a write is refused for want of it") {
  const Dictionary d({.heap_size = 1});
  {
    const Writer writer = d.writer();
    Heap heap(writer, 0);
    static_cast<void>(test::error_of([&] {
      for (;;) heap.take_run({PageKind::large, 1, 0});
    }));
  }
  d.segment().shard(0).dirty.store(1);
  d.put("", "x");
  REQUIRE(d.get("") == "x");
  REQUIRE(d.problems().empty());
}
