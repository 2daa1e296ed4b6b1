// What is prepared before the clock starts: keys, values, and what each worker asks for, in which order.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

namespace benchmark_support {

constexpr std::size_t kKeySize = 16;

struct Data {
  std::vector<std::string> keys, missing;
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> values;  // 26 for each of two versions, by first letter
};

// The first letter of a value follows from its key, so that a reader can check it whoever wrote it last.
inline char first_letter(std::size_t index) { return static_cast<char>('a' + index % 26); }

inline Data make_data(std::size_t items, std::size_t value_size) {
  Data data;
  std::mt19937_64 random(1);
  const auto key = [&](char last) {
    std::string text(kKeySize, last);
    for (std::size_t i = 0; i + 1 < kKeySize; ++i) text[i] = static_cast<char>('a' + random() % 26);
    return text;
  };
  for (std::size_t i = 0; i < items; ++i) {
    data.keys.push_back(key('+'));
    data.missing.push_back(key('-'));
    data.numbers.push_back(random());
  }
  for (char version : {'1', '2'}) {
    for (std::size_t i = 0; i < 26; ++i) {
      data.values.emplace_back(value_size, version);
      data.values.back()[0] = first_letter(i);
    }
  }
  return data;
}

// What one worker asks for. The keys are copied in that order: reaching them costs little, so that the time is the
// container's.
struct Operations {
  std::vector<std::string> keys, missing;
  std::vector<std::uint64_t> numbers;
  std::vector<const std::string*> values;
  std::vector<std::uint8_t> dice;             // 0 .. 99: a mixed row that writes w % writes where it is below w
  std::vector<std::uint64_t> letters_before;  // sum of the first letters of all operations before this one
};

inline Operations make_operations(const Data& data, const std::vector<std::size_t>& order, std::mt19937_64& random) {
  Operations ops;
  ops.letters_before.push_back(0);
  for (std::size_t index : order) {
    ops.keys.push_back(data.keys[index]);
    ops.missing.push_back(data.missing[index]);
    ops.numbers.push_back(data.numbers[index]);
    ops.values.push_back(&data.values[index % 26 + 26 * (random() % 2)]);
    ops.dice.push_back(static_cast<std::uint8_t>(random() % 100));
    ops.letters_before.push_back(ops.letters_before.back() + static_cast<unsigned char>(first_letter(index)));
  }
  return ops;
}

inline std::vector<std::size_t> random_order(std::size_t items, std::mt19937_64& random) {
  std::vector<std::size_t> order(items);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

// Each item once, in another order for each worker.
inline Operations each_once(const Data& data, std::size_t worker) {
  std::mt19937_64 random(100 + worker);
  const auto order = random_order(data.keys.size(), random);
  return make_operations(data, order, random);
}

// As many operations, but the item of rank r is drawn with a probability in proportion to 1 / r^0.99 (that of the YCSB
// benchmark). The ranks are the same for all workers, so that they meet at the same hot items.
inline Operations zipf_drawn(const Data& data, std::size_t worker) {
  std::mt19937_64 ranks(99);
  const auto item_of_rank = random_order(data.keys.size(), ranks);
  std::vector<double> up_to;
  double total = 0;
  for (std::size_t i = 0; i < data.keys.size(); ++i) {
    total += std::pow(static_cast<double>(i + 1), -0.99);
    up_to.push_back(total);
  }
  std::mt19937_64 random(200 + worker);
  std::uniform_real_distribution<double> draw(0, total);
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < data.keys.size(); ++i) {
    const auto rank = std::lower_bound(up_to.begin(), up_to.end() - 1, draw(random)) - up_to.begin();
    order.push_back(item_of_rank[static_cast<std::size_t>(rank)]);
  }
  return make_operations(data, order, random);
}

}  // namespace benchmark_support
