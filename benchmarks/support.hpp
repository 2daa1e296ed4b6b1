// What the benchmarks share: cores, figures of several rounds, numbers on the command line.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sched.h>

namespace benchmark_support {

inline std::vector<int> usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  ::sched_getaffinity(0, sizeof set, &set);
  std::vector<int> cores;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) cores.push_back(i);
  }
  return cores;
}

inline void pin_to(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

// One figure per round.
struct Series {
  std::vector<double> ns;  // what one operation takes, as one process sees it

  double median() const {
    std::vector<double> sorted = ns;
    std::sort(sorted.begin(), sorted.end());
    const std::size_t half = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  double spread() const {
    const auto [low, high] = std::minmax_element(ns.begin(), ns.end());
    return (*high - *low) / median();
  }
  double mops(std::size_t processes) const { return static_cast<double>(processes) * 1e3 / median(); }
};

// Throws std::invalid_argument unless `text` is a number from `low` to `high`.
template <class T>
T parse(std::string_view option, std::string_view text, T low, T high) {
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < low || number > high) {
    throw std::invalid_argument(std::string(option) + ": '" + std::string(text) + "' is no number in its range");
  }
  return number;
}

}  // namespace benchmark_support
