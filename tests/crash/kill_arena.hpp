// Four workers on three dictionaries, and the test that kills them: one at a time, in a moment that it chooses, after which it
// recovers what the dead one held, settles what was in flight and sees to a successor.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>

#include "crash/kill_books.hpp"
#include "crash/kill_worker.hpp"
#include "support/catch.hpp"
#include "support/forked.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

/// When a victim dies.
enum class Moment {
  any,        ///< wherever it is
  seen,       ///< as soon as a lock word names it; it may let go before the signal comes
  stopped,    ///< stopped so, again and again until a lock word still names it
  storing,    ///< stopped so, until a batch of its is stored in part
  inside,     ///< in a callback, with a lock
  beginning,  ///< while it attaches
};

struct KillCounts {
  std::uint64_t kills = 0;
  std::uint64_t with_lock = 0;  ///< a lock word named the dead
  std::uint64_t inside = 0;     ///< of them, those in a callback
  std::uint64_t storing = 0;    ///< and those with a batch that has happened and isn't through
  std::chrono::microseconds slowest_recovery{0};
};

inline std::size_t entries_of(const std::filesystem::path& directory) {
  const std::filesystem::directory_iterator all(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
inline std::size_t open_descriptors(pid_t pid) { return entries_of("/proc/" + std::to_string(pid) + "/fd"); }

class KillArena {
 public:
  static constexpr std::size_t kMostFiles = 3 * (kRecords + 2);  // a segment, a guard, and a lock file for each record

  KillArena() : random_(test_seed()) {
    for (std::size_t i = 0; i < kWorkers; ++i) workers_[i] = start(i, i % 2 == 0);
    for (Journal& journal : books_.journals->of) journal.go = 1;
  }

  /// Each worker does some more, so that nobody hangs unnoticed.
  void let_all_work(std::uint64_t operations) {
    for (std::size_t i = 0; i < kWorkers; ++i) let_work(i, operations);
  }

  void kill_one(std::size_t victim, Moment moment) {
    Journal& journal = books_.journals->of[victim];
    if (moment == Moment::beginning) {
      kill_and_replace(victim);
      linger(random_() % 1500);
    } else {
      let_work(victim, 3);
    }
    bring_to(victim, moment);
    kill_and_replace(victim);
    journal.go = 1;
  }

  /// All workers are between two operations, and what the dead have left is cleaned up.
  template <class Look>
  void while_paused(Look look) {
    books_.journals->pause = 1;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return books_.journals->of[i].paused.load() != 0; });
    clean_up();
    books_.check_all();
    look();
    books_.journals->pause = 0;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return books_.journals->of[i].paused.load() == 0; });
  }

  void empty_all() { books_.empty_all(); }

  void stop() {
    books_.journals->stop = 1;
    for (auto& worker : workers_) SHARED_DICT_REQUIRE_ENDED_WELL(worker->wait());
  }

  // ---- what a test asks about

  const KillCounts& counts() const noexcept { return counts_; }
  std::uint64_t happened() const noexcept { return books_.happened; }
  std::uint64_t undone() const noexcept { return books_.undone; }
  pid_t pid_of(std::size_t worker) const { return workers_[worker]->pid(); }
  std::uint64_t random() { return random_(); }

  std::uint64_t operations() const {
    std::uint64_t sum = 0;
    for (const Journal& journal : books_.journals->of) sum += journal.operations.load();
    return sum;
  }
  std::uint64_t recoveries() const {
    return books_.texts.dict.stats().recoveries + books_.numbers.dict.stats().recoveries +
           books_.sets.dict.stats().recoveries;
  }
  /// Files of all three.
  std::size_t files() {
    std::size_t count = 0;
    books_.for_each_stage([&](auto& stage) { count += entries_of(stage.directory()); });
    return count;
  }
  /// Bytes of memory behind all three.
  std::size_t committed() const {
    return books_.texts.dict.stats().heap_committed + books_.numbers.dict.stats().heap_committed +
           books_.sets.dict.stats().heap_committed;
  }

 private:
  /// As newcomers do, who see to all the dead.
  void clean_up() {
    Forked newcomer([this](auto) {
      books_.attach_afresh();
      books_.for_each_stage([](auto& stage) { stage.dict.close(); });
      return 0;
    });
    SHARED_DICT_REQUIRE_ENDED_WELL(newcomer.wait());
  }

  /// A worker's next life; it begins to work when it is told to go.
  std::unique_ptr<Forked> start(std::size_t worker, bool afresh) {
    return std::make_unique<Forked>([this, worker, afresh, seed = test_seed() + ++lives_](auto) {
      if (afresh) books_.attach_afresh();
      return Worker(books_.texts.dict, books_.numbers.dict, books_.sets.dict, *books_.journals, worker, seed).run();
    });
  }

  static void linger(std::uint64_t microseconds) {
    if (microseconds > 60) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  }

  /// Leads it to the moment, or near it.
  void bring_to(std::size_t victim, Moment moment) {
    const Forked& worker = *workers_[victim];
    const auto holds_lock = [&] { return books_.holds_lock(worker.pid()); };
    const auto is_storing = [&] { return books_.is_storing(worker.pid()); };
    switch (moment) {
      case Moment::seen: spin_until(holds_lock, std::chrono::milliseconds(5)); break;
      case Moment::stopped: REQUIRE(worker.stop_when(holds_lock, kHangDeadline)); break;
      case Moment::storing: worker.stop_when(is_storing, std::chrono::milliseconds(50)); break;  // with luck
      case Moment::inside:
        books_.journals->of[victim].asked_to_hold = 1;
        wait_for(victim, [&] { return books_.journals->of[victim].holding.load() != 0; });
        break;
      case Moment::any: linger(random_() % 500); break;
      case Moment::beginning: break;
    }
  }

  /// Until `condition` holds, or the worker says that something is wrong.
  template <class Condition>
  void wait_for(std::size_t worker, Condition condition) {
    Journal& journal = books_.journals->of[worker];
    const bool reached = eventually([&] { return condition() || journal.failed.load() != 0; });
    INFO("worker " << worker << (reached ? "" : " hangs"));
    if (journal.failed.load() != 0) SHARED_DICT_REQUIRE_ENDED_WELL(workers_[worker]->wait());
    REQUIRE(reached);
  }
  void let_work(std::size_t worker, std::uint64_t operations) {
    const std::uint64_t target = books_.journals->of[worker].operations.load() + operations;
    wait_for(worker, [&] { return books_.journals->of[worker].operations.load() >= target; });
  }

  /// Kills it, has what it held recovered, and settles what it was doing. The successor waits to be told to go.
  void kill_and_replace(std::size_t victim) {
    Journal& journal = books_.journals->of[victim];
    const pid_t pid = pid_of(victim);
    workers_[victim]->kill();
    const Ending ending = workers_[victim]->wait();
    INFO("worker " << victim << ": status " << ending.status << ", said " << ending.text);
    REQUIRE(ending.signal == SIGKILL);
    const auto texts = books_.texts.locks->held_by(pid);
    const auto numbers = books_.numbers.locks->held_by(pid);
    const auto sets = books_.sets.locks->held_by(pid);
    const bool inside = journal.holding.load() != 0;
    ++counts_.kills;
    // Survivors may have recovered already what it held; so these are the fewest that there can have been.
    counts_.with_lock += inside || texts.any() || numbers.any() || sets.any() ? 1U : 0U;
    counts_.inside += inside ? 1U : 0U;
    counts_.storing += texts.storing || numbers.storing || sets.storing ? 1U : 0U;
    journal.go = 0;
    journal.asked_to_hold = 0;
    journal.holding = 0;
    // A successor that attaches afresh recovers at once, one that inherits the handles leaves that to whoever waits for the lock.
    workers_[victim] = start(victim, random_() % 2 == 0);
    recover(books_.texts, texts);
    recover(books_.numbers, numbers);
    recover(books_.sets, sets);
    REQUIRE(eventually([&] { return !books_.holds_lock(pid); }));  // a survivor may be at it
    books_.settle(victim, inside);
    if (random_() % 4 == 0) books_.check_shared_group();
  }

  template <class Dict>
  void recover(Stage<Dict>& stage, const LockWords::Held& held) {
    for (const std::uint32_t shard : held.shards) {
      const auto begin = std::chrono::steady_clock::now();
      stage.write_probe(shard);
      const auto took = std::chrono::steady_clock::now() - begin;
      counts_.slowest_recovery =
          std::max(counts_.slowest_recovery, std::chrono::duration_cast<std::chrono::microseconds>(took));
    }
  }

  Books books_;
  std::mt19937_64 random_;
  std::uint64_t lives_ = 0;
  KillCounts counts_;
  std::array<std::unique_ptr<Forked>, kWorkers> workers_;
};

}  // namespace shared_dict::test
