// What can be stored: each kind of key and value comes back as it went in, at every size where an encoding might trip.

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include <cereal/types/array.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

/// A dictionary as a member, of a class that is only declared so far.
struct Later;
struct Owner {
  explicit Owner(const std::string& name);
  SharedDict<int, Later> dictionary;
};
struct Later {
  std::int32_t number = 0;
};
/// By length alone.
struct LongerLast {
  bool operator()(const std::string& a, const std::string& b) const { return a.size() < b.size(); }
};

struct OtherTraits : std::char_traits<char> {};

Owner::Owner(const std::string& name) : dictionary(SharedDict<int, Later>::create(name, {.heap_size = 1 << 20})) {}

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// Stores each value under a number and looks whether it comes back from every way of reading and writing.
template <class V>
void values_survive(const std::vector<V>& values, std::size_t heap_size = 4 * kMiB) {
  const UniqueName name;
  auto d = SharedDict<int, V>::create(name.str(), {.heap_size = heap_size});
  int key = 0;
  for (const V& value : values) REQUIRE(d.insert(key++, value));
  key = 0;
  for (const V& value : values) {
    REQUIRE(d.at(key) == value);
    V out{};
    REQUIRE(d.try_get(key, out));
    REQUIRE(out == value);
    ++key;
  }
  // Each value over each other's place.
  for (std::size_t shift = 1; shift < values.size() && shift < 4; ++shift) {
    for (std::size_t i = 0; i < values.size(); ++i)
      d.insert_or_assign(static_cast<int>(i), values[(i + shift) % values.size()]);
    for (const auto& [at, value] : d.items()) {
      REQUIRE(value == values[(static_cast<std::size_t>(at) + shift) % values.size()]);
    }
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    d.modify(static_cast<int>(i), [&](V& value) { value = values[i]; });
    REQUIRE(d.extract(static_cast<int>(i)) == std::optional<V>(values[i]));
  }
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

/// Stores a number under each key and looks whether each key is found, listed and erased.
template <class K>
void keys_survive(const std::vector<K>& keys) {
  const UniqueName name;
  auto d = SharedDict<K, std::size_t>::create(name.str(), {.heap_size = 8 * kMiB});
  for (std::size_t i = 0; i < keys.size(); ++i) REQUIRE(d.insert(keys[i], i));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    REQUIRE_FALSE(d.insert(keys[i], i));
    REQUIRE(d.at(keys[i]) == i);
  }
  REQUIRE(d.size() == keys.size());
  for (const auto& [key, i] : d.items()) REQUIRE(keys.at(i) == key);
  for (const K& key : keys) REQUIRE(d.erase(key));
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

std::string text_of(std::size_t size) {
  std::string text(size, '\0');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>((i * 131 + size) & 0xFF);
  return text;
}

}  // namespace

TEST_CASE("integers of every width are keys and values") {
  values_survive<std::int8_t>({0, 1, -1, 127, -128});
  values_survive<std::uint16_t>({0, 1, 65535});
  values_survive<std::int32_t>({0, -1, std::numeric_limits<std::int32_t>::min()});
  values_survive<std::uint64_t>({0, 1, std::numeric_limits<std::uint64_t>::max()});
  keys_survive<std::int8_t>({0, 1, -1, 127, -128});
  keys_survive<char>({'\0', 'a', 'z'});
  keys_survive<std::uint16_t>({0, 1, 256, 65535});
  keys_survive<std::int32_t>({0, -1, 1, std::numeric_limits<std::int32_t>::min()});
  keys_survive<std::int64_t>({0, -1, 1, std::numeric_limits<std::int64_t>::min(), std::int64_t{1} << 32});
}

TEST_CASE("bool, enumerations and floating point numbers are keys and values") {
  values_survive<bool>({false, true});
  values_survive<Colour>({Colour::red, Colour::green, Colour::blue});
  values_survive<double>(
      {0.0, -1.5, std::numeric_limits<double>::infinity(), std::numeric_limits<double>::denorm_min()});
  values_survive<float>({0.0F, 1.0F / 3});
  keys_survive<bool>({false, true});
  keys_survive<Colour>({Colour::red, Colour::green, Colour::blue});
  keys_survive<Weekday>({kMonday, kTuesday});
  keys_survive<double>({0.0, 1.0, -1.0, 0.1, 1e300, std::numeric_limits<double>::infinity()});
  keys_survive<float>({0.0F, 0.1F, -7.0F});
}

TEST_CASE("a NaN comes back as a NaN") {
  const UniqueName name;
  auto d = SharedDict<int, double>::create(name.str(), {.heap_size = kMiB});
  d.insert(1, std::numeric_limits<double>::quiet_NaN());
  REQUIRE(std::isnan(d.at(1)));
  double expected = 0;
  REQUIRE_FALSE(d.compare_exchange(1, expected, 1.0));
  REQUIRE(std::isnan(expected));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("structs without padding are keys, structs with padding are values") {
  keys_survive<Point>({{0, 0}, {0, 1}, {1, 0}, {-1, -1}});
  values_survive<Point>({{0, 0}, {1, 2}, {-1, -2}});
  values_survive<Padded>({{0, 0.0, 0}, {1, 2.5, 3}, {-1, -2.5, -3}});
  values_survive<std::array<std::int32_t, 5>>({{}, {1, 2, 3, 4, 5}});
  keys_survive<std::array<std::uint8_t, 3>>({{}, {1, 2, 3}, {3, 2, 1}});
}

TEST_CASE("string keys of every length, empty and with NUL bytes, are told apart") {
  std::vector<std::string> keys;
  for (std::size_t size = 0; size < 300; ++size) keys.push_back(text_of(size));
  for (std::size_t size = 1; size < 20; ++size) keys.emplace_back(size, '\0');
  keys.emplace_back("a");
  keys.emplace_back("a\0", 2);
  keys.emplace_back("a\0b", 3);
  keys.emplace_back("\0a", 2);
  keys.push_back(text_of(5000));
  keys.push_back(text_of(70'000));
  keys_survive(keys);
}

TEST_CASE("string values of every small length come back byte by byte") {
  std::vector<std::string> values;
  for (std::size_t size = 0; size < 300; ++size) values.push_back(text_of(size));
  values_survive(values);
}

TEST_CASE("string values around the powers of two and up to one MiB come back byte by byte") {
  std::vector<std::string> values;
  for (std::size_t power = 256; power <= kMiB; power *= 2) {
    for (const std::size_t size : {power - 17, power - 1, power, power + 1}) values.push_back(text_of(size));
  }
  values_survive(values, 64 * kMiB);
}

TEST_CASE("a value of five megabytes is stored, replaced, and given back") {
  const UniqueName name;
  auto d = SharedDict<std::string, std::string>::create(name.str(), {.heap_size = 32 * kMiB});
  const std::string big = text_of(5'000'000);
  REQUIRE(d.insert("big", big));
  REQUIRE(d.at("big") == big);
  for (int i = 0; i < 20; ++i) {
    d.insert_or_assign("big", big);
    d.insert_or_assign("small", "s");
    d.insert_or_assign("big", "b");
    d.insert_or_assign("big", big);
    d.erase("small");
  }
  REQUIRE(d.at("big") == big);
  REQUIRE(d.erase("big"));
  REQUIRE(d.insert("big", big));
  SHARED_DICT_REQUIRE_SOUND(d);
}

namespace {

/// Sizes around what a long value is read in at a time, into what is empty, shorter with and without room, and longer.
template <std::size_t kBytes>
void long_vectors_survive() {
  using Element = std::array<std::uint8_t, kBytes>;
  using Elements = std::vector<Element>;
  const UniqueName name;
  auto d = SharedDict<int, Elements>::create(name.str(), {.heap_size = 8 * kMiB});
  for (const std::size_t bytes : std::initializer_list<std::size_t>{4095, 4096, 4097, 8192, 12'288, 12'289, 100'000}) {
    for (std::size_t count = bytes / kBytes; count <= bytes / kBytes + 1; ++count) {
      Elements value(count);
      std::size_t at = 0;
      for (Element& element : value) {
        for (std::uint8_t& byte : element) byte = static_cast<std::uint8_t>(at++ % 251);
      }
      d.insert_or_assign(1, value);
      for (const std::size_t before : {std::size_t{0}, count / 2, count + 7}) {
        for (const bool room : {false, true}) {
          Elements out(before);
          if (room) out.reserve(2 * count);
          REQUIRE(d.try_get(1, out));
          REQUIRE(out == value);
        }
      }
    }
  }
}

}  // namespace

namespace {

/// Can be copied, but not made of nothing.
struct Given {
  explicit Given(int given) : number(given) {}
  int number;
  friend bool operator==(const Given&, const Given&) = default;
};

}  // namespace

TEST_CASE("long vectors of what can't be made of nothing come back") {
  const UniqueName name;
  auto d = SharedDict<int, std::vector<Given>>::create(name.str(), {.heap_size = 4 * kMiB});
  std::vector<Given> value;
  for (int i = 0; i < 5000; ++i) value.emplace_back(i);
  d.insert(1, value);
  REQUIRE(d.at(1) == value);
  std::vector<Given> out(value.begin(), value.begin() + 100);
  REQUIRE(d.try_get(1, out));
  REQUIRE(out == value);
}

TEST_CASE("a long value fits after garbage that didn't") {
  std::vector<std::uint64_t> out;
  detail::Room<std::vector<std::uint64_t>> room(out);
  REQUIRE(room(3) == nullptr);
  REQUIRE_FALSE(room.fits);
  const std::vector<std::uint64_t> stored(10'000, 7);
  const auto bytes = std::as_bytes(std::span(stored));
  REQUIRE(room.is_to_grow(bytes.size()));
  if (!room.made_of(bytes.data(), bytes.size())) std::memcpy(room(bytes.size()), bytes.data(), bytes.size());
  REQUIRE(room.fits);
  REQUIRE(out == stored);
}

TEST_CASE("long vectors come back whatever their elements' size and whatever they are read into") {
  long_vectors_survive<1>();
  long_vectors_survive<3>();
  long_vectors_survive<12>();
  long_vectors_survive<1000>();
  long_vectors_survive<5000>();
}

TEST_CASE("vectors come back, empty ones and those of bool included") {
  values_survive<std::vector<double>>({{}, {1.0}, {1.0, -2.5, 3e100}, std::vector<double>(1000, 0.1)});
  values_survive<std::vector<std::uint8_t>>({{}, {1}, {1, 2, 3}});
  values_survive<std::vector<Point>>({{}, {{1, 2}}, {{1, 2}, {3, 4}}});
  values_survive<std::vector<Padded>>({{}, {{1, 2.0, 3}}});
  values_survive<std::vector<bool>>({{}, {true}, {false, true, true, false, true, false, true, false, true}});
  values_survive<std::vector<std::string>>({{}, {""}, {"a", "", "ccc"}});
  keys_survive<std::vector<std::int32_t>>({{}, {0}, {0, 0}, {1, 2, 3}});
  keys_survive<std::vector<std::string>>({{}, {""}, {"", ""}, {"ab"}, {"a", "b"}});
}

TEST_CASE("nested containers, tuples, optionals and variants come back") {
  using Nested = std::map<std::string, std::vector<std::map<int, std::string>>>;
  values_survive<Nested>({{}, {{"a", {}}}, {{"a", {{{1, "one"}}, {}}}, {"b", {{{2, "two"}, {3, ""}}}}}});
  values_survive<std::unordered_map<std::string, std::set<int>>>({{}, {{"a", {1, 2}}, {"b", {}}}});
  values_survive<std::pair<int, std::string>>({{1, "one"}, {0, ""}});
  values_survive<std::tuple<int, std::string, double>>({{1, "one", 1.5}, {0, "", 0.0}});
  values_survive<std::optional<std::string>>({{std::nullopt}, {""}, {"text"}});
  values_survive<std::optional<std::int32_t>>({{std::nullopt}, {0}, {-1}});
  using Variant = std::variant<int, std::string, std::vector<double>>;
  values_survive<Variant>({Variant(1), Variant(std::string("text")), Variant(std::vector<double>{1.0, 2.0})});
  keys_survive<std::pair<int, int>>({{0, 0}, {0, 1}, {1, 0}});
  keys_survive<std::tuple<std::string, std::int16_t>>({{"", std::int16_t{0}}, {"a", std::int16_t{1}}});
}

TEST_CASE("classes with serialize, with save and load, and behind smart pointers come back") {
  values_survive<Person>({{}, {"Ada", 36, {"a", "b"}, {{"x", {1.0}}}}});

  const UniqueName name;
  auto cached = SharedDict<int, Cached>::create(name.str(), {.heap_size = kMiB});
  cached.insert(1, {"five", 99});
  REQUIRE(cached.at(1).stored == "five");
  REQUIRE(cached.at(1).not_stored == 4);
  SHARED_DICT_REQUIRE_SOUND(cached);

  const UniqueName pointers_name;
  auto pointers = SharedDict<int, std::shared_ptr<Person>>::create(pointers_name.str(), {.heap_size = kMiB});
  pointers.insert(1, std::make_shared<Person>(Person{"Ada", 36, {}, {}}));
  pointers.insert(2, nullptr);
  REQUIRE(pointers.at(1)->name == "Ada");
  REQUIRE(pointers.at(2) == nullptr);
  SHARED_DICT_REQUIRE_SOUND(pointers);
}

TEST_CASE("a key that is a class is found by its encoded bytes") {
  const UniqueName name;
  auto d = SharedDict<Person, int>::create(name.str(), {.heap_size = kMiB});
  const Person ada{"Ada", 36, {"a"}, {{"x", {1.0}}}};
  Person older = ada;
  older.age = 37;
  REQUIRE(d.insert(ada, 1));
  REQUIRE_FALSE(d.contains(older));
  REQUIRE(d.insert(older, 2));
  REQUIRE(d.at(ada) == 1);
  REQUIRE(d.at(older) == 2);
  for (const auto& [key, value] : d) REQUIRE(key.age == 35 + value);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a member of a class may be a dictionary of a type that is defined after it") {
  const UniqueName name;
  Owner owner(name.str());
  owner.dictionary.insert(1, {7});
  REQUIRE(owner.dictionary.at(1).number == 7);
  SHARED_DICT_REQUIRE_SOUND(owner.dictionary);
}

TEST_CASE("equal keys of a container stay in their order, and so such a container can be a key") {
  const UniqueName name;
  using Map = std::multimap<int, std::string>;
  using Set = std::multiset<std::string, LongerLast>;
  auto maps = SharedDict<Map, Set>::create(name.str(), {.heap_size = 1 << 20});
  const Map map{{1, "a"}, {1, "b"}, {0, "c"}, {1, "c"}};
  const Set set{"xx", "y", "a", "b", "zz"};
  maps.insert(map, set);
  REQUIRE(maps.keys() == std::vector<Map>{map});
  const Set read = maps.at(maps.keys().front());
  REQUIRE(std::vector<std::string>(read.begin(), read.end()) == std::vector<std::string>{"y", "a", "b", "xx", "zz"});
  SHARED_DICT_REQUIRE_SOUND(maps);
}

TEST_CASE("a string with traits of its own is a key like any other type") {
  const UniqueName name;
  using Text = std::basic_string<char, OtherTraits>;
  auto d = SharedDict<Text, int>::create(name.str(), {.heap_size = 1 << 20});
  d.insert(Text("key"), 1);
  d[Text("other")] = 2;
  REQUIRE(d.at("key") == 1);
  REQUIRE(d.at("other") == 2);
}
