// What does growing cost, and does the capacity formula hold?
//
// First a dictionary with default options grows from nothing: total time of the inserts, the slowest one, and the
// memory that each item takes. Then dictionaries of exactly heap_size = items * (key bytes + value bytes) * 2 are
// filled and overwritten three times in random order, which must succeed.
#include "support.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/stat.h>
#include <unistd.h>

namespace {

using namespace benchmark_support;
using Clock = std::chrono::steady_clock;
using PrivateNumbers = std::unordered_map<std::int64_t, std::int64_t>;
using Numbers = shared_dict::SharedDict<std::int64_t, std::int64_t>;
using Strings = shared_dict::SharedDict<std::string, std::string>;

struct Settings {
  std::size_t items = 10'000'000;
  std::filesystem::path directory = "/dev/shm";
};

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string unique_name(const std::string& what) { return "growth_bench." + std::to_string(::getpid()) + "." + what; }

std::size_t file_bytes(const Settings& settings, const std::string& name) {
  struct stat info {};
  const std::filesystem::path file = settings.directory / ("shared_dict." + name) / "segment";
  if (::stat(file.c_str(), &info) != 0) throw std::runtime_error("can't look at " + file.string());
  return static_cast<std::size_t>(info.st_blocks) * 512;
}

// Different keys in no order: a bijection of the index.
std::int64_t key_of(std::size_t index) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(index) * 0x9E3779B97F4A7C15U);
}

void insert(PrivateNumbers& map, std::size_t i) { map.emplace(key_of(i), static_cast<std::int64_t>(i)); }
void insert(Numbers& dict, std::size_t i) { dict.insert(key_of(i), static_cast<std::int64_t>(i)); }

struct Growth {
  double seconds = 0;
  double slowest_us = 0;
  double p999_us = 0;
};

// Two passes over an empty map each, so that the clock readings of the second don't count in the total of the first.
template <class MakeMap, class AfterFill>
Growth grow(std::size_t items, MakeMap make_map, AfterFill after_fill) {
  Growth result;
  {
    auto map = make_map();
    const auto start = Clock::now();
    for (std::size_t i = 0; i < items; ++i) insert(map, i);
    result.seconds = seconds_since(start);
    after_fill(map);
  }
  std::vector<std::uint32_t> times(items, 1);  // not 0: its pages are touched before the clock starts
  auto map = make_map();
  auto before = Clock::now();
  for (std::size_t i = 0; i < items; ++i) {
    insert(map, i);
    const auto now = Clock::now();
    const auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now - before).count();
    times[i] = static_cast<std::uint32_t>(std::min<std::int64_t>(ns, UINT32_MAX));
    before = now;
  }
  const auto at = times.begin() + static_cast<std::ptrdiff_t>(items - items / 1000 - 1);
  std::nth_element(times.begin(), at, times.end());
  result.p999_us = *at / 1e3;
  result.slowest_us = *std::max_element(at, times.end()) / 1e3;
  return result;
}

void print(const std::string& what, std::size_t items, const Growth& g) {
  std::cout << std::setw(12) << items << "  " << std::left << std::setw(22) << what << std::right
            << std::setprecision(2) << std::setw(8) << g.seconds << std::setprecision(0) << std::setw(10)
            << g.seconds * 1e9 / static_cast<double>(items) << std::setprecision(1) << std::setw(13) << g.p999_us
            << std::setw(14) << g.slowest_us;
}

void growth_table(const Settings& settings) {
  std::cout << "default dictionary, 8-byte keys and values, inserted one by one into nothing\n"
               "       items  container              seconds  ns/item  p99.9 in us  slowest in us  bytes/item "
               "committed, on disk\n";
  const shared_dict::Options options{.directory = settings.directory};
  for (const std::size_t items : {settings.items / 10, settings.items}) {
    print("private unordered_map", items,
          grow(
              items, [] { return PrivateNumbers(); }, [](const PrivateNumbers&) {}));
    std::cout << '\n';

    const std::string name = unique_name("numbers");
    double committed = 0;
    double on_disk = 0;
    const Growth shared = grow(
        items, [&] { return Numbers::create(name, options); },
        [&](const Numbers& dict) {
          committed = static_cast<double>(dict.stats().heap_committed) / static_cast<double>(items);
          on_disk = static_cast<double>(file_bytes(settings, name)) / static_cast<double>(items);
          if (dict.size() != items)
            throw std::runtime_error("the dictionary has " + std::to_string(dict.size()) + " items");
          std::int64_t value = 0;
          for (std::size_t i = 0; i < items; i += 997) {
            if (!dict.try_get(key_of(i), value) || value != static_cast<std::int64_t>(i))
              throw std::runtime_error("wrong value");
          }
        });
    print("SharedDict", items, shared);
    std::cout << std::setw(13) << committed << std::setw(10) << on_disk << std::endl;
  }
}

struct Shape {
  std::size_t items, key_size, value_size;
};

constexpr std::array kShapes{Shape{1'000, 10, 100}, Shape{10'000, 16, 16}, Shape{100, 20, 5'000},
                             Shape{5, 8, 20'000},   Shape{20'000, 8, 8},   Shape{300, 12, 1'000}};

std::string key_text(std::size_t index, std::size_t size) {
  std::string text = std::to_string(index);
  text.insert(0, size - text.size(), '0');
  return text;
}

// Throws what the dictionary throws.
void fill_and_overwrite(const Settings& settings, const Shape& shape, std::size_t& committed, std::string& step) {
  step = "create";
  auto dict = Strings::create(
      unique_name("strings"),
      {.heap_size = shape.items * (shape.key_size + shape.value_size) * 2, .directory = settings.directory});
  std::vector<std::size_t> order(shape.items);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::mt19937_64 random(1);
  for (char version : {'0', '1', '2', '3'}) {
    step = version == '0' ? std::string("fill") : "overwrite " + std::string(1, version);
    std::shuffle(order.begin(), order.end(), random);
    const std::string value(shape.value_size, version);
    for (std::size_t index : order) dict.insert_or_assign(key_text(index, shape.key_size), value);
    for (std::size_t index : order) {
      if (dict.get(key_text(index, shape.key_size)) != value) throw std::runtime_error("a value is missing or wrong");
    }
  }
  step = "audit";
  const auto report = dict.audit();
  if (!report.ok()) throw std::runtime_error(report.problems.front());
  committed = dict.stats().heap_committed;
}

bool capacity_table(const Settings& settings) {
  std::cout << "\nheap_size = items * (key bytes + value bytes) * 2: filled, then all items overwritten three times\n"
               "     items      key    value   heap_size   committed  result\n";
  bool all_good = true;
  for (const Shape& shape : kShapes) {
    std::size_t committed = 0;
    std::string step;
    std::string result = "ok";
    try {
      fill_and_overwrite(settings, shape, committed, step);
    } catch (const shared_dict::Error& e) {
      result = step + ": " + e.code().message() + " (" + e.what() + ")";
    } catch (const std::runtime_error& e) {
      result = step + ": " + e.what();
    }
    all_good = all_good && result == "ok";
    std::cout << std::setw(10) << shape.items << std::setw(9) << shape.key_size << std::setw(9) << shape.value_size
              << std::setw(12) << shape.items * (shape.key_size + shape.value_size) * 2 << std::setw(12) << committed
              << "  " << result << std::endl;
  }
  return all_good;
}

constexpr const char* kUsage =
    "usage: growth_bench [--items N] [--directory DIR] [--quick]\n"
    "  --items N        the larger number of inserts (default 10000000); the smaller one is a tenth\n"
    "  --directory DIR  where the dictionaries lie (default $SHARED_DICT_DIR, or /dev/shm)\n"
    "  --quick          100000 inserts\n";

// False if help was asked for.
bool parse_arguments(Arguments arguments, Settings& settings) {
  if (const char* directory = std::getenv("SHARED_DICT_DIR"); directory != nullptr && *directory != '\0') {
    settings.directory = directory;
  }
  while (arguments.next()) {
    if (arguments.is("--help") || arguments.is("-h")) return false;
    if (arguments.is("--items"))
      settings.items = arguments.number<std::size_t>(10'000, 1'000'000'000);
    else if (arguments.is("--directory"))
      settings.directory = arguments.value();
    else if (arguments.is("--quick"))
      settings.items = 100'000;
    else
      arguments.unknown();
  }
  return true;
}

bool run(const Settings& settings) {
  std::cout << std::fixed;
  growth_table(settings);
  return capacity_table(settings);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program<Settings>(
      "growth_bench", kUsage, [&](Settings& settings) { return parse_arguments(Arguments(argc, argv), settings); },
      run);
}
