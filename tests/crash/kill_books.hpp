// The three dictionaries of the kill tests, the journals of those who write them, and what must be in them after a death: exactly what
// the journals say, but for the one operation that was in flight.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/journal.hpp"
#include "crash/kill_worker.hpp"
#include "support/all_locked.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/lock_words.hpp"
#include "support/pages.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

namespace shared_dict::test {

/// More processes than that die in any of the tests, so each of their records is used by others again.
inline constexpr unsigned kRecords = 24;

/// One dictionary, and how it looks from below.
template <class Dict>
class Stage {
  using Key = typename Dict::key_type;
  using Value = typename Dict::mapped_type;

 public:
  template <class MakeKey>
  Stage(std::size_t heap, Value probe_value, MakeKey probe)
      : dict(Dict::create(name_.str(), {.heap_size = heap, .lock_timeout = kHangDeadline, .max_processes = kRecords})),
        locks(dict),
        probes_(locks->a_key_of_each_shard(probe)),
        probe_value_(std::move(probe_value)) {
    write_probes();
  }

  /// In a child: forgets what it inherited and joins as a newcomer.
  void attach_afresh() {
    locks.reset();
    dict.close();
    dict = Dict::attach(name_.str(), {.lock_timeout = kHangDeadline});
  }

  /// Writes a key of its own in that shard, so whatever a dead owner left there is repaired.
  void write_probe(std::uint32_t shard) { dict.insert_or_assign(probes_[shard], probe_value_); }
  void write_probes() {
    for (std::uint32_t shard = 0; shard < probes_.size(); ++shard) write_probe(shard);
  }
  std::size_t probes() const {
    std::size_t count = 0;
    for (const Key& probe : probes_) count += dict.contains(probe) ? 1U : 0U;
    return count;
  }
  std::filesystem::path directory() const { return name_.directory(); }

 private:
  UniqueName name_;

 public:
  Dict dict;
  std::optional<LockWords> locks;

 private:
  std::vector<Key> probes_;  // one in each shard
  Value probe_value_;
};

class Books {
 public:
  Books()
      : texts(std::size_t{2} << 20, "probe", [](std::uint32_t i) { return "probe " + std::to_string(i); }),
        numbers(256 << 10, 1, [](std::uint32_t i) { return 20'000 + i; }),
        sets(256 << 10, 1, [](std::uint32_t i) { return std::uint64_t{100'000'000} + i; }) {
    store_what_stays();
  }

  template <class F>
  void for_each_stage(F f) {
    f(texts);
    f(numbers);
    f(sets);
  }
  template <class F>
  bool any_stage(F f) const {
    return f(texts) || f(numbers) || f(sets);
  }
  void attach_afresh() {
    for_each_stage([](auto& stage) { stage.attach_afresh(); });
  }
  bool holds_lock(pid_t pid) const {
    return any_stage([&](const auto& stage) { return stage.locks->held_by(pid).any(); });
  }
  bool is_storing(pid_t pid) const {
    return sets.locks->any_storing() && sets.locks->held_by(pid).storing;  // the largest ones
  }

  /// All that the worker had been told is there, and of its last operation all or nothing. It is dead, or paused. If it died inside a
  /// callback its last operation hasn't happened.
  void settle(std::size_t worker, bool inside = false) {
    Journal& journal = journals->of[worker];
    INFO("worker " << worker);
    if (journal.clearing.load() != 0) {
      Journals::raise(journals->last_clear_ended, journals->now());
      journal.clearing = 0;
    }
    for (std::size_t i = 0; i < kOwnValues; ++i) {
      settle(journal, Doing::value, i, journal.value[i], stored_version(texts.dict, TextKey::own(worker, i)), inside);
    }
    for (std::size_t i = 0; i < kOwnCounters; ++i) {
      settle(journal, Doing::counter, i, journal.counter[i], numbers.dict.get(own_counter(worker, i), 0), inside);
    }
    const std::uint64_t group = stored_version(texts.dict, TextKey::group(worker, 0));
    for (std::size_t i = 1; i < kGroupKeys; ++i) {
      REQUIRE(stored_version(texts.dict, TextKey::group(worker, i)) == group);
    }
    settle(journal, Doing::group, 0, journal.group, group, inside);
    for (std::size_t i = 0; i < kSets; ++i) settle_set(journal, worker, i);
    if (journal.doing.load() == Doing::addition && !inside) {
      const std::uint64_t index = journal.index.load();
      undecided_[index] += journal.added[index].load() != journal.after.load() ? 1U : 0U;
    }
    journal.doing = Doing::nothing;
  }

  /// As other writers see it, who see an update in whole.
  void check_shared_group() {
    const AllLocked<std::string, std::string> locked(texts.locks->attachment());
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

  /// While all are paused: every sum adds up, nothing is there that nobody wrote, nothing is held that nobody uses.
  void check_all() {
    for (std::size_t i = 0; i < kWorkers; ++i) settle(i);
    check_shared_group();
    for (std::size_t i = 0; i < kSharedCounters; ++i) decide(i);
    std::size_t text_items = texts.probes() + kSharedGroupKeys;
    std::size_t number_items = numbers.probes() + kSharedCounters;
    std::size_t set_items = sets.probes();
    for (const Journal& journal : journals->of) {
      for (const Tick& state : journal.value) text_items += state.load() != 0 ? 1U : 0U;
      for (const Tick& state : journal.counter) number_items += state.load() != 0 ? 1U : 0U;
      for (const KeySet& set : journal.set) set_items += set.version.load() != 0 ? kSetKeys : 0U;
      text_items += journal.group.load() != 0 ? kGroupKeys : 0U;
    }
    check_figures(texts, text_items, [](const auto& key, const auto& value) { return key.size() + value.size(); });
    check_figures(numbers, number_items, [](const auto& key, const auto& value) { return sizeof key + sizeof value; });
    check_figures(sets, set_items, [](const auto& key, const auto& value) { return sizeof key + sizeof value; });
  }

  /// While all are paused: with everything erased, or cleared, the dictionaries use what empty ones would. The journals begin anew from there.
  void empty_all() {
    for_each_stage([&](auto& stage) {
      stage.dict.erase_if([](const auto&, const auto&) { return true; });
      REQUIRE(stage.dict.empty());
      REQUIRE(only_tables_in_use(stage.locks->attachment()));
      stage.dict.clear();
      REQUIRE(only_tables_in_use(stage.locks->attachment()));
      REQUIRE(stage.dict.stats().heap_used == 0);
      SHARED_DICT_REQUIRE_SOUND(stage.dict);
    });
    for (Journal& journal : journals->of) {
      for (Tick& state : journal.value) state = 0;
      for (Tick& state : journal.counter) state = 0;
      for (Tick& state : journal.added) state = 0;
      for (KeySet& set : journal.set) set.version = 0;
      journal.group = 0;
    }
    undecided_ = {};
    store_what_stays();
  }

  Stage<Texts> texts;
  Stage<Numbers> numbers;
  Stage<Sets> sets;
  SharedArea<Journals> journals;
  std::uint64_t happened = 0;  ///< operations in flight that are there
  std::uint64_t undone = 0;    ///< and those that aren't

 private:
  /// The keys that nobody erases.
  void store_what_stays() {
    for_each_stage([](auto& stage) { stage.write_probes(); });
    for (std::size_t i = 0; i < kSharedGroupKeys; ++i) {
      const TextKey key = TextKey::shared(i);
      texts.dict.insert(key.name, pattern_of(key.number, 1, 32));
    }
    for (std::size_t i = 0; i < kSharedCounters; ++i) numbers.dict.insert(shared_counter(i), 0);
  }

  /// One state of a worker's: as it was told, or as it would be after the operation in flight. Never that if it died inside.
  void settle(Journal& journal, Doing what, std::size_t index, Tick& state, std::uint64_t stored, bool inside) {
    const std::uint64_t told = state.load();
    const bool in_flight =
        journal.doing.load() == what && journal.index.load() == index && journal.after.load() != told;
    INFO("kind " << static_cast<int>(what) << ", index " << index << ": stored " << stored << ", told " << told);
    INFO((in_flight ? "in flight to " + std::to_string(journal.after.load()) : "nothing in flight"));
    if (stored == told) {
      undone += in_flight ? 1U : 0U;
      return;
    }
    REQUIRE((in_flight && !inside && stored == journal.after.load()));
    ++happened;
    state = stored;
  }

  void settle_set(Journal& journal, std::size_t worker, std::size_t index) {
    KeySet& set = journal.set[index];
    const bool in_flight = journal.doing.load() == Doing::set && journal.index.load() == index;
    const std::uint64_t cleared = journals->last_clear_begun.load();
    std::uint64_t stored = 0;
    REQUIRE(eventually([&] {
      const auto looked = stored_set(sets.dict, *journals, worker, index);
      stored = looked.value_or(0);
      return looked.has_value();
    }));
    INFO("set " << index << ": stored " << stored << ", told " << set.version.load() << ", in flight " << in_flight);
    if (stored == 0) {
      REQUIRE((set.version.load() == 0 || journals->may_be_cleared(set.begun_at.load())));
      set.version = 0;
      return;
    }
    if (!in_flight) REQUIRE(cleared <= set.done_at.load());
    settle(journal, Doing::set, index, set.version, stored, false);
    if (in_flight) set.done_at = journals->now();
  }

  /// What became of the additions in flight.
  void decide(std::size_t counter) {
    std::uint64_t told = 0;
    for (const Journal& journal : journals->of) told += journal.added[counter].load();
    const std::uint64_t stored = numbers.dict.at(shared_counter(counter));
    INFO("counter " << counter << ": " << stored << ", told " << told << ", undecided " << undecided_[counter]);
    REQUIRE((stored >= told && stored - told <= undecided_[counter]));
    happened += stored - told;
    undone += undecided_[counter] - (stored - told);
    journals->of[0].added[counter].fetch_add(stored - told);
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

  std::array<std::uint64_t, kSharedCounters> undecided_{};  // additions
};

}  // namespace shared_dict::test
