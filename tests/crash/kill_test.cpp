// kill -9 in the middle of writes: whatever moment it hits, each operation that had returned is still there, the one that
// was in flight is either wholly there or not at all, and the survivors go on without anybody's help.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "crash/journal.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Dict = SharedDict<std::string, std::string>;
using Counters = SharedDict<std::uint32_t, std::uint64_t>;

constexpr auto kRecoveryDeadline = 5s;

std::string own_key(std::size_t worker, std::size_t key) {
  return "own " + std::to_string(worker) + "/" + std::to_string(key);
}
std::uint64_t pattern_key(std::size_t worker, std::size_t key) { return worker * 1000 + key; }
std::size_t size_of(std::uint64_t version) { return version % 11 == 0 ? 3000 + version % 5000 : 32 + version % 200; }

/// The version that is stored, 0 for none, nothing if it is not whole.
std::optional<std::uint64_t> stored_state(const Dict& d, std::size_t worker, std::size_t key) {
  const auto value = d.get(own_key(worker, key));
  return value ? version_in(*value, pattern_key(worker, key)) : std::optional<std::uint64_t>(0);
}

class Worker {
 public:
  Worker(const std::string& name, const std::string& counters, const SharedArea<Journals>& journals, std::size_t self,
         std::uint64_t seed)
      : dict_(Dict::attach(name)),
        counters_(Counters::attach(counters)),
        all_(*journals),
        journal_(journals->of[self]),
        self_(self),
        random_(seed) {}

  int run() {
    while (all_.stop.load() == 0) {
      if (journal_.asked_to_hold.load() != 0) hold();
      if (random_() % 3 == 0) {
        add();
      } else {
        write();
      }
      journal_.operations.fetch_add(1);
      if (journal_.failed.load() != 0) return static_cast<int>(journal_.failed.load());
    }
    return 0;
  }

 private:
  void fail(std::uint32_t code) { journal_.failed = code; }

  void add() {
    const auto counter = static_cast<std::uint32_t>(random_() % kCounters);
    journal_.begun[counter].fetch_add(1);
    switch (random_() % 3) {
      case 0: counters_.modify(counter, [](std::uint64_t& value) { ++value; }); break;
      case 1: {
        std::uint64_t expected = counters_.at(counter);
        while (!counters_.compare_exchange(counter, expected, expected + 1)) {
        }
        break;
      }
      default: counters_.fetch_add(counter, 1);
    }
    journal_.acknowledged[counter].fetch_add(1);
  }

  void write() {
    const std::size_t key = random_() % kOwnKeys;
    const std::uint64_t before = journal_.state[key].load();
    if (stored_state(dict_, self_, key) != before) return fail(10);
    const std::uint64_t version = journal_.last_version.fetch_add(1) + 1;
    make_pattern(pattern_key(self_, key), version, size_of(version), value_);
    const std::string name = own_key(self_, key);
    const std::uint64_t how = random_() % 7;
    std::uint64_t after = version;
    if (how == 0 && before != 0) after = before;  // insert of a present key
    if (how == 1 && before == 0) after = 0;       // assign of a missing one
    if (how == 3 && before == 0) after = 0;       // modify of a missing one
    if (how >= 5) after = 0;                      // erase, extract
    journal_.pending_state = after;
    journal_.pending_key = key + 1;
    bool as_told = true;
    switch (how) {
      case 0: as_told = dict_.insert(name, value_) == (before == 0); break;
      case 1: as_told = dict_.assign(name, value_) == (before != 0); break;
      case 2: as_told = dict_.insert_or_assign(name, value_) == (before == 0); break;
      case 3: as_told = dict_.modify(name, [&](std::string& stored) { stored = value_; }) == (before != 0); break;
      case 4:
        as_told = dict_.modify_or_insert(name, "", [&](std::string& stored) { stored = value_; }) == (before == 0);
        break;
      case 5: as_told = dict_.erase(name) == (before != 0); break;
      default: as_told = dict_.extract(name).has_value() == (before != 0);
    }
    journal_.state[key] = after;
    journal_.pending_key = 0;
    if (!as_told) fail(11);
    if (stored_state(dict_, self_, key) != after) fail(12);
  }

  void hold() {
    const auto counter = static_cast<std::uint32_t>(random_() % kCounters);
    counters_.modify(counter, [&](std::uint64_t& value) {
      value = 0xDEAD;
      journal_.holding = counter + 1;
      eventually([] { return false; });  // until the kill
    });
    fail(13);
  }

  Dict dict_;
  Counters counters_;
  Journals& all_;
  Journal& journal_;
  std::size_t self_;
  std::mt19937_64 random_;
  std::string value_;
};

/// args: dictionary, counters, journals, number, seed
const RegisterChild kWorker("kill: worker", [](std::vector<std::string> args) {
  const auto journals = SharedArea<Journals>::from_token(args.at(2));
  return Worker(args.at(0), args.at(1), journals, std::stoul(args.at(3)), std::stoull(args.at(4))).run();
});

class Arena {
 public:
  Arena()
      : dict(Dict::create(name_.str(), {.heap_size = std::size_t{16} << 20})),
        counters(Counters::create(counters_name_.str(), {.heap_size = 1 << 20})),
        random(test_seed()) {
    for (std::uint32_t i = 0; i < kCounters; ++i) counters.insert(i, 0);
    for (std::size_t i = 0; i < kWorkers; ++i) workers_.push_back(start(i));
  }

  Child start(std::size_t worker) {
    return Child::start("kill: worker", {name_.str(), counters_name_.str(), journals.token(), std::to_string(worker),
                                         std::to_string(test_seed() + ++lives_)});
  }

  /// Lets all workers make some progress, so that no life is only a start.
  void let_work(std::uint64_t operations) {
    for (Journal& journal : journals->of) {
      const std::uint64_t target = journal.operations.load() + operations;
      REQUIRE(eventually([&] { return journal.operations.load() >= target || journal.failed.load() != 0; }));
    }
    expect_no_failure();
  }

  void expect_no_failure() {
    for (std::size_t i = 0; i < kWorkers; ++i) {
      INFO("worker " << i);
      REQUIRE(journals->of[i].failed.load() == 0);
    }
  }

  void kill(std::size_t worker) {
    workers_[worker].kill();
    REQUIRE(workers_[worker].wait() == -SIGKILL);
  }

  /// After a death: all that the dead worker had been told is there, its last write is whole or absent.
  void settle(std::size_t worker) {
    Journal& journal = journals->of[worker];
    const std::uint64_t pending = journal.pending_key.load();
    for (std::size_t key = 0; key < kOwnKeys; ++key) {
      INFO("worker " << worker << ", key " << key << ", pending " << pending);
      const auto now = stored_state(dict, worker, key);
      REQUIRE(now.has_value());
      if (pending != key + 1) {
        REQUIRE(*now == journal.state[key].load());
        continue;
      }
      const bool either = *now == journal.state[key].load() || *now == journal.pending_state.load();
      REQUIRE(either);
      *now == journal.state[key].load() ? ++undone : ++done;
      journal.state[key] = *now;
    }
    journal.pending_key = 0;
    std::uint64_t open = 0;
    for (std::size_t i = 0; i < kCounters; ++i) {
      const std::uint64_t missing = journal.begun[i].load() - journal.acknowledged[i].load();
      uncertain[i] += missing;
      open += missing;
      journal.begun[i] = journal.acknowledged[i].load();
    }
    REQUIRE(open <= 1);
    journal.asked_to_hold = 0;
    journal.holding = 0;
  }

  void replace(std::size_t worker) { workers_[worker] = start(worker); }

  /// All is quiet now: every sum adds up, nothing is there that nobody wrote.
  void finish() {
    journals->stop = 1;
    for (Child& child : workers_) REQUIRE(child.wait() == 0);
    for (std::uint32_t i = 0; i < kCounters; ++i) {
      std::uint64_t sum = 0;
      for (const Journal& journal : journals->of) {
        sum += journal.acknowledged[i].load();
        REQUIRE(journal.begun[i].load() == journal.acknowledged[i].load());
      }
      INFO("counter " << i << ": " << sum << " acknowledged, " << uncertain[i] << " undecided");
      REQUIRE(counters.at(i) >= sum);
      REQUIRE(counters.at(i) <= sum + uncertain[i]);
    }
    std::size_t expected = 0;
    for (std::size_t worker = 0; worker < kWorkers; ++worker) {
      settle(worker);
      for (const auto& state : journals->of[worker].state) expected += state.load() != 0 ? 1U : 0U;
    }
    REQUIRE(dict.size() == expected);
    REQUIRE(dict.items().size() == expected);
    SHARED_DICT_REQUIRE_SOUND(dict);
    SHARED_DICT_REQUIRE_SOUND(counters);
  }

 private:
  UniqueName name_;
  UniqueName counters_name_;

 public:
  Dict dict;
  Counters counters;
  SharedArea<Journals> journals;
  std::mt19937_64 random;
  std::array<std::uint64_t, kCounters> uncertain{};
  std::size_t undone = 0;  ///< writes in flight at a kill that are absent
  std::size_t done = 0;    ///< and those that are there

 private:
  std::vector<Child> workers_;
  std::uint64_t lives_ = 0;
};

}  // namespace

TEST_CASE("a hundred kills in the middle of writes lose nothing that was acknowledged and lock nobody out") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  Arena arena;
  std::chrono::microseconds slowest{0};
  int inside = 0;
  for (int kill = 0; kill < 100; ++kill) {
    INFO("kill " << kill);
    arena.let_work(20);
    const std::size_t victim = arena.random() % kWorkers;
    if (kill % 5 < 2) {
      // Certainly with the lock in hand: it tells from inside the callback, and only then is killed.
      Journal& journal = arena.journals->of[victim];
      journal.asked_to_hold = 1;
      REQUIRE(eventually([&] { return journal.holding.load() != 0; }));
      const std::uint32_t counter = journal.holding.load() - 1;
      arena.kill(victim);
      ++inside;
      const auto begin = std::chrono::steady_clock::now();
      const std::uint64_t before = arena.counters.fetch_add(counter, 0);
      const auto took = std::chrono::steady_clock::now() - begin;
      REQUIRE(before != 0xDEAD);
      REQUIRE(took < kRecoveryDeadline);
      slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::microseconds>(took));
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(arena.random() % 3000));
      arena.kill(victim);
    }
    arena.settle(victim);
    if (kill % 10 == 9) {
      SHARED_DICT_REQUIRE_SOUND(arena.dict);  // while the others go on writing
      SHARED_DICT_REQUIRE_SOUND(arena.counters);
    }
    arena.replace(victim);
  }
  arena.let_work(20);
  arena.finish();
  WARN("100 kills, " << inside << " inside a callback; slowest recovery " << slowest.count() << " us; "
                     << arena.counters.stats().recoveries + arena.dict.stats().recoveries
                     << " recoveries; of the writes in flight " << arena.done << " happened and " << arena.undone
                     << " did not");
  REQUIRE(inside >= 34);
}
