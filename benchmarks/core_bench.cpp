// What does sharing cost? SharedDict against a std::unordered_map that nobody else can see, by one and by two
// processes.
//
// Two workers, each pinned to a core, live as long as the program. Each has private maps and handles of the
// dictionaries. The driver tells one or both of them to run a row; they start together at a barrier in shared memory.
// Keys, values and the order of operations are prepared before the clock starts, and every row checks its results.
#include "core_rows.hpp"
#include "support.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace benchmark_support;
using namespace core_bench;

constexpr std::size_t kWorkers = 2;
constexpr double kTolerated = 0.02;  // the part of a measurement during which other programs may have a worker's core

struct Settings {
  std::size_t items = 100'000;
  std::size_t value_size = 100;
  std::size_t rounds = 5;
  double seconds = 0.35;  // of one measurement
  int repeats = 3;        // of one that other programs have disturbed
  std::string json;
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

  // Of the two measurements of the same round, so that a machine that gets slower meanwhile changes little.
  double time_ratio() const {
    Series ratios;
    for (std::size_t i = 0; i < shared.ns.size(); ++i) ratios.ns.push_back(shared.ns[i] / alone.ns[i]);
    return ratios.median();
  }
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
  file << "{\n  \"benchmark\": \"core\", \"compiler\": \"" << __VERSION__ << "\", \"items\": " << settings.items
       << ", \"key_size\": " << kKeySize << ", \"value_size\": " << settings.value_size
       << ", \"rounds\": " << settings.rounds << ", \"seconds\": " << settings.seconds << ",\n  \"rows\": [";
  const char* comma = "\n";
  for (std::size_t r = 0; r < kRows.size(); ++r) {
    if (results[r].shared.ns.empty()) continue;
    file << std::exchange(comma, ",\n") << "    {\"name\": \"" << kRows[r].name
         << "\", \"processes\": " << kRows[r].processes;
    for (const auto& [label, s] : {std::pair{"private", &results[r].alone}, std::pair{"shared", &results[r].shared}}) {
      file << ", \"" << label << "\": {\"median_ns\": " << s->median() << ", \"spread\": " << s->spread()
           << ", \"ns\": [";
      for (std::size_t i = 0; i < s->ns.size(); ++i) file << (i == 0 ? "" : ", ") << s->ns[i];
      file << "]}";
    }
    file << ", \"time_ratio\": " << results[r].time_ratio() << "}";
  }
  file << "\n  ]\n}\n";
  if (!file.flush()) throw std::runtime_error("can't write " + settings.json);
}

// ---- The driver ----

class Driver {
 public:
  explicit Driver(const Settings& settings)
      : settings_(settings),
        name_("core_bench." + std::to_string(::getpid())),
        data_(make_data(settings.items, settings.value_size)),
        cores_(usable_cores()) {
    options_.heap_size = std::max(options_.heap_size, settings.items * (kKeySize + settings.value_size) * 2);
    void* memory = ::mmap(nullptr, sizeof(Barrier), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("mmap failed");
    barrier_ = new (memory) Barrier;
  }
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  ~Driver() {
    for (int socket : sockets_) ::close(socket);  // which ends the workers
    for (int tries = 0; tries < 100 && !all_gone(); ++tries) ::usleep(50'000);
    for (pid_t pid : pids_) ::kill(pid, SIGKILL);
    while (::wait(nullptr) > 0) {
    }
  }

  void run() {
    std::ofstream json;
    if (!settings_.json.empty()) json.open(settings_.json);
    if (!json) throw std::runtime_error("can't write " + settings_.json);
    // The workers start before this process opens anything, so that they inherit nothing.
    for (std::size_t i = 0; i < kWorkers; ++i) start_worker(i);
    auto strings = SharedStrings::create(name_ + ".strings", options_);
    auto numbers = SharedNumbers::create(name_ + ".numbers", options_);
    for (int socket : sockets_) {  // one after the other: the second finds the items in the dictionary already
      send(socket, Command{});
      get_sample(socket);
    }
    std::vector<Result> results(kRows.size());
    for (std::size_t round = 0; round < settings_.rounds; ++round) {
      std::cerr << "round " << round + 1 << " of " << settings_.rounds << std::endl;
      for (std::size_t r = 0; r < kRows.size(); ++r) {
        if (!wanted(kRows[r])) continue;
        results[r].alone.ns.push_back(run_row(kRows[r], false, numbers));
        results[r].shared.ns.push_back(run_row(kRows[r], true, numbers));
      }
    }
    for (const auto& problems : {strings.audit().problems, numbers.audit().problems}) {
      if (!problems.empty()) throw std::runtime_error("audit: " + problems.front());
    }
    print(results);
    if (disturbed_ != 0)
      std::cout << "Noisy: during " << disturbed_ << " measurements other programs used the cores, too.\n";
    if (json.is_open()) write_json(json, settings_, results);
  }

 private:
  bool wanted(const Row& row) const {
    if (row.processes > cores_.size()) return false;
    return std::string_view(row.name).find(settings_.only) != std::string_view::npos;
  }

  bool all_gone() {
    std::erase_if(pids_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    return pids_.empty();
  }

  void start_worker(std::size_t worker) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error("socketpair failed");
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid == 0) {
      ::close(ends[0]);
      std::signal(SIGINT, SIG_IGN);  // the driver's end is the workers' end too, and they clean up
      pin_to(cores_[worker % cores_.size()]);
      try {
        run_worker(worker, ends[1], *barrier_, data_, name_, options_);
        ::_exit(0);
      } catch (const std::exception& e) {
        std::cerr << "core_bench: worker " << worker << ": " << e.what() << '\n';
        ::_exit(1);
      }
    }
    ::close(ends[1]);
    const timeval limit{300, 0};  // for a worker that hangs
    ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockets_.push_back(ends[0]);
    pids_.push_back(pid);
  }

  static Sample get_sample(int socket) {
    Sample sample;
    if (!receive(socket, sample)) throw std::runtime_error("a worker process is gone, or hangs");
    return sample;
  }

  static std::uint64_t sum(const SharedNumbers& numbers) {
    std::uint64_t result = 0;
    numbers.for_each([&](std::uint64_t, std::uint64_t value) { result += value; });
    return result;
  }

  struct Measurement {
    double ns = 0;
    double waited = 0;  // the part of the time during which a worker had no core
  };

  // Again while other programs take the cores away, but not for ever; the least disturbed one counts.
  double run_row(const Row& row, bool shared, const SharedNumbers& numbers) {
    Measurement best = measure_row(row, shared, numbers);
    for (int tries = 0; best.waited > kTolerated && tries < settings_.repeats; ++tries) {
      ::usleep(200'000);
      const Measurement again = measure_row(row, shared, numbers);
      if (again.waited < best.waited) best = again;
    }
    disturbed_ += best.waited > kTolerated ? 1 : 0;
    return best.ns;
  }

  Measurement measure_row(const Row& row, bool shared, const SharedNumbers& numbers) {
    const bool count = shared && about_numbers(row.work);
    const std::uint64_t before = count ? sum(numbers) : 0;
    barrier_target_ += static_cast<unsigned>(row.processes);
    for (std::size_t i = 0; i < row.processes; ++i) {
      send(sockets_[i], Command{row.work, shared, barrier_target_, settings_.seconds});
    }
    double rate = 0;
    std::uint64_t operations = 0;
    std::uint64_t wrong = 0;
    double waited = 0;
    for (std::size_t i = 0; i < row.processes; ++i) {
      const Sample sample = get_sample(sockets_[i]);
      rate += static_cast<double>(sample.operations) / sample.seconds;
      operations += sample.operations;
      wrong += sample.wrong;
      waited = std::max(waited, sample.waited / sample.seconds);
    }
    if (count) wrong += sum(numbers) - before != operations;
    if (wrong != 0) {
      throw std::runtime_error(std::string(row.name) + (shared ? ", SharedDict: " : ", private: ") +
                               std::to_string(wrong) + " wrong results");
    }
    return {static_cast<double>(row.processes) * 1e9 / rate, waited};
  }

  Settings settings_;
  std::string name_;
  shared_dict::Options options_;
  Data data_;
  std::vector<int> cores_;
  Barrier* barrier_ = nullptr;
  unsigned barrier_target_ = 0;
  std::size_t disturbed_ = 0;
  std::vector<int> sockets_;
  std::vector<pid_t> pids_;
};

constexpr const char* kUsage =
    "usage: core_bench [--items N] [--value-size N] [--rounds N] [--seconds S] [--only TEXT] [--quick] [--json FILE]\n"
    "  --items N        items in each container (default 100000)\n"
    "  --value-size N   bytes of a value (default 100); keys have 16\n"
    "  --rounds N       measurements of each row and side, in turn (default 5)\n"
    "  --seconds S      length of a measurement (default 0.35)\n"
    "  --only TEXT      only the rows whose name contains TEXT\n"
    "  --quick          3 short rounds with fewer items: does it work, not how fast is it\n"
    "  --json FILE      write the figures there, too\n";

// False if help was asked for.
bool parse_arguments(int argc, char** argv, Settings& settings) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&]() -> std::string_view {
      if (i + 1 == argc) throw std::invalid_argument(std::string(arg) + " needs a value");
      return argv[++i];
    };
    if (arg == "--help" || arg == "-h") return false;
    if (arg == "--items")
      settings.items = parse<std::size_t>(arg, value(), 100, 100'000'000);
    else if (arg == "--value-size")
      settings.value_size = parse<std::size_t>(arg, value(), 1, 1 << 20);
    else if (arg == "--rounds")
      settings.rounds = parse<std::size_t>(arg, value(), 1, 1000);
    else if (arg == "--seconds")
      settings.seconds = parse(arg, value(), 0.001, 60.0);
    else if (arg == "--only")
      settings.only = value();
    else if (arg == "--json")
      settings.json = value();
    else if (arg == "--quick")
      settings.items = 10'000, settings.rounds = 3, settings.seconds = 0.03, settings.repeats = 0;
    else
      throw std::invalid_argument("unknown option '" + std::string(arg) + "'");
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  try {
    if (!parse_arguments(argc, argv, settings)) {
      std::cout << kUsage;
      return 0;
    }
  } catch (const std::invalid_argument& e) {
    std::cerr << "core_bench: " << e.what() << '\n' << kUsage;
    return 2;
  }
  try {
    std::array<double, 1> load{};
    ::getloadavg(load.data(), 1);
    std::cout << "core_bench: " << settings.items << " items, " << kKeySize << "-byte keys, " << settings.value_size
              << "-byte values, " << settings.rounds << " rounds of " << settings.seconds << " s, load " << load[0]
              << ", " << __VERSION__ << '\n';
    if (usable_cores().size() < kWorkers) std::cout << "only one core: the x2 rows are left out\n";
    Driver(settings).run();
  } catch (const std::exception& e) {
    std::cerr << "core_bench: " << e.what() << '\n';
    return 1;
  }
}
