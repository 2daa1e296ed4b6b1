// What does a death cost the others?
//
// A process is killed inside a callback, with the lock of a shard of a dictionary with a million items. Measured is the next write in that
// shard: it finds out that the owner is dead, releases its locks, and repairs the shard before it stores anything. And how many reads
// another process completed meanwhile, in that shard and in the others, each of which must find its key.
#include "support.hpp"

#include <shared_dict/shared_dict.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <iomanip>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace benchmark_support;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr double kBarMs = 500;

struct Settings {
  std::size_t items = 1'000'000;
  int kills = 50;
};

// Zero at first, and seen by all children.
struct Board {
  std::atomic<std::uint64_t> reads;
  std::atomic<int> inside;
  std::atomic<int> wrong;
  std::atomic<int> stop;
};

// A forked process that does something until it is killed, at the latest when this goes.
class Child {
 public:
  template <class Body>
  explicit Child(Body body) : pid_(::fork()) {
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    try {
      body();
    } catch (...) {
    }
    ::_exit(1);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { end(); }

  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  ::pid_t pid_;
};

std::uint64_t key_of(std::size_t index) { return static_cast<std::uint64_t>(index) * 0x9E37'79B9'7F4A'7C15U; }

// Values tell their key, and how often they were written.
struct Longs {
  using Value = std::uint64_t;
  static constexpr const char* name = "8-byte values";
  static Value make(std::uint64_t key) { return key; }
  static void touch(Value& value) { value ^= 1; }
  static bool right(std::uint64_t key, const Value& value) { return (value | 1) == (key | 1); }
};
struct Strings {
  using Value = std::string;
  static constexpr const char* name = "100-byte values";
  static Value make(std::uint64_t key) {
    Value value = std::to_string(key);
    value.resize(100, 'v');
    return value;
  }
  static void touch(Value& value) { value.back() = value.back() == 'v' ? 'w' : 'v'; }
  static bool right(std::uint64_t key, const Value& value) {
    const std::string digits = std::to_string(key);
    return value.size() == 100 && value.compare(0, digits.size(), digits) == 0;
  }
};

// False if the worst is above the bar.
template <class Kind>
bool measure(const Settings& settings) {
  using Dict = shared_dict::SharedDict<std::uint64_t, typename Kind::Value>;
  Dict d = Dict::create("recovery_bench." + std::to_string(::getpid()));
  for (std::size_t i = 0; i < settings.items; ++i) d.insert(key_of(i), Kind::make(key_of(i)));
  const SeenByChildren<Board> board;
  Child reader([&] {
    std::mt19937_64 random(1);
    typename Kind::Value value{};
    while (board->stop.load() == 0) {
      const std::uint64_t key = key_of(random() % settings.items);
      if (!d.try_get(key, value) || !Kind::right(key, value)) board->wrong = 1;
      board->reads.fetch_add(1);
    }
  });

  std::mt19937_64 random(2);
  Series first_write;  // in ns
  Series next_write;
  Series reads;
  for (int kill = 0; kill < settings.kills; ++kill) {
    const std::uint64_t key = key_of(random() % settings.items);
    board->inside = 0;
    Child holder([&] {
      d.modify(key, [&](auto&) {
        board->inside = 1;
        for (;;) ::pause();
      });
    });
    const auto deadline = Clock::now() + 30s;
    while (board->inside.load() == 0) {
      if (Clock::now() > deadline) throw std::runtime_error("the child that is to be killed got no lock");
    }
    holder.end();
    const auto write = [&] {
      const auto start = Clock::now();
      if (!d.modify(key, Kind::touch)) throw std::runtime_error("a key is lost");
      return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    };
    const std::uint64_t before = board->reads.load();
    first_write.ns.push_back(write());
    reads.ns.push_back(static_cast<double>(board->reads.load() - before));
    next_write.ns.push_back(write());
  }
  board->stop = 1;
  if (board->wrong.load() != 0) throw std::runtime_error("a reader missed a key, or read a wrong value");
  if (d.stats().recoveries < static_cast<std::uint64_t>(settings.kills))
    throw std::runtime_error("a death was not recovered from");
  if (const auto report = d.audit(); !report.ok()) throw std::runtime_error(report.problems.front());

  const double worst = *std::max_element(first_write.ns.begin(), first_write.ns.end()) / 1e6;
  const double fewest = *std::min_element(reads.ns.begin(), reads.ns.end());
  std::cout << std::left << std::setw(18) << Kind::name << std::right << std::fixed << std::setprecision(1)
            << std::setw(12) << first_write.median() / 1e6 << std::setw(10) << worst << std::setw(15)
            << next_write.median() / 1e3 << std::setw(15) << std::setprecision(0) << reads.median() << std::setw(12)
            << fewest << (worst < kBarMs ? "" : "  above the bar") << std::endl;
  return worst < kBarMs;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
      const std::string_view option = argv[i];
      if (option == "--quick") {
        settings = {100'000, 3};
      } else if (option == "--kills" && i + 1 < argc) {
        settings.kills = parse<int>(option, argv[++i], 1, 100'000);
      } else {
        std::cerr << "usage: recovery_bench [--quick] [--kills N]\n";
        return option == "--help" ? 0 : 2;
      }
    }
    std::cout << "\n"
              << settings.items << " items, " << settings.kills
              << " times a process is killed with a shard's lock; the bar is " << kBarMs << " ms\n"
              << "                  first write in ms           next one in us    reads meanwhile\n"
              << "                      median     worst         median         median      fewest\n";
    const bool longs = measure<Longs>(settings);
    return measure<Strings>(settings) && longs ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "recovery_bench: " << error.what() << "\n";
    return 1;
  }
}
