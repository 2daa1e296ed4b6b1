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
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/kill_worker.hpp"
#include "support/all_locked.hpp"
#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_words.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

namespace shared_dict::test {

/// When a victim dies.
enum class Moment {
  any,        ///< wherever it is
  seen,       ///< as soon as a lock word names it; it may let go before the signal comes
  stopped,    ///< stopped so, again and again until a lock word still names it
  inside,     ///< in a callback, with a lock
  beginning,  ///< while it attaches
};

struct KillCounts {
  std::uint64_t kills = 0;
  std::uint64_t with_lock = 0;  ///< a lock word named the dead
  std::uint64_t inside = 0;     ///< of them, those in a callback
  std::uint64_t happened = 0;   ///< operations in flight that are there
  std::uint64_t undone = 0;     ///< and those that aren't
  std::chrono::microseconds slowest_recovery{0};
};

inline std::size_t entries_of(const std::filesystem::path& directory) {
  const std::filesystem::directory_iterator all(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}
inline std::size_t open_descriptors(pid_t pid) { return entries_of("/proc/" + std::to_string(pid) + "/fd"); }

/// More processes than that die in any of the tests, so each of their records is used by others again.
inline constexpr unsigned kRecords = 24;

template <class Dict>
class Stage {
 public:
  explicit Stage(std::size_t heap) : dict(Dict::create(name_.str(), {.heap_size = heap, .lock_timeout = kHangDeadline, .max_processes = kRecords})) {
    locks.emplace(dict);
  }

  /// In a child: forgets what it inherited and joins as a newcomer.
  void attach_afresh() {
    locks.reset();
    dict.close();
    dict = Dict::attach(name_.str(), {.lock_timeout = kHangDeadline});
  }
  std::filesystem::path directory() const { return name_.directory(); }

 private:
  UniqueName name_;

 public:
  Dict dict;
  std::optional<LockWords> locks;
};

class KillArena {
 public:
  static constexpr std::size_t kMostFiles = 3 * (kRecords + 2);  // a segment, a guard, and a lock file for each record

  KillArena() : texts_(std::size_t{2} << 20), numbers_(256 << 10), sets_(256 << 10), random_(test_seed()) {
    text_probes_ = texts_.locks->a_key_of_each_shard([](std::uint32_t i) { return "probe " + std::to_string(i); });
    number_probes_ = numbers_.locks->a_key_of_each_shard([](std::uint32_t i) { return 20'000 + i; });
    set_probes_ = sets_.locks->a_key_of_each_shard([](std::uint32_t i) { return std::uint64_t{100'000'000} + i; });
    store_what_stays();
    for (std::size_t i = 0; i < kWorkers; ++i) workers_[i] = start(i, i % 2 == 0);
    for (Journal& journal : journals_->of) journal.go = 1;
  }

  /// Each worker does some more, so that nobody hangs unnoticed.
  void let_all_work(std::uint64_t operations) {
    for (std::size_t i = 0; i < kWorkers; ++i) let_work(i, operations);
  }

  void kill_one(std::size_t victim, Moment moment) {
    Journal& journal = journals_->of[victim];
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
    journals_->pause = 1;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return journals_->of[i].paused.load() != 0; });
    SHARED_DICT_REQUIRE_ENDED_WELL(Forked([this](auto) {  // who attaches cleans up after all the dead
      attach_afresh();
      for_each_stage([](auto& stage) { stage.dict.close(); });
      return 0;
    }).wait());
    check_all();
    look();
    journals_->pause = 0;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return journals_->of[i].paused.load() == 0; });
  }

  /// While paused: with everything erased the dictionaries use what new ones would, and the workers begin anew from there.
  void empty_all() {
    for_each_stage([&](auto& stage) {
      stage.dict.erase_if([](const auto&, const auto&) { return true; });
      REQUIRE(stage.dict.empty());
      require_only_tables(*stage.locks);
      stage.dict.clear();
      REQUIRE(stage.locks->pages_in_use() == 0);
      REQUIRE(stage.dict.stats().heap_used == 0);
      SHARED_DICT_REQUIRE_SOUND(stage.dict);
    });
    for (Journal& journal : journals_->of) {
      for (Tick& state : journal.value) state = 0;
      for (Tick& state : journal.counter) state = 0;
      for (Tick& state : journal.added) state = 0;
      for (KeySet& set : journal.set) set.version = 0;
      journal.group = 0;
    }
    undecided_ = {};
    store_what_stays();
  }

  void stop() {
    journals_->stop = 1;
    for (auto& worker : workers_) SHARED_DICT_REQUIRE_ENDED_WELL(worker->wait());
  }

  // ---- what a test asks about

  const KillCounts& counts() const noexcept { return counts_; }
  pid_t pid_of(std::size_t worker) const { return workers_[worker]->pid(); }
  std::uint64_t random() { return random_(); }

  std::uint64_t operations() const {
    std::uint64_t sum = 0;
    for (const Journal& journal : journals_->of) sum += journal.operations.load();
    return sum;
  }
  std::uint64_t recoveries() const {
    return texts_.dict.stats().recoveries + numbers_.dict.stats().recoveries + sets_.dict.stats().recoveries;
  }
  /// Files of all three.
  std::size_t files() {
    std::size_t count = 0;
    for_each_stage([&](auto& stage) { count += entries_of(stage.directory()); });
    return count;
  }
  /// Bytes of memory behind all three.
  std::size_t committed() const {
    return texts_.dict.stats().heap_committed + numbers_.dict.stats().heap_committed + sets_.dict.stats().heap_committed;
  }

 private:
  template <class F>
  void for_each_stage(F f) {
    f(texts_);
    f(numbers_);
    f(sets_);
  }

  void attach_afresh() {
    for_each_stage([](auto& stage) { stage.attach_afresh(); });
  }

  /// A worker's next life; it begins to work when it is told to go.
  std::unique_ptr<Forked> start(std::size_t worker, bool afresh) {
    return std::make_unique<Forked>([this, worker, afresh, seed = test_seed() + ++lives_](auto) {
      if (afresh) attach_afresh();
      return Worker(texts_.dict, numbers_.dict, sets_.dict, *journals_, worker, seed).run();
    });
  }

  /// The keys that nobody erases.
  void store_what_stays() {
    for (const std::string& key : text_probes_) texts_.dict.insert(key, "probe");
    for (const std::uint32_t key : number_probes_) numbers_.dict.insert(key, 1);
    for (std::size_t i = 0; i < kSharedGroupKeys; ++i) {
      const TextKey key = TextKey::shared(i);
      texts_.dict.insert(key.name, pattern_of(key.number, 1, 32));
    }
    for (std::size_t i = 0; i < kSharedCounters; ++i) numbers_.dict.insert(shared_counter(i), 0);
  }

  static void linger(std::uint64_t microseconds) {
    if (microseconds > 60) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  }

  /// Leads it to the moment, or near it.
  void bring_to(std::size_t victim, Moment moment) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(5);
    const auto in_time = [&] { return std::chrono::steady_clock::now() < end; };
    const auto wait_for_lock = [&] {
      while (!holds_lock(pid_of(victim)) && in_time()) {
      }
    };
    switch (moment) {
      case Moment::seen: wait_for_lock(); break;
      case Moment::stopped:
        do {
          workers_[victim]->go_on();
          wait_for_lock();
          REQUIRE(workers_[victim]->stop());
        } while (!holds_lock(pid_of(victim)) && in_time());
        break;
      case Moment::inside:
        journals_->of[victim].asked_to_hold = 1;
        wait_for(victim, [&] { return journals_->of[victim].holding.load() != 0; });
        break;
      case Moment::any: linger(random_() % 500); break;
      case Moment::beginning: break;
    }
  }

  /// Until `condition` holds, or the worker says that something is wrong.
  template <class Condition>
  void wait_for(std::size_t worker, Condition condition) {
    Journal& journal = journals_->of[worker];
    const bool reached = eventually([&] { return condition() || journal.failed.load() != 0; });
    INFO("worker " << worker << (reached ? "" : " hangs"));
    if (journal.failed.load() != 0) SHARED_DICT_REQUIRE_ENDED_WELL(workers_[worker]->wait());
    REQUIRE(reached);
  }
  void let_work(std::size_t worker, std::uint64_t operations) {
    const std::uint64_t target = journals_->of[worker].operations.load() + operations;
    wait_for(worker, [&] { return journals_->of[worker].operations.load() >= target; });
  }

  bool holds_lock(pid_t pid) {
    bool any = false;
    for_each_stage([&](auto& stage) { any = any || stage.locks->held_by(pid).any(); });
    return any;
  }

  /// Kills it, has what it held recovered, and settles what it was doing. The successor waits to be told to go.
  void kill_and_replace(std::size_t victim) {
    Journal& journal = journals_->of[victim];
    const pid_t pid = pid_of(victim);
    workers_[victim]->kill();
    const Ending ending = workers_[victim]->wait();
    INFO("worker " << victim << ": status " << ending.status << ", said " << ending.text);
    REQUIRE(ending.signal == SIGKILL);
    const auto texts = texts_.locks->held_by(pid);
    const auto numbers = numbers_.locks->held_by(pid);
    const auto sets = sets_.locks->held_by(pid);
    const bool inside = journal.holding.load() != 0;
    ++counts_.kills;
    // Survivors may have recovered already what it held; so these are the fewest that there can have been.
    counts_.with_lock += inside || texts.any() || numbers.any() || sets.any() ? 1U : 0U;
    counts_.inside += inside ? 1U : 0U;
    journal.go = 0;
    journal.asked_to_hold = 0;
    journal.holding = 0;
    // A successor that attaches afresh recovers at once, one that inherits the handles leaves that to whoever waits for the lock.
    workers_[victim] = start(victim, random_() % 2 == 0);
    for (const std::uint32_t shard : texts.shards) timed([&] { texts_.dict.assign(text_probes_[shard], "probe"); });
    for (const std::uint32_t shard : numbers.shards) timed([&] { numbers_.dict.fetch_add(number_probes_[shard], 1); });
    for (const std::uint32_t shard : sets.shards) timed([&] { sets_.dict.insert_or_assign(set_probes_[shard], 1); });
    REQUIRE_FALSE(holds_lock(pid));
    settle(victim, inside);
    if (random_() % 4 == 0) check_shared_group();
  }

  template <class Write>
  void timed(Write write) {
    const auto begin = std::chrono::steady_clock::now();
    write();
    const auto took = std::chrono::steady_clock::now() - begin;
    counts_.slowest_recovery =
        std::max(counts_.slowest_recovery, std::chrono::duration_cast<std::chrono::microseconds>(took));
  }

  // ---- what must be there

  /// One state of a worker's: as it was told, or as it would be after the operation in flight. Never that if it died inside.
  void settle(Journal& journal, Doing what, std::size_t index, Tick& state, std::uint64_t stored, bool inside) {
    const std::uint64_t told = state.load();
    const bool in_flight = journal.doing.load() == what && journal.index.load() == index && journal.after.load() != told;
    INFO("kind " << static_cast<int>(what) << ", index " << index << ": stored " << stored << ", told " << told);
    INFO((in_flight ? "in flight to " + std::to_string(journal.after.load()) : "nothing in flight"));
    if (stored == told) {
      counts_.undone += in_flight ? 1U : 0U;
      return;
    }
    REQUIRE((in_flight && !inside && stored == journal.after.load()));
    ++counts_.happened;
    state = stored;
  }

  /// All that the worker had been told is there, and of its last operation all or nothing. It is dead, or paused.
  void settle(std::size_t worker, bool inside = false) {
    Journal& journal = journals_->of[worker];
    INFO("worker " << worker);
    if (journal.clearing.load() != 0) {
      Journals::raise(journals_->last_clear_ended, journals_->now());
      journal.clearing = 0;
    }
    for (std::size_t i = 0; i < kOwnValues; ++i) {
      settle(journal, Doing::value, i, journal.value[i], stored_version(texts_.dict, TextKey::own(worker, i)), inside);
    }
    for (std::size_t i = 0; i < kOwnCounters; ++i) {
      settle(journal, Doing::counter, i, journal.counter[i], numbers_.dict.get(own_counter(worker, i), 0), inside);
    }
    const std::uint64_t group = stored_version(texts_.dict, TextKey::group(worker, 0));
    for (std::size_t i = 1; i < kGroupKeys; ++i) REQUIRE(stored_version(texts_.dict, TextKey::group(worker, i)) == group);
    settle(journal, Doing::group, 0, journal.group, group, inside);
    for (std::size_t i = 0; i < kSets; ++i) settle_set(journal, worker, i);
    if (journal.doing.load() == Doing::addition && !inside) {
      const std::uint64_t index = journal.index.load();
      undecided_[index] += journal.added[index].load() != journal.after.load() ? 1U : 0U;
    }
    journal.doing = Doing::nothing;
  }

  void settle_set(Journal& journal, std::size_t worker, std::size_t index) {
    KeySet& set = journal.set[index];
    const bool in_flight = journal.doing.load() == Doing::set && journal.index.load() == index;
    const std::uint64_t cleared = journals_->last_clear_begun.load();
    const auto stored = stored_set(sets_.dict, *journals_, worker, index);
    if (!stored) return;
    INFO("set " << index << ": stored " << *stored << ", told " << set.version.load() << ", in flight " << in_flight);
    if (*stored == 0) {
      REQUIRE((set.version.load() == 0 || journals_->may_be_cleared(set.begun_at.load())));
      set.version = 0;
      return;
    }
    if (!in_flight) REQUIRE(cleared <= set.done_at.load());
    settle(journal, Doing::set, index, set.version, *stored, false);
    if (in_flight) set.done_at = journals_->now();
  }

  /// As other writers see it, who see an update in whole.
  void check_shared_group() {
    const AllLocked<std::string, std::string> locked(texts_.locks->attachment());
    std::optional<std::uint64_t> first;
    for (std::size_t i = 0; i < kSharedGroupKeys; ++i) {
      const TextKey key = TextKey::shared(i);
      const auto value = locked.get(key.name);
      REQUIRE(value.has_value());
      const auto stamp = version_in(*value, key.number);
      REQUIRE(stamp.has_value());
      if (i == 0) first = stamp;
      REQUIRE(stamp == first);
    }
  }

  /// While paused: every sum adds up, nothing is there that nobody wrote, nothing is held that nobody uses.
  void check_all() {
    for (std::size_t i = 0; i < kWorkers; ++i) settle(i);
    check_shared_group();
    for (std::size_t i = 0; i < kSharedCounters; ++i) decide(i);
    std::size_t texts = text_probes_.size() + kSharedGroupKeys;
    std::size_t numbers = number_probes_.size() + kSharedCounters;
    std::size_t sets = 0;
    for (const std::uint64_t probe : set_probes_) sets += sets_.dict.contains(probe) ? 1U : 0U;
    for (const Journal& journal : journals_->of) {
      for (const Tick& state : journal.value) texts += state.load() != 0 ? 1U : 0U;
      for (const Tick& state : journal.counter) numbers += state.load() != 0 ? 1U : 0U;
      for (const KeySet& set : journal.set) sets += set.version.load() != 0 ? kSetKeys : 0U;
      texts += journal.group.load() != 0 ? kGroupKeys : 0U;
    }
    check_figures(texts_, texts, [](const auto& key, const auto& value) { return key.size() + value.size(); });
    check_figures(numbers_, numbers, [](const auto& key, const auto& value) { return sizeof key + sizeof value; });
    check_figures(sets_, sets, [](const auto& key, const auto& value) { return sizeof key + sizeof value; });
  }

  /// What became of the additions in flight.
  void decide(std::size_t counter) {
    std::uint64_t told = 0;
    for (const Journal& journal : journals_->of) told += journal.added[counter].load();
    const std::uint64_t stored = numbers_.dict.at(shared_counter(counter));
    INFO("counter " << counter << ": " << stored << ", told " << told << ", undecided " << undecided_[counter]);
    REQUIRE((stored >= told && stored - told <= undecided_[counter]));
    counts_.happened += stored - told;
    counts_.undone += undecided_[counter] - (stored - told);
    journals_->of[0].added[counter].fetch_add(stored - told);
    undecided_[counter] = 0;
  }

  template <class Dict, class BytesOf>
  void check_figures(Stage<Dict>& stage, std::size_t items, BytesOf bytes_of) {
    std::size_t found = 0;
    std::size_t bytes = 0;
    stage.dict.for_each([&](const auto& key, const auto& value) {
      ++found;
      bytes += bytes_of(key, value);
    });
    REQUIRE(stage.dict.gc_stats().retired_blocks == 0);
    SHARED_DICT_REQUIRE_SOUND(stage.dict);
    REQUIRE(found == items);
    REQUIRE(stage.dict.size() == items);
    REQUIRE(stage.dict.stats().heap_used == bytes);
    REQUIRE(stage.dict.stats().processes == kWorkers + 1);
  }

  static void require_only_tables(const LockWords& locks) {
    const detail::Writer writer(locks.attachment(), kHangDeadline);
    const detail::PagePool pool(writer);
    pool.for_each_run([](std::uint32_t, detail::PageWord word) {
      REQUIRE((word.kind() == detail::PageKind::free || word.kind() == detail::PageKind::table));
    });
  }

  Stage<Texts> texts_;
  Stage<Numbers> numbers_;
  Stage<Sets> sets_;
  SharedArea<Journals> journals_;
  std::vector<std::string> text_probes_;  // a key of each shard
  std::vector<std::uint32_t> number_probes_;
  std::vector<std::uint64_t> set_probes_;
  std::array<std::uint64_t, kSharedCounters> undecided_{};
  std::mt19937_64 random_;
  std::uint64_t lives_ = 0;
  KillCounts counts_;
  std::array<std::unique_ptr<Forked>, kWorkers> workers_;
};

}  // namespace shared_dict::test
