// What the benchmarks share: cores, memory that children see, figures of several rounds, the command line.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <exception>
#include <fstream>
#include <iostream>
#include <new>
#include <ostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sched.h>
#include <sys/mman.h>
#include <sys/types.h>

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

// A thread; 0 is the caller.
// Seconds that a process has been ready to run without running; `process`: its number. 0 where the system doesn't say.
inline double seconds_waited(const std::string& process = "self") {
  std::ifstream file("/proc/" + process + "/schedstat");
  double ran = 0;
  double waited = 0;
  file >> ran >> waited;
  return waited / 1e9;
}

inline void pin_to(const std::vector<int>& cores, pid_t thread = 0) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int core : cores) CPU_SET(core, &set);
  ::sched_setaffinity(thread, sizeof set, &set);
}

// One object, value-initialised, that this process shares with those it forks.
template <class T>
class SeenByChildren {
 public:
  SeenByChildren() {
    void* const at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("no memory to share with the children");
    object_ = ::new (at) T{};
  }
  SeenByChildren(const SeenByChildren&) = delete;
  SeenByChildren& operator=(const SeenByChildren&) = delete;
  ~SeenByChildren() { ::munmap(object_, sizeof(T)); }
  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }

 private:
  T* object_;
};

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

  // Of two measurements in the same round, so that a machine that gets slower meanwhile changes little.
  friend double median_ratio(const Series& above, const Series& below) {
    Series ratios;
    for (std::size_t i = 0; i < below.ns.size(); ++i) ratios.ns.push_back(above.ns[i] / below.ns[i]);
    return ratios.median();
  }
};

// A JSON object without its closing brace, so that more can follow.
inline void write_json(std::ostream& out, const Series& series) {
  out << "{\"median_ns\": " << series.median() << ", \"spread\": " << series.spread() << ", \"ns\": [";
  for (std::size_t i = 0; i < series.ns.size(); ++i) out << (i == 0 ? "" : ", ") << series.ns[i];
  out << "]";
}

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

// Goes through a command line: `while (arguments.next())`, and then the option's value where it has one.
class Arguments {
 public:
  Arguments(int argc, char** argv) : rest_(argv + 1, argv + argc) {}

  bool next() {
    if (at_ == rest_.size()) return false;
    option_ = rest_[at_++];
    return true;
  }
  bool is(std::string_view option) const { return option_ == option; }
  std::string_view value() {
    if (at_ == rest_.size()) throw std::invalid_argument(std::string(option_) + " needs a value");
    return rest_[at_++];
  }
  template <class T>
  T number(T low, T high) {
    const std::string_view option = option_;
    return parse<T>(option, value(), low, high);
  }
  [[noreturn]] void unknown() const { throw std::invalid_argument("unknown option '" + std::string(option_) + "'"); }

 private:
  std::vector<std::string_view> rest_;
  std::string_view option_;
  std::size_t at_ = 0;
};

// The body of main. `parse` changes the settings, and returns false if help was asked for; `run` returns whether all was
// well.
template <class Settings, class Parse, class Run>
int run_program(const std::string& name, const std::string& usage, Parse parse, Run run, Settings settings) {
  try {
    if (!parse(settings)) {
      std::cout << usage;
      return 0;
    }
  } catch (const std::invalid_argument& e) {
    std::cerr << name << ": " << e.what() << '\n' << usage;
    return 2;
  }
  try {
    return run(settings) ? 0 : 1;
  } catch (const std::exception& e) {
    std::cerr << name << ": " << e.what() << '\n';
    return 1;
  }
}

template <class Settings, class Parse, class Run>
int run_program(const std::string& name, const std::string& usage, Parse parse, Run run) {
  Settings settings;
  return run_program<Settings>(name, usage, parse, run, std::move(settings));
}

}  // namespace benchmark_support
