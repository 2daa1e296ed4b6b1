// Read-modify-write: what the callbacks see, what is stored afterwards, and what remains when they throw or call back.

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

}  // namespace

TEST_CASE("modify changes a present value and leaves a missing one missing") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  bool called = false;
  REQUIRE_FALSE(d.modify("k", [&](std::string&) { called = true; }));
  REQUIRE_FALSE(called);
  REQUIRE_FALSE(d.contains("k"));

  d.insert("k", "v");
  REQUIRE(d.modify("k", [](std::string& value) {
    REQUIRE(value == "v");
    value.assign(500, 'x');
  }));
  REQUIRE(d.at("k") == std::string(500, 'x'));
  REQUIRE(d.modify("k", [](std::string& value) { value.clear(); }));
  REQUIRE(d.at("k").empty());
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("modify_or_insert applies the callback to the initial value of a missing key") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.modify_or_insert("k", "initial", [](std::string& value) { value += "+1"; }));
  REQUIRE(d.at("k") == "initial+1");
  REQUIRE_FALSE(d.modify_or_insert("k", "not used", [](std::string& value) { value += "+2"; }));
  REQUIRE(d.at("k") == "initial+1+2");
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEMPLATE_TEST_CASE("fetch_add returns the old value and counts a missing key as zero", "", std::int8_t, std::uint8_t,
                   std::int16_t, std::uint16_t, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, float,
                   double) {
  const UniqueName name;
  using Dict = SharedDict<std::string, TestType>;
  Dict d = Dict::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.fetch_add("k", TestType{5}) == TestType{0});
  REQUIRE(d.fetch_add("k", TestType{7}) == TestType{5});
  REQUIRE(d.at("k") == TestType{12});
  REQUIRE(d.fetch_add("other", TestType{0}) == TestType{0});
  REQUIRE(d.contains("other"));
  REQUIRE(d.at("other") == TestType{0});
  REQUIRE(d.size() == 2);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEMPLATE_TEST_CASE("fetch_add counts down with negative steps and wraps around like an atomic integer", "", std::int8_t,
                   std::int16_t, std::int32_t, std::int64_t) {
  const UniqueName name;
  using Dict = SharedDict<int, TestType>;
  using Limits = std::numeric_limits<TestType>;
  Dict d = Dict::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.fetch_add(1, static_cast<TestType>(-3)) == 0);
  REQUIRE(d.at(1) == -3);
  REQUIRE(d.insert(2, Limits::max()));
  REQUIRE(d.fetch_add(2, TestType{1}) == Limits::max());
  REQUIRE(d.at(2) == Limits::min());
  REQUIRE(d.fetch_add(2, static_cast<TestType>(-1)) == Limits::min());
  REQUIRE(d.at(2) == Limits::max());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("fetch_add on unsigned integers wraps around, and on doubles keeps fractions") {
  const UniqueName name;
  const UniqueName fractions_name;
  auto d = SharedDict<int, std::uint8_t>::create(name.str(), {.heap_size = kMiB});
  d.insert(1, 250);
  REQUIRE(d.fetch_add(1, 10) == 250);
  REQUIRE(d.at(1) == 4);
  SHARED_DICT_REQUIRE_SOUND(d);

  auto fractions = SharedDict<int, double>::create(fractions_name.str(), {.heap_size = kMiB});
  REQUIRE(fractions.fetch_add(1, 0.25) == 0.0);
  REQUIRE(fractions.fetch_add(1, -1.5) == 0.25);
  REQUIRE(fractions.at(1) == -1.25);
  SHARED_DICT_REQUIRE_SOUND(fractions);
}

TEST_CASE("compare_exchange writes only over the expected value") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  std::string expected = "v";
  REQUIRE_FALSE(d.compare_exchange("k", expected, "w"));  // nothing there to compare with
  REQUIRE(expected == "v");
  REQUIRE_FALSE(d.contains("k"));

  d.insert("k", "v");
  expected = "another";
  REQUIRE_FALSE(d.compare_exchange("k", expected, "w"));
  REQUIRE(expected == "v");
  REQUIRE(d.at("k") == "v");
  REQUIRE(d.compare_exchange("k", expected, "a value of quite another length"));
  REQUIRE(expected == "v");
  REQUIRE(d.at("k") == "a value of quite another length");
  expected = "a value of quite another lengtH";
  REQUIRE_FALSE(d.compare_exchange("k", expected, "w"));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("compare_exchange works on numbers, structs and cereal types") {
  const UniqueName numbers_name;
  const UniqueName points_name;
  const UniqueName people_name;
  auto numbers = Numbers::create(numbers_name.str(), {.heap_size = kMiB});
  numbers.insert(1, 10);
  std::uint64_t number = 11;
  REQUIRE_FALSE(numbers.compare_exchange(1, number, 12));
  REQUIRE(number == 10);
  REQUIRE(numbers.compare_exchange(1, number, 12));
  REQUIRE(numbers.at(1) == 12);
  SHARED_DICT_REQUIRE_SOUND(numbers);

  auto points = SharedDict<int, Point>::create(points_name.str(), {.heap_size = kMiB});
  points.insert(1, {1, 2});
  Point point{2, 1};
  REQUIRE_FALSE(points.compare_exchange(1, point, {3, 4}));
  REQUIRE(point == Point{1, 2});
  REQUIRE(points.compare_exchange(1, point, {3, 4}));
  REQUIRE(points.at(1) == Point{3, 4});
  SHARED_DICT_REQUIRE_SOUND(points);

  auto people = SharedDict<int, Person>::create(people_name.str(), {.heap_size = kMiB});
  const Person ada{"Ada", 36, {"Countess"}, {{"analysis", {1.0, 2.0}}}};
  people.insert(1, ada);
  Person person{"Charles", 79, {}, {}};
  REQUIRE_FALSE(people.compare_exchange(1, person, Person{}));
  REQUIRE(person == ada);
  REQUIRE(people.compare_exchange(1, person, Person{}));
  REQUIRE(people.at(1) == Person{});
  SHARED_DICT_REQUIRE_SOUND(people);
}

TEST_CASE("compare_exchange does not take different padding for a different value for ever") {
  const UniqueName name;
  auto d = SharedDict<int, Padded>::create(name.str(), {.heap_size = kMiB});
  const auto make = [](unsigned char padding, void* at) {
    std::memset(at, padding, sizeof(Padded));
    auto* value = static_cast<Padded*>(at);
    value->tag = 1;
    value->weight = 2.5;
    value->count = 3;
    return value;
  };
  alignas(Padded) unsigned char stored[sizeof(Padded)];
  alignas(Padded) unsigned char expected[sizeof(Padded)];
  d.insert(1, *make(0x55, stored));
  Padded* value = make(0xAA, expected);
  int turns = 1;
  while (turns < 10 && !d.compare_exchange(1, *value, Padded{9, 9, 9})) ++turns;
  INFO("turns " << turns);
  REQUIRE(turns <= 2);
  REQUIRE(d.at(1) == Padded{9, 9, 9});
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an exception that leaves a callback leaves the stored value as it was") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  d.insert("k", "v");
  const auto spoil = [](std::string& value) {
    value = "spoilt";
    throw std::runtime_error("callback");
  };
  REQUIRE_THROWS_WITH(d.modify("k", spoil), "callback");
  REQUIRE(d.at("k") == "v");
  REQUIRE_THROWS_WITH(d.modify_or_insert("k", "i", spoil), "callback");
  REQUIRE(d.at("k") == "v");
  REQUIRE_THROWS_WITH(d.modify_or_insert("missing", "i", spoil), "callback");
  REQUIRE_FALSE(d.contains("missing"));
  REQUIRE_THROWS_WITH(d.erase_if([](const auto&, const auto&) -> bool { throw std::runtime_error("callback"); }),
                      "callback");
  REQUIRE(d.at("k") == "v");
  REQUIRE(d.size() == 1);

  // Neither a lock nor the mark of being inside a callback is left behind.
  REQUIRE(d.modify("k", [](std::string& value) { value = "w"; }));
  d.clear();
  REQUIRE(d.insert("k", "again"));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a callback may throw what is no std::exception") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB});
  d.insert(1, 10);
  REQUIRE_THROWS_AS(d.modify(1,
                             [](std::uint64_t& value) {
                               value = 11;
                               throw 42;
                             }),
                    int);
  REQUIRE(d.at(1) == 10);
  REQUIRE(d.fetch_add(1, 1) == 10);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a modified value that does not fit leaves the old one in place") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 64 * 1024});
  d.insert("k", "v");
  REQUIRE_THROWS_AS(d.modify("k", [](std::string& value) { value.assign(10 * kMiB, 'x'); }), Error);
  REQUIRE(d.at("k") == "v");
  REQUIRE_THROWS_AS(d.modify_or_insert("l", "", [](std::string& value) { value.assign(10 * kMiB, 'x'); }), Error);
  REQUIRE_FALSE(d.contains("l"));
  REQUIRE(d.modify("k", [](std::string& value) { value = "w"; }));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a serialize that throws neither writes nor locks") {
  const UniqueName name;
  auto d = SharedDict<int, Fragile>::create(name.str(), {.heap_size = kMiB});
  struct Restore {
    ~Restore() { Fragile::save_throws = Fragile::load_throws = false; }
  } const restore;
  REQUIRE(d.insert(1, {"one"}));

  Fragile::save_throws = true;
  REQUIRE_THROWS_WITH(d.insert(2, {"two"}), Catch::Contains("save throws"));
  REQUIRE_THROWS_WITH(d.insert_or_assign(1, {"uno"}), Catch::Contains("save throws"));
  REQUIRE_THROWS_WITH(d.modify(1, [](Fragile& value) { value.text = "uno"; }), Catch::Contains("save throws"));
  REQUIRE_THROWS_WITH(d.modify_or_insert(2, {"two"}, [](Fragile&) {}), Catch::Contains("save throws"));
  Fragile::save_throws = false;
  REQUIRE_FALSE(d.contains(2));
  REQUIRE(d.at(1).text == "one");

  Fragile::load_throws = true;
  REQUIRE_THROWS_WITH(d.get(1), Catch::Contains("load throws"));
  REQUIRE_THROWS_WITH(d.items(), Catch::Contains("load throws"));
  REQUIRE_THROWS_WITH(d.modify(1, [](Fragile&) {}), Catch::Contains("load throws"));
  REQUIRE_THROWS_WITH(d.erase_if([](const auto&, const auto&) { return true; }), Catch::Contains("load throws"));
  REQUIRE(d.contains(1));
  Fragile::load_throws = false;

  REQUIRE(d.at(1).text == "one");
  REQUIRE(d.modify(1, [](Fragile& value) { value.text = "uno"; }));
  REQUIRE(d.at(1).text == "uno");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an extract whose value cannot be decoded does not lose it") {
  const UniqueName name;
  auto d = SharedDict<int, Fragile>::create(name.str(), {.heap_size = kMiB});
  struct Restore {
    ~Restore() { Fragile::load_throws = false; }
  } const restore;
  d.insert(1, {"one"});
  Fragile::load_throws = true;
  REQUIRE_THROWS(d.extract(1));
  REQUIRE_THROWS(d.extract_any());
  Fragile::load_throws = false;
  REQUIRE(d.contains(1));
  REQUIRE(d.at(1).text == "one");
  SHARED_DICT_REQUIRE_SOUND(d);
}
