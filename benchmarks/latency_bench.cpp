// How long do single operations take, the slow ones included? Reads with no writer and beside a process that writes at
// full speed; inserts into a dictionary that grows; attaching, opening, creating and closing.
//
// Each operation is timed by itself: one look at the clock after each. What a look costs is measured, too, and is
// contained in all figures.
#include "companion.hpp"
#include "data.hpp"
#include "sweep.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace sweep;
using Strings = shared_dict::SharedDict<std::int64_t, std::string>;
using Numbers = shared_dict::SharedDict<std::int64_t, std::int64_t>;

constexpr std::size_t kValueSize = 100;
constexpr std::size_t kItems = 100'000;  // of the dictionary that is read
constexpr double kTolerated = 0.001;     // other programs that run for a moment make the tail of a distribution

constexpr std::array kParts{std::pair{"p50", 0.5}, std::pair{"p99", 0.99}, std::pair{"p99.9", 0.999},
                            std::pair{"p99.99", 0.9999}};
constexpr std::size_t kP999 = 2;
constexpr std::size_t kWorst = kParts.size();

// In nanoseconds, in the order of kParts, and the worst.
using Latencies = std::array<double, kParts.size() + 1>;

std::int64_t key_of(std::size_t index) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(index) * 0x9E37'79B9'7F4A'7C15U);
}

std::string value_of(std::size_t index) { return std::string(kValueSize, first_letter(index)); }

class Timings {
 public:
  explicit Timings(std::size_t most) : ns_(most, 1) {}  // not 0: its pages are touched before the clock starts

  // op(i) for i from 0 to count - 1.
  template <class Op>
  Latencies take(std::size_t count, Op op) {
    auto before = Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      op(i);
      const auto now = Clock::now();
      ns_[i] = nanoseconds(now - before);
      before = now;
    }
    return latencies(count);
  }

  void put(std::size_t i, Clock::duration time) { ns_[i] = nanoseconds(time); }

  Latencies latencies(std::size_t count) {
    const auto end = ns_.begin() + static_cast<std::ptrdiff_t>(count);
    std::sort(ns_.begin(), end);
    Latencies result{};
    for (std::size_t p = 0; p < kParts.size(); ++p) {
      const auto rank = static_cast<std::size_t>(static_cast<double>(count) * kParts[p].second);
      result[p] = ns_[std::min(rank, count - 1)];
    }
    result[kWorst] = ns_[count - 1];
    return result;
  }

 private:
  static std::uint32_t nanoseconds(Clock::duration time) {
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
    return static_cast<std::uint32_t>(std::min<std::int64_t>(ns, UINT32_MAX));
  }

  std::vector<std::uint32_t> ns_;
};

// Of all rounds: medians, but the worst of all.
struct Rounds {
  std::array<Series, kParts.size() + 1> parts;

  void add(const Latencies& latencies) {
    for (std::size_t p = 0; p < parts.size(); ++p) parts[p].ns.push_back(latencies[p]);
  }
  double worst() const { return *std::max_element(parts[kWorst].ns.begin(), parts[kWorst].ns.end()); }
};

void print(const std::string& what, const Rounds& rounds, Report& report) {
  std::cout << std::left << std::setw(44) << what << std::right << std::fixed << std::setprecision(2);
  for (std::size_t p = 0; p < kParts.size(); ++p) {
    std::cout << std::setw(10) << rounds.parts[p].median() / 1e3;
    report.point(what, kParts[p].second, {{"median_ns", rounds.parts[p].median()}});
  }
  std::cout << std::setw(12) << rounds.worst() / 1e3 << std::endl;
  report.point(what, 1, {{"median_ns", rounds.worst()}});
}

void print_head(std::string_view what) {
  std::cout << '\n' << std::left << std::setw(44) << what << std::right;
  for (const auto& [name, part] : kParts) std::cout << std::setw(10) << name;
  std::cout << std::setw(12) << "worst" << '\n';
}

// ---- Reads

struct Board {
  std::atomic<int> writing;  // what the writer is to do
  std::atomic<int> awake;    // what it does
  std::atomic<std::uint64_t> writes;
};

template <class KeepGoing>
void write_at_full_speed(Strings& dict, Board& board, KeepGoing keep_going) {
  std::mt19937_64 random(2);
  std::vector<std::size_t> order(kItems);
  for (auto& index : order) index = random() % kItems;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < 26; ++i) values.push_back(value_of(i));
  for (std::size_t n = 0; keep_going();) {
    board.awake = board.writing.load();
    if (board.awake.load() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      continue;
    }
    for (std::size_t i = 0; i < 1000; ++i, n = (n + 1) % kItems)
      dict.insert_or_assign(key_of(order[n]), values[order[n] % 26]);
    board.writes += 1000;
  }
  dict.close();  // if the parent has been killed, this is the last to leave, and removes it
}

void reads(const Settings& settings, Quiet& quiet, Report& report, Timings& timings, std::size_t count) {
  Strings dict = Strings::create(name_for("latency_bench", "reads"));
  for (std::size_t i = 0; i < kItems; ++i) dict.insert(key_of(i), value_of(i));
  std::mt19937_64 random(1);
  std::vector<std::pair<std::int64_t, char>> asked;
  for (const std::size_t index : random_order(kItems, random)) asked.emplace_back(key_of(index), first_letter(index));

  std::string out;
  const auto read = [&] {
    std::size_t wrong = 0;
    const Latencies latencies = timings.take(count, [&, n = std::size_t{0}](std::size_t) mutable {
      const auto& [key, letter] = asked[n];
      if (++n == asked.size()) n = 0;
      if (!dict.try_get(key, out) || out.size() != kValueSize || out.front() != letter || out.back() != letter) ++wrong;
    });
    require(wrong == 0, std::to_string(wrong) + " reads");
    return latencies;
  };

  const SeenByChildren<Board> board;
  Companion writer([&](auto keep_going) { write_at_full_speed(dict, *board, keep_going); });
  quiet.watch(writer.pid());
  Rounds alone;
  Rounds beside;
  Series ratios;
  Series write_ns;
  for (int round = 0; round < settings.rounds; ++round) {
    const Latencies a = quiet(read);
    board->writing = 1;
    writer.wait_for([&, before = board->writes.load()] { return board->writes.load() != before; });
    double ns_per_write = 0;
    const Latencies b = quiet([&] {
      const std::uint64_t before = board->writes.load();
      const auto start = Clock::now();
      const Latencies latencies = read();
      const std::uint64_t writes = board->writes.load() - before;
      ns_per_write = writes == 0 ? 0 : ns_since(start, writes);
      return latencies;
    });
    board->writing = 0;
    writer.wait_for([&] { return board->awake.load() == 0; });
    alone.add(a);
    beside.add(b);
    ratios.ns.push_back(b[kP999] / a[kP999]);
    write_ns.ns.push_back(ns_per_write);
  }
  quiet.watch_only_this();
  writer.finish();
  print("no writer", alone, report);
  print("beside a process that writes", beside, report);
  if (*std::min_element(write_ns.ns.begin(), write_ns.ns.end()) > 0)
    std::cout << "the writer needs " << std::setprecision(0) << write_ns.median() << " ns for each write meanwhile\n";
  else
    std::cout << "in some rounds the writer had no core\n";
  report.bar("p99.9 of reads beside a writer, of that without", ratios.median(), 3);
  if (const auto audit = dict.audit(); !audit.ok()) throw std::runtime_error(audit.problems.front());
}

// ---- Inserts

template <class Dict, class Value>
void inserts(const std::string& what, const Settings& settings, Quiet& quiet, Report& report, Timings& timings,
             std::size_t items, const std::vector<Value>& values) {
  Rounds rounds;
  const shared_dict::Options options{.heap_size = std::max(shared_dict::Options{}.heap_size, items * kValueSize * 2)};
  for (int round = 0; round < settings.rounds; ++round) {
    rounds.add(quiet([&] {
      Dict dict = Dict::create(name_for("latency_bench", "inserts"), options);
      const Latencies latencies =
          timings.take(items, [&](std::size_t i) { dict.insert(key_of(i), values[i % values.size()]); });
      require(dict.size() == items, "the number of items");
      for (std::size_t i = 0; i < items; i += 97)
        require(dict.get(key_of(i)) == values[i % values.size()], "an inserted value");
      return latencies;
    }));
  }
  print(what, rounds, report);
  report.bar("worst insert in ms, " + what, rounds.worst() / 1e6, 50);
}

// ---- Handles

void handles(const Settings& settings, Quiet& quiet, Report& report) {
  const std::string name = name_for("latency_bench", "handles");
  const std::string new_name = name_for("latency_bench", "new");
  // Another process has the dictionary: here it must be opened for the first time, again and again.
  struct Remove {
    const std::string& name;
    ~Remove() { shared_dict::remove(name); }
  } const remove{name};
  struct Ready {
    std::atomic<int> ready;
  };
  const SeenByChildren<Ready> board;
  Companion owner([&](auto keep_going) {
    Numbers dict = Numbers::create(name);
    for (std::size_t i = 0; i < kItems; ++i) dict.insert(key_of(i), 1);
    board->ready = 1;
    while (keep_going()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  });
  owner.wait_for([&] { return board->ready.load() == 1; });

  enum : std::size_t { attach, first_read, close, open_and_close, create, first_insert, close_last, kHandles };
  constexpr std::array<const char*, kHandles> kNames{"attach",
                                                     "first read after it",
                                                     "close",
                                                     "open_or_create of one that is there, close",
                                                     "create",
                                                     "first insert after it",
                                                     "close, which removes it"};
  const std::size_t count = settings.quick ? 20 : 200;
  std::array<Rounds, kHandles> all;
  for (int round = 0; round < settings.rounds; ++round) {
    const auto latencies = quiet([&] {
      std::vector<Timings> timings(kHandles, Timings(count));
      for (std::size_t i = 0; i < count; ++i) {
        std::array<Clock::time_point, kHandles + 2> at;
        at[0] = Clock::now();
        Numbers dict = Numbers::attach(name);
        at[1] = Clock::now();
        require(dict.get(key_of(i)) == 1, "the first read");
        at[2] = Clock::now();
        dict.close();
        at[3] = Clock::now();
        Numbers::open_or_create(name).close();
        at[4] = Clock::now();
        dict = Numbers::create(new_name);
        at[5] = Clock::now();
        dict.insert(1, 1);
        at[6] = Clock::now();
        dict.close();
        at[7] = Clock::now();
        require(!shared_dict::exists(new_name), "the last to leave removes a dictionary");
        for (std::size_t h = 0; h < kHandles; ++h) timings[h].put(i, at[h + 1] - at[h]);
      }
      std::array<Latencies, kHandles> result;
      for (std::size_t h = 0; h < kHandles; ++h) result[h] = timings[h].latencies(count);
      return result;
    });
    for (std::size_t h = 0; h < kHandles; ++h) all[h].add(latencies[h]);
  }
  owner.finish();
  for (std::size_t h = 0; h < kHandles; ++h) print(kNames[h], all[h], report);
  report.bar("attach in us, median", all[attach].parts[0].median() / 1e3, 300);
}

void measure(const Settings& settings, Quiet& quiet, Report& report) {
  const std::size_t items = settings.quick ? 20'000 : settings.large ? 10'000'000 : 1'000'000;
  const auto reads_at_once = std::max(static_cast<std::size_t>(settings.seconds * 5e6), kItems);
  Timings timings(std::max(items, reads_at_once));
  Rounds clock;
  for (int round = 0; round < settings.rounds; ++round)
    clock.add(quiet([&] { return timings.take(reads_at_once, [](std::size_t) {}); }));
  print_head("in us");
  print("the clock alone", clock, report);
  print_head(std::to_string(kItems) + " items of 100 bytes, reads in us");
  if (all_cores().size() > 1)
    reads(settings, quiet, report, timings, reads_at_once);
  else
    std::cout << "only one core: left out\n";
  print_head("from nothing to " + std::to_string(items) + ", inserts in us");
  inserts<Numbers, std::int64_t>("insert long->long", settings, quiet, report, timings, items, {1, 2, 3});
  inserts<Strings, std::string>("insert long->100 bytes", settings, quiet, report, timings, items,
                                {value_of(0), value_of(1), value_of(2)});
  print_head("handles, in us");
  handles(settings, quiet, report);
}

}  // namespace

int main(int argc, char** argv) {
  Settings defaults;
  defaults.tolerated = kTolerated;
  return sweep::run("latency_bench", "inserts up to 10 million items, which take 2 GB of memory", argc, argv, measure,
                    defaults);
}
