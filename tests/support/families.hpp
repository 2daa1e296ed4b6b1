// Families of key and value types, for tests that do the same with each of them: a key for each number, values and changes of values
// from a source of random words.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/vector.hpp>

namespace shared_dict::test {

using Random = std::mt19937_64;

/// A number below `end`. A source is called without arguments and returns an unsigned number.
template <class Source>
std::size_t below(Source& random, std::size_t end) {
  return static_cast<std::size_t>(random() % end);
}

template <class Source>
std::string random_text(Source& random, std::size_t longest) {
  const std::size_t size = below(random, longest + 1);
  const std::uint64_t word = random();
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((word >> (i % 8 * 8)) + i);
  return text;
}

struct Words {
  using Key = std::string;
  using Value = std::string;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return std::string(i % 301, 'k') + std::to_string(i); }
  template <class Source>
  static Value value(Source& random) {
    return random_text(random, 300);
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    if (below(random, 2) == 0) {
      value += random_text(random, 20);
      if (value.size() > 600) value.clear();
    } else {
      value.resize(value.size() / 2);
    }
  }
};

struct Integers {
  using Key = std::uint64_t;
  using Value = std::uint64_t;
  using Hash = std::hash<std::uint64_t>;
  static Key key(std::size_t i) { return i % 2 == 0 ? i : i * 0x9E37'79B9'7F4A'7C15ULL; }
  template <class Source>
  static Value value(Source& random) {
    return below(random, 4) == 0 ? below(random, 3) : random();
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    value += random();
  }
};

struct Record {
  std::int32_t number = 0;
  std::array<std::int16_t, 7> more{};
  double weight = 0;
  friend bool operator==(const Record&, const Record&) = default;
};

struct Records {
  using Key = std::int32_t;
  using Value = Record;
  using Hash = std::hash<std::int32_t>;
  static Key key(std::size_t i) { return static_cast<std::int32_t>(i) - 100; }
  template <class Source>
  static Value value(Source& random) {
    Record record;
    record.number = static_cast<std::int32_t>(random());
    for (std::int16_t& part : record.more) part = static_cast<std::int16_t>(random());
    record.weight = static_cast<double>(record.number) / 7;
    return record;
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    value.more[below(random, 7)]++;
  }
};

struct Lists {
  using Key = std::string;
  using Value = std::vector<std::string>;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return "list " + std::to_string(i); }
  template <class Source>
  static Value value(Source& random) {
    Value value(below(random, 6));
    for (std::string& text : value) text = random_text(random, 60);
    return value;
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    if (value.size() > 8) value.clear();
    value.push_back(random_text(random, 30));
  }
};

struct Series {
  using Key = std::string;
  using Value = std::vector<double>;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return std::to_string(i * 1'000'003); }
  template <class Source>
  static Value value(Source& random) {
    Value value(below(random, 10) == 0 ? below(random, 700) : below(random, 12));
    for (double& number : value) number = static_cast<double>(below(random, 1000)) / 8;
    return value;
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    value.push_back(static_cast<double>(below(random, 100)));
    if (value.size() > 800) value.resize(3);
  }
};

struct Pairs {
  using Key = std::pair<int, int>;
  using Value = std::optional<std::string>;
  struct Hash {
    std::size_t operator()(const Key& key) const { return static_cast<std::size_t>(key.first * 31 + key.second); }
  };
  static Key key(std::size_t i) { return {static_cast<int>(i % 17), static_cast<int>(i / 17)}; }
  template <class Source>
  static Value value(Source& random) {
    return below(random, 5) == 0 ? std::nullopt : std::optional<std::string>(random_text(random, 100));
  }
  template <class Source>
  static void change(Value& value, Source& random) {
    value = value && below(random, 2) == 0 ? std::nullopt : std::optional<std::string>(random_text(random, 10));
  }
};

}  // namespace shared_dict::test
