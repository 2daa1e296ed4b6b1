// A process of the kill tests: it writes in every way there is, reads, views, takes loans, stores many items at once and clears,
// and checks each result against its journal. It is to be killed anywhere in here.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "crash/journal.hpp"
#include "support/eventually.hpp"
#include "support/pattern.hpp"

namespace shared_dict::test {

using Texts = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint32_t, std::uint64_t>;
using Sets = SharedDict<std::uint64_t, std::uint64_t>;

/// A key of Texts, and the number that stands for it in the patterns.
struct TextKey {
  std::string name;
  std::uint64_t number;

  static TextKey own(std::size_t worker, std::size_t i) {
    return {"own " + std::to_string(worker) + "/" + std::to_string(i), worker * 1000 + i};
  }
  static TextKey group(std::size_t worker, std::size_t i) {
    return {"group " + std::to_string(worker) + "/" + std::to_string(i), 100'000 + worker * 1000 + i};
  }
  static TextKey shared(std::size_t i) { return {"shared " + std::to_string(i), 200'000 + i}; }
};

inline std::uint32_t own_counter(std::size_t worker, std::size_t i) {
  return static_cast<std::uint32_t>(worker * 100 + i);
}
inline std::uint32_t shared_counter(std::size_t i) { return static_cast<std::uint32_t>(10'000 + i); }
inline std::uint64_t set_key(std::size_t worker, std::size_t set, std::size_t i) {
  return (worker * 1000 + set) * 1000 + i;
}

/// Mostly small, some of several pages, some with pages of their own.
inline std::size_t size_of(std::uint64_t version) {
  if (version % 97 == 0) return 33'000 + version % 20'000;
  return version % 23 == 0 ? 3000 + version % 5000 : 32 + version % 200;
}

inline void require(bool right, const std::string& what) {
  if (!right) throw std::runtime_error(what);
}

/// The version that is stored, 0 for none. Throws if it isn't whole.
inline std::uint64_t stored_version(const Texts& texts, const TextKey& key) {
  const auto value = texts.get(key.name);
  if (!value) return 0;
  const auto version = version_in(*value, key.number);
  require(version.has_value(), "half a value of '" + key.name + "'");
  return *version;
}

/// The version of a set, 0 if it isn't there; nothing if somebody may have cleared it away in this moment. Throws if there is
/// a part of it. Its owner doesn't write it meanwhile.
inline std::optional<std::uint64_t> stored_set(const Sets& sets, Journals& all, std::size_t worker, std::size_t set) {
  const std::string name = "set " + std::to_string(worker) + "/" + std::to_string(set);
  const std::uint64_t begin = all.now();
  std::size_t present = 0;
  std::uint64_t version = 0;
  for (std::size_t i = 0; i < kSetKeys; ++i) {
    const auto value = sets.get(set_key(worker, set, i));
    if (!value) continue;
    require(present == 0 || *value == version, name + " has parts of two updates");
    version = *value;
    ++present;
  }
  if (present == 0 || present == kSetKeys) return version;
  require(all.may_be_cleared(begin), name + " is there in part: " + std::to_string(present) + " keys");
  return std::nullopt;
}

class Worker {
 public:
  Worker(Texts& texts, Numbers& numbers, Sets& sets, Journals& all, std::size_t self, std::uint64_t seed)
      : texts_(texts), numbers_(numbers), sets_(sets), all_(all), journal_(all.of[self]), self_(self), random_(seed) {}

  int run() {
    try {
      require(eventually([&] { return journal_.go.load() != 0; }), "was never told to begin");
      while (all_.stop.load() == 0) {
        if (all_.pause.load() != 0) pause();
        if (journal_.asked_to_hold.load() != 0) hold();
        step();
        journal_.operations.fetch_add(1);
        // Some air, so that those who begin, recover and settle aren't always waiting for a processor.
        if (below(16) == 0) std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
      return 0;
    } catch (...) {
      journal_.failed = 1;
      throw;
    }
  }

 private:
  std::size_t below(std::size_t end) { return static_cast<std::size_t>(random_() % end); }
  std::uint64_t new_version() { return journal_.last_version.fetch_add(1) + 1; }

  /// Operations are told as begun before and as done after they are.
  template <class Operation>
  void tracked(Doing what, std::size_t index, Tick& state, std::uint64_t after, Operation operation) {
    begin(what, index, after);
    operation();
    state = after;
    journal_.doing = Doing::nothing;
  }
  void begin(Doing what, std::size_t index, std::uint64_t after) {
    journal_.index = index;
    journal_.after = after;
    journal_.doing = what;
  }

  void step() {
    const std::size_t what = below(100);
    if (what < 36) {
      write_text();
    } else if (what < 54) {
      write_number();
    } else if (what < 66) {
      add();
    } else if (what < 84) {
      read();
    } else if (what < 92) {
      write_group();
    } else if (what < 95) {
      write_shared_group();
    } else if (what < 99 || below(4) != 0) {
      write_set();
    } else {
      clear();
    }
  }

  void pause() {
    for (auto& held : views_) held = {};
    journal_.paused = 1;
    require(eventually([&] { return all_.pause.load() == 0; }), "was paused for ever");
    journal_.paused = 0;
  }

  void write_text() {
    enum Way {
      insert,
      assign,
      insert_or_assign,
      modify,
      modify_or_insert,
      erase,
      extract,
      exchange,
      loan,
      dropped_loan,
      ways
    };
    const std::size_t index = below(kOwnValues);
    const TextKey key = TextKey::own(self_, index);
    Tick& state = journal_.value[index];
    const std::uint64_t before = state.load();
    require(stored_version(texts_, key) == before, "'" + key.name + "' isn't as it was left");
    const std::uint64_t version = new_version();
    const auto way = static_cast<Way>(below(ways));
    const auto make = [&] { make_pattern(key.number, version, size_of(version), text_); };
    if (way != modify && way != modify_or_insert) make();
    std::uint64_t after = version;
    if (way == erase || way == extract) after = 0;
    if (way == dropped_loan || (way == insert && before != 0)) after = before;
    if ((way == assign || way == modify || way == exchange) && before == 0) after = 0;
    const auto store = [&](std::string& stored) {
      make();  // with the lock
      stored = text_;
    };
    bool as_told = true;
    tracked(Doing::value, index, state, after, [&] {
      switch (way) {
        case insert: as_told = texts_.insert(key.name, text_) == (before == 0); break;
        case assign: as_told = texts_.assign(key.name, text_) == (before != 0); break;
        case insert_or_assign: as_told = texts_.insert_or_assign(key.name, text_) == (before == 0); break;
        case modify: as_told = texts_.modify(key.name, store) == (before != 0); break;
        case modify_or_insert: as_told = texts_.modify_or_insert(key.name, "", store) == (before == 0); break;
        case erase: as_told = texts_.erase(key.name) == (before != 0); break;
        case extract: {
          const auto taken = texts_.extract(key.name);
          as_told = before == 0 ? !taken : taken && version_in(*taken, key.number) == before;
          break;
        }
        case exchange: {
          std::string expected = pattern_of(key.number, before, size_of(before));
          as_told = texts_.compare_exchange(key.name, expected, text_) == (before != 0);
          break;
        }
        default: {
          auto lent = texts_.loan(key.name, text_.size());
          text_.copy(lent.span().data(), text_.size());
          if (way == loan) as_told = lent.publish() == (before == 0);
        }
      }
    });
    require(as_told, "way " + std::to_string(way) + " of writing '" + key.name + "' told something else");
    require(stored_version(texts_, key) == after, "'" + key.name + "' isn't what was written");
  }

  void write_number() {
    const std::size_t index = below(kOwnCounters);
    const std::uint32_t key = own_counter(self_, index);
    Tick& state = journal_.counter[index];
    const std::uint64_t before = state.load();
    require(numbers_.get(key, 0) == before, "a number isn't as it was left");
    const std::uint64_t way = below(6);
    const std::uint64_t delta = 1 + below(5);
    std::uint64_t after = before + delta;
    if (way == 4) after = 0;
    if ((way == 1 || way == 2) && before == 0) after = 0;
    bool as_told = true;
    tracked(Doing::counter, index, state, after, [&] {
      const auto add_delta = [&](std::uint64_t& value) { value += delta; };
      std::uint64_t expected = before;
      switch (way) {
        case 0: as_told = numbers_.fetch_add(key, delta) == before; break;
        case 1: as_told = numbers_.modify(key, add_delta) == (before != 0); break;
        case 2: as_told = numbers_.compare_exchange(key, expected, after) == (before != 0); break;
        case 3: as_told = numbers_.modify_or_insert(key, 0, add_delta) == (before == 0); break;
        case 4: as_told = numbers_.erase(key) == (before != 0); break;
        default: as_told = numbers_.insert_or_assign(key, after) == (before == 0);
      }
    });
    require(as_told, "way " + std::to_string(way) + " of writing a number told something else");
    require(numbers_.get(key, 0) == after, "a number isn't what was written");
  }

  void add() {
    const std::size_t index = below(kSharedCounters);
    const std::uint32_t key = shared_counter(index);
    Tick& added = journal_.added[index];
    tracked(Doing::addition, index, added, added.load() + 1, [&] {
      const auto increase = [](std::uint64_t& value) { ++value; };
      switch (below(4)) {
        case 0: numbers_.modify(key, increase); break;
        case 1: {
          std::uint64_t expected = numbers_.at(key);
          while (!numbers_.compare_exchange(key, expected, expected + 1)) {
          }
          break;
        }
        case 2: numbers_.modify_or_insert(key, 0, increase); break;
        default: numbers_.fetch_add(key, 1);
      }
    });
  }

  void read() {
    switch (below(8)) {
      case 0:
      case 1: {  // seen again when another view takes its place
        const TextKey key = TextKey::own(below(kWorkers), below(kOwnValues));
        Held& held = views_[below(views_.size())];
        if (held.view) require(version_in(*held.view, held.number) == held.version, "a view has changed");
        held = {texts_.view(key.name), key.number, 0};
        if (held.view) held.version = version_in(*held.view, key.number);
        require(!held.view || held.version.has_value(), "a view of half a value of '" + key.name + "'");
        break;
      }
      case 2: {
        std::vector<std::string> keys;
        for (std::size_t i = 0; i < kSharedGroupKeys; ++i) keys.push_back(TextKey::shared(i).name);
        texts_.get_many(keys, [&](std::size_t i, const std::string* value) {
          require(value != nullptr && version_in(*value, TextKey::shared(i).number), "half a value of " + keys[i]);
        });
        break;
      }
      case 3:
        if (below(16) == 0) read_everything();
        break;
      default: stored_version(texts_, TextKey::own(below(kWorkers), below(kOwnValues)));
    }
  }

  void read_everything() {
    texts_.for_each([](const std::string& key, const std::string& value) {
      require(value.size() >= kSmallestPattern || key.starts_with("probe"), "half a value of '" + key + "'");
    });
  }

  template <class MakeKey>
  void store_group(std::size_t count, std::uint64_t version, MakeKey key_of) {
    std::vector<std::pair<std::string, std::string>> items;
    for (std::size_t i = 0; i < count; ++i) {
      TextKey key = key_of(i);
      items.emplace_back(std::move(key.name), pattern_of(key.number, version, 32 + (version * 31 + i * 17) % 300));
    }
    texts_.update(items);
  }

  void write_group() {
    const std::uint64_t version = new_version();
    tracked(Doing::group, 0, journal_.group, version,
            [&] { store_group(kGroupKeys, version, [&](std::size_t i) { return TextKey::group(self_, i); }); });
  }
  void write_shared_group() { store_group(kSharedGroupKeys, all_.now(), TextKey::shared); }

  void write_set() {
    const std::size_t index = below(kSets);
    KeySet& set = journal_.set[index];
    const std::uint64_t cleared = all_.last_clear_begun.load();
    if (const auto stored = stored_set(sets_, all_, self_, index)) {
      if (*stored == 0) {
        require(set.version.load() == 0 || all_.may_be_cleared(set.begun_at.load()),
                "a set is lost that nobody cleared");
      } else {
        require(*stored == set.version.load(), "a set isn't as it was left");
        require(cleared <= set.done_at.load(), "a set is there that was cleared");
      }
    }
    const std::uint64_t version = new_version();
    const std::uint64_t begun_at = all_.now();
    std::vector<std::pair<std::uint64_t, std::uint64_t>> items;
    for (std::size_t i = 0; i < kSetKeys; ++i) items.emplace_back(set_key(self_, index, i), version);
    tracked(Doing::set, index, set.version, version, [&] {
      sets_.update(items);
      set.begun_at = begun_at;
      set.done_at = all_.now();
    });
  }

  void clear() {
    journal_.clearing = 1;
    const std::uint64_t begun = all_.now();
    sets_.clear();
    Journals::raise(all_.last_clear_ended, all_.now());
    Journals::raise(all_.last_clear_begun, begun);
    journal_.clearing = 0;
  }

  /// Enters a callback and stays in it, with the lock, until the kill.
  void hold() {
    const auto stay = [&](auto& value) {
      value = {};
      journal_.holding = 1;
      for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
    };
    if (below(2) == 0) {
      const std::size_t index = below(kSharedCounters);
      begin(Doing::addition, index, journal_.added[index].load() + 1);
      numbers_.modify(shared_counter(index), stay);
    } else {
      const std::size_t index = below(kOwnValues);
      begin(Doing::value, index, new_version());
      texts_.modify_or_insert(TextKey::own(self_, index).name, "", stay);
    }
    require(false, "a callback returned that never does");
  }

  struct Held {
    View<std::string> view;
    std::uint64_t number = 0;
    std::optional<std::uint64_t> version;
  };

  Texts& texts_;
  Numbers& numbers_;
  Sets& sets_;
  Journals& all_;
  Journal& journal_;
  std::size_t self_;
  std::mt19937_64 random_;
  std::string text_;
  std::array<Held, 4> views_;
};

}  // namespace shared_dict::test
