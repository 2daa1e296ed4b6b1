// Is there an order of the recorded operations, each at a moment between its call and its return, in which all of them told the truth?
//
// Asked for each key alone, since a history is linearizable if it is so for each object (Horn and Kroening, "Faster linearizability
// checking via P-compositionality", FORTE 2015). The search is that of Wing and Gong ("Testing and verifying concurrent objects", JPDC
// 1993), just in time as Lowe has it ("Testing for linearizability", CCPE 2017): walk through calls and returns in the order of time, and
// keep every configuration that can have been reached: the key's state, and which of the open operations have happened. Only a return
// forces one: where the operation hasn't happened yet, it does now, after any of the other open ones. None left: not linearizable.
//
// Configurations that are the same are one, and three rules keep them few without losing an answer:
//   - an operation that only looks happens as soon as what it told is true: nothing is gained by waiting;
//   - an undecided operation, one whose process was killed in it, never returns, so it may happen at any time, once, or never; it is
//     taken only where it changes something;
//   - of two configurations that differ in undecided operations alone, the one in which fewer of them happened can do what the
//     other can.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "support/history.hpp"

namespace shared_dict::test {

struct Verdict {
  bool linearizable = true;
  std::string why;  ///< where no order was found, with what went before
  std::uint64_t operations = 0;
  std::uint64_t overlapping = 0;     ///< pairs of operations of which none had returned when the other was called
  std::uint64_t undecided = 0;       ///< changes whose process was killed in them
  std::uint64_t undecided_seen = 0;  ///< of these the ones that must have happened, as somebody saw it

  /// Counts together; the first failure stays.
  void add(const Verdict& other) {
    if (linearizable && !other.linearizable) why = other.why;
    linearizable = linearizable && other.linearizable;
    operations += other.operations;
    overlapping += other.overlapping;
    undecided += other.undecided;
    undecided_seen += other.undecided_seen;
  }
};

/// The operations on one key, in any order. Use judge().
class KeyHistory {
 public:
  /// `initial`: the key's state before the first of them.
  KeyHistory(std::vector<Operation> operations, const KeyState& initial) : operations_(std::move(operations)) {
    verdict_.operations = operations_.size();
    configurations_.push_back({0, initial});
  }

  Verdict judge() {
    count_overlaps();
    for (const Event& event : events()) {
      const std::uint64_t bit = event.returns ? bit_of(event.operation) : 0;
      if (!event.returns) {
        if (!open(event.operation)) return fail("more than 64 operations are open at once", event.operation);
      } else {
        happen(bit);
        if (next_.empty()) return fail("no order explains", event.operation);
        if (next_.size() > kMost) return fail("too many configurations at", event.operation);
        configurations_.swap(next_);
        close(bit);
      }
    }
    for (std::uint64_t left = undecided_; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      const bool seen = std::all_of(configurations_.begin(), configurations_.end(),
                                    [&](const Configuration& each) { return (each.happened & bit) != 0; });
      verdict_.undecided_seen += seen ? 1U : 0U;
    }
    return verdict_;
  }

 private:
  static constexpr std::size_t kMost = 20'000;

  struct Event {
    std::uint64_t time;
    bool returns;
    std::size_t operation;
  };

  struct Configuration {
    std::uint64_t happened;  ///< a bit for each open operation
    KeyState state;

    friend bool operator==(const Configuration&, const Configuration&) = default;
  };

  /// Calls and returns in the order of time; of those at the same time the calls come first, so that they overlap.
  std::vector<Event> events() const {
    std::vector<Event> all;
    all.reserve(operations_.size() * 2);
    for (std::size_t i = 0; i < operations_.size(); ++i) {
      const Operation& operation = operations_[i];
      if (operation.undecided() && only_looks(operation)) continue;
      all.push_back({operation.invoked, false, i});
      if (!operation.undecided()) all.push_back({operation.returned, true, i});
    }
    std::sort(all.begin(), all.end(), [](const Event& a, const Event& b) {
      return std::tie(a.time, a.returns, a.operation) < std::tie(b.time, b.returns, b.operation);
    });
    return all;
  }

  void count_overlaps() {
    std::uint64_t open = 0;
    for (const Event& event : events()) {
      if (operations_[event.operation].undecided()) continue;
      if (!event.returns) verdict_.overlapping += open;
      open += event.returns ? ~std::uint64_t{0} : 1;
    }
  }

  std::uint64_t bit_of(std::size_t operation) const {
    const auto at = std::find(open_.begin(), open_.end(), operation);
    return std::uint64_t{1} << (at - open_.begin());
  }
  const Operation& at_bit(std::uint64_t bit) const {
    return operations_[open_[static_cast<std::size_t>(std::countr_zero(bit))]];
  }

  bool open(std::size_t operation) {
    if (used_ == ~std::uint64_t{0}) return false;
    const auto place = static_cast<std::size_t>(std::countr_one(used_));
    const std::uint64_t bit = std::uint64_t{1} << place;
    used_ |= bit;
    open_.resize(std::max(open_.size(), place + 1), operations_.size());
    open_[place] = operation;
    if (operations_[operation].undecided()) {
      undecided_ |= bit;
      ++verdict_.undecided;
    } else if (only_looks(operations_[operation])) {
      lookers_ |= bit;
      for (Configuration& each : configurations_) look(each);
    }
    return true;
  }

  void close(std::uint64_t bit) {
    used_ &= ~bit;
    lookers_ &= ~bit;
    open_[static_cast<std::size_t>(std::countr_zero(bit))] = operations_.size();
    for (Configuration& each : configurations_) each.happened &= ~bit;
    thin_out(configurations_);
  }

  /// Lets those that only look happen where they told the truth.
  void look(Configuration& configuration) const {
    for (std::uint64_t left = lookers_ & ~configuration.happened; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      if (agrees(at_bit(bit), configuration.state)) configuration.happened |= bit;
    }
  }

  /// Into next_: all configurations in which the operation has happened.
  void happen(std::uint64_t wanted) {
    next_.clear();
    reached_.clear();
    for (const Configuration& each : configurations_)
      ((each.happened & wanted) != 0 ? next_ : reached_).push_back(each);
    for (std::size_t i = 0; i < reached_.size() && reached_.size() <= kMost; ++i) {
      const Configuration from = reached_[i];
      for (std::uint64_t left = used_ & ~lookers_ & ~from.happened; left != 0; left &= left - 1) {
        const std::uint64_t bit = left & (~left + 1);
        const Operation& operation = at_bit(bit);
        if (!operation.undecided() && !agrees(operation, from.state)) continue;
        Configuration to{from.happened | bit, after(operation, from.state)};
        if (operation.undecided() && to.state == from.state) continue;
        look(to);
        std::vector<Configuration>& where = (to.happened & wanted) != 0 ? next_ : reached_;
        if (std::find(where.begin(), where.end(), to) == where.end()) where.push_back(to);
      }
    }
  }

  /// Takes those away that can do no more than another.
  void thin_out(std::vector<Configuration>& all) const {
    if (all.size() < 2) return;
    const auto group = [this](const Configuration& each) {
      return std::make_tuple(each.happened & ~undecided_, each.state);
    };
    const auto rank = [this](const Configuration& each) { return std::popcount(each.happened & undecided_); };
    std::sort(all.begin(), all.end(), [&](const Configuration& a, const Configuration& b) {
      return std::make_tuple(group(a), rank(a), a.happened) < std::make_tuple(group(b), rank(b), b.happened);
    });
    std::vector<Configuration> kept;
    for (const Configuration& each : all) {
      bool wanted = true;
      for (auto it = kept.rbegin(); wanted && it != kept.rend() && group(*it) == group(each); ++it) {
        wanted = (it->happened & ~each.happened) != 0;
      }
      if (wanted) kept.push_back(each);
    }
    all.swap(kept);
  }

  Verdict fail(const char* what, std::size_t operation) {
    std::string& why = verdict_.why;
    const Operation& failed = operations_[operation];
    why = std::string(what) + "\n  key " + std::to_string(failed.key) + ", " + text_of(failed);
    why += "\nopen at its return:";
    for (std::uint64_t left = used_; left != 0; left &= left - 1) {
      const std::uint64_t bit = left & (~left + 1);
      if (&at_bit(bit) != &failed) why += "\n  " + text_of(at_bit(bit));
    }
    why += "\npossible states before:";
    for (std::size_t i = 0; i < configurations_.size() && i < 10; ++i) why += " " + text_of(configurations_[i].state);
    why += "\nreturned before, the last first:";
    std::vector<Operation> before;
    for (const Operation& each : operations_) {
      if (each.returned < failed.returned) before.push_back(each);
    }
    std::sort(before.begin(), before.end(),
              [](const Operation& a, const Operation& b) { return a.returned > b.returned; });
    for (std::size_t i = 0; i < before.size() && i < 12; ++i) why += "\n  " + text_of(before[i]);
    verdict_.linearizable = false;
    return verdict_;
  }

  std::vector<Operation> operations_;
  std::vector<Configuration> configurations_;
  std::vector<Configuration> next_;
  std::vector<Configuration> reached_;
  std::vector<std::size_t> open_;  ///< the operation of each bit
  std::uint64_t used_ = 0;         ///< bits of open operations
  std::uint64_t lookers_ = 0;      ///< of those that only look
  std::uint64_t undecided_ = 0;    ///< of those that never return
  Verdict verdict_;
};

/// The verdict on a whole history: on each of its keys, from 0 on, which were in the states `initial` before it.
inline Verdict judge(const std::vector<Operation>& history, const std::vector<KeyState>& initial) {
  std::vector<std::vector<Operation>> of_key(initial.size());
  for (const Operation& operation : history) of_key.at(operation.key).push_back(operation);
  Verdict verdict;
  for (std::size_t key = 0; key < of_key.size(); ++key) {
    verdict.add(KeyHistory(std::move(of_key[key]), initial[key]).judge());
  }
  return verdict;
}

}  // namespace shared_dict::test
