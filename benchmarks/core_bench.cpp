// What does sharing cost? SharedDict against a std::unordered_map that nobody else can see, by one and by two
// processes.
//
// Two workers, each pinned to a core, live as long as the program. Each has private maps and handles of the
// dictionaries. The driver tells one or both of them to run a row; they start together at a barrier in shared memory.
// Keys, values and the order of operations are prepared before the clock starts, and every row checks its results.
#include "core_rows.hpp"
#include "row_settings.hpp"
#include "support.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using namespace benchmark_support;
using namespace core_bench;

constexpr std::size_t kWorkers = 2;

struct Settings : RowSettings {
  std::string only;
};

struct Row {
  const char* name;
  Work work;
  std::size_t processes;
  int single = -1;  // index of the row that does the same with one process
};

constexpr std::array kRows{
    Row{"insert", Work::insert, 1},
    Row{"insert, new dictionary", Work::insert_new, 1},
    Row{"read x1", Work::read, 1},
    Row{"read x2", Work::read, 2, 2},
    Row{"write x1", Work::write, 1},
    Row{"write x2", Work::write, 2, 4},
    Row{"95/5 x1", Work::mixed, 1},
    Row{"95/5 x2", Work::mixed, 2, 6},
    Row{"erase+insert", Work::erase_insert, 1},
    Row{"fetch_add x1", Work::fetch_add, 1},
    Row{"fetch_add x2", Work::fetch_add, 2, 9},
    Row{"fetch_add, 1 key x1", Work::fetch_add_one, 1},
    Row{"fetch_add, 1 key x2", Work::fetch_add_one, 2, 11},
    Row{"contains, miss", Work::miss, 1},
};

// ---- Results ----

struct Result {
  Series alone, shared;

  double time_ratio() const { return median_ratio(shared, alone); }
};

void print(const std::vector<Result>& results) {
  std::cout << std::fixed << "\n"
            << std::left << std::setw(24) << "" << std::right << "   private unordered_map           SharedDict\n"
            << std::left << std::setw(24) << "operation" << std::right
            << "   ns/op  Mops/s  spread     ns/op  Mops/s  spread   time ratio   x2/x1 private  shared\n";
  for (std::size_t r = 0; r < kRows.size(); ++r) {
    const Result& result = results[r];
    if (result.shared.ns.empty()) continue;
    std::cout << std::left << std::setw(24) << kRows[r].name << std::right;
    for (const Series* s : {&result.alone, &result.shared}) {
      std::cout << std::setprecision(1) << std::setw(8) << s->median() << std::setprecision(2) << std::setw(8)
                << s->mops(kRows[r].processes) << std::setprecision(0) << std::setw(7) << s->spread() * 100 << "%  ";
    }
    std::cout << std::setprecision(2) << std::setw(11) << result.time_ratio();
    if (kRows[r].single >= 0 && !results[static_cast<std::size_t>(kRows[r].single)].shared.ns.empty()) {
      const Result& single = results[static_cast<std::size_t>(kRows[r].single)];
      std::cout << std::setw(16) << result.alone.mops(2) / single.alone.mops(1) << std::setw(8)
                << result.shared.mops(2) / single.shared.mops(1);
    }
    std::cout << '\n';
  }
  std::cout << "\nns/op: median of the rounds, as one process sees it; Mops/s: all processes together; spread: (max - "
               "min) / median;\n"
               "time ratio: median of SharedDict / private, below 1 means that SharedDict is faster. With x2 each "
               "process has a\n"
               "private map of its own, while the dictionary is one. erase+insert is one erase and one insert.\n";
}

void write_json(std::ofstream& file, const Settings& settings, const std::vector<Result>& results) {
  begin_json(file, "core", settings);
  file << ",\n  \"rows\": [";
  const char* comma = "\n";
  for (std::size_t r = 0; r < kRows.size(); ++r) {
    if (results[r].shared.ns.empty()) continue;
    file << std::exchange(comma, ",\n") << "    {\"name\": \"" << kRows[r].name
         << "\", \"processes\": " << kRows[r].processes;
    for (const auto& [label, s] : {std::pair{"private", &results[r].alone}, std::pair{"shared", &results[r].shared}}) {
      file << ", \"" << label << "\": ";
      write_json(file, *s);
      file << "}";
    }
    file << ", \"time_ratio\": " << results[r].time_ratio() << "}";
  }
  end_json(file, settings);
}

// ---- The driver ----

class Driver {
 public:
  explicit Driver(const Settings& settings)
      : settings_(settings),
        name_("core_bench." + std::to_string(::getpid())),
        data_(make_data(settings.items, settings.value_size)) {
    options_.heap_size = std::max(options_.heap_size, settings.items * (kKeySize + settings.value_size) * 2);
  }

  void run() {
    std::ofstream json = open_json(settings_);
    // The workers start before this process opens anything, so that they inherit nothing.
    Workers workers("core_bench", kWorkers, [this](std::size_t worker) -> Workers::Run {
      const auto state = std::make_shared<Worker>(worker, data_, name_, options_);
      return [state](const Command& command) { return state->run(command); };
    });
    auto strings = peers::SharedDict::Dict::create(name_ + ".strings", options_);
    auto numbers = SharedNumbers::create(name_ + ".numbers", options_);
    workers.prepare();
    std::vector<Result> results(kRows.size());
    for (std::size_t round = 0; round < settings_.rounds; ++round) {
      std::cerr << "round " << round + 1 << " of " << settings_.rounds << std::endl;
      for (std::size_t r = 0; r < kRows.size(); ++r) {
        if (!wanted(kRows[r])) continue;
        results[r].alone.ns.push_back(run_row(workers, kRows[r], kPrivate, numbers));
        results[r].shared.ns.push_back(run_row(workers, kRows[r], kShared, numbers));
      }
    }
    for (const auto& problems : {strings.audit().problems, numbers.audit().problems}) {
      if (!problems.empty()) throw std::runtime_error("audit: " + problems.front());
    }
    print(results);
    print_disturbed(std::cout, disturbed_);
    if (json.is_open()) write_json(json, settings_, results);
  }

 private:
  bool wanted(const Row& row) const {
    if (row.processes > usable_cores().size()) return false;
    return std::string_view(row.name).find(settings_.only) != std::string_view::npos;
  }

  static std::uint64_t sum(const SharedNumbers& numbers) {
    std::uint64_t result = 0;
    numbers.for_each([&](std::uint64_t, std::uint64_t value) { result += value; });
    return result;
  }

  double run_row(Workers& workers, const Row& row, Side side, const SharedNumbers& numbers) {
    const bool count = side == kShared && about_numbers(row.work);
    const Measurement best = least_disturbed(settings_.repeats, [&] {
      const std::uint64_t before = count ? sum(numbers) : 0;
      Measurement measurement = workers.run(Command{row.work, side, settings_.seconds}, row.processes);
      if (count) measurement.wrong += sum(numbers) - before != measurement.operations;
      if (measurement.wrong != 0) {
        throw std::runtime_error(std::string(row.name) + (side == kShared ? ", SharedDict: " : ", private: ") +
                                 std::to_string(measurement.wrong) + " wrong results");
      }
      return measurement;
    });
    disturbed_ += best.waited > kTolerated ? 1 : 0;
    return best.ns;
  }

  Settings settings_;
  std::string name_;
  shared_dict::Options options_;
  Data data_;
  std::size_t disturbed_ = 0;
};

// False if help was asked for.
bool parse_arguments(Arguments arguments, Settings& settings) {
  while (arguments.next()) {
    if (arguments.is("--help") || arguments.is("-h")) return false;
    if (arguments.is("--only"))
      settings.only = arguments.value();
    else if (!take_row_option(arguments, settings))
      arguments.unknown();
  }
  return true;
}

bool run(const Settings& settings) {
  print_headline(std::cout, "core_bench", settings);
  if (usable_cores().size() < kWorkers) std::cout << "only one core: the x2 rows are left out\n";
  Driver(settings).run();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program<Settings>(
      "core_bench",
      std::string("usage: core_bench [OPTION...]\n") + kRowOptions +
          "  --only TEXT       only the rows whose name contains TEXT\n",
      [&](Settings& settings) { return parse_arguments(Arguments(argc, argv), settings); }, run);
}
