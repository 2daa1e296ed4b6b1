// Measuring several things in turn: rounds, ratios within a round, and measurements that other programs didn't disturb.
#pragma once

#include "support.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

namespace benchmark_support {

using Clock = std::chrono::steady_clock;

// Those that the program had when it first asked.
inline const std::vector<int>& all_cores() {
  static const std::vector<int> cores = usable_cores();
  return cores;
}

inline void require(bool right, const std::string& what) {
  if (!right) throw std::runtime_error("wrong result: " + what);
}

inline std::string name_for(std::string_view program, std::string_view what) {
  return std::string(program) + "." + std::to_string(::getpid()) + "." + std::string(what);
}

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

inline double ns_since(Clock::time_point start, std::size_t operations) {
  return seconds_since(start) * 1e9 / static_cast<double>(operations);
}

// All variants in turn, round by round: none gets the quiet minute for itself.
inline std::vector<Series> interleave(int rounds, const std::vector<std::function<double()>>& variants) {
  std::vector<Series> all(variants.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < variants.size(); ++i) all[i].ns.push_back(variants[i]());
  }
  return all;
}

// Repeats pass(), which does `operations` operations, until the time is up: nanoseconds per operation.
template <class Pass>
double ns_per_operation(double seconds, std::size_t operations, Pass pass) {
  std::size_t done = 0;
  double spent = 0;
  const auto start = Clock::now();
  do {
    pass();
    done += operations;
    spent = seconds_since(start);
  } while (spent < seconds);
  return spent * 1e9 / static_cast<double>(done);
}

// Repeats measurements during which other programs had the core of one of the watched processes, but not for ever; the
// least disturbed one counts.
class Quiet {
 public:
  Quiet(int repeats, double tolerated) : repeats_(repeats), tolerated_(tolerated) {}

  // From now on, beside this process. It must live as long as measurements are made.
  void watch(pid_t process) { processes_.push_back(std::to_string(process)); }
  void watch_only_this() { processes_.resize(1); }

  template <class Measure>
  auto operator()(const Measure& measure) {
    auto [best, least] = attempt(measure);
    for (int tries = 0; least > tolerated_ && tries < repeats_; ++tries) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      auto [again, waited] = attempt(measure);
      if (waited < least) best = std::move(again), least = waited;
    }
    disturbed_ += least > tolerated_ ? 1 : 0;
    return best;
  }

  int disturbed() const noexcept { return disturbed_; }

 private:
  // Seconds that the watched processes were ready to run without running. 0 where the system doesn't say.
  double seconds_waited() const {
    double sum = 0;
    for (const std::string& process : processes_) sum += benchmark_support::seconds_waited(process);
    return sum;
  }

  template <class Measure>
  auto attempt(const Measure& measure) const {
    const double before = seconds_waited();
    const auto start = Clock::now();
    auto result = measure();
    const double spent = seconds_since(start);
    return std::pair(std::move(result), (seconds_waited() - before) / spent);
  }

  int repeats_;
  double tolerated_;  // the part of the time
  std::vector<std::string> processes_{"self"};
  int disturbed_ = 0;
};

}  // namespace benchmark_support
