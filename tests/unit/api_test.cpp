// Reading and writing single keys: what each call returns, and that it changes what it says and nothing else.

#include <cstdint>
#include <limits>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

// Nothing but what every value has.
struct Opaque {
  std::int32_t number;
};

}  // namespace

// All members compile whatever the value is: what it lacks, the dictionary lacks. (clang before 16 instantiates a class's members without a look at
// their constraints; these two have what all of them need.)
template class shared_dict::SharedDict<std::string, std::string>;
template class shared_dict::SharedDict<std::uint64_t, std::uint64_t>;
#if !defined(__clang__) || __clang_major__ >= 16
template class shared_dict::SharedDict<int, Opaque>;
template class shared_dict::ItemReference<std::string, std::string>;
template class shared_dict::ItemReference<std::uint64_t, std::uint64_t>;
template class shared_dict::ItemReference<int, Opaque>;
template class shared_dict::ItemIterator<std::string, std::string>;
template class shared_dict::ItemIterator<int, Opaque>;
#endif

TEST_CASE("a missing key is an empty optional, a fallback, false, or out_of_range") {
  const UniqueName name;
  const Words d = Words::create(name.str(), {.heap_size = kMiB});

  REQUIRE(d.get("k") == std::nullopt);
  REQUIRE(d.get("k", "fallback") == "fallback");
  std::string out = "untouched";
  REQUIRE_FALSE(d.try_get("k", out));
  REQUIRE(out == "untouched");
  REQUIRE_THROWS_AS(d.at("k"), std::out_of_range);
  REQUIRE_THROWS_AS(d["k"], std::out_of_range);
  REQUIRE_FALSE(d.contains("k"));
  REQUIRE(d.size() == 0);
  REQUIRE(d.empty());
}

TEST_CASE("a stored key is found by every way of reading") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.insert("k", "value"));

  REQUIRE(d.get("k") == std::optional<std::string>("value"));
  REQUIRE(d.get("k", "fallback") == "value");
  std::string out = "something longer than what is stored";
  REQUIRE(d.try_get("k", out));
  REQUIRE(out == "value");
  REQUIRE(d.at("k") == "value");
  REQUIRE(std::as_const(d)["k"] == "value");
  REQUIRE(d.contains("k"));
  REQUIRE(d.size() == 1);
  REQUIRE_FALSE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("insert writes only an absent key") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.insert("k", "first"));
  REQUIRE_FALSE(d.insert("k", "second"));
  REQUIRE(d.at("k") == "first");
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("assign writes only a present key") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE_FALSE(d.assign("k", "first"));
  REQUIRE_FALSE(d.contains("k"));
  REQUIRE(d.insert("k", "first"));
  REQUIRE(d.assign("k", "second, and longer"));
  REQUIRE(d.at("k") == "second, and longer");
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("insert_or_assign tells whether it inserted") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.insert_or_assign("k", "first"));
  REQUIRE_FALSE(d.insert_or_assign("k", "second"));
  REQUIRE(d.at("k") == "second");
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("erase tells whether there was something to erase") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE_FALSE(d.erase("k"));
  d.insert("k", "v");
  d.insert("other", "w");
  REQUIRE(d.erase("k"));
  REQUIRE_FALSE(d.erase("k"));
  REQUIRE_FALSE(d.contains("k"));
  REQUIRE(d.at("other") == "w");
  REQUIRE(d.size() == 1);
  REQUIRE(d.insert("k", "again"));
  REQUIRE(d.at("k") == "again");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("extract takes the value out") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.extract("k") == std::nullopt);
  d.insert("k", "v");
  REQUIRE(d.extract("k") == std::optional<std::string>("v"));
  REQUIRE(d.extract("k") == std::nullopt);
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("extract_any takes each item out once, then nothing") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d.extract_any() == std::nullopt);
  constexpr std::uint64_t kItems = 1000;
  for (std::uint64_t i = 0; i < kItems; ++i) d.insert(i, i * 3);

  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < kItems; ++i) {
    const auto item = d.extract_any();
    REQUIRE(item.has_value());
    REQUIRE(item->second == item->first * 3);
    REQUIRE_FALSE(d.contains(item->first));
    REQUIRE(d.size() == kItems - i - 1);
    sum += item->first;
  }
  REQUIRE(sum == kItems * (kItems - 1) / 2);
  REQUIRE(d.extract_any() == std::nullopt);
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("clear leaves an empty dictionary that can be filled again") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB});
  d.clear();
  for (int round = 0; round < 3; ++round) {
    for (std::uint64_t i = 0; i < 2000; ++i) REQUIRE(d.insert(i, i));
    REQUIRE(d.size() == 2000);
    d.clear();
    REQUIRE(d.empty());
    REQUIRE_FALSE(d.contains(7));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("erase_if erases what its predicate picks and counts it") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB});
  for (std::uint64_t i = 0; i < 1000; ++i) d.insert(i, i % 10);
  std::size_t calls = 0;
  const std::size_t erased = d.erase_if([&](const std::uint64_t& key, const std::uint64_t& value) {
    ++calls;
    return key >= 500 && value == 3;
  });
  REQUIRE(calls == 1000);
  REQUIRE(erased == 50);
  REQUIRE(d.size() == 950);
  REQUIRE_FALSE(d.contains(503));
  REQUIRE(d.contains(403));
  REQUIRE(d.erase_if([](const auto&, const auto&) { return false; }) == 0);
  REQUIRE(d.erase_if([](const auto&, const auto&) { return true; }) == 950);
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("the subscript writes, reads, and never inserts by reading") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  d["k"] = "v";
  const std::string read = d["k"];
  REQUIRE(read == "v");
  d["k"] = std::string("w");
  REQUIRE(d.at("k") == "w");
  REQUIRE_THROWS_AS(static_cast<std::string>(d["missing"]), std::out_of_range);
  REQUIRE_FALSE(d.contains("missing"));

  // From one element to another: the value is copied, whatever the proxies are.
  d["copy"] = d["k"];
  REQUIRE(d.at("copy") == "w");
  SHARED_DICT_REQUIRE_SOUND(d);
}

// What a V can be assigned from goes, as to a variable; what would only make one by a cast doesn't.
static_assert(std::is_assignable_v<Words::Reference, std::string_view> && std::is_assignable_v<Words::Reference, const char*> &&
              !std::is_assignable_v<Words::Reference, std::size_t> && !std::is_assignable_v<Words::Reference, std::optional<std::string>>);
static_assert(std::is_assignable_v<SharedDict<int, std::optional<std::string>>::Reference, std::string_view>);
static_assert(!std::is_assignable_v<SharedDict<int, std::vector<int>>::Reference, int>);

TEST_CASE("the subscript takes what can be assigned to a value") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  const std::string text = "a view into something longer";
  d["k"] = std::string_view(text).substr(2, 4);
  REQUIRE(d.at("k") == "view");
  d["copy"] = *d.view("k");
  REQUIRE(d.at("copy") == "view");
  std::string_view view = "lvalue";
  d["k"] = view;
  REQUIRE(d.at("k") == "lvalue");

  // And compares with it.
  REQUIRE(d["k"] == view);
  REQUIRE(view == d["k"]);
  REQUIRE(d["k"] != std::string_view(text));
  REQUIRE_THROWS_AS(d["none"] == view, std::out_of_range);

  // One element to another, of this or another dictionary, by its value: a reference that is kept is no item.
  const UniqueName other_name;
  SharedDict<int, std::string> other = SharedDict<int, std::string>::create(other_name.str(), {.heap_size = kMiB});
  auto kept = other[1];
  kept = "other";
  d["k"] = kept;
  d["copy"] = d["k"];
  kept = std::string_view("changed");
  REQUIRE(d.at("k") == "other");
  REQUIRE(d.at("copy") == "other");
  REQUIRE(other.at(1) == "changed");

  const UniqueName third_name;
  SharedDict<int, std::vector<int>> lists = SharedDict<int, std::vector<int>>::create(third_name.str(), {.heap_size = kMiB});
  lists[1] = {1, 2, 3};
  lists[2] = lists[1];
  REQUIRE(lists.at(2) == std::vector<int>{1, 2, 3});
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(other);
  SHARED_DICT_REQUIRE_SOUND(lists);
}

TEST_CASE("arithmetic through the subscript is one step, begins at 0 and wraps around") {
  const UniqueName name;
  SharedDict<std::string, std::int8_t> d = SharedDict<std::string, std::int8_t>::create(name.str(), {.heap_size = kMiB});
  REQUIRE(d["k"]++ == 0);
  REQUIRE(static_cast<int>(++d["k"]) == 2);
  REQUIRE(d["k"]-- == 2);
  REQUIRE(static_cast<int>(--d["k"]) == 0);
  d["k"] += 100;
  d["k"] += 100;
  REQUIRE(d.at("k") == -56);
  d["k"] -= -100;
  d["k"] -= 45;
  REQUIRE(d.at("k") == -1);
  d["minus"] -= std::numeric_limits<std::int8_t>::min();
  REQUIRE(d.at("minus") == std::numeric_limits<std::int8_t>::min());
  d["new"] -= 3;
  REQUIRE(d.at("new") == -3);

  const UniqueName other;
  SharedDict<int, double> halves = SharedDict<int, double>::create(other.str(), {.heap_size = kMiB});
  halves[1] -= 0.5;
  REQUIRE(halves[1]-- == -0.5);
  REQUIRE(halves.at(1) == -1.5);

  const UniqueName third;
  Words words = Words::create(third.str(), {.heap_size = kMiB});
  words["k"] = "v";
  words["k"] += "w";
  REQUIRE(words.at("k") == "vw");
  REQUIRE_THROWS_AS(words["missing"] += "w", std::out_of_range);
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(halves);
  SHARED_DICT_REQUIRE_SOUND(words);
}

TEST_CASE("a subscript proxy keeps a key of its own") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  auto proxy = d[std::string("a key that is a temporary and too long for the small string optimisation")];
  proxy = "v";
  REQUIRE(d.at("a key that is a temporary and too long for the small string optimisation") == "v");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("string keys may be given as literal, view or string") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  const char* const pointer = "one";
  const std::string string = "two";
  const std::string text = "three, four";
  const std::string_view view = std::string_view(text).substr(0, 5);  // not terminated by NUL
  REQUIRE(d.insert(pointer, "1"));
  REQUIRE(d.insert(string, "2"));
  REQUIRE(d.insert(view, "3"));
  REQUIRE(d.at("one") == "1");
  REQUIRE(d.at(std::string_view("two")) == "2");
  REQUIRE(d.at(std::string("three")) == "3");
  REQUIRE(d.modify(view, [](std::string& value) { value += "!"; }));
  REQUIRE(static_cast<std::string>(d["three"]) == "3!");
  REQUIRE(d.erase(view));
  REQUIRE(d.extract(pointer) == std::optional<std::string>("1"));
  std::string expected = "2";
  REQUIRE(d.compare_exchange(string, expected, "II"));
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("d[key] compares with numbers of any type, with texts, and with another item") {
  const UniqueName name;
  auto counters = SharedDict<std::string, std::int64_t>::create(name.str(), {.heap_size = kMiB});
  counters["three"] = 3;
  counters["four"] = 4;
  REQUIRE((counters["three"] == 3));
  REQUIRE((3U == counters["three"]));
  REQUIRE((counters["three"] != 3.5));
  REQUIRE((counters["three"] != counters["four"]));
  REQUIRE((counters["three"] == counters["three"]));
  const UniqueName other;
  auto words = Words::create(other.str(), {.heap_size = kMiB});
  words["k"] = "text";
  REQUIRE((words["k"] == "text"));
  REQUIRE((words["k"] != std::string("texts")));
}

TEST_CASE("try_get replaces whatever was in its out parameter") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kMiB});
  d.insert("long", std::string(1000, 'l'));
  d.insert("short", "s");
  d.insert("empty", "");
  std::string out;
  REQUIRE(d.try_get("long", out));
  REQUIRE(out == std::string(1000, 'l'));
  REQUIRE(d.try_get("short", out));
  REQUIRE(out == "s");
  REQUIRE(d.try_get("empty", out));
  REQUIRE(out.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("growth from a few items to many keeps each of them") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 16 * kMiB});
  constexpr std::uint64_t kItems = 100'000;
  for (std::uint64_t i = 0; i < kItems; ++i) {
    REQUIRE(d.insert(i * 0x9E37'79B9'7F4A'7C15ULL, i));
    if (i % 10'007 == 0) SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(d.size() == kItems);
  for (std::uint64_t i = 0; i < kItems; ++i) REQUIRE(d.at(i * 0x9E37'79B9'7F4A'7C15ULL) == i);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("keys that come and go do not fill the tables") {
  // Each key is new, so that no key takes its own slot again. Different fillings, as a table is more or less full.
  for (const std::uint64_t alive : std::initializer_list<std::uint64_t>{64, 3000, 3600, 4300, 5200}) {
    INFO(alive << " keys at a time");
    const UniqueName name;
    Numbers d = Numbers::create(name.str(), {.heap_size = kMiB});
    constexpr std::uint64_t kTurns = 60'000;
    for (std::uint64_t i = 0; i < kTurns; ++i) {
      REQUIRE(d.insert(i, ~i));
      if (i >= alive) REQUIRE(d.erase(i - alive));
      // Tombstones are swept away before they are all that a search meets.
      if (i % 1000 == 0) REQUIRE(d.stats().load_factor < 0.85);
    }
    REQUIRE(d.size() == alive);
    for (std::uint64_t i = kTurns - alive; i < kTurns; ++i) REQUIRE(d.at(i) == ~i);
    REQUIRE(d.stats().slot_count < 30'000);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}
