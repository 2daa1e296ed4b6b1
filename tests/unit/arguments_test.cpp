// What callers may hand over: arguments that convert, that alias each other or change during the call, types that only move, that compare in
// their own way.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;

namespace {

/// Of which a codec of its own stores the half.
struct Half {
  std::int64_t stored = 0;
  std::int64_t not_stored = 0;
};

/// Plain bytes, and nothing to compare them with.
struct Incomparable {
  std::int32_t number = 0;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(number);
  }
};

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;
using Owners = SharedDict<std::string, std::unique_ptr<int>>;

/// Adds to numbers that are wider than all standard ones, where the compiler takes them for integers.
template <class Wide>
void add_to_wide() {
  if constexpr (std::is_arithmetic_v<Wide>) {
    const test::UniqueName name;
    auto d = SharedDict<std::uint64_t, Wide>::create(name.str(), {.heap_size = 1 << 20});
    const Wide large = static_cast<Wide>(1) << 70;
    d[1] = large;
    REQUIRE((d.fetch_add(1, 1) == large));
    REQUIRE((d.at(1) == large + 1));
    REQUIRE((d.fetch_add(1, static_cast<Wide>(-1)) == large + 1));
    REQUIRE((d.at(1) == large));
  }
}

}  // namespace

template <>
struct shared_dict::codec<Half> {
  static constexpr std::size_t fixed_size = 8;
  static void encode(const Half& half, std::vector<std::byte>& out) {
    out.resize(fixed_size);
    std::memcpy(out.data(), &half.stored, fixed_size);
  }
  static void decode(std::span<const std::byte> bytes, Half& half) { std::memcpy(&half.stored, bytes.data(), fixed_size); }
};

TEST_CASE("update takes pairs of whatever converts to key and value") {
  const test::UniqueName name;
  {
    auto d = SharedDict<std::string, double>::create(name.str(), {.heap_size = 1 << 20});
    d.update(std::map<std::string, int>{{"a", 1}, {"b", 2}});
    REQUIRE(d.at("a") == 1.0);
    d.update(std::vector<std::pair<const char*, float>>{{"c", 3.5F}});
    REQUIRE(d.at("c") == 3.5);
    d.clear();
  }
  auto d = SharedDict<std::uint64_t, std::string>::create(name.str(), {.heap_size = 1 << 20});
  const std::string text(100, 't');
  d.update(std::vector<std::pair<unsigned, const char*>>{{1U, text.c_str()}, {2U, "two"}});
  REQUIRE(d.at(1) == text);
  REQUIRE(d.at(2) == "two");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("the key of a change stays what it was when the call began, whatever becomes of the argument in it") {
  const test::UniqueName name;
  const std::string other = GENERATE(std::string("2"), std::string(100, 'o'));
  {
    Words d = Words::create(name.str(), {.heap_size = 1 << 20});
    d["first"] = "value";
    d[other] = "of the other";
    std::string key = "first";
    REQUIRE(d.modify(key, [&](std::string& value) {
      key = other;
      value += std::string(50, '!');
    }));
    REQUIRE(d.at("first") == "value" + std::string(50, '!'));
    key = "new";
    REQUIRE(d.modify_or_insert(key, "", [&](std::string& value) {
      key = other;
      value = "made";
    }));
    REQUIRE(d.at("new") == "made");
    key = "first";
    REQUIRE(d.wait_until(
                key,
                [&](const std::string& value) {
                  if (key == "first") {
                    key = other;
                    d["first"] = "changed";
                  }
                  return value == "changed";
                },
                test::kHangDeadline) == "changed");
    REQUIRE(d.size() == 3);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  std::uint64_t key = 1;
  d[1] = 10;
  d.modify(key, [&](std::uint64_t& value) {
    key = 2;
    ++value;
  });
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a callback is called once, also when memory is looked for after it") {
  const test::UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 16});
  const std::string value(500, 'v');
  const auto fill = [&] {
    for (int i = 0;; ++i) d.insert(std::to_string(i), value);
  };
  REQUIRE(test::error_of(fill) == errc::heap_full);
  d["1"] = value;  // leaves memory that can be given to others
  int calls = 0;
  const auto grow = [&](std::string& text) {
    ++calls;
    text.assign(5000, 'w');
  };
  REQUIRE(test::error_of([&] { d.modify("0", grow); }) == errc::heap_full);
  REQUIRE(calls == 1);
  REQUIRE(d.at("0") == value);
}

TEST_CASE("what a callback throws is not taken for the dictionary's own error") {
  const test::UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d["key"] = "value";
  d["key"] = "other";  // leaves memory that can be given to others
  int calls = 0;
  const auto full = [&](std::string&) {
    ++calls;
    throw Error(errc::heap_full, "another dictionary is full");
  };
  REQUIRE(test::error_of([&] { d.modify("key", full); }) == errc::heap_full);
  REQUIRE(calls == 1);
  REQUIRE(d.at("key") == "other");
  REQUIRE_THAT(test::message_of([&] { d.modify("key", full); }), Catch::StartsWith("another dictionary is full"));
  // One of a real other dictionary, or of this one, names what it comes from.
  const auto none = [&](std::string&) { Words::attach(name.str() + ".other"); };
  REQUIRE_THAT(test::message_of([&] { d.modify("key", none); }), Catch::StartsWith("dictionary '" + name.str() + ".other': attach: "));
  const auto again = [&](std::string&) { d.get("key"); };
  REQUIRE_THAT(test::message_of([&] { d.modify("key", again); }), Catch::StartsWith("dictionary '" + name.str() + "': get: "));
}

TEST_CASE("floating point values are exchanged where they compare equal, and where both are no number") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, long double>::create(name.str(), {.heap_size = 1 << 20});
  d["a"] = 1;
  long double expected;
  std::memset(&expected, 0xff, sizeof expected);  // its padding, too
  expected = d.at("a");
  REQUIRE(d.compare_exchange("a", expected, 2));
  expected = 1;
  REQUIRE_FALSE(d.compare_exchange("a", expected, 3));
  REQUIRE(expected == 2);
  REQUIRE(d.compare_exchange("a", expected, std::numeric_limits<long double>::quiet_NaN()));
  expected = std::numeric_limits<long double>::quiet_NaN();
  REQUIRE(d.compare_exchange("a", expected, -0.0L));
  expected = 0;
  REQUIRE(d.compare_exchange("a", expected, 1));
}

TEST_CASE("values without a comparison of their own, and owners of others, are exchanged by their bytes") {
  const test::UniqueName name;
  {
    auto d = SharedDict<std::string, std::vector<Incomparable>>::create(name.str(), {.heap_size = 1 << 20});
    std::vector<Incomparable> expected{{1}};
    d["a"] = expected;
    REQUIRE(d.compare_exchange("a", expected, {{2}, {3}}));
    REQUIRE_FALSE(d.compare_exchange("a", expected, {}));
    REQUIRE(expected.size() == 2);
  }
  {
    auto d = SharedDict<std::string, std::map<int, Incomparable>>::create(name.str(), {.heap_size = 1 << 20});
    std::map<int, Incomparable> expected{{1, {1}}};
    d["a"] = expected;
    REQUIRE(d.compare_exchange("a", expected, {}));
  }
  Owners d = Owners::create(name.str(), {.heap_size = 1 << 20});
  auto expected = std::make_unique<int>(1);
  d["a"] = std::make_unique<int>(1);
  REQUIRE(d.compare_exchange("a", expected, std::make_unique<int>(2)));
  REQUIRE(*d.at("a") == 2);
}

namespace {

struct Gap {
  char tag;
  std::int32_t number;
};
struct Tail {
  long double number;
  char tag;
};
struct Unset {
  constexpr Unset() : tag(0) {}  // NOLINT(cppcoreguidelines-pro-type-member-init): on purpose
  Unset(char given_tag, std::int32_t given_number) : tag(given_tag), number(given_number) {}
  char tag;
  std::int32_t number;
};
struct Both {
  Gap gap;
  Tail tail;
};

/// Writes over what the next function's variables are made of.
[[gnu::noinline]] void soil(unsigned char with) {
  volatile unsigned char memory[4096];
  for (auto& byte : memory) byte = with;
}

/// Exchanges by what was read, as everybody does: at most once in vain, when nobody else writes.
template <class V, class Change>
void exchanges(const V& first, Change change) {
  const test::UniqueName name;
  auto d = SharedDict<int, V>::create(name.str(), {.heap_size = 1 << 20});
  alignas(V) unsigned char memory[sizeof(V)];
  std::memset(memory, 0x5a, sizeof memory);
  V* const stored = new (memory) V(first);
  d.insert(1, *stored);
  stored->~V();
  for (unsigned char round = 1; round < 10; ++round) {
    soil(static_cast<unsigned char>(round * 0x11));
    V expected = *d.get(1);
    V desired = expected;
    change(desired);
    REQUIRE(d.compare_exchange(1, expected, desired));
    REQUIRE_FALSE(d.compare_exchange(1, expected, desired));  // which it isn't any more
    soil(static_cast<unsigned char>(round * 0x17));
    V next = expected;
    change(next);
    REQUIRE(d.compare_exchange(1, expected, next));
  }
}

}  // namespace

TEST_CASE("what lies between the members of a value doesn't decide whether it is exchanged") {
  exchanges(Gap{1, 2}, [](Gap& v) { ++v.number; });
  exchanges(Tail{1, 2}, [](Tail& v) { ++v.tag; });
  exchanges(Both{{1, 2}, {1, 2}}, [](Both& v) { ++v.tail.number; });
  exchanges(std::optional<Gap>({1, 2}), [](std::optional<Gap>& v) { v ? v.reset() : static_cast<void>(v = Gap{3, 4}); });
  exchanges(std::variant<int, Gap>(Gap{1, 2}), [](std::variant<int, Gap>& v) { v.index() == 0 ? v = Gap{3, 4} : v = 5; });
  exchanges(std::array<Gap, 2>{{{1, 2}, {3, 4}}}, [](std::array<Gap, 2>& v) { ++v[1].tag; });
  // A constructor that leaves a member without a value doesn't make it count as a gap.
  const test::UniqueName name;
  auto d = SharedDict<int, Unset>::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, Unset(1, 2));
  Unset other(1, 999);
  REQUIRE_FALSE(d.compare_exchange(1, other, Unset(7, 7)));
  REQUIRE(other.number == 2);
  exchanges(std::vector<Gap>{{1, 2}}, [](std::vector<Gap>& v) { v.push_back({5, 6}); });
}

TEST_CASE("values that can only be moved can be stored, changed, listed and gone through") {
  const test::UniqueName name;
  Owners d = Owners::create(name.str(), {.heap_size = 1 << 20});
  d.insert("a", std::make_unique<int>(1));
  REQUIRE(d.modify("a", [](std::unique_ptr<int>& value) { ++*value; }));
  REQUIRE(d.modify_or_insert("b", std::make_unique<int>(5), [](std::unique_ptr<int>& value) { ++*value; }));
  REQUIRE(*d.at("a") == 2);
  REQUIRE(*d.at("b") == 6);
  REQUIRE(d.values().size() == 2);
  int sum = 0;
  for (const auto& [key, value] : d.items()) sum += *value;
  REQUIRE(sum == 8);
  STATIC_REQUIRE(std::input_iterator<Owners::const_iterator>);
  std::ranges::for_each(d, [&](const auto& item) { sum -= *item.second; });
  REQUIRE(sum == 0);
  auto it = d.begin();
  REQUIRE(*(*it++).second + *it->second == 8);
}

TEST_CASE("its size doesn't bound a dictionary for the ranges of the standard library: others may erase") {
  STATIC_REQUIRE_FALSE(std::ranges::sized_range<Numbers>);
  STATIC_REQUIRE(std::ranges::input_range<Numbers>);
  const test::UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 1000; ++i) d[i] = i;
  std::counted_iterator it(d.begin(), static_cast<std::ptrdiff_t>(d.size()));
  d.clear();
  std::size_t seen = 0;
  for (; it.base() != d.end() && it != std::default_sentinel; ++it) ++seen;
  REQUIRE(seen >= 1);
  REQUIRE(seen < 1000);
}

TEST_CASE("items of dictionaries with different keys compare") {
  const test::UniqueName name;
  const test::UniqueName other;
  Words words = Words::create(name.str(), {.heap_size = 1 << 20});
  auto lines = SharedDict<std::uint64_t, std::string>::create(other.str(), {.heap_size = 1 << 20});
  words["a"] = "text";
  lines[1] = "text";
  REQUIRE(words["a"] == lines[1]);
  REQUIRE(lines[1] == words["a"]);
  lines[1] = "other";
  REQUIRE(words["a"] != lines[1]);
}

TEST_CASE("a small value of a codec that isn't its bytes has them in a view") {
  const test::UniqueName name;
  auto d = SharedDict<std::uint64_t, Half>::create(name.str(), {.heap_size = 1 << 20});
  d[1] = Half{7, 8};
  auto view = d.view(1);
  REQUIRE(view);
  REQUIRE(view.bytes().size() == 8);
  d[1] = Half{9, 8};
  const auto moved = std::move(view);
  std::int64_t stored = 0;
  std::memcpy(&stored, moved.bytes().data(), 8);
  REQUIRE(stored == 7);
  REQUIRE(d.at(1).stored == 9);
  REQUIRE_FALSE(d.view(2));
}

#ifdef __SIZEOF_INT128__
TEST_CASE("integers of 128 bits are added as such, where the compiler takes them for integers") {
  __extension__ using Wide = __int128;
  __extension__ using UnsignedWide = unsigned __int128;
  add_to_wide<Wide>();
  add_to_wide<UnsignedWide>();
  SUCCEED();
}
#endif

TEST_CASE("values whose codec makes a word of them are replaced where they are") {
  const test::UniqueName name;
  auto d = SharedDict<int, Half>::create(name.str(), {.heap_size = 1 << 16});
  for (const int key : {1, 2}) d.insert(key, Half{});
  d.erase(2);  // its block is the one that another entry would get
  const auto attachment = detail::Lifecycle(name.str(), {}, test::kHangDeadline)
                              .open(detail::OpenMode::attach, {}, detail::stored_types<int, Half>());
  const int one = 1;
  const detail::EncodedKey<int> key(one);
  const auto place = [&] {
    std::uint64_t entry = 0;
    const detail::Segment& segment = attachment->segment();
    detail::visit_value(segment, name.str(), detail::hash_key(segment, key.bytes()),
                        [&](const detail::StoredValue& value) { entry = value.entry; });
    return entry;
  };
  const std::uint64_t before = place();
  REQUIRE(before != 0);
  REQUIRE_FALSE(d.insert_or_assign(1, Half{}));
  REQUIRE(place() == before);
  REQUIRE(d.assign(1, Half{}));
  REQUIRE(place() == before);
}
