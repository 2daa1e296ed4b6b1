// Random operations on a dictionary and on a std::unordered_map side by side: after each of them both say the same. The operations go
// through two handles, and through several processes that take over from each other by fork, the map included.
#pragma once

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/expect.hpp"
#include "support/families.hpp"
#include "support/forked.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

struct ModelRun {
  std::size_t operations = 0;
  std::size_t keys = 0;  ///< how many different keys there are
  std::size_t check_every = 20'000;
  std::size_t processes = 4;   ///< one after the other
  std::size_t most_items = 0;  ///< the dictionary's max_items
};

/// What all processes of a run have done.
struct ModelCounts {
  std::uint64_t operations;  ///< single ones; those for many items count once
  std::uint64_t stored;
  std::uint64_t refused;  ///< for want of space
  std::uint64_t batches;
  std::uint64_t views;
  std::uint64_t reads_of_many;
  std::uint64_t processes;
};

/// `Family`: see families.hpp. `Source`: of random numbers; one that can be empty() ends the run when it is.
template <class Family, class Source = Random>
class Model {
 public:
  using Key = typename Family::Key;
  using Value = typename Family::Value;
  using Dict = SharedDict<Key, Value>;

  /// `salt` makes different runs of one seed.
  Model(Dict& dict, ModelRun run, std::uint64_t salt)
      : Model(dict, Dict::attach(dict.name()), run, Source(test_seed() ^ salt)) {}
  /// `other`: another handle of the same dictionary.
  Model(Dict& dict, Dict other, ModelRun run, Source random)
      : dict_(dict), other_(std::move(other)), run_(run), random_(std::move(random)) {}

  /// Throws what was wrong.
  void run() {
    ++counts_->processes;
    const std::size_t turns = run_.operations / run_.processes;
    for (std::size_t i = 1; i <= turns && !used_up(); ++i) {
      step();
      if ((i + 1) % run_.check_every == 0) check_all();
    }
    check_all();
    while (!views_.empty()) let_go();
    expect(dict_.gc_stats().retired_blocks == 0, "no block stays when the views are gone");
    if (counts_->processes < run_.processes) {
      const Ending ending = run_forked([this](const auto&) { return run(), 0; }, std::chrono::minutes(10));
      if (!ending.ok()) throw std::runtime_error(ending.text + " (status " + std::to_string(ending.status) + ")");
    }
  }

  const ModelCounts& counts() const noexcept { return *counts_; }

 private:
  void expect(bool holds, const std::string& what) const {
    if (!holds) fail(what);
  }
  void expect(bool holds, const char* what) const {  // so that no string is built for each of millions
    if (!holds) fail(what);
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw std::runtime_error("operation " + std::to_string(count_) + ": " + what +
                             ", SHARED_DICT_SEED=" + std::to_string(test_seed()));
  }

  bool used_up() const noexcept {
    if constexpr (requires { random_.empty(); }) {
      return random_.empty();
    } else {
      return false;
    }
  }

  /// One of the handles.
  Dict& dict() noexcept { return count_ % 2 == 0 ? dict_ : other_; }

  void step() {
    ++count_;
    ++counts_->operations;
    const Key key = Family::key(below(random_, run_.keys));
    const auto found = model_.find(key);
    const bool present = found != model_.end();
    // The weights let the number of items drift through the whole range from empty to full.
    const bool growing = (count_ / (run_.keys * 6)) % 2 == 0;
    const std::size_t choice = below(random_, 100);
    if (choice < 30) {
      read(key, present ? &found->second : nullptr, choice % 9);
    } else if (choice < (growing ? 90U : 50U)) {
      put(key, present, choice % 11);
    } else {
      take(key, present, choice % 7);
    }
    if (below(random_, 100) == 0) put_many();
    if (below(random_, 50) == 0) get_many();
    if (below(random_, 50) == 0) let_go();
    if (below(random_, run_.keys * 8) == 0) erase_some();
    if (below(random_, run_.keys * 40) == 0) {
      dict().clear();
      model_.clear();
    }
    expect(dict().size() == model_.size(), "size");
  }

  void read(const Key& key, const Value* value, std::size_t how) {
    switch (how) {
      case 0: {
        const std::optional<Value> got = dict().get(key);
        expect(got.has_value() == (value != nullptr) && (value == nullptr || *got == *value), "get");
        break;
      }
      case 1: {
        Value out = Family::value(random_);
        const Value before = out;
        const bool got = dict().try_get(key, out);
        expect(got == (value != nullptr) && out == (value != nullptr ? *value : before), "try_get");
        break;
      }
      case 2: expect(dict().contains(key) == (value != nullptr), "contains"); break;
      case 3: {
        const Value fallback = Family::value(random_);
        expect(dict().get(key, fallback) == (value != nullptr ? *value : fallback), "get with fallback");
        break;
      }
      case 4: {
        bool thrown = false;
        try {
          const Value got = dict().at(key);
          expect(value != nullptr && got == *value, "at");
        } catch (const std::out_of_range&) {
          thrown = true;
        }
        expect(thrown == (value == nullptr), "at throws for a missing key");
        break;
      }
      case 5: view(key, value); break;
      case 6: {
        bool thrown = false;
        try {
          const Value got = dict()[key];
          expect(value != nullptr && got == *value, "operator[]");
        } catch (const std::out_of_range&) {
          thrown = true;
        }
        expect(thrown == (value == nullptr), "operator[] throws for a missing key");
        break;
      }
      case 7: {
        expect(!dict().wait_change(key, std::chrono::nanoseconds(0)), "wait_change");
        const auto any = [&](const Value& shown) {
          expect(value != nullptr && shown == *value, "what wait_until shows");
          return true;
        };
        expect(dict().wait_until(key, any, std::chrono::nanoseconds(0)).has_value() == (value != nullptr), "wait_until");
        break;
      }
      default: expect(dict().empty() == model_.empty(), "empty");
    }
  }

  /// Of keys of which some come twice and some are missing.
  void get_many() {
    std::vector<Key> keys;
    for (std::size_t i = below(random_, 40); i > 0; --i) keys.push_back(Family::key(below(random_, run_.keys)));
    std::size_t next = 0;
    dict().get_many(keys, [&](std::size_t index, const Value* value) {
      expect(index == next++, "the order of get_many");
      const auto found = model_.find(keys[index]);
      expect((value != nullptr) == (found != model_.end()) && (value == nullptr || *value == found->second),
             "get_many");
    });
    expect(next == keys.size(), "get_many asks for all");
    ++counts_->reads_of_many;
  }

  /// A view of it, kept for a while.
  void view(const Key& key, const Value* value) {
    ++counts_->views;
    View<Value> viewed = dict().view(key);
    expect(static_cast<bool>(viewed) == (value != nullptr), "view");
    if (!viewed) return;
    if (const std::optional<Value> shown = shown_by(viewed)) expect(*shown == *value, "what a view shows");
    std::vector<std::byte> bytes(viewed.bytes().begin(), viewed.bytes().end());
    views_.emplace_back(std::move(viewed), std::move(bytes));
    if (views_.size() > 20) let_go();
  }

  /// The value, where a view can show it.
  static std::optional<Value> shown_by(const View<Value>& viewed) {
    if constexpr (requires {
                    { *viewed } -> std::same_as<const Value&>;
                  }) {
      return *viewed;
    } else if constexpr (requires { Value((*viewed).begin(), (*viewed).end()); }) {
      return Value((*viewed).begin(), (*viewed).end());
    } else {
      return std::nullopt;
    }
  }

  /// One of the views that are kept, which shows what it did.
  void let_go() {
    if (views_.empty()) return;
    const std::size_t which = below(random_, views_.size());
    const auto& [viewed, bytes] = views_[which];
    expect(std::equal(bytes.begin(), bytes.end(), viewed.bytes().begin(), viewed.bytes().end()), "a view has changed");
    views_.erase(views_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  /// Writes that may need space: a full heap is a fair answer if nothing changed.
  void put(const Key& key, bool present, std::size_t how) {
    Value value = Family::value(random_);
    std::optional<Value> stored = std::nullopt;
    const auto write = [&] {
      switch (how) {
        case 0: {
          const bool inserted = dict().insert(key, value);
          expect(inserted != present, "insert");
          if (inserted) stored = value;
          break;
        }
        case 1:
          expect(dict().assign(key, value) == present, "assign");
          if (present) stored = value;
          break;
        case 2: {
          const auto change = [&](Value& inside) {
            if (present) expect(inside == model_.at(key), "what modify hands in");
            Family::change(inside, random_);
            value = inside;
          };
          expect(dict().modify(key, change) == present, "modify");
          if (present) stored = value;
          break;
        }
        case 3: {
          const Value initial = value;
          const auto change = [&](Value& inside) {
            expect(inside == (present ? model_.at(key) : initial), "what modify_or_insert hands in");
            Family::change(inside, random_);
            value = inside;
          };
          expect(dict().modify_or_insert(key, initial, change) != present, "modify_or_insert");
          stored = value;
          break;
        }
        case 4: {
          Value expected = present && below(random_, 2) == 0 ? model_.at(key) : Family::value(random_);
          const bool same = present && expected == model_.at(key);
          expect(dict().compare_exchange(key, expected, value) == same, "compare_exchange");
          if (same) stored = value;
          if (present && !same) expect(expected == model_.at(key), "what compare_exchange puts into expected");
          break;
        }
        case 5:
          if constexpr (requires { dict().loan(key, std::size_t{0}); }) {
            auto loan = dict().loan(key, value.size());
            expect(loan.span().size() == value.size(), "the span of a loan");
            std::copy(value.begin(), value.end(), loan.span().begin());
            if (below(random_, 4) == 0) break;  // dropped
            expect(loan.publish() != present, "publish");
            stored = value;
            break;
          }
          [[fallthrough]];
        case 6: {
          // A callback that throws leaves all as it was.
          const bool inserts = below(random_, 2) == 0;
          bool thrown = false;
          const auto change = [&](Value& inside) {
            Family::change(inside, random_);
            throw Thrown();
          };
          try {
            if (inserts) {
              dict().modify_or_insert(key, value, change);
            } else {
              dict().modify(key, change);
            }
          } catch (const Thrown&) {
            thrown = true;
          }
          expect(thrown == (present || inserts), "what a callback throws passes through");
          expect(dict().get(key) == value_in_model(key), "what a callback that throws leaves");
          break;
        }
        case 7:
          dict()[key] = value;
          stored = value;
          break;
        case 8:
          if constexpr (std::is_arithmetic_v<Value>) {
            const Value before = present ? model_.at(key) : Value{};
            expect(dict().fetch_add(key, value) == before, "fetch_add");
            stored = sum(before, value);
            break;
          }
          [[fallthrough]];
        default: expect(dict().insert_or_assign(key, value) != present, "insert_or_assign"); stored = value;
      }
    };
    const std::error_code code = error_of(write);
    if (code) {
      expect(for_want_of_space(code), code.message());
      const std::optional<Value> now = dict().get(key);
      expect(now.has_value() == present && (!present || *now == model_.at(key)), "a refused write changes nothing");
      ++counts_->refused;
    } else if (stored) {
      model_.insert_or_assign(key, *stored);
      ++counts_->stored;
    }
  }

  struct Thrown {};

  std::optional<Value> value_in_model(const Key& key) const {
    const auto found = model_.find(key);
    return found != model_.end() ? std::optional<Value>(found->second) : std::nullopt;
  }

  /// As fetch_add has it: integers wrap around.
  static Value sum(Value a, Value b) noexcept {
    if constexpr (std::is_integral_v<Value>) {
      return static_cast<Value>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
    } else {
      return a + b;
    }
  }

  /// What a write is refused with when there is no space for it.
  bool for_want_of_space(const std::error_code& code) const {
    return code == errc::heap_full || (run_.most_items != 0 && code == errc::too_many_items);
  }

  /// Keys of which some come twice, some are there and some aren't.
  void put_many() {
    ++counts_->batches;
    std::vector<std::pair<Key, Value>> items;
    const std::size_t first = below(random_, run_.keys);
    for (std::size_t i = below(random_, 12); i > 0; --i) {
      items.emplace_back(Family::key((first + below(random_, 20)) % run_.keys), Family::value(random_));
    }
    const std::error_code code = error_of([&] { dict().update(items); });
    if (!code) {
      for (const auto& [key, value] : items) model_.insert_or_assign(key, value);
      for (const auto& [key, value] : items) {
        const std::optional<Value> now = dict().get(key);
        expect(now.has_value() && *now == model_.at(key), "update");
      }
      return;
    }
    expect(for_want_of_space(code), code.message());
    for (const auto& [key, value] : items) {
      const auto found = model_.find(key);
      const std::optional<Value> now = dict().get(key);
      expect(now.has_value() == (found != model_.end()) && (!now || *now == found->second),
             "a refused update changes nothing");
    }
    ++counts_->refused;
  }

  void take(const Key& key, bool present, std::size_t how) {
    switch (how) {
      case 0:
      case 1:
      case 2:
        expect(dict().erase(key) == present, "erase");
        model_.erase(key);
        break;
      case 3:
      case 4:
      case 5: {
        const std::optional<Value> out = dict().extract(key);
        expect(out.has_value() == present && (!present || *out == model_.at(key)), "extract");
        model_.erase(key);
        break;
      }
      default: {
        const std::optional<std::pair<Key, Value>> out = dict().extract_any();
        expect(out.has_value() == !model_.empty(), "extract_any");
        if (!out) break;
        const auto found = model_.find(out->first);
        expect(found != model_.end() && found->second == out->second, "what extract_any takes");
        model_.erase(found);
      }
    }
  }

  void erase_some() {
    const std::size_t divisor = 2 + below(random_, 20);
    const auto doomed = [&](const Key& key, const Value&) { return typename Family::Hash{}(key) % divisor == 0; };
    std::size_t expected = 0;
    for (auto it = model_.begin(); it != model_.end();) {
      if (doomed(it->first, it->second)) {
        it = model_.erase(it);
        ++expected;
      } else {
        ++it;
      }
    }
    expect(dict().erase_if(doomed) == expected, "erase_if");
  }

  void check_all() {
    std::unordered_map<Key, Value, typename Family::Hash> seen;
    dict().for_each(
        [&](const Key& key, const Value& value) { expect(seen.emplace(key, value).second, "for_each twice"); });
    expect(seen == model_, "for_each");
    seen.clear();
    for (const auto& [key, value] : dict_) expect(seen.emplace(key, value).second, "an iterator gives a key twice");
    expect(seen == model_, "iterators");
    const std::vector<std::pair<Key, Value>> items = dict().items();
    const std::vector<Key> keys = dict().keys();
    const std::vector<Value> values = dict().values();
    expect(keys.size() == model_.size() && values.size() == model_.size() && items.size() == model_.size(),
           "the number of keys, values and items");
    for (std::size_t i = 0; i < items.size(); ++i) {
      expect(model_.contains(items[i].first) && model_.at(items[i].first) == items[i].second, "items");
      expect(keys[i] == items[i].first && values[i] == items[i].second, "keys and values");
    }
    expect(run_.most_items == 0 || model_.size() <= run_.most_items, "max_items");
    for (std::size_t i = 0; i < run_.keys; ++i) {
      const Key key = Family::key(i);
      const auto found = model_.find(key);
      const std::optional<Value> got = dict().get(key);
      expect(got.has_value() == (found != model_.end()) && (!got || *got == found->second), "get of every key");
    }
    expect(dict().audit().ok(), problems_of(dict()));
  }

  Dict& dict_;
  Dict other_;
  ModelRun run_;
  Source random_;
  std::unordered_map<Key, Value, typename Family::Hash> model_;
  std::vector<std::pair<View<Value>, std::vector<std::byte>>> views_;  ///< and what they showed at first
  std::size_t count_ = 0;
  SharedArea<ModelCounts> counts_;
};

}  // namespace shared_dict::test
