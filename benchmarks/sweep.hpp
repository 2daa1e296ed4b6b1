// The frame of the benchmarks along one quantity: command line, bars, figures for plot_sweeps.py.
#pragma once

#include "rounds.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sweep {

using namespace benchmark_support;

struct Settings {
  int rounds = 5;
  double seconds = 0.2;  // of one measurement
  int repeats = 3;       // of one that other programs have disturbed
  double tolerated = 0.02;
  bool quick = false;
  bool large = false;
  std::string json;
};

// What is measured at one place of the quantity, and whether bars are held: printed by the programs, kept for the file.
class Report {
 public:
  using Figures = std::vector<std::pair<std::string, double>>;

  Report(std::string benchmark, const Settings& settings) : benchmark_(std::move(benchmark)), path_(settings.json) {
    if (path_.empty()) return;
    file_.open(path_);
    if (!file_) throw std::runtime_error("can't write " + path_);
  }

  void point(std::string_view line, double x, Figures figures) {
    figures.insert(figures.begin(), {"x", x});
    points_.push_back({std::string(line), std::move(figures)});
  }

  void bar(const std::string& what, double value, double limit) { bars_.push_back({what, value, limit}); }

  void finish(int disturbed) {
    if (!bars_.empty()) std::cout << "\nbar                                                          is     at most\n";
    for (const Bar& bar : bars_) {
      std::cout << std::left << std::setw(52) << bar.what << std::right << std::fixed << std::setprecision(2)
                << std::setw(11) << bar.value << std::setw(12) << bar.limit << (bar.held() ? "" : "  above the bar")
                << '\n';
    }
    if (disturbed != 0)
      std::cout << "Noisy: during " << disturbed << " measurements other programs used the cores, too.\n";
    std::cout << std::flush;
    if (file_.is_open()) write();
  }

 private:
  struct Point {
    std::string line;
    Figures figures;
  };
  struct Bar {
    std::string what;
    double value, limit;
    bool held() const { return value <= limit; }
  };

  void write() {
    file_ << "{\n  \"benchmark\": \"" << benchmark_ << "\", \"compiler\": \"" << __VERSION__ << "\",\n  \"points\": [";
    const char* comma = "\n";
    for (const Point& point : points_) {
      file_ << std::exchange(comma, ",\n") << "    {\"line\": \"" << point.line << '"';
      for (const auto& [name, value] : point.figures) file_ << ", \"" << name << "\": " << value;
      file_ << '}';
    }
    file_ << "\n  ],\n  \"bars\": [";
    comma = "\n";
    for (const Bar& bar : bars_) {
      file_ << std::exchange(comma, ",\n") << "    {\"what\": \"" << bar.what << "\", \"value\": " << bar.value
            << ", \"limit\": " << bar.limit << ", \"held\": " << (bar.held() ? "true" : "false") << '}';
    }
    file_ << "\n  ]\n}\n";
    if (!file_.flush()) throw std::runtime_error("can't write " + path_);
  }

  std::string benchmark_, path_;
  std::ofstream file_;
  std::vector<Point> points_;
  std::vector<Bar> bars_;
};

constexpr const char* kOptions =
    "  --rounds N    measurements of each thing, in turn (default 5)\n"
    "  --seconds S   length of a measurement (default 0.2)\n"
    "  --repeats N   times that a measurement is repeated which other programs disturb (default 3)\n"
    "  --large       the largest sizes, too\n"
    "  --quick       one short round of little: does it work, not how fast is it\n"
    "  --json FILE   write the figures there, too\n";

// False if help was asked for.
inline bool parse_arguments(Arguments arguments, Settings& settings) {
  while (arguments.next()) {
    if (arguments.is("--help") || arguments.is("-h")) return false;
    if (arguments.is("--rounds"))
      settings.rounds = arguments.number(1, 1000);
    else if (arguments.is("--seconds"))
      settings.seconds = arguments.number(0.001, 60.0);
    else if (arguments.is("--repeats"))
      settings.repeats = arguments.number(0, 1000);
    else if (arguments.is("--json"))
      settings.json = arguments.value();
    else if (arguments.is("--large"))
      settings.large = true;
    else if (arguments.is("--quick"))
      settings.quick = true, settings.rounds = 1, settings.seconds = 0.002, settings.repeats = 0;
    else
      arguments.unknown();
  }
  if (settings.quick && settings.large) throw std::invalid_argument("--quick and --large exclude each other");
  return true;
}

// The whole of main(). `measure` prints as it goes; what it throws ends the program with 1.
inline int run(const std::string& program, const std::string& what_is_large, int argc, char** argv,
               const std::function<void(const Settings&, Quiet&, Report&)>& measure, const Settings& defaults = {}) {
  const std::string usage = "usage: " + program +
                            " [--rounds N] [--seconds S] [--repeats N] [--large] [--quick] [--json FILE]\n" + kOptions +
                            "large: " + what_is_large + "\n";
  const auto parse = [&](Settings& settings) { return parse_arguments(Arguments(argc, argv), settings); };
  const auto measure_all = [&](const Settings& settings) {
    std::array<double, 1> load{};
    ::getloadavg(load.data(), 1);
    std::cout << program << ": " << settings.rounds << " rounds of " << settings.seconds << " s, load " << load[0]
              << ", " << __VERSION__ << std::endl;
    pin_to({all_cores().front()});
    Report report(program.substr(0, program.find('_')), settings);
    Quiet quiet(settings.repeats, settings.tolerated);
    measure(settings, quiet, report);
    report.finish(quiet.disturbed());
    return true;
  };
  return run_program(program, usage, parse, measure_all, defaults);
}

}  // namespace sweep
