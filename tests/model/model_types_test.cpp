// As model_test.cpp, for what else can be a key or a value: numbers of other sizes, enumerations, plain structs and arrays, and what goes
// through cereal.

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <shared_dict/shared_dict.hpp>

#include "model/agrees.hpp"
#include "support/catch.hpp"
#include "support/model.hpp"
#include "support/pattern.hpp"
#include "support/types.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

struct Floats {
  using Key = double;
  using Value = float;
  using Hash = std::hash<double>;
  static Key key(std::size_t i) { return (static_cast<double>(i) - 50) * 0.37; }
  static Value value(Random& random) { return static_cast<float>(below(random, 2000)) / 7 - 100; }
  static void change(Value& value, Random&) { value = value / 2 + 1; }
};

struct SmallNumbers {
  using Key = std::int16_t;
  using Value = std::int8_t;
  using Hash = std::hash<std::int16_t>;
  static Key key(std::size_t i) { return static_cast<std::int16_t>(static_cast<int>(i) * 13 - 9000); }
  static Value value(Random& random) { return static_cast<std::int8_t>(random()); }
  static void change(Value& value, Random&) { value = static_cast<std::int8_t>(value ^ 0x55); }
};

struct Enumerations {
  using Key = Colour;
  using Value = Weekday;
  using Hash = std::hash<Colour>;
  static Key key(std::size_t i) { return static_cast<Colour>(i); }
  static Value value(Random& random) { return below(random, 2) == 0 ? kMonday : kTuesday; }
  static void change(Value& value, Random&) { value = value == kMonday ? kTuesday : kMonday; }
};

struct Structs {
  using Key = Point;
  using Value = Padded;
  struct Hash {
    std::size_t operator()(const Key& key) const {
      return mix(static_cast<std::uint32_t>(key.x) * 31U + static_cast<std::uint32_t>(key.y));
    }
  };
  static Key key(std::size_t i) { return {static_cast<int>(i % 40) - 20, static_cast<int>(i / 40)}; }
  static Value value(Random& random) {
    return {static_cast<std::int8_t>(random()), static_cast<double>(below(random, 100)) / 3,
            static_cast<std::int16_t>(random())};
  }
  static void change(Value& value, Random& random) { value.weight += static_cast<double>(below(random, 10)); }
};

struct Arrays {
  using Key = std::array<std::uint8_t, 20>;
  using Value = std::array<std::int32_t, 300>;
  struct Hash {
    std::size_t operator()(const Key& key) const { return mix(key[0] * 256U + key[1]); }
  };
  static Key key(std::size_t i) { return {static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i), 7}; }
  static Value value(Random& random) {
    Value value{};
    value.fill(static_cast<std::int32_t>(random()));
    return value;
  }
  static void change(Value& value, Random& random) { value[below(random, value.size())]++; }
};

struct Nested {
  using Key = std::vector<std::string>;
  using Value = std::map<std::string, std::vector<std::map<int, std::string>>>;
  struct Hash {
    std::size_t operator()(const Key& key) const { return std::hash<std::string>{}(key.back()); }
  };
  static Key key(std::size_t i) {
    Key key(i % 4, "x");
    key.push_back(std::to_string(i));
    return key;
  }
  static Value value(Random& random) {
    Value value;
    for (std::size_t i = below(random, 4); i > 0; --i) change(value, random);
    return value;
  }
  static void change(Value& value, Random& random) {
    if (value.size() > 6) value.clear();
    value[random_text(random, 12)].push_back({{static_cast<int>(below(random, 9)), random_text(random, 20)}, {-1, ""}});
  }
};

struct Variants {
  using Key = std::tuple<std::string, std::int16_t>;
  using Value = std::variant<int, std::string, std::vector<double>>;
  struct Hash {
    std::size_t operator()(const Key& key) const { return mix(static_cast<std::uint16_t>(std::get<1>(key))); }
  };
  static Key key(std::size_t i) { return {std::string(i % 5, 't'), static_cast<std::int16_t>(i)}; }
  static Value value(Random& random) {
    switch (below(random, 3)) {
      case 0: return static_cast<int>(below(random, 5));
      case 1: return random_text(random, 80);
      default: return std::vector<double>(below(random, 9), 0.5);
    }
  }
  static void change(Value& value, Random& random) { value = Variants::value(random); }
};

struct Objects {
  using Key = std::vector<std::int32_t>;
  using Value = Person;
  struct Hash {
    std::size_t operator()(const Key& key) const { return mix(static_cast<std::uint32_t>(key.back())); }
  };
  static Key key(std::size_t i) {
    Key key(i % 7, 3);
    key.push_back(static_cast<std::int32_t>(i));
    return key;
  }
  static Value value(Random& random) {
    Person person{random_text(random, 20), static_cast<int>(below(random, 100)), {}, {}};
    for (std::size_t i = below(random, 4); i > 0; --i) change(person, random);
    return person;
  }
  static void change(Value& value, Random& random) {
    value.nicknames.push_back(random_text(random, 10));
    value.scores[random_text(random, 3)].push_back(static_cast<double>(below(random, 9)));
    if (value.nicknames.size() > 7) value = {};
  }
};

/// Behind a pointer, which may be null; two are equal when what they point to is.
struct Box {
  std::shared_ptr<std::string> text;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
  }
  friend bool operator==(const Box& a, const Box& b) {
    return a.text == b.text || (a.text && b.text && *a.text == *b.text);
  }
};

struct Boxes {
  using Key = std::uint8_t;
  using Value = Box;
  using Hash = std::hash<std::uint8_t>;
  static Key key(std::size_t i) { return static_cast<std::uint8_t>(i); }
  static Value value(Random& random) {
    return {below(random, 4) == 0 ? nullptr : std::make_shared<std::string>(random_text(random, 200))};
  }
  static void change(Value& value, Random& random) { value = Boxes::value(random); }
};

struct Bits {
  using Key = std::string;
  using Value = std::vector<bool>;
  using Hash = std::hash<std::string>;
  static Key key(std::size_t i) { return std::to_string(i); }
  static Value value(Random& random) {
    Value value(below(random, 200));
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = random() % 2 == 0;
    return value;
  }
  static void change(Value& value, Random& random) { value.push_back(random() % 2 == 0); }
};

}  // namespace

TEST_CASE("floating point numbers agree with an unordered_map", "[long]") {
  agrees<Floats>("floating point numbers", 150'000, 1500, 512 * kKiB, 6 * kKiB);
}

TEST_CASE("numbers of one and two bytes agree with an unordered_map", "[long]") {
  agrees<SmallNumbers>("numbers of one and two bytes", 150'000, 1400, 512 * kKiB, 2 * kKiB);
}

TEST_CASE("enumerations agree with an unordered_map", "[long]") {
  agrees<Enumerations>("enumerations", 90'000, 250, 128 * kKiB, 600);
}

TEST_CASE("plain structs agree with an unordered_map", "[long]") {
  agrees<Structs>("plain structs", 150'000, 1600, 1024 * kKiB, 16 * kKiB);
}

TEST_CASE("arrays agree with an unordered_map", "[long]") {
  agrees<Arrays>("arrays", 90'000, 400, 4096 * kKiB, 120 * kKiB);
}

TEST_CASE("nested containers agree with an unordered_map", "[long]") {
  agrees<Nested>("nested containers", 60'000, 500, 2048 * kKiB, 30 * kKiB);
}

TEST_CASE("tuples to variants agree with an unordered_map", "[long]") {
  agrees<Variants>("tuples to variants", 90'000, 800, 2048 * kKiB, 16 * kKiB);
}

TEST_CASE("vectors to classes agree with an unordered_map", "[long]") {
  agrees<Objects>("vectors to classes", 60'000, 500, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("values behind pointers agree with an unordered_map", "[long]") {
  agrees<Boxes>("values behind pointers", 60'000, 250, 1024 * kKiB, 10 * kKiB);
}

TEST_CASE("strings to bits agree with an unordered_map", "[long]") {
  agrees<Bits>("strings to bits", 60'000, 600, 1024 * kKiB, 20 * kKiB);
}
