// Two million random operations, family by family of key and value types: the dictionary must do what a
// std::unordered_map does, on roomy heaps and on ones that are full most of the time. The key sets are small, so that
// erasing, inserting again, growing and tombstones all happen to the same slots many times.

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <cereal/types/optional.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/vector.hpp>
#include <shared_dict/shared_dict.hpp>

#include "model/agrees.hpp"
#include "support/catch.hpp"
#include "support/model.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

struct Words {
  using Key = std::string;
  using Value = std::string;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return std::string(i % 301, 'k') + std::to_string(i); }
  static Value value(Random& random) { return random_text(random, 300); }
  static void change(Value& value, Random& random) {
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
  static Value value(Random& random) { return below(random, 4) == 0 ? below(random, 3) : random(); }
  static void change(Value& value, Random& random) { value += random(); }
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
  static Value value(Random& random) {
    Record record;
    record.number = static_cast<std::int32_t>(random());
    for (std::int16_t& part : record.more) part = static_cast<std::int16_t>(random());
    record.weight = static_cast<double>(record.number) / 7;
    return record;
  }
  static void change(Value& value, Random& random) { value.more[below(random, 7)]++; }
};

struct Lists {
  using Key = std::string;
  using Value = std::vector<std::string>;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return "list " + std::to_string(i); }
  static Value value(Random& random) {
    Value value(below(random, 6));
    for (std::string& text : value) text = random_text(random, 60);
    return value;
  }
  static void change(Value& value, Random& random) {
    if (value.size() > 8) value.clear();
    value.push_back(random_text(random, 30));
  }
};

struct Series {
  using Key = std::string;
  using Value = std::vector<double>;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return std::to_string(i * 1'000'003); }
  static Value value(Random& random) {
    Value value(below(random, 10) == 0 ? below(random, 700) : below(random, 12));
    for (double& number : value) number = static_cast<double>(below(random, 1000)) / 8;
    return value;
  }
  static void change(Value& value, Random& random) {
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
  static Value value(Random& random) {
    return below(random, 5) == 0 ? std::nullopt : std::optional<std::string>(random_text(random, 100));
  }
  static void change(Value& value, Random& random) {
    value = value && below(random, 2) == 0 ? std::nullopt : std::optional<std::string>(random_text(random, 10));
  }
};

}  // namespace

TEST_CASE("integers to integers agree with an unordered_map", "[long]") {
  agrees<Integers>("integers to integers", 450'000, 8000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("strings to strings of any size agree with an unordered_map", "[long]") {
  agrees<Words>("strings to strings of any size", 300'000, 1200, 8192 * kKiB, 96 * kKiB);
}

TEST_CASE("integers to structs agree with an unordered_map", "[long]") {
  agrees<Records>("integers to structs", 300'000, 4000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("strings to vectors of strings agree with an unordered_map", "[long]") {
  agrees<Lists>("strings to vectors of strings", 150'000, 2000, 4096 * kKiB, 40 * kKiB);
}

TEST_CASE("strings to vectors of numbers agree with an unordered_map", "[long]") {
  agrees<Series>("strings to vectors of numbers", 150'000, 300, 4096 * kKiB, 64 * kKiB);
}

TEST_CASE("pairs to optional strings agree with an unordered_map", "[long]") {
  agrees<Pairs>("pairs to optional strings", 150'000, 4000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("handles that close and open again in between agree with an unordered_map") {
  const UniqueName name;
  using Dict = SharedDict<std::string, std::string>;
  Dict dict = Dict::create(name.str(), {.heap_size = 200 * kKiB, .lifetime = Lifetime::persistent});
  std::unordered_map<std::string, std::string> model;
  Random random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 300; ++i) {
      const std::string key = Words::key(below(random, 300));
      const std::string value = Words::value(random);
      if (below(random, 3) == 0) {
        REQUIRE(dict.erase(key) == (model.erase(key) == 1));
      } else if (!error_of([&] { dict.insert_or_assign(key, value); })) {
        model.insert_or_assign(key, value);
      }
    }
    dict.close();
    dict = Dict::attach(name.str());
    REQUIRE(dict.size() == model.size());
    for (const auto& [key, value] : dict) REQUIRE(model.at(key) == value);
    SHARED_DICT_REQUIRE_SOUND(dict);
  }
}
