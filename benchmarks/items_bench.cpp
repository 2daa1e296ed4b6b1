// What does an operation cost, and how much memory does an item take, as a dictionary gets larger? Beside it stands a
// private std::unordered_map with the same items.
//
// Per number of items there are a dictionary and a map of strings, and a dictionary and a map of numbers. Each row is
// measured on one side, then on the other, round by round. Operations ask for the items in a random order that is
// prepared, and that is not the order in which they were inserted.
#include "data.hpp"
#include "sweep.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iomanip>
#include <iostream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using namespace sweep;
using PrivateStrings = std::unordered_map<std::string, std::string>;
using PrivateNumbers = std::unordered_map<std::int64_t, std::int64_t>;
using SharedStrings = shared_dict::SharedDict<std::string, std::string>;
using SharedNumbers = shared_dict::SharedDict<std::int64_t, std::int64_t>;

constexpr std::size_t kValueSize = 100;
constexpr std::size_t kMany = 64;             // keys of one get_many
constexpr std::size_t kOperations = 500'000;  // at most so many different items are asked for in one pass

// ---- The verbs that the two sides spell differently ----

bool add_new(PrivateStrings& m, const std::string& k, const std::string& v) { return m.emplace(k, v).second; }
bool add_new(SharedStrings& d, const std::string& k, const std::string& v) { return d.insert(k, v); }

bool copy_out(const PrivateStrings& m, const std::string& k, std::string& out) {
  const auto it = m.find(k);
  if (it == m.end()) return false;
  out = it->second;
  return true;
}
bool copy_out(const SharedStrings& d, const std::string& k, std::string& out) { return d.try_get(k, out); }

// f(const std::string*) for each key.
template <class F>
void copy_many(const PrivateStrings& m, std::span<const std::string> keys, std::string& out, F f) {
  for (const std::string& key : keys) f(copy_out(m, key, out) ? &out : nullptr);
}
template <class F>
void copy_many(const SharedStrings& d, std::span<const std::string> keys, std::string&, F f) {
  d.get_many(keys, [&](std::size_t, const std::string* value) { f(value); });
}

template <class F>
void walk(const PrivateStrings& m, F f) {
  for (const auto& [key, value] : m) f(value);
}
template <class F>
void walk(const SharedStrings& d, F f) {
  d.for_each([&](const std::string&, const std::string& value) { f(value); });
}

std::int64_t increment(PrivateNumbers& m, std::int64_t k) { return m[k]++; }
std::int64_t increment(SharedNumbers& d, std::int64_t k) { return d.fetch_add(k, 1); }

// ---- What is prepared before the clock starts ----

std::int64_t number_of(std::size_t index) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(index) * 0x9E37'79B9'7F4A'7C15U);
}

std::string key_of(std::size_t index) {
  std::string key(kKeySize, '0');
  auto rest = static_cast<std::uint64_t>(number_of(index + 1));
  for (char& c : key) c = "0123456789abcdef"[rest % 16], rest /= 16;
  return key;
}

std::uint64_t letter(const std::string& value) { return static_cast<unsigned char>(value[0]); }

struct Prepared {
  std::vector<std::string> keys;                   // all, in the order of insertion
  std::array<std::vector<std::string>, 2> values;  // of the first letters a to z, in two versions

  // Some or all of the items, in the order of the operations.
  std::vector<std::string> asked;
  std::vector<std::int64_t> asked_numbers;
  std::vector<std::array<const std::string*, 2>> asked_values;
  std::uint64_t asked_letters = 0;
  std::uint64_t all_letters = 0;

  explicit Prepared(std::size_t items) {
    for (std::size_t version = 0; version < 2; ++version) {
      for (std::size_t i = 0; i < 26; ++i)
        values[version].push_back(first_letter(i) + std::string(kValueSize - 1, static_cast<char>('0' + version)));
    }
    for (std::size_t i = 0; i < items; ++i) {
      keys.push_back(key_of(i));
      all_letters += letter(value(i));
    }
    std::mt19937_64 random(1);
    std::vector<std::size_t> order = random_order(items, random);
    order.resize(std::min(items, kOperations));
    for (const std::size_t index : order) {
      asked.push_back(keys[index]);
      asked_numbers.push_back(number_of(index));
      asked_values.push_back({&value(index), &values[1][index % 26]});
      asked_letters += letter(value(index));
    }
  }

  const std::string& value(std::size_t index) const { return values[0][index % 26]; }
};

// ---- The rows ----

struct Bar {
  std::size_t items;
  double limit;
};
struct Row {
  const char* name;
  std::vector<Bar> bars;  // of the ratio
};
const std::vector<Row> kRows{{"insert", {{1'000'000, 0.5}}},
                             {"read", {{1'000, 1.6}, {1'000'000, 0.95}}},
                             {"write", {{1'000, 1.6}, {1'000'000, 0.85}}},
                             {"erase+insert", {{1'000'000, 0.4}}},
                             {"get_many of 64", {{1'000'000, 0.25}}},
                             {"for_each", {}},
                             {"fetch_add, long->long", {}}};

using Measure = std::function<double()>;

template <class Strings>
void fill(Strings& strings, const Prepared& data) {
  std::size_t added = 0;
  for (std::size_t i = 0; i < data.keys.size(); ++i) added += add_new(strings, data.keys[i], data.value(i));
  require(added == data.keys.size(), "a new key is there already");
}

// Fills a container that has been filled before.
template <class Strings>
Measure inserts(Strings& strings, const Prepared& data, double seconds) {
  return [&strings, &data, seconds] {
    double spent = 0;
    std::size_t done = 0;
    while (spent < seconds) {
      strings.clear();
      const auto start = Clock::now();
      fill(strings, data);
      spent += seconds_since(start);
      done += data.keys.size();
    }
    return spent * 1e9 / static_cast<double>(done);
  };
}

// In the order of kRows, without the last one. pass(begin, end) stands for the operations from begin to end and returns
// the sum of the first letters that it met.
template <class Strings>
std::vector<Measure> rows_of(Strings& strings, const Prepared& data, double seconds) {
  const auto passes = [&data, seconds](auto pass) -> Measure {
    return [&data, seconds, pass, out = std::string()]() mutable {
      std::uint64_t letters = 0;
      std::size_t times = 0;
      const double ns = ns_per_operation(seconds, data.asked.size(), [&] {
        letters += pass(out, times % 2);
        ++times;
      });
      require(letters == times * data.asked_letters, "what a pass over the items found");
      return ns;
    };
  };
  const std::size_t n = data.asked.size();
  return {inserts(strings, data, seconds),  //
          passes([&strings, &data, n](std::string& out, std::size_t) {
            std::uint64_t letters = 0;
            for (std::size_t i = 0; i < n; ++i) letters += copy_out(strings, data.asked[i], out) ? letter(out) : 0;
            return letters;
          }),
          passes([&strings, &data, n](std::string&, std::size_t version) {
            for (std::size_t i = 0; i < n; ++i)
              strings.insert_or_assign(data.asked[i], *data.asked_values[i][1 - version]);
            return data.asked_letters;  // the next row reads them
          }),
          passes([&strings, &data, n](std::string&, std::size_t version) {
            std::size_t done = 0;
            for (std::size_t i = 0; i < n; ++i) {
              if (strings.erase(data.asked[i]) && add_new(strings, data.asked[i], *data.asked_values[i][version]))
                ++done;
            }
            return done == n ? data.asked_letters : 0;
          }),
          passes([&strings, &data, n](std::string& out, std::size_t) {
            std::uint64_t letters = 0;
            for (std::size_t i = 0; i < n; i += kMany) {
              copy_many(strings, std::span(data.asked).subspan(i, std::min(kMany, n - i)), out,
                        [&](const std::string* value) { letters += value != nullptr ? letter(*value) : 0; });
            }
            return letters;
          }),
          [&strings, &data, seconds] {
            return ns_per_operation(seconds, data.keys.size(), [&] {
              std::uint64_t letters = 0;
              walk(strings, [&](const std::string& value) { letters += letter(value); });
              require(letters == data.all_letters, "what iteration found");
            });
          }};
}

template <class Numbers>
Measure fetch_adds(Numbers& numbers, const Prepared& data, double seconds) {
  return [&numbers, &data, seconds, expected = std::int64_t{0}]() mutable {
    return ns_per_operation(seconds, data.asked_numbers.size(), [&] {
      std::size_t wrong = 0;
      for (const std::int64_t number : data.asked_numbers) wrong += increment(numbers, number) != expected;
      ++expected;
      require(wrong == 0, "fetch_add");
    });
  };
}

// ---- One number of items ----

template <class Dict>
double overhead(const Dict& dict, std::size_t bytes_of_item) {
  const auto stats = dict.stats();
  return static_cast<double>(stats.heap_committed) / static_cast<double>(stats.items) -
         static_cast<double>(bytes_of_item);
}

void sound(const shared_dict::AuditReport& report) {
  if (!report.ok()) throw std::runtime_error("audit: " + report.problems.front());
}

void print(const Row& row, const Series& alone, const Series& shared) {
  std::cout << "  " << std::left << std::setw(24) << row.name << std::right << std::fixed;
  for (const Series* series : {&alone, &shared}) {
    std::cout << std::setprecision(1) << std::setw(10) << series->median() << std::setprecision(0) << std::setw(7)
              << series->spread() * 100 << '%';
  }
  std::cout << std::setprecision(2) << std::setw(10) << median_ratio(shared, alone) << std::endl;
}

void measure(std::size_t items, const Settings& settings, Quiet& quiet, Report& report) {
  const Prepared data(items);
  const shared_dict::Options options{
      .heap_size = std::max(shared_dict::Options{}.heap_size, items * (kKeySize + kValueSize) * 2)};
  auto strings = SharedStrings::create(name_for("items_bench", "strings"), options);
  auto numbers = SharedNumbers::create(name_for("items_bench", "numbers"), options);
  PrivateStrings private_strings;
  PrivateNumbers private_numbers;
  fill(strings, data);
  fill(private_strings, data);
  for (std::size_t i = 0; i < items; ++i) numbers.insert(number_of(i), 0), private_numbers.emplace(number_of(i), 0);
  const double of_string = overhead(strings, kKeySize + kValueSize);
  const double of_number = overhead(numbers, 2 * sizeof(std::int64_t));

  auto alone = rows_of(private_strings, data, settings.seconds);
  auto shared = rows_of(strings, data, settings.seconds);
  alone.push_back(fetch_adds(private_numbers, data, settings.seconds));
  shared.push_back(fetch_adds(numbers, data, settings.seconds));
  std::vector<Measure> variants;
  for (std::size_t r = 0; r < kRows.size(); ++r) {
    for (const Measure& variant : {alone[r], shared[r]})
      variants.push_back([&quiet, variant]() { return quiet(variant); });
  }
  const auto series = interleave(settings.rounds, variants);
  sound(strings.audit());
  sound(numbers.audit());

  std::cout << '\n'
            << items << " items" << std::string(8, ' ')
            << "         private map  spread  SharedDict  spread     ratio\n";
  for (std::size_t r = 0; r < kRows.size(); ++r) {
    const Series& a = series[2 * r];
    const Series& s = series[2 * r + 1];
    print(kRows[r], a, s);
    const double ratio = median_ratio(s, a);
    const auto x = static_cast<double>(items);
    report.point(std::string(kRows[r].name) + ", private map", x, {{"median_ns", a.median()}, {"spread", a.spread()}});
    report.point(kRows[r].name, x, {{"median_ns", s.median()}, {"spread", s.spread()}, {"ratio", ratio}});
    for (const Bar& bar : kRows[r].bars) {
      if (bar.items == items)
        report.bar(std::string(kRows[r].name) + ", " + std::to_string(items) + " items, of the map", ratio, bar.limit);
    }
  }
  for (const auto& [name, bytes, limit] :
       {std::tuple{"100-byte values", of_string, 32.0}, std::tuple{"long->long", of_number, 30.0}}) {
    std::cout << "  " << std::setprecision(1) << bytes << " bytes an item beyond key and value: " << name << '\n';
    report.point(std::string("overhead, ") + name, static_cast<double>(items), {{"bytes", bytes}});
    if (items == 1'000'000) report.bar(std::string("bytes an item beyond key and value, ") + name, bytes, limit);
  }
}

}  // namespace

int main(int argc, char** argv) {
  return sweep::run("items_bench", "10 million items, which take 6 GB of memory", argc, argv,
                    [](const Settings& settings, Quiet& quiet, Report& report) {
                      std::vector<std::size_t> sizes{1'000, 10'000, 100'000, 1'000'000};
                      if (settings.quick) sizes.resize(2);
                      if (settings.large) sizes.push_back(10'000'000);
                      for (const std::size_t items : sizes) measure(items, settings, quiet, report);
                    });
}
