// What do views, loans, many reads at once, batches and waiting cost, compared with what they replace?
//
// Each row is measured together with the one that it is compared with, round by round; medians of the rounds, and of the ratios.
#include "rounds.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <functional>
#include <iomanip>
#include <iostream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace benchmark_support;
using namespace std::chrono_literals;
using Strings = shared_dict::SharedDict<std::string, std::string>;
using Numbers = shared_dict::SharedDict<std::string, std::int64_t>;

struct Settings {
  std::size_t items = 1'000'000;
  std::size_t large = 100'000'000;
  int rounds = 9;
};

std::string unique_name(std::string_view what) { return name_for("zero_copy_bench", what); }

std::string key_of(std::size_t index) {
  std::string digits = std::to_string(index);
  return "key" + std::string(13 - digits.size(), '0') + digits;
}

void row(std::string_view what, const Series& series, std::string_view note = {}) {
  std::cout << std::left << std::setw(46) << what << std::right << std::setw(14) << std::fixed << std::setprecision(1)
            << series.median() << std::setw(9) << std::setprecision(0) << series.spread() * 100 << "%  " << note << "\n";
}

std::string times(double ratio) {
  std::string text = std::to_string(ratio);
  return text.substr(0, text.find('.') + 3);
}

void many_reads(const Settings& settings) {
  Strings d = Strings::create(unique_name("many"));
  std::unordered_map<std::string, std::string> map;
  map.reserve(settings.items);
  std::vector<std::size_t> order(settings.items);
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937_64 random(1);
  std::shuffle(order.begin(), order.end(), random);
  const std::string value(100, 'v');
  for (const std::size_t i : order) {
    d.insert(key_of(i), value);
    map.emplace(key_of(i), value);
  }
  std::shuffle(order.begin(), order.end(), random);
  const std::size_t operations = std::min<std::size_t>(settings.items, 500'000);
  std::vector<std::string> keys;
  keys.reserve(operations);
  for (std::size_t i = 0; i < operations; ++i) keys.push_back(key_of(order[i]));

  std::string out;
  std::size_t bytes = 0;
  const auto timed = [&](auto body) {
    return [&, body] {
      bytes = 0;
      const auto start = Clock::now();
      body();
      const double ns = ns_since(start, operations);
      require(bytes == operations * value.size(), "a value has the wrong size");
      return ns;
    };
  };
  const auto series = interleave(
      settings.rounds, {timed([&] {
                          for (const std::string& key : keys) {
                            out = map.find(key)->second;
                            bytes += out.size();
                          }
                        }),
                        timed([&] {
                          for (const std::string& key : keys) {
                            d.try_get(key, out);
                            bytes += out.size();
                          }
                        }),
                        timed([&] {
                          // *found is a copy already, made in a string that is reused.
                          d.get_many(keys, [&](std::size_t, const std::string* found) { bytes += found->size(); });
                        })});
  std::cout << "\n" << settings.items << " items, 16-byte keys, 100-byte values, in no order          ns/key   spread\n";
  row("private unordered_map, find and copy", series[0]);
  row("try_get", series[1], times(median_ratio(series[1], series[0])) + " of the map");
  row("get_many", series[2], times(median_ratio(series[2], series[0])) + " of the map");
}

void views(const Settings& settings) {
  Strings d = Strings::create(unique_name("views"));
  Numbers numbers = Numbers::create(unique_name("numbers"));
  constexpr std::size_t kKeys = 16;
  constexpr std::size_t kOperations = 200'000;
  std::vector<std::string> small;
  std::vector<std::string> large;
  for (std::size_t i = 0; i < kKeys; ++i) {
    small.push_back("small " + key_of(i));
    large.push_back("large " + key_of(i));
    d[small[i]] = std::string(100, 's');
    d[large[i]] = std::string(1'000'000, 'l');
    numbers[small[i]] = 1;
  }
  std::int64_t sum = 0;
  const auto timed = [&](auto body) {
    return [&, body] {
      sum = 0;
      const auto start = Clock::now();
      for (std::size_t i = 0; i < kOperations; ++i) sum += body(i % kKeys);
      const double ns = ns_since(start, kOperations);
      require(sum != 0, "nothing was read");
      return ns;
    };
  };
  std::string out;
  const auto series = interleave(
      settings.rounds, {timed([&](std::size_t i) {
                          std::int64_t value = 0;
                          numbers.try_get(small[i], value);
                          return value;
                        }),
                        timed([&](std::size_t i) { return std::int64_t{d.view(small[i])->front()}; }),
                        timed([&](std::size_t i) { return std::int64_t{d.view(large[i])->front()}; }),
                        timed([&](std::size_t i) { return numbers.fetch_add(small[i], 1) + 1; })});
  std::cout << "\n16 keys of each kind                                         ns/op   spread\n";
  row("try_get of 8 bytes", series[0]);
  row("view of 100 bytes", series[1], times(series[1].median() - series[0].median()) + " ns more than try_get of 8 bytes");
  row("view of 1 MB", series[2], times(median_ratio(series[2], series[1])) + " of the view of 100 bytes");
  row("fetch_add of an existing key", series[3]);
}

// Anonymous memory of this process in KiB: where a copy would be.
std::size_t private_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    std::size_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib;
  }
  return 0;
}

void loans(const Settings& settings) {
  Strings d = Strings::create(unique_name("loans"), {.heap_size = settings.large * 8});
  // Both write the same bytes to memory that they have had before, so neither pays for pages from the kernel.
  const auto target = std::make_unique<char[]>(settings.large);
  const std::string source(settings.large, 's');
  std::size_t grown = 0;
  const auto loan = [&] {
    const std::size_t before = private_kib();
    const auto start = Clock::now();
    auto loaned = d.loan("image", settings.large);
    std::memcpy(loaned.span().data(), source.data(), settings.large);
    loaned.publish();
    const double ns = ns_since(start, 1);
    grown = std::max(grown, private_kib() - std::min(before, private_kib()));
    require(d.view("image")->size() == settings.large, "the loan isn't there");
    return ns / 1e6;
  };
  const auto copy = [&] {
    const auto start = Clock::now();
    std::memcpy(target.get(), source.data(), settings.large);
    return ns_since(start, 1) / 1e6;
  };
  const auto assign = [&] {
    const auto start = Clock::now();
    d.insert_or_assign("image", source);
    return ns_since(start, 1) / 1e6;
  };
  const auto publish_only = [&] {
    auto loaned = d.loan("image", settings.large);
    std::memset(loaned.span().data(), 'x', settings.large);
    const auto start = Clock::now();
    loaned.publish();
    return ns_since(start, 1) / 1e6;
  };
  for (int i = 0; i < 3; ++i) loan();
  copy();
  const auto series = interleave(settings.rounds, {copy, loan, assign, publish_only});
  std::cout << "\n" << settings.large / 1'000'000 << " MB                                                          ms   spread\n";
  row("memcpy into private memory", series[0]);
  row("loan, memcpy into it, publish", series[1], times(median_ratio(series[1], series[0])) + " of memcpy");
  row("insert_or_assign", series[2], times(median_ratio(series[2], series[0])) + " of memcpy");
  row("publish alone", series[3]);
  std::cout << "private memory grew by " << grown << " KiB while a loan was filled and published\n";
}

void batches(const Settings& settings) {
  Strings d = Strings::create(unique_name("batches"));
  std::vector<std::pair<std::string, std::string>> items;
  for (std::size_t i = 0; i < 50; ++i) items.emplace_back(key_of(i), std::string(100, 'v'));
  constexpr std::size_t kOperations = 2000;
  const auto series = interleave(settings.rounds, {[&] {
                                                     const auto start = Clock::now();
                                                     for (std::size_t n = 0; n < kOperations; ++n) {
                                                       for (const auto& [key, value] : items) d.insert_or_assign(key, value);
                                                     }
                                                     return ns_since(start, kOperations * items.size());
                                                   },
                                                   [&] {
                                                     const auto start = Clock::now();
                                                     for (std::size_t n = 0; n < kOperations; ++n) d.update(items);
                                                     return ns_since(start, kOperations * items.size());
                                                   }});
  std::cout << "\n50 items of 100 bytes                                      ns/item   spread\n";
  row("insert_or_assign of each", series[0]);
  row("update of all", series[1], times(median_ratio(series[1], series[0])) + " of single writes");
}

// Two processes: this one writes the time, the other one answers how long ago that was when it woke.
void waits(const Settings& settings) {
  const std::string name = unique_name("waits");
  Numbers d = Numbers::create(name);
  const int count = 200 * settings.rounds;
  const ::pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork failed");
  const auto now = [] { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count(); };
  if (child == 0) {
    try {
      std::int64_t last = 0;
      for (int i = 0; i < count; ++i) {
        const auto written = d.wait_until("sent", [&](std::int64_t sent) { return sent > last; }, 10s);
        if (!written) ::_exit(1);
        last = *written;
        d["late"] = now() - last;
      }
      ::_exit(0);
    } catch (...) {
      ::_exit(2);
    }
  }
  Series late;
  std::int64_t before = 0;
  for (int i = 0; i < count; ++i) {
    std::this_thread::sleep_for(500us);  // time to fall asleep
    d["late"] = -1;
    before = std::max(before + 1, now());
    d["sent"] = before;
    const auto answer = d.wait_until("late", [](std::int64_t value) { return value >= 0; }, 10s);
    require(answer.has_value(), "the waiter doesn't wake");
    late.ns.push_back(static_cast<double>(*answer) / 1e3);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  require(status == 0, "the waiting process failed");
  std::sort(late.ns.begin(), late.ns.end());
  std::cout << "\nfrom the write to the waiter, another process: " << std::setprecision(0) << late.median() << " us median, "
            << late.ns[late.ns.size() * 99 / 100] << " us p99, " << late.ns.back() << " us at worst, of " << count << "\n";
}

}  // namespace

int main(int argc, char** argv) {
  try {
    Settings settings;
    for (int i = 1; i < argc; ++i) {
      const std::string_view option = argv[i];
      if (option == "--quick") {
        settings = {20'000, 1'000'000, 1};
      } else if (option == "--rounds" && i + 1 < argc) {
        settings.rounds = parse<int>(option, argv[++i], 1, 1000);
      } else {
        std::cerr << "usage: zero_copy_bench [--quick] [--rounds N]\n";
        return option == "--help" ? 0 : 2;
      }
    }
    many_reads(settings);
    views(settings);
    loans(settings);
    batches(settings);
    waits(settings);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "zero_copy_bench: " << error.what() << "\n";
    return 1;
  }
}
