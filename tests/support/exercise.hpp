// Uses a dictionary that may be damaged in every way there is, and judges what it answers.
//
// Everything may end in an Error, and nothing in anything else. If the audit has nothing to say, all answers must agree with each
// other, and whatever is stored from then on must be there.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/families.hpp"

namespace shared_dict::test {

/// What became of a damaged dictionary.
struct Fate {
  std::uint64_t errors = 0;  ///< operations that were refused
  bool sound = false;        ///< the audit had nothing to say, and the answers were right
};

template <class Family>
class Exercise {
 public:
  using Key = typename Family::Key;
  using Value = typename Family::Value;
  using Dict = SharedDict<Key, Value>;
  using Contents = std::unordered_map<Key, Value, typename Family::Hash>;

  /// Keys 0 to `keys` are asked for. The operations follow from `seed`.
  Exercise(std::size_t keys, std::uint64_t seed)
      : keys_(keys), random_(static_cast<std::minstd_rand::result_type>(seed)) {}

  /// `open()` returns the dictionary; `expected`: what it held before it was damaged, if that is known. What must not be ends in a
  /// std::logic_error.
  template <class Open>
  Fate run(Open open, const Contents* expected) {
    std::optional<Dict> opened;
    if (!attempt([&] { opened.emplace(open()); })) return fate_;
    Dict& dict = *opened;
    const std::optional<Contents> before = look(dict);
    fate_.sound = audit(dict);
    if (fate_.sound) {
      expect(consistent_, "the answers contradicted each other, and the audit has nothing to say");
      const std::optional<Contents> now = look(dict);
      if (now && before) expect(*now == *before, "the answers changed, and the audit has nothing to say");
      if (now && expected != nullptr)
        expect(*now == *expected, "the answers are wrong, and the audit has nothing to say");
      known_ = now.has_value();
      if (now) model_ = *now;
    }
    change(dict);
    const bool still_sound = audit(dict);
    if (known_ && still_sound) {
      if (const std::optional<Contents> now = look(dict)) expect(*now == model_, "what was stored isn't what is there");
    }
    if (fate_.errors == 0) expect(!fate_.sound || still_sound, "sound changes left it unsound");
    attempt([&] { dict.clear(); });
    attempt([&] { dict.insert(Family::key(0), Family::value(random_)); });
    audit(dict);
    return fate_;
  }

 private:
  static void expect(bool holds, const char* what) {
    if (!holds) throw std::logic_error(what);
  }

  /// False if it was refused. Anything but an Error passes.
  template <class F>
  bool attempt(F f) {
    try {
      f();
      return true;
    } catch (const Error&) {
      ++fate_.errors;
      return false;
    }
  }

  bool audit(const Dict& dict) {
    bool sound = false;
    return attempt([&] { sound = dict.audit().ok(); }) && sound;
  }

  // ---- reading

  /// All that it holds, if nothing was refused.
  std::optional<Contents> look(const Dict& dict) {
    const std::uint64_t errors_before = fate_.errors;
    Contents scanned;
    Contents found;
    bool twice = false;
    attempt([&] {
      dict.for_each([&](const Key& key, const Value& value) { twice = !scanned.emplace(key, value).second || twice; });
    });
    std::size_t iterated = 0;
    attempt([&] {
      for (const auto& item : dict) iterated += item.second == item.second ? 1 : 0;
    });
    std::vector<Key> keys;
    for (std::size_t i = 0; i < keys_; ++i) keys.push_back(Family::key(i));
    std::size_t many = 0;
    attempt([&] { dict.get_many(keys, [&](std::size_t, const Value* value) { many += value != nullptr ? 1 : 0; }); });
    bool agree = true;
    for (const Key& key : keys) look_at(dict, key, found, agree);
    std::size_t size = 0;
    attempt([&] { size = dict.size(); });
    attempt([&] { static_cast<void>(dict.stats()); });
    attempt([&] { static_cast<void>(dict.gc_stats()); });
    attempt([&] { static_cast<void>(dict.wait_change(keys.front(), std::chrono::nanoseconds(0))); });
    consistent_ = true;
    if (fate_.errors != errors_before) return std::nullopt;
    consistent_ = !twice && agree && iterated == scanned.size() && many == found.size() && scanned == found;
    // Where a process died it may be off until the audit, or another change, has seen to it.
    if (fate_.sound) consistent_ = consistent_ && size == scanned.size();
    if (fate_.sound) expect(consistent_, "the answers contradict each other, and the audit has nothing to say");
    return consistent_ ? std::optional(scanned) : std::nullopt;
  }

  void look_at(const Dict& dict, const Key& key, Contents& found, bool& agree) {
    attempt([&] {
      if (const std::optional<Value> value = dict.get(key)) found.emplace(key, *value);
    });
    bool contained = false;
    if (attempt([&] { contained = dict.contains(key); })) agree = agree && contained == found.contains(key);
    Value out{};
    attempt([&] { dict.try_get(key, out); });
    attempt([&] {
      const View<Value> view = dict.view(key);
      agree = agree && static_cast<bool>(view) == contained;
      seen_ += detail::hash_bytes(view.bytes().data(), view.bytes().size(), 0);  // all of it was read
    });
  }

  // ---- writing

  void change(Dict& dict) {
    View<Value> kept;
    std::vector<std::byte> bytes;
    attempt([&] { kept = dict.view(Family::key(below(random_, keys_))); });
    bytes.assign(kept.bytes().begin(), kept.bytes().end());
    for (std::size_t i = 0; i < 20; ++i) change_one(dict, Family::key(below(random_, keys_)), i % 12);
    if (known_)
      expect(std::equal(bytes.begin(), bytes.end(), kept.bytes().begin(), kept.bytes().end()), "a view has changed");
    kept = View<Value>();
    std::vector<std::pair<Key, Value>> items;
    for (int i = 0; i < 5; ++i) items.emplace_back(Family::key(below(random_, keys_)), Family::value(random_));
    if (attempt([&] { dict.update(items); })) {
      for (const auto& [key, value] : items) model_.insert_or_assign(key, value);
    }
    const auto doomed = [](const Key& key, const Value&) { return typename Family::Hash{}(key) % 8 == 0; };
    if (attempt([&] { dict.erase_if(doomed); })) {
      std::erase_if(model_, [&](const auto& item) { return doomed(item.first, item.second); });
    } else {
      known_ = false;
    }
    std::optional<std::pair<Key, Value>> taken;
    if (attempt([&] { taken = dict.extract_any(); })) {
      if (known_) expect(taken.has_value() == !model_.empty(), "extract_any");
      if (taken && model_.erase(taken->first) == 0 && known_) expect(false, "what extract_any takes");
    }
  }

  void change_one(Dict& dict, const Key& key, std::size_t how) {
    const auto found = model_.find(key);
    const bool present = found != model_.end();
    const Value value = Family::value(random_);
    const auto right = [&](bool holds, const char* what) {
      if (known_) expect(holds, what);
    };
    const auto put = [&] { model_.insert_or_assign(key, value); };
    switch (how) {
      case 0: {
        bool inserted = false;
        if (!attempt([&] { inserted = dict.insert(key, value); })) break;
        right(inserted != present, "insert");
        if (inserted) put();
        break;
      }
      case 1: {
        bool assigned = false;
        if (!attempt([&] { assigned = dict.assign(key, value); })) break;
        right(assigned == present, "assign");
        if (assigned) put();
        break;
      }
      case 2:
      case 3: {
        bool erased = false;
        if (!attempt([&] { erased = dict.erase(key); })) break;
        right(erased == present, "erase");
        model_.erase(key);
        break;
      }
      case 4: {
        std::optional<Value> out;
        if (!attempt([&] { out = dict.extract(key); })) break;
        right(out.has_value() == present && (!present || *out == found->second), "extract");
        model_.erase(key);
        break;
      }
      case 5: {
        Value last{};
        const auto change_value = [&](Value& inside) {
          Family::change(inside, random_);
          last = inside;
        };
        if (attempt([&] { dict.modify_or_insert(key, value, change_value); })) model_.insert_or_assign(key, last);
        break;
      }
      case 6: {
        Value expected = present ? found->second : value;
        bool exchanged = false;
        if (!attempt([&] { exchanged = dict.compare_exchange(key, expected, value); })) break;
        right(exchanged == present, "compare_exchange");
        if (exchanged) put();
        break;
      }
      case 7:
        if constexpr (requires { dict.loan(key, std::size_t{0}); }) {
          if (attempt([&] {
                auto loan = dict.loan(key, value.size());
                std::copy(value.begin(), value.end(), loan.span().begin());
                loan.publish();
              })) {
            put();
          }
        } else if constexpr (std::is_arithmetic_v<Value>) {
          Value before{};
          if (!attempt([&] { before = dict.fetch_add(key, value); })) break;
          right(before == (present ? found->second : Value{}), "fetch_add");
          model_.insert_or_assign(key, static_cast<Value>(before + value));
        }
        break;
      case 8:
        if constexpr (requires { value.size(); }) {  // a large block
          Value large = value;
          if constexpr (requires { large.resize(40'000); }) large.resize(40'000 / sizeof(typename Value::value_type));
          if (attempt([&] { dict.insert_or_assign(key, large); })) model_.insert_or_assign(key, large);
          break;
        }
        [[fallthrough]];
      default:
        bool inserted = false;
        if (!attempt([&] { inserted = dict.insert_or_assign(key, value); })) break;
        right(inserted != present, "insert_or_assign");
        put();
    }
  }

  std::size_t keys_;
  std::minstd_rand random_;
  Fate fate_;
  Contents model_;
  bool known_ = false;       ///< `model_` is what the dictionary must hold
  bool consistent_ = false;  ///< the last look's answers agree with each other
  std::uint64_t seen_ = 0;
};

}  // namespace shared_dict::test
