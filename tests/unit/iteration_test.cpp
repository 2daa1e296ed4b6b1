// The dictionary as a container: iteration in all its forms agrees with what is stored, and with the standard's idea of
// an input iterator.

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
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

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Iterator = Words::const_iterator;

struct UnreadableError {};

struct Unreadable {
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    archive(text);
  }
  template <class Archive>
  void load(Archive&) {
    throw UnreadableError();
  }
};

/// Holds its text elsewhere, and nothing when it was moved from.
struct Elsewhere {
  std::unique_ptr<std::string> text = std::make_unique<std::string>();
};

}  // namespace

template <>
struct shared_dict::codec<Elsewhere> {
  static constexpr bool plain = true;
  static std::span<const std::byte> bytes(const Elsewhere& object) noexcept { return std::as_bytes(std::span<const char>(*object.text)); }
  static std::byte* prepare(Elsewhere& object, std::size_t n) {
    object.text->resize(n);
    return reinterpret_cast<std::byte*>(object.text->data());
  }
};

namespace {

static_assert(std::input_iterator<Iterator>);
static_assert(std::is_same_v<std::iter_value_t<Iterator>, std::pair<std::string, std::string>>);
static_assert(std::is_same_v<decltype(std::declval<const Words&>().begin()), Iterator>);
static_assert(std::sentinel_for<decltype(std::declval<const Words&>().end()), Iterator>);

}  // namespace

TEST_CASE("an empty dictionary has nothing to iterate over") {
  const UniqueName name;
  const Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE(d.begin() == d.end());
  REQUIRE(d.keys().empty());
  REQUIRE(d.values().empty());
  REQUIRE(d.items().empty());
  for (const auto& item : d) FAIL("found " << item.first);
  d.for_each([](const std::string& key, const std::string&) { FAIL("found " << key); });
}

TEST_CASE("an emptied dictionary has nothing to iterate over") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 1000; ++i) d.insert(i, i);
  for (std::uint64_t i = 0; i < 1000; ++i) d.erase(i);
  REQUIRE(d.begin() == d.end());
  REQUIRE(d.items().empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("every form of iteration gives each item exactly once") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 4 << 20});
  std::map<std::string, std::string> model;
  for (int i = 0; i < 3000; ++i) {
    const std::string key = "key " + std::to_string(i);
    const std::string value(static_cast<std::size_t>(i % 97), static_cast<char>('a' + i % 26));
    d.insert(key, value);
    model.emplace(key, value);
  }
  for (int i = 0; i < 3000; i += 3) {
    d.erase("key " + std::to_string(i));
    model.erase("key " + std::to_string(i));
  }
  std::vector<std::pair<std::string, std::string>> expected(model.begin(), model.end());
  const auto sorted = [](std::vector<std::pair<std::string, std::string>> items) {
    std::sort(items.begin(), items.end());
    return items;
  };

  REQUIRE(sorted(d.items()) == expected);

  std::vector<std::pair<std::string, std::string>> by_for_each;
  d.for_each([&](const std::string& key, const std::string& value) { by_for_each.emplace_back(key, value); });
  REQUIRE(sorted(by_for_each) == expected);

  std::vector<std::pair<std::string, std::string>> by_range_for;
  for (const auto& [key, value] : d) by_range_for.emplace_back(key, value);
  REQUIRE(sorted(by_range_for) == expected);

  const std::vector<std::pair<std::string, std::string>> by_iterators(d.begin(), d.end());
  REQUIRE(sorted(by_iterators) == expected);

  std::set<std::string> keys;
  for (const std::string& key : d.keys()) REQUIRE(keys.insert(key).second);
  REQUIRE(keys.size() == expected.size());
  REQUIRE(std::all_of(keys.begin(), keys.end(), [&](const std::string& key) { return model.count(key) == 1; }));

  std::vector<std::string> values = d.values();
  std::vector<std::string> expected_values;
  for (const auto& item : expected) expected_values.push_back(item.second);
  std::sort(values.begin(), values.end());
  std::sort(expected_values.begin(), expected_values.end());
  REQUIRE(values == expected_values);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("keys alone are copied without a look at the values") {
  const UniqueName name;
  auto d = SharedDict<std::string, Unreadable>::create(name.str(), {.heap_size = 1 << 20});
  for (int i = 0; i < 100; ++i) d.insert("key " + std::to_string(i), Unreadable{});
  REQUIRE(d.keys().size() == 100);
  REQUIRE_THROWS_AS(d.values(), UnreadableError);
  REQUIRE_THROWS_AS(d.begin(), UnreadableError);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("what can't be filled again once it was moved from is made anew") {
  const UniqueName name;
  auto d = SharedDict<int, Elsewhere>::create(name.str(), {.heap_size = 1 << 20});
  for (int i = 0; i < 10; ++i) d.insert(i, {std::make_unique<std::string>("text")});
  int met = 0;
  for (const Elsewhere& value : d.values()) met += *value.text == "text" ? 1 : 0;
  for (const auto& [key, value] : d.items()) met += *value.text == "text" ? 1 : 0;
  for (auto at = d.begin(); at != d.end();) met += *(*at++).second.text == "text" ? 1 : 0;
  REQUIRE(met == 30);
}

TEST_CASE("an iterator that has met damage goes on behind it") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 16 << 20});
  for (int i = 0; i < 2000; ++i) d.insert("key " + std::to_string(i), "value");
  const auto attachment = detail::Lifecycle(name.str(), {}, std::chrono::seconds(10))
                              .open(detail::OpenMode::attach, {}, detail::stored_types<std::string, std::string>(), {});
  const detail::Segment& segment = attachment->segment();
  REQUIRE(segment.shard_count() > 2);
  // In the middle of its table, so that some of its items have been met before.
  const auto middle = [&](std::uint32_t shard) -> detail::Word64& {
    const detail::TableWord table(segment.shard(shard).table.load());
    return segment.buckets(table)[table.buckets() / 2].slots[0];
  };
  std::size_t left = d.size();
  std::vector<std::uint64_t> before;
  for (std::uint32_t shard = 1; shard < segment.shard_count(); shard += 2) {
    left -= static_cast<std::size_t>(segment.shard(shard).items.load());
    before.push_back(middle(shard).exchange(0x0001'7fff'ffff'fff8));
  }
  std::set<std::string> met;
  std::size_t refused = 0;
  for (auto at = d.begin(); at != d.end();) {
    met.insert(at->first);
    while (error_of([&] { ++at; }) == errc::corrupted) ++refused;
  }
  REQUIRE(met.size() == left);
  REQUIRE(refused == before.size());
  for (std::uint32_t shard = 1; shard < segment.shard_count(); shard += 2) middle(shard).store(before[shard / 2]);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("iterators dereference, point and step like other input iterators") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.insert("a", "1");
  d.insert("b", "2");

  auto it = d.begin();
  REQUIRE(it != d.end());
  const std::pair<std::string, std::string> first = *it;
  REQUIRE(it->first == first.first);
  REQUIRE(it->second == first.second);
  REQUIRE((*it).first == first.first);
  it++;
  REQUIRE(it != d.end());
  REQUIRE(it->first != first.first);
  REQUIRE(++it == d.end());

  // A copy made at the beginning is still good for its own item.
  const auto copy = d.begin();
  REQUIRE(copy->first == first.first);
  REQUIRE(std::count_if(d.begin(), d.end(), [](const auto& item) { return item.second == "2"; }) == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("iteration misses nothing that stays while the table grows and other keys come and go") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 32 << 20});
  constexpr std::uint64_t kStays = 500;
  constexpr std::uint64_t kOther = 1'000'000;
  for (std::uint64_t i = 0; i < kStays; ++i) d.insert(i, i);
  std::uint64_t next = kOther;

  const auto disturb = [&] {
    for (int i = 0; i < 40; ++i) d.insert(next++, 0);
    d.erase(next - 20);
    d.insert_or_assign(next % kStays, next % kStays);
  };
  const auto check = [&](const std::multiset<std::uint64_t>& seen) {
    for (std::uint64_t i = 0; i < kStays; ++i) {
      INFO("key " << i);
      REQUIRE(seen.count(i) >= 1);
    }
  };

  std::multiset<std::uint64_t> by_iterator;
  std::size_t steps = 0;
  for (const auto& [key, value] : d) {
    if (key < kStays) {
      REQUIRE(value == key);
      by_iterator.insert(key);
      disturb();
    }
    REQUIRE(++steps < 1'000'000);
  }
  check(by_iterator);

  std::multiset<std::uint64_t> by_for_each;
  d.for_each([&](const std::uint64_t& key, const std::uint64_t&) {
    if (key < kStays) {
      by_for_each.insert(key);
      disturb();
    }
  });
  check(by_for_each);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an exception from a for_each callback passes and leaves the dictionary usable") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 10; ++i) d.insert(i, i);
  REQUIRE_THROWS_AS(d.for_each([](const auto&, const auto&) { throw 7; }), int);
  REQUIRE(d.items().size() == 10);
  REQUIRE(d.insert(11, 11));
  SHARED_DICT_REQUIRE_SOUND(d);
}
