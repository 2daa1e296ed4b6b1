// Random operations on a dictionary and on a std::unordered_map side by side: after each of them both say the same.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

using Random = std::mt19937_64;

/// A number below `end`.
inline std::size_t below(Random& random, std::size_t end) { return static_cast<std::size_t>(random() % end); }

struct ModelRun {
  std::size_t operations = 0;
  std::size_t keys = 0;  ///< how many different keys there are
  std::size_t check_every = 20'000;
};

/// `Family` has Key, Value, Hash and the static functions key(i), value(random) and change(value, random).
template <class Family>
class Model {
 public:
  using Key = typename Family::Key;
  using Value = typename Family::Value;
  using Dict = SharedDict<Key, Value>;

  Model(Dict& dict, ModelRun run, std::uint64_t salt) : dict_(dict), run_(run), random_(test_seed() ^ salt) {}

  void run() {
    INFO("SHARED_DICT_SEED=" << test_seed());
    for (std::size_t i = 0; i < run_.operations; ++i) {
      step();
      if (i % run_.check_every == 0) check_all();
    }
    check_all();
    REQUIRE(stored_ > 0);
    while (!views_.empty()) let_go();
    REQUIRE(dict_.gc_stats().retired_blocks == 0);
    check_all();
  }

  std::size_t refused() const noexcept { return refused_; }

 private:
  // Expectations are tested by hand and fail through here: an assertion macro for each of millions would take most of the
  // time.
  void expect(bool holds, const char* what) {
    if (holds) return;
    INFO("operation " << count_ << ": " << what);
    REQUIRE(holds);
  }

  void step() {
    ++count_;
    const Key key = Family::key(below(random_, run_.keys));
    const auto found = model_.find(key);
    const bool present = found != model_.end();
    // The weights let the number of items drift through the whole range from empty to full.
    const bool growing = (count_ / (run_.keys * 6)) % 2 == 0;
    const std::size_t choice = below(random_, 100);
    if (choice < 30) {
      read(key, present ? &found->second : nullptr, choice % 7);
    } else if (choice < (growing ? 90U : 50U)) {
      put(key, present, choice % 7);
    } else {
      take(key, present, choice % 7);
    }
    if (below(random_, 100) == 0) put_many();
    if (below(random_, 50) == 0) let_go();
    if (below(random_, run_.keys * 8) == 0) erase_some();
    if (below(random_, run_.keys * 40) == 0) {
      dict_.clear();
      model_.clear();
    }
    expect(dict_.size() == model_.size(), "size");
  }

  void read(const Key& key, const Value* value, std::size_t how) {
    switch (how) {
      case 0: {
        const std::optional<Value> got = dict_.get(key);
        expect(got.has_value() == (value != nullptr) && (value == nullptr || *got == *value), "get");
        break;
      }
      case 1: {
        Value out = Family::value(random_);
        const Value before = out;
        const bool got = dict_.try_get(key, out);
        expect(got == (value != nullptr) && out == (value != nullptr ? *value : before), "try_get");
        break;
      }
      case 2: expect(dict_.contains(key) == (value != nullptr), "contains"); break;
      case 3: {
        const Value fallback = Family::value(random_);
        expect(dict_.get(key, fallback) == (value != nullptr ? *value : fallback), "get with fallback");
        break;
      }
      case 4: {
        bool thrown = false;
        try {
          const Value got = dict_.at(key);
          expect(value != nullptr && got == *value, "at");
        } catch (const std::out_of_range&) {
          thrown = true;
        }
        expect(thrown == (value == nullptr), "at throws for a missing key");
        break;
      }
      case 5: view(key, value); break;
      default: expect(dict_.empty() == model_.empty(), "empty");
    }
  }

  /// A view of it, kept for a while.
  void view(const Key& key, const Value* value) {
    View<Value> viewed = dict_.view(key);
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
          const bool inserted = dict_.insert(key, value);
          expect(inserted != present, "insert");
          if (inserted) stored = value;
          break;
        }
        case 1:
          expect(dict_.assign(key, value) == present, "assign");
          if (present) stored = value;
          break;
        case 2: {
          const auto change = [&](Value& inside) {
            if (present) expect(inside == model_.at(key), "what modify hands in");
            Family::change(inside, random_);
            value = inside;
          };
          expect(dict_.modify(key, change) == present, "modify");
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
          expect(dict_.modify_or_insert(key, initial, change) != present, "modify_or_insert");
          stored = value;
          break;
        }
        case 4: {
          Value expected = present && below(random_, 2) == 0 ? model_.at(key) : Family::value(random_);
          const bool same = present && expected == model_.at(key);
          expect(dict_.compare_exchange(key, expected, value) == same, "compare_exchange");
          if (same) stored = value;
          if (present && !same) expect(expected == model_.at(key), "what compare_exchange puts into expected");
          break;
        }
        case 5:
          if constexpr (requires { dict_.loan(key, std::size_t{0}); }) {
            auto loan = dict_.loan(key, value.size());
            expect(loan.span().size() == value.size(), "the span of a loan");
            std::copy(value.begin(), value.end(), loan.span().begin());
            if (below(random_, 4) == 0) break;  // dropped
            expect(loan.publish() != present, "publish");
            stored = value;
            break;
          }
          [[fallthrough]];
        default: expect(dict_.insert_or_assign(key, value) != present, "insert_or_assign"); stored = value;
      }
    };
    const std::error_code code = error_of(write);
    if (code) {
      expect(code == errc::heap_full, code.message().c_str());
      const std::optional<Value> now = dict_.get(key);
      expect(now.has_value() == present && (!present || *now == model_.at(key)), "a refused write changes nothing");
      ++refused_;
    } else if (stored) {
      model_.insert_or_assign(key, *stored);
      ++stored_;
    }
  }

  /// Keys of which some come twice, some are there and some aren't.
  void put_many() {
    std::vector<std::pair<Key, Value>> items;
    const std::size_t first = below(random_, run_.keys);
    for (std::size_t i = below(random_, 12); i > 0; --i) {
      items.emplace_back(Family::key((first + below(random_, 20)) % run_.keys), Family::value(random_));
    }
    const std::error_code code = error_of([&] { dict_.update(items); });
    if (!code) {
      for (const auto& [key, value] : items) model_.insert_or_assign(key, value);
      for (const auto& [key, value] : items) {
        const std::optional<Value> now = dict_.get(key);
        expect(now.has_value() && *now == model_.at(key), "update");
      }
      return;
    }
    expect(code == errc::heap_full, code.message().c_str());
    for (const auto& [key, value] : items) {
      const auto found = model_.find(key);
      const std::optional<Value> now = dict_.get(key);
      expect(now.has_value() == (found != model_.end()) && (!now || *now == found->second),
             "a refused update changes nothing");
    }
    ++refused_;
  }

  void take(const Key& key, bool present, std::size_t how) {
    switch (how) {
      case 0:
      case 1:
      case 2:
        expect(dict_.erase(key) == present, "erase");
        model_.erase(key);
        break;
      case 3:
      case 4:
      case 5: {
        const std::optional<Value> out = dict_.extract(key);
        expect(out.has_value() == present && (!present || *out == model_.at(key)), "extract");
        model_.erase(key);
        break;
      }
      default: {
        const std::optional<std::pair<Key, Value>> out = dict_.extract_any();
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
    expect(dict_.erase_if(doomed) == expected, "erase_if");
  }

  void check_all() {
    std::unordered_map<Key, Value, typename Family::Hash> seen;
    dict_.for_each(
        [&](const Key& key, const Value& value) { expect(seen.emplace(key, value).second, "for_each twice"); });
    expect(seen == model_, "for_each");
    seen.clear();
    for (const auto& [key, value] : dict_) expect(seen.emplace(key, value).second, "an iterator gives a key twice");
    expect(seen == model_, "iterators");
    for (std::size_t i = 0; i < run_.keys; ++i) {
      const Key key = Family::key(i);
      const auto found = model_.find(key);
      const std::optional<Value> got = dict_.get(key);
      expect(got.has_value() == (found != model_.end()) && (!got || *got == found->second), "get of every key");
    }
    SHARED_DICT_REQUIRE_SOUND(dict_);
  }

  Dict& dict_;
  ModelRun run_;
  Random random_;
  std::unordered_map<Key, Value, typename Family::Hash> model_;
  std::vector<std::pair<View<Value>, std::vector<std::byte>>> views_;  ///< and what they showed at first
  std::size_t count_ = 0;
  std::size_t stored_ = 0;
  std::size_t refused_ = 0;
};

}  // namespace shared_dict::test
