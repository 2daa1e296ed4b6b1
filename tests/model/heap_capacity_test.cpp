// The promise about space: `heap_size = items * (key bytes + value bytes) * 2` always holds those items, whatever their
// sizes, and goes on holding them while they are replaced and while they come and go.

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <numeric>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/model.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

struct Sizes {
  std::size_t items;
  std::size_t key;
  std::size_t value;
};

/// A key of exactly `size` bytes; different for each i below 256^size.
std::string key_of(std::size_t i, std::size_t size) {
  std::string key(size, '.');
  for (std::size_t at = 0; at < size && at < sizeof i; ++at) key[at] = static_cast<char>(i >> (at * 8));
  return key;
}

std::string value_of(std::size_t i, std::size_t size, std::size_t version) {
  std::string value(size, static_cast<char>('a' + (i + version) % 26));
  for (std::size_t at = 0; at < size; at += 16) value[at] = static_cast<char>(i * 7 + version * 31 + at);
  return value;
}

std::vector<std::size_t> shuffled(std::size_t items, Random& random) {
  std::vector<std::size_t> order(items);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

/// The same for strings and for plain types: make(i, version) gives the value, key(i) the key.
template <class Dict, class MakeKey, class MakeValue>
void holds_its_items(const Sizes& sizes, MakeKey&& key, MakeValue&& value, Random& random) {
  INFO(sizes.items << " items of " << sizes.key << " + " << sizes.value << " bytes");
  const UniqueName name;
  Dict d = Dict::create(name.str(), {.heap_size = sizes.items * (sizes.key + sizes.value) * 2});
  std::vector<std::size_t> version(sizes.items, 0);
  const auto expect_all = [&] {
    bool same = d.size() == sizes.items;
    for (std::size_t i = 0; i < sizes.items; ++i) same = same && d.get(key(i)) == value(i, version[i]);
    REQUIRE(same);
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  const auto fits = [&](const char* what, std::size_t done, auto&& call) {
    std::string message;
    bool result = false;
    try {
      result = call();
    } catch (const Error& error) {
      message = error.what();
    }
    if (result) return;
    INFO(what << " after " << done << " of them: " << message);
    REQUIRE(result);
  };

  for (std::size_t i = 0; i < sizes.items; ++i) fits("insert", i, [&] { return d.insert(key(i), value(i, 0)); });
  expect_all();
  for (int round = 0; round < 3; ++round) {
    std::size_t done = 0;
    for (const std::size_t i : shuffled(sizes.items, random)) {
      fits("assign", done++, [&] { return d.assign(key(i), value(i, ++version[i])); });
    }
    expect_all();
  }
  for (int round = 0; round < 2; ++round) {
    // First each for itself, then a random half at once.
    std::size_t done = 0;
    for (const std::size_t i : shuffled(sizes.items, random)) {
      REQUIRE(d.erase(key(i)));
      fits("insert after erase", done++, [&] { return d.insert(key(i), value(i, ++version[i])); });
    }
    std::vector<std::size_t> half = shuffled(sizes.items, random);
    half.resize(half.size() / 2);
    for (const std::size_t i : half) REQUIRE(d.erase(key(i)));
    done = 0;
    for (const std::size_t i : half)
      fits("insert of a half", done++, [&] { return d.insert(key(i), value(i, ++version[i])); });
    expect_all();
  }
}

void holds_strings(const Sizes& sizes, Random& random) {
  holds_its_items<SharedDict<std::string, std::string>>(
      sizes, [&](std::size_t i) { return key_of(i, sizes.key); },
      [&](std::size_t i, std::size_t version) { return value_of(i, sizes.value, version); }, random);
}

template <std::size_t Size>
struct Block {
  std::array<std::uint8_t, Size> bytes{};
  friend bool operator==(const Block&, const Block&) = default;
};

template <std::size_t Size>
Block<Size> block_of(const std::string& text) {
  Block<Size> block;
  std::copy_n(text.begin(), Size, reinterpret_cast<char*>(block.bytes.data()));
  return block;
}

template <std::size_t KeySize, std::size_t ValueSize>
void holds_blocks(std::size_t items, Random& random) {
  static_assert(sizeof(Block<KeySize>) == KeySize && sizeof(Block<ValueSize>) == ValueSize);
  holds_its_items<SharedDict<Block<KeySize>, Block<ValueSize>>>(
      {items, KeySize, ValueSize}, [](std::size_t i) { return block_of<KeySize>(key_of(i, KeySize)); },
      [](std::size_t i, std::size_t version) { return block_of<ValueSize>(value_of(i, ValueSize, version)); }, random);
}

}  // namespace

TEST_CASE("twice the bytes hold the items, as strings, while they are replaced and come and go") {
  Random random(test_seed());
  for (const Sizes& sizes : {Sizes{1000, 10, 100}, Sizes{10'000, 16, 16}, Sizes{100, 20, 5000}, Sizes{5, 8, 20'000},
                             Sizes{20'000, 8, 8}, Sizes{300, 12, 1000}}) {
    holds_strings(sizes, random);
  }
}

TEST_CASE("twice the bytes hold the items, as plain types, while they are replaced and come and go") {
  Random random(test_seed());
  holds_blocks<10, 100>(1000, random);
  holds_blocks<16, 16>(10'000, random);
  holds_blocks<20, 5000>(100, random);
  holds_blocks<8, 20'000>(5, random);
  holds_blocks<8, 8>(20'000, random);
  holds_blocks<12, 1000>(300, random);
  holds_its_items<SharedDict<std::uint64_t, std::uint64_t>>(
      {20'000, 8, 8}, [](std::size_t i) { return static_cast<std::uint64_t>(i) * 0x9E37'79B9'7F4A'7C15ULL; },
      [](std::size_t i, std::size_t version) { return static_cast<std::uint64_t>(i * 3 + version); }, random);
}

TEST_CASE("twice the bytes hold very few and very small items") {
  Random random(test_seed());
  for (const Sizes& sizes : {Sizes{1, 1, 1}, Sizes{1, 8, 8}, Sizes{1, 8, 1000}, Sizes{1, 8, 100'000},
                             Sizes{2, 8, 100'000}, Sizes{3, 1, 0}, Sizes{200, 1, 1}, Sizes{60'000, 3, 1},
                             Sizes{2, 3000, 1}, Sizes{1, 1, 4096}, Sizes{7, 4, 4092}, Sizes{2, 8, 1'000'000}}) {
    holds_strings(sizes, random);
  }
}

TEST_CASE("twice the bytes hold the items for random numbers and sizes") {
  Random random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (int i = 0; i < (kSanitized ? 6 : 60); ++i) {
    Sizes sizes{};
    sizes.key = 1 + below(random, 3000) / (1 + below(random, 60));
    sizes.value = i % 10 == 9 ? 100'000 + below(random, 10'000) : 1 + below(random, 3000) / (1 + below(random, 20));
    const std::size_t most = std::min<std::size_t>(3'000'000 / (sizes.key + sizes.value), 20'000);
    sizes.items = 1 + below(random, most);
    if (sizes.key < 3) sizes.items = std::min<std::size_t>(sizes.items, sizes.key == 1 ? 200 : 20'000);
    holds_strings(sizes, random);
  }
}

TEST_CASE("an emptied heap takes items of any other size") {
  Random random(test_seed());
  const UniqueName name;
  using Dict = SharedDict<std::string, std::string>;
  constexpr std::size_t kBytes = 400'000;
  Dict d = Dict::create(name.str(), {.heap_size = kBytes * 2});
  for (const std::size_t value_size :
       std::initializer_list<std::size_t>{8, 100, 5000, 60, 20'000, 8, 700, 100'000, 24, 3000}) {
    const std::size_t items = kBytes / (8 + value_size);
    INFO(items << " items of 8 + " << value_size << " bytes");
    for (std::size_t i = 0; i < items; ++i) {
      const std::error_code code = error_of([&] { d.insert(key_of(i, 8), value_of(i, value_size, 0)); });
      INFO("item " << i);
      REQUIRE(code == std::error_code());
    }
    SHARED_DICT_REQUIRE_SOUND(d);
    if (value_size % 3 == 0) {
      d.clear();
    } else {
      for (const std::size_t i : shuffled(items, random)) REQUIRE(d.erase(key_of(i, 8)));
    }
    REQUIRE(d.empty());
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("sizes that change in place fit as long as their sum does") {
  // A rolling mixture: every item changes its size again and again, the sum stays below half the heap.
  Random random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  const UniqueName name;
  using Dict = SharedDict<std::string, std::string>;
  Dict d = Dict::create(name.str(), {.heap_size = std::size_t{4} << 20});
  constexpr std::size_t kItems = 300;
  std::vector<std::size_t> size(kItems, 0);
  std::size_t sum = 0;
  std::size_t refused = 0;
  for (int turn = 0; turn < 100'000; ++turn) {
    const std::size_t i = below(random, kItems);
    const std::size_t next = below(random, 4) == 0 ? below(random, 20'000) : below(random, 500);
    if (sum - size[i] + next > (std::size_t{1} << 20)) continue;
    if (error_of([&] { d.insert_or_assign(key_of(i, 8), value_of(i, next, 0)); })) {
      ++refused;
    } else {
      sum += next - size[i];
      size[i] = next;
    }
  }
  for (std::size_t i = 0; i < kItems; ++i) {
    if (d.contains(key_of(i, 8))) REQUIRE(d.at(key_of(i, 8)) == value_of(i, size[i], 0));
  }
  INFO(refused << " refused");
  REQUIRE(refused == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
