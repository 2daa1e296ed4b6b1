// get_many reads what get reads, for any number and any kind of keys.

#include <array>
#include <cstddef>
#include <cstdint>
#include <forward_list>
#include <iterator>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/made_range.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

// The answers in order, checked to come once each and in turn.
template <class Dict, class Keys>
auto collect(const Dict& d, const Keys& keys) {
  std::vector<std::optional<typename Dict::mapped_type>> values;
  d.get_many(keys, [&](std::size_t index, const typename Dict::mapped_type* value) {
    REQUIRE(index == values.size());
    values.push_back(value != nullptr ? std::optional(*value) : std::nullopt);
  });
  return values;
}

}  // namespace

TEST_CASE("get_many agrees with get for any number of keys, repeats and missing ones included") {
  const std::uint64_t seed = test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const UniqueName name;
  auto d = SharedDict<std::string, std::string>::create(name.str(), {.heap_size = 8 << 20});
  for (int i = 0; i < 2000; ++i) d["key " + std::to_string(random() % 3000)] = std::string(random() % 500, 'v');
  for (std::size_t count = 0; count < 140; ++count) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back("key " + std::to_string(random() % 3000));
    std::vector<std::optional<std::string>> expected;
    for (const std::string& key : keys) expected.push_back(d.get(key));
    REQUIRE(collect(d, keys) == expected);
  }
  REQUIRE(d.audit().ok());
}

TEST_CASE("keys come from any range, also from one that makes them as it goes") {
  const UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  for (int i = 0; i < 100; ++i) d["a key that is too long to be kept in place " + std::to_string(i)] = i;
  const auto key = [](int i) { return "a key that is too long to be kept in place " + std::to_string(i); };
  using Values = std::vector<std::optional<int>>;

  REQUIRE(collect(d, std::set<std::string>{key(1), key(2), "missing"}) == Values{1, 2, std::nullopt});
  REQUIRE(collect(d, std::forward_list<std::string>{key(5), "missing", key(5)}) == Values{5, std::nullopt, 5});
  const std::string text = key(7) + key(8);
  const std::array views{std::string_view(text).substr(0, key(7).size()), std::string_view(text).substr(key(7).size())};
  REQUIRE(collect(d, views) == Values{7, 8});
  const char* const literals[] = {"a key that is too long to be kept in place 9"};
  REQUIRE(collect(d, literals) == Values{9});
  const Values all = collect(d, MadeRange(100, key));
  REQUIRE(all.size() == 100);
  for (int i = 0; i < 100; ++i) REQUIRE(all[static_cast<std::size_t>(i)] == i);
  REQUIRE(collect(d, std::vector<std::string>{}).empty());

  const std::vector<std::string> asked{key(3), "missing", key(4)};
  MutableOnly changing(asked);
  Values found;
  const auto note = [&](std::size_t, const int* value) { found.push_back(value != nullptr ? std::optional(*value) : std::nullopt); };
  d.get_many(changing, note);
  d.get_many(MutableOnly(asked), note);
  REQUIRE(found == Values{3, std::nullopt, 4, 3, std::nullopt, 4});
}

TEST_CASE("keys that have to be converted, and keys from a range that is read as it goes, are found") {
  const UniqueName name;
  auto d = SharedDict<std::int64_t, int>::create(name.str(), {.heap_size = 1 << 20});
  std::vector<int> narrow;
  std::string text;
  for (int i = 0; i < 40; ++i) {
    d[i] = i;
    narrow.push_back(i);
    text += std::to_string(i) + " ";
  }
  const auto all_there = [](const auto& found) {
    for (std::size_t i = 0; i < found.size(); ++i) REQUIRE(found[i] == static_cast<int>(i));
    return found.size() == 40;
  };
  REQUIRE(all_there(collect(d, narrow)));
  std::istringstream stream(text);
  struct Numbers {
    std::istringstream* stream;
    auto begin() const { return std::istream_iterator<std::int64_t>(*stream); }
    auto end() const { return std::istream_iterator<std::int64_t>(); }
  };
  REQUIRE(all_there(collect(d, Numbers{&stream})));
}

namespace {

/// The words of a text, as a file's lines are often read: each stands where the one before it stood.
class Words {
 public:
  explicit Words(std::string text) : stream_(std::move(text)) {}

  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(Words& words) : words_(&words) { ++*this; }
    std::string_view operator*() const { return words_->word_; }
    Iterator& operator++() {
      if (!(words_->stream_ >> words_->word_)) words_ = nullptr;
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& it, std::default_sentinel_t) { return it.words_ == nullptr; }

   private:
    Words* words_;
  };

  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::istringstream stream_;
  std::string word_;
};

}  // namespace

TEST_CASE("keys whose text is gone when the next one is looked at are found") {
  const UniqueName name;
  auto d = SharedDict<std::string, int>::create(name.str(), {.heap_size = 1 << 20});
  std::string text;
  for (int i = 0; i < 40; ++i) {
    d["key-" + std::to_string(i)] = i;
    text += "key-" + std::to_string(i) + " ";
  }
  int next = 0;
  d.get_many(Words(text), [&](std::size_t, const int* value) {
    REQUIRE(value != nullptr);
    REQUIRE(*value == next++);
  });
  REQUIRE(next == 40);
}

TEST_CASE("get_many reads numbers, structs, vectors, bools and cereal types") {
  struct Point {
    double x, y;
    bool operator==(const Point&) const = default;
  };
  const auto check = [](auto value, auto other) {
    const UniqueName name;
    auto d = SharedDict<int, decltype(value)>::create(name.str(), {.heap_size = 1 << 20});
    d[1] = value;
    d[3] = other;
    const auto found = collect(d, std::vector<int>{3, 2, 1});
    REQUIRE(found.size() == 3);
    REQUIRE(found[0] == other);
    REQUIRE(found[1] == std::nullopt);
    REQUIRE(found[2] == value);
  };
  check(1, 2);
  check(true, false);
  check(Point{1, 2}, Point{3, 4});
  check(std::vector<double>{1, 2, 3}, std::vector<double>{});
  check(std::map<std::string, int>{{"a", 1}}, std::map<std::string, int>{});
}

TEST_CASE("the function of get_many may change the dictionary, and what it throws passes through") {
  const UniqueName name;
  auto d = SharedDict<int, std::string>::create(name.str(), {.heap_size = 1 << 20});
  std::vector<int> keys;
  for (int i = 0; i < 100; ++i) {
    d[i] = std::to_string(i);
    keys.push_back(i);
  }
  d.get_many(keys, [&](std::size_t index, const std::string* value) {
    REQUIRE(value != nullptr);
    REQUIRE(*value == std::to_string(index));
    d.erase(static_cast<int>(index));
    d[1000 + static_cast<int>(index)] = *value;
  });
  REQUIRE(d.size() == 100);
  int calls = 0;
  REQUIRE_THROWS_WITH(d.get_many(keys, [&](std::size_t, const std::string*) { ++calls, throw std::runtime_error("enough"); }), "enough");
  REQUIRE(calls == 1);
  REQUIRE(d.audit().ok());
}

TEST_CASE("what the function of get_many does to keys that are to follow is seen when their turn comes") {
  const UniqueName name;
  auto d = SharedDict<int, std::string>::create(name.str(), {.heap_size = 4 << 20});
  const auto all_keys = [] {
    std::vector<int> keys(100);
    std::iota(keys.begin(), keys.end(), 0);
    return keys;
  }();
  const auto fill = [&] {
    for (const int key : all_keys) d.insert_or_assign(key, std::to_string(key));
  };
  // From each key on to the next ones, as far as they can be under way and further.
  for (int ahead = 1; ahead < 20; ++ahead) {
    fill();
    d.get_many(all_keys, [&](std::size_t index, const std::string* value) {
      const int key = static_cast<int>(index);
      REQUIRE(value != nullptr);
      REQUIRE(*value == (key < ahead ? std::to_string(key) : "after " + std::to_string(key - ahead)));
      d.assign(key + ahead, "after " + std::to_string(key));
    });
    fill();
    d.get_many(all_keys, [&](std::size_t index, const std::string* value) {
      const int key = static_cast<int>(index);
      const bool erased = key >= ahead && (key - ahead) % 2 == 0;
      REQUIRE((value == nullptr) == erased);
      if (value != nullptr) REQUIRE(*value == std::to_string(key));
      if (key % 2 == 0) d.erase(key + ahead);
    });
  }
  fill();
  std::size_t found = 0;
  d.get_many(all_keys, [&](std::size_t index, const std::string* value) {
    found += value != nullptr ? 1 : 0;
    if (index == 10) d.clear();
  });
  REQUIRE(found == 11);
  fill();
  found = 0;
  d.get_many(all_keys, [&](std::size_t index, const std::string* value) {
    REQUIRE(value != nullptr);
    REQUIRE(*value == std::to_string(index));
    for (int i = 0; i < 50; ++i) d.insert_or_assign(1000 + static_cast<int>(index) * 50 + i, *value);  // tables grow, old ones are used again
    ++found;
  });
  REQUIRE(found == 100);
  SHARED_DICT_REQUIRE_SOUND(d);
  found = 0;
  d.get_many(all_keys, [&](std::size_t, const std::string* value) {
    found += value != nullptr ? 1 : 0;
    d.close();
  });
  REQUIRE(found == 100);
}

TEST_CASE("get_many of a closed handle says so") {
  const UniqueName name;
  auto d = SharedDict<int, int>::create(name.str(), {.heap_size = 1 << 20});
  d.close();
  REQUIRE(error_of([&] { d.get_many(std::vector<int>{1}, [](std::size_t, const int*) {}); }) == errc::closed);
}
