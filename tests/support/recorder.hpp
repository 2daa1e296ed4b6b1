// Processes that do random operations on a few hot keys and write down each call before it begins and after it returned, in memory that
// outlives them: so the log of a killed process is complete, up to the operation that it died in.
#pragma once

#include <time.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/detail/platform/word_ref.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/history.hpp"
#include "support/pattern.hpp"

namespace shared_dict::test {

inline constexpr std::size_t kRecorders = 7;  ///< six players and the test itself
inline constexpr std::size_t kLogCapacity = 8192;
inline constexpr std::size_t kHotKeys = 8;  ///< at most

struct Log {
  std::atomic<std::uint64_t> begun;  ///< operations that are written down, the returned ones included
  Operation operations[kLogCapacity];
};

/// A counter orders all calls and returns, but each use of it is a barrier, behind which every store is visible: a release that isn't
/// one would not be noticed. The time of day orders nothing.
enum class ClockKind : std::uint32_t { time, counter };

struct Logs {
  std::atomic<std::uint64_t> counter;
  Log of[kRecorders];
};

/// One process's part.
class Recorder {
 public:
  Recorder(Logs& logs, std::size_t self, ClockKind kind)
      : logs_(logs), log_(logs.of[self]), self_(static_cast<std::uint8_t>(self)), kind_(kind) {}

  bool full() const noexcept { return log_.begun.load(std::memory_order_relaxed) + kHotKeys > kLogCapacity; }

  /// Writes the operations down that one call is, one for each of its keys; run() makes the call, and tells what it told by fields of
  /// them.
  template <class Run>
  void record(std::span<Operation> operations, Run run) {
    const std::uint64_t first = log_.begun.load(std::memory_order_relaxed);
    const std::span<Operation> written(log_.operations + first, operations.size());
    for (std::size_t i = 0; i < operations.size(); ++i) {
      written[i] = operations[i];
      written[i].process = self_;
      written[i].returned = kNever;
    }
    const std::uint64_t invoked = now();
    for (Operation& each : written) each.invoked = invoked;
    // A killed process leaves what it stored before, so only the compiler has to keep the order.
    log_.begun.store(first + operations.size(), std::memory_order_release);
    run(written);
    const std::uint64_t returned = now();
    std::atomic_signal_fence(std::memory_order_seq_cst);
    for (Operation& each : written) shared_dict::detail::WordRef(each.returned).store(returned, std::memory_order_release);
  }

 private:
  std::uint64_t now() const noexcept {
    if (kind_ == ClockKind::counter) return logs_.counter.fetch_add(1);
    struct timespec time = {};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
  }

  Logs& logs_;
  Log& log_;
  std::uint8_t self_;
  ClockKind kind_;
};

/// Numbers as values: themselves, or strings that tell whether they are whole.
template <class V>
struct Numbered;

template <>
struct Numbered<std::uint64_t> {
  static std::uint64_t make(std::uint64_t, std::uint64_t number) { return number; }
  static std::uint64_t number(std::uint64_t, std::uint64_t value) { return value; }
};

template <>
struct Numbered<std::string> {
  static std::string make(std::uint64_t key, std::uint64_t number) {
    return pattern_of(key, number, mix(number) % 61 == 0 ? 6000 : 32 + mix(number) % 300);
  }
  static std::uint64_t number(std::uint64_t key, std::string_view value) {
    const auto number = version_in(value, key);
    if (!number) throw std::runtime_error("half a value, or another key's: key " + std::to_string(key));
    return *number;
  }
};

/// Does random operations on the keys 0 ... `keys` - 1 of `dict`. Other keys, of which nothing is recorded, come and go meanwhile, so
/// that tables and pages are exchanged.
template <class Dict>
class Player {
  using V = typename Dict::mapped_type;
  using As = Numbered<V>;

 public:
  Player(Dict& dict, Recorder recorder, std::size_t self, std::size_t keys, std::uint64_t seed)
      : dict_(dict), recorder_(recorder), self_(self), keys_(keys), random_(seed) {}

  void play(std::size_t calls) {
    for (std::size_t i = 0; i < calls && !recorder_.full(); ++i) step();
  }

  /// Reads all keys.
  void read_all() {
    for (std::uint64_t key = 0; key < keys_; ++key) one(Call::get, key);
  }
  void write_all() {
    for (std::uint64_t key = 0; key < keys_; ++key) one(Call::modify, key);
  }

 private:
  void step() {
    switch (const std::uint64_t choice = random_() % 100) {
      case 0: return all(Call::clear);
      case 1: return all(Call::erase_if);
      case 2:
      case 3:
      case 4: return some(Call::update);
      case 5:
      case 6:
      case 7: return some(Call::get_many);
      default:
        if (choice < 18) return churn();
        return one(static_cast<Call>(random_() % 18), random_() % keys_);
    }
  }

  /// A number that nobody has stored yet.
  std::uint64_t fresh() { return ((self_ + 1) << 48) + (++numbers_ << 16); }

  /// Some cold keys, always new ones: a table fills with what is left of the old ones, until it is exchanged. Its memory is used again at
  /// once, by values that look like empty slots.
  void churn() {
    constexpr std::uint64_t kAlive = 20;
    const std::uint64_t first = (self_ + 1) << 32;
    for (int i = 0; i < 4; ++i, ++cold_) {
      dict_.insert(first + cold_, cold_value(cold_));
      if (cold_ >= kAlive) dict_.erase(first + cold_ - kAlive);
    }
  }

  static V cold_value(std::uint64_t number) {
    if constexpr (std::is_arithmetic_v<V>) {
      return 0;
    } else {
      return V(number % 8 == 0 ? 4000 : 0, '\0');
    }
  }

  template <class Run>
  void record_one(Operation operation, Run run) {
    recorder_.record({&operation, 1}, [&](std::span<Operation> written) { run(written.front()); });
  }

  static void tell(Operation& told, std::uint64_t key, const std::optional<V>& value) {
    told.found = value.has_value();
    told.value = value ? As::number(key, *value) : 0;
  }

  /// For callbacks of modify: a change that tells what it was given. Some of them give others the time to come in between.
  auto adding(Operation& told, std::uint64_t key, bool slowly) {
    return [&told, key, slowly](V& value) {
      told.value = As::number(key, value);
      value = As::make(key, told.value + told.operand);
      if (slowly) std::this_thread::yield();
    };
  }

  void one(Call call, std::uint64_t key) {
    Operation made{.call = call, .key = static_cast<std::uint8_t>(key)};
    const bool slowly = random_() % 32 == 0;
    switch (call) {
      case Call::get:
        return record_one(made, [&](Operation& told) {
          tell(told, key, dict_.get(key));
          last_[key] = told.value;
        });
      case Call::try_get:
        return record_one(made, [&](Operation& told) {
          told.found = dict_.try_get(key, out_);
          if (told.found) last_[key] = told.value = As::number(key, out_);
        });
      case Call::view:
        return record_one(made, [&](Operation& told) {
          const View<V> seen = dict_.view(key);
          told.found = static_cast<bool>(seen);
          if (seen) told.value = As::number(key, *seen);
        });
      case Call::contains: return record_one(made, [&](Operation& told) { told.found = dict_.contains(key); });
      case Call::insert:
        made.operand = fresh();
        value_ = As::make(key, made.operand);
        return record_one(made, [&](Operation& told) { told.found = !dict_.insert(key, value_); });
      case Call::assign:
        made.operand = fresh();
        value_ = As::make(key, made.operand);
        return record_one(made, [&](Operation& told) { told.found = dict_.assign(key, value_); });
      case Call::insert_or_assign:
        made.operand = fresh();
        value_ = As::make(key, made.operand);
        return record_one(made, [&](Operation& told) { told.found = !dict_.insert_or_assign(key, value_); });
      case Call::erase: return record_one(made, [&](Operation& told) { told.found = dict_.erase(key); });
      case Call::extract: return record_one(made, [&](Operation& told) { tell(told, key, dict_.extract(key)); });
      case Call::modify:
        made.operand = 1 + random_() % 9;
        return record_one(made, [&](Operation& told) { told.found = dict_.modify(key, adding(told, key, slowly)); });
      case Call::modify_or_insert:
        made.operand = 1 + random_() % 9;
        made.other = fresh();
        value_ = As::make(key, made.other);
        return record_one(made, [&](Operation& told) {
          told.found = !dict_.modify_or_insert(key, value_, adding(told, key, slowly));
          if (!told.found) told.value = 0;
        });
      case Call::compare_exchange: {
        made.operand = fresh();
        made.other = last_[key];
        value_ = As::make(key, made.operand);
        out_ = As::make(key, made.other);
        return record_one(made, [&](Operation& told) {
          const bool exchanged = dict_.compare_exchange(key, out_, value_);
          const std::uint64_t actual = As::number(key, out_);
          // Untouched: the key is missing.
          told.found = exchanged || actual != told.other;
          told.value = told.found ? actual : 0;
          last_[key] = exchanged ? told.operand : actual;
        });
      }
      case Call::fetch_add:
        if constexpr (std::is_arithmetic_v<V>) {
          made.operand = 1 + random_() % 9;
          return record_one(made, [&](Operation& told) { told.value = dict_.fetch_add(key, told.operand); });
        }
        return one(Call::modify, key);
      case Call::loan:
        if constexpr (requires { dict_.loan(key, std::size_t{0}); }) {
          made.operand = fresh();
          value_ = As::make(key, made.operand);
          return record_one(made, [&](Operation& told) {
            auto loan = dict_.loan(key, value_.size());
            value_.copy(loan.span().data(), value_.size());
            told.found = !loan.publish();
          });
        }
        return one(Call::fetch_add, key);
      default: return one(Call::get, key);  // calls for several keys have their own turn
    }
  }

  /// One call for some of the keys, each once.
  void some(Call call) {
    std::vector<Operation> made;
    std::vector<std::uint64_t> keys;
    for (std::uint64_t key = 0; key < keys_; ++key) {
      if (random_() % 3 == 0) continue;
      keys.push_back(key);
      made.push_back({.call = call, .key = static_cast<std::uint8_t>(key)});
      if (call == Call::update) made.back().operand = fresh();
    }
    if (call == Call::get_many) {
      return recorder_.record(made, [&](std::span<Operation> told) {
        dict_.get_many(keys, [&](std::size_t i, const V* value) {
          told[i].found = value != nullptr;
          if (value != nullptr) told[i].value = As::number(keys[i], *value);
        });
      });
    }
    std::vector<std::pair<std::uint64_t, V>> items;
    for (const Operation& each : made) items.emplace_back(each.key, As::make(each.key, each.operand));
    recorder_.record(made, [&](std::span<Operation>) { dict_.update(items); });
  }

  /// One call for all of the keys.
  void all(Call call) {
    std::vector<Operation> made;
    for (std::uint64_t key = 0; key < keys_; ++key)
      made.push_back({.call = call, .key = static_cast<std::uint8_t>(key)});
    recorder_.record(made, [&](std::span<Operation> told) {
      if (call == Call::clear) return dict_.clear();
      dict_.erase_if([&](std::uint64_t key, const V& value) {
        if (key >= keys_) return false;
        told[key].found = true;
        told[key].value = As::number(key, value);
        return told[key].value % 2 != 0;
      });
    });
  }

  Dict& dict_;
  Recorder recorder_;
  std::uint64_t self_;
  std::uint64_t keys_;
  std::mt19937_64 random_;
  std::uint64_t numbers_ = 0;
  std::uint64_t cold_ = 0;
  std::array<std::uint64_t, kHotKeys> last_{};  ///< what this process last saw there
  V value_{};
  V out_{};
};

}  // namespace shared_dict::test
