// What core_bench and peers_bench can be told, and say of themselves, in the same way.
#pragma once

#include "data.hpp"
#include "support.hpp"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <stdexcept>
#include <string>

namespace benchmark_support {

struct RowSettings {
  std::size_t items = 100'000;
  std::size_t value_size = 100;
  std::size_t rounds = 5;
  double seconds = 0.35;  // of one measurement
  int repeats = 3;        // of one that other programs have disturbed
  std::string json;
};

constexpr const char* kRowOptions =
    "  --items N         items in each container (default 100000)\n"
    "  --value-size N    bytes of a value (default 100); keys have 16\n"
    "  --rounds N        measurements of each row and container, in turn (default 5)\n"
    "  --seconds S       length of a measurement (default 0.35)\n"
    "  --repeats N       times that a measurement is repeated which other programs disturb (default 3)\n"
    "  --quick           3 short rounds with fewer items: does it work, not how fast is it\n"
    "  --json FILE       write the figures there, too\n";

// False if the option isn't one of these.
inline bool take_row_option(Arguments& arguments, RowSettings& settings) {
  if (arguments.is("--items"))
    settings.items = arguments.number<std::size_t>(100, 100'000'000);
  else if (arguments.is("--value-size"))
    settings.value_size = arguments.number<std::size_t>(1, 500'000);
  else if (arguments.is("--rounds"))
    settings.rounds = arguments.number<std::size_t>(1, 1000);
  else if (arguments.is("--seconds"))
    settings.seconds = arguments.number(0.001, 60.0);
  else if (arguments.is("--repeats"))
    settings.repeats = arguments.number(0, 1000);
  else if (arguments.is("--quick"))
    settings.items = 10'000, settings.rounds = 3, settings.seconds = 0.03, settings.repeats = 0;
  else if (arguments.is("--json"))
    settings.json = arguments.value();
  else
    return false;
  return true;
}

inline void print_headline(std::ostream& out, const std::string& program, const RowSettings& settings) {
  std::array<double, 1> load{};
  ::getloadavg(load.data(), 1);
  out << program << ": " << settings.items << " items, " << kKeySize << "-byte keys, " << settings.value_size
      << "-byte values, " << settings.rounds << " rounds of " << settings.seconds << " s, " << usable_cores().size()
      << " cores, load " << load[0] << ", " << __VERSION__ << '\n';
}

inline void print_disturbed(std::ostream& out, std::size_t measurements) {
  if (measurements != 0)
    out << "Noisy: during " << measurements << " measurements other programs used the cores, too.\n";
}

// The file is opened before the measurements, so that a wrong path is known at once. Not open if none is wanted.
inline std::ofstream open_json(const RowSettings& settings) {
  std::ofstream file;
  if (!settings.json.empty()) file.open(settings.json);
  if (!file) throw std::runtime_error("can't write " + settings.json);
  return file;
}

// Its beginning: an object that has no end yet.
inline void begin_json(std::ostream& file, const std::string& benchmark, const RowSettings& settings) {
  file << "{\n  \"benchmark\": \"" << benchmark << "\", \"compiler\": \"" << __VERSION__
       << "\", \"cores\": " << usable_cores().size() << ", \"items\": " << settings.items
       << ", \"key_size\": " << kKeySize << ", \"value_size\": " << settings.value_size
       << ", \"rounds\": " << settings.rounds << ", \"seconds\": " << settings.seconds;
}

inline void end_json(std::ostream& file, const RowSettings& settings) {
  file << "\n  ]\n}\n";
  if (!file.flush()) throw std::runtime_error("can't write " + settings.json);
}

}  // namespace benchmark_support
