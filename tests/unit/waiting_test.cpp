// Waiters hear of every change of their key after they are armed, of no other key's, and of nothing before; and they go without a
// trace.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/waiting.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/seed.hpp"
#include "support/stored_dictionary.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
using namespace std::chrono_literals;

namespace {

using Dictionary = test::StoredDictionary;

// One that sleeps for as long as no test ever takes, or not at all.
struct Waiting {
  ChangeWaiter waiter;

  Waiting(const Dictionary& d, const KeyBytes& key, Clock::duration patience = test::kHangDeadline)
      : waiter(*d.attachment, key, Clock::now() + patience) {
    if (!waiter.arm()) throw std::runtime_error("the lock can't be had");
  }
  bool hears() { return waiter.sleep(); }
};

std::uint32_t watched(const Dictionary& d, const KeyBytes& key) {
  return d.segment().shard(hash_shard(key.hash, d.segment().shard_count())).watched.load();
}

std::size_t registered(const Dictionary& d) {
  std::size_t count = 0;
  for (std::uint32_t i = 0; i < d.segment().shard_count(); ++i) for_each_waiter(d.segment(), i, [&](Waiter&) { ++count; });
  return count;
}

// What a dead owner leaves: the change stored, nobody told, the shard marked.
void die_after(const Dictionary& d, const std::string& key, const std::string& value) {
  Shard& shard = d.segment().shard(hash_shard(d.key(key).hash, d.segment().shard_count()));
  const std::uint32_t before = shard.watched.exchange(0);
  d.put(key, value);
  shard.watched.store(before);
  shard.dirty.store(1);
}

const std::string kKey = "key";

}  // namespace

TEST_CASE("a waiter hears of an insertion, a replacement, the same value again, and an erasure") {
  const Dictionary d;
  for (const char* value : {"first", "second", "second", "a value of another size"}) {
    Waiting waiting(d, d.key(kKey));
    d.put(kKey, value);
    REQUIRE(waiting.hears());
  }
  Waiting waiting(d, d.key(kKey));
  d.erase(kKey);
  REQUIRE(waiting.hears());
  REQUIRE(d.problems().empty());
}

TEST_CASE("a waiter hears of a value that is replaced in place, also by itself") {
  const Dictionary d({.heap_size = 1 << 20}, {0, 8, 8});
  d.put(kKey, "12345678");
  for (const char* value : {"87654321", "87654321"}) {
    Waiting waiting(d, d.key(kKey));
    d.put(kKey, value);
    REQUIRE(waiting.hears());
  }
}

TEST_CASE("a waiter doesn't hear of what was written before it was armed, nor of other keys of its shard") {
  const Dictionary d({.heap_size = 1 << 16});  // one shard
  REQUIRE(d.segment().shard_count() == 1);
  d.put(kKey, "before");
  Waiting waiting(d, d.key(kKey), 20ms);
  for (int i = 0; i < 100; ++i) d.put("other " + std::to_string(i), "value");
  for (int i = 0; i < 100; ++i) d.erase("other " + std::to_string(i));
  REQUIRE_FALSE(waiting.hears());
}

TEST_CASE("growth of the table, reads and a change that keeps the value are no change") {
  const Dictionary d({.heap_size = 1 << 16});
  d.put(kKey, "value");
  Waiting waiting(d, d.key(kKey), 20ms);
  const std::uint64_t slots = d.segment().shard(0).table.load();
  for (int i = 0; d.segment().shard(0).table.load() == slots; ++i) d.put(std::to_string(i), "");
  REQUIRE(d.get(kKey) == "value");
  change(d.writer(), d.key(kKey), [](const Bytes*) { return Decision::keep(); });
  REQUIRE_FALSE(waiting.hears());
}

TEST_CASE("a clear is heard of by those whose key was there") {
  const Dictionary d({.heap_size = 1 << 16});
  d.put(kKey, "value");
  Waiting here(d, d.key(kKey));
  Waiting elsewhere(d, d.key("missing"), 20ms);
  clear(d.writer());
  REQUIRE(here.hears());
  REQUIRE_FALSE(elsewhere.hears());
}

TEST_CASE("a batch is heard of by those who wait for one of its keys") {
  const Dictionary d({.heap_size = 1 << 16});
  d.put(kKey, "value");
  Waiting replaced(d, d.key(kKey));
  Waiting added(d, d.key("new"));
  Waiting other(d, d.key("other"), 20ms);
  Batch(d.writer(), {{d.key(kKey), Dictionary::bytes(kKey)}, {d.key("new"), Dictionary::bytes(kKey)}}).run();
  REQUIRE(replaced.hears());
  REQUIRE(added.hears());
  REQUIRE_FALSE(other.hears());
}

TEST_CASE("what a dead owner stored and told nobody is heard of after the repair, and only by those it concerns") {
  const bool small = GENERATE(false, true);
  const Dictionary d({.heap_size = 1 << 16}, {0, small ? 8U : 0U, 8});
  d.put(kKey, "old     ");
  d.put("other", "old     ");
  Waiting waiting(d, d.key(kKey));
  Waiting other(d, d.key("other"), 20ms);
  die_after(d, kKey, "new     ");
  REQUIRE(d.problems().empty());  // takes the locks, and so repairs
  REQUIRE(waiting.hears());
  REQUIRE_FALSE(other.hears());
}

// The repair looks through the waiters of its shard while one of them ends, and its place becomes another thread's, for another shard.
TEST_CASE("the repair of a shard doesn't tell a waiter that has come to wait for a key of another one") {
  const Dictionary d({.heap_size = 1 << 20});
  d.put(kKey, "value");
  Waiting waiting(d, d.key(kKey), 20ms);
  const std::uint32_t index = hash_shard(d.key(kKey).hash, d.segment().shard_count());
  const std::uint32_t other = (index + 1) % d.segment().shard_count();
  Waiter& waiter = d.segment().area(d.attachment->self().record()).waiters[0];
  REQUIRE(waiter.shard.load() == index + 1);
  waiter.shard.store(other + 1);  // as the repair has seen it
  d.segment().shard(other).watched.store(1);
  d.segment().shard(other).dirty.store(1);
  REQUIRE(d.problems().empty());  // takes the locks, and so repairs
  REQUIRE(d.segment().shard(other).dirty.load() == 0);
  waiter.shard.store(index + 1);
  REQUIRE_FALSE(waiting.hears());
}

TEST_CASE("a change isn't overlooked because the next ones bring back what was there") {
  const Dictionary d({.heap_size = 1 << 16}, {0, 8, 8});
  d.put(kKey, "value  5");
  Waiting in_place(d, d.key(kKey));
  for (const char* value : {"value  6", "value  5"}) {
    die_after(d, kKey, value);
    REQUIRE(d.problems().empty());
  }
  REQUIRE(in_place.hears());

  Waiting same_block(d, d.key(kKey));
  clear(d.writer());
  die_after(d, kKey, "value  5");
  REQUIRE(d.problems().empty());
  REQUIRE(same_block.hears());
}

TEST_CASE("a child that is forked while its parent waits has a waiter of its own") {
  const Dictionary d({.heap_size = 1 << 16});
  Waiting waiting(d, d.key(kKey));
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto say) {
    if (!waiting.waiter.arm()) return 1;
    say(std::to_string(registered(d)) + " waiters");
    if (registered(d) != 2) return 2;
    d.put(kKey, "value");
    return waiting.hears() ? 0 : 3;
  }));
  REQUIRE(waiting.hears());
}

TEST_CASE("a waiter sees to the repair itself when no writer comes by") {
  const Dictionary d({.heap_size = 1 << 16});
  d.put(kKey, "old");
  Waiting waiting(d, d.key(kKey));
  die_after(d, kKey, "new");
  REQUIRE(waiting.hears());
  REQUIRE(d.segment().shard(0).dirty.load() == 0);
}

TEST_CASE("writers forget waiters that are gone with their next change") {
  const Dictionary d;
  {
    const Waiting waiting(d, d.key(kKey));
    REQUIRE(watched(d, d.key(kKey)) == 1);
    REQUIRE(registered(d) == 1);
  }
  REQUIRE(registered(d) == 0);
  d.put(kKey, "value");
  REQUIRE(watched(d, d.key(kKey)) == 0);
}

TEST_CASE("waiters of a process that is gone are gone when its area is cleared") {
  const Dictionary d;
  std::optional<Waiting> waiting(std::in_place, d, d.key(kKey));
  clear_area(d.segment(), d.attachment->self().record());
  REQUIRE(registered(d) == 0);
  d.put(kKey, "value");
  REQUIRE(watched(d, d.key(kKey)) == 0);
}

TEST_CASE("a process's waiters are as many as its area has, then it is told so") {
  const Dictionary d;
  std::vector<std::unique_ptr<Waiting>> all;
  for (std::uint32_t i = 0; i < kWaiters; ++i) all.push_back(std::make_unique<Waiting>(d, d.key(std::to_string(i % 3))));
  REQUIRE(registered(d) == kWaiters);
  REQUIRE(test::error_of([&] { Waiting(d, d.key(kKey)); }) == errc::too_many_views);
  d.put("1", "value");
  for (std::uint32_t i = 1; i < kWaiters; i += 3) REQUIRE(all[i]->hears());
  all.pop_back();
  Waiting one_more(d, d.key(kKey));
  d.put(kKey, "value");
  REQUIRE(one_more.hears());
}

TEST_CASE("a waiter that can't have the lock until its deadline says so, and leaves nothing") {
  const Dictionary d({.heap_size = 1 << 16});
  Shard& shard = d.segment().shard(0);
  shard.lock.store(LockWord(0, d.attachment->self().generation()).bits());  // this process's own, so it lives
  {
    ChangeWaiter waiter(*d.attachment, d.key(kKey), Clock::now() + 20ms);
    REQUIRE_FALSE(waiter.arm());
  }
  shard.lock.store(0);
  REQUIRE(registered(d) == 0);
}

TEST_CASE("wait_change ends at its time-out, at once if that is zero or negative") {
  const test::UniqueName name;
  const auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  for (const auto timeout : {std::chrono::nanoseconds(-1s), std::chrono::nanoseconds(0), std::chrono::nanoseconds(30ms)}) {
    const auto begin = Clock::now();
    REQUIRE_FALSE(d.wait_change("k", timeout));
    REQUIRE(Clock::now() - begin >= timeout);
  }
}

TEST_CASE("wait_until asks at once, then after each change, and returns the value that it was satisfied with") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE(d.wait_until("k", [](int) { return true; }, 0ns) == std::nullopt);
  d["k"] = 1;
  REQUIRE(d.wait_until("k", [](int value) { return value == 1; }, 0ns) == 1);
  std::vector<int> seen;
  const auto found = d.wait_until(
      "k",
      [&](int value) {
        seen.push_back(value);
        if (value < 50) d["k"] = value + 1;  // may do anything with the dictionary
        return value >= 50;
      },
      test::kHangDeadline);
  REQUIRE(found == 50);
  for (std::size_t i = 1; i < seen.size(); ++i) REQUIRE(seen[i - 1] <= seen[i]);
  REQUIRE(d.audit().ok());
}

TEST_CASE("a child that the predicate of wait_until forks goes on waiting, with a waiter of its own") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  d["k"] = 1;
  const pid_t parent = ::getpid();
  pid_t child = -1;
  int asked = 0;
  const auto found = d.wait_until(
      "k",
      [&](int value) {
        if (++asked == 2) child = ::fork();  // at the second question the wait is armed
        if (child == 0) test::die_with(parent);
        return child > 0 || value == 2;
      },
      test::kHangDeadline);
  if (child == 0) ::_exit(found == 2 ? 0 : 1);
  REQUIRE(found == 1);
  // The parent's waiter is free by now.
  std::this_thread::sleep_for(50ms);
  d["k"] = 2;
  int status = 0;
  REQUIRE(test::eventually([&] { return ::waitpid(child, &status, WNOHANG) == child; }, 5s));
  REQUIRE((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

TEST_CASE("what the predicate of wait_until throws passes through and leaves no waiter") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  d["k"] = 1;
  int calls = 0;
  const auto wait = [&] {
    d.wait_until("k", [&](int) -> bool { return ++calls < 2 ? false : throw std::runtime_error("enough"); }, test::kHangDeadline);
  };
  REQUIRE_THROWS_WITH(wait(), "enough");
  REQUIRE(calls == 2);
  REQUIRE(d.audit().ok());
}

TEST_CASE("waiting inside a callback of the same dictionary is refused") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  d["k"] = 1;
  d.modify("k", [&](int&) {
    REQUIRE(test::error_of([&] { d.wait_change("k", 1s); }) == errc::would_deadlock);
    REQUIRE(test::error_of([&] { d.wait_until("k", [](int) { return true; }, 1s); }) == errc::would_deadlock);
  });
}

// Each thread waits for its predecessor's number and writes the next: one wake-up that gets lost and the ring stands still.
TEST_CASE("threads that wait for each other in a ring go round") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  constexpr int kThreads = 4;
  constexpr int kRounds = 300;
  d["token"] = 0;
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int me = 0; me < kThreads; ++me) {
    threads.emplace_back([&, me] {
      for (int round = 0; round < kRounds; ++round) {
        const int mine = round * kThreads + me;
        if (d.wait_until("token", [&](int token) { return token == mine; }, test::kHangDeadline) != mine) {
          ++failed;
          return;
        }
        d["token"] = mine + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(failed == 0);
  REQUIRE(d.at("token") == kThreads * kRounds);
  REQUIRE(d.audit().ok());
}

// A waiter of one key beside a writer of another: it may wake, but not return.
TEST_CASE("a waiter beside a busy writer of other keys of its shard returns only for its own") {
  const test::UniqueName name;
  auto d = SharedDict<int, int>::create(name.str(), {.heap_size = 1 << 16});
  std::atomic<bool> stop{false};
  std::atomic<int> written{0};
  std::thread busy([&] {
    for (int i = 0; !stop; ++i) d[1 + i % 50] = i;
  });
  std::thread writer([&] {
    for (int i = 1; i <= 200; ++i) {
      d[0] = i;
      written = i;
      if (!d.wait_until(-1, [&](int acknowledged) { return acknowledged == i; }, test::kHangDeadline)) return;
    }
  });
  bool early = false;
  for (int i = 1; i <= 200; ++i) {
    for (int before = d.get(0, 0); before < i; before = d.get(0, 0)) {
      // What is written before the call begins is missed, so it has a time-out.
      if (d.wait_change(0, 20ms)) early = early || d.get(0, 0) == before;
    }
    d[-1] = i;
  }
  stop = true;
  busy.join();
  writer.join();
  REQUIRE_FALSE(early);
  REQUIRE(written == 200);
  REQUIRE(d.audit().ok());
}
