// An intent is all that is left of a batch whose process is dead. Whoever carries it out must do all of it, may do it twice, and must
// not do a part of one that is damaged.

#include <algorithm>
#include <cstdint>
#include <vector>

#include <shared_dict/detail/mechanisms/intent.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

/// A segment with a written intent, not published, that stores 100, 101, … into the words of another block.
struct Written : test::StoredDictionary {
  static constexpr std::uint64_t kWords = 6;

  std::uint64_t words = 0;
  std::uint64_t at = 0;

  explicit Written(std::uint64_t count = kWords) {
    const Writer w = writer();
    Heap heap(w, 0);
    words = heap.allocate(kWords * kWord);
    for (std::uint64_t i = 0; i < kWords; ++i) store_word(segment().at(words + i * kWord), i);
    at = heap.allocate(intent_bytes(kWords));
    intent().count = count;
    for (std::uint64_t i = 0; i < count; ++i) stores()[i] = {words + i * kWord, 100 + i};
    intent().checksum = checksum_of(intent());
  }

  Intent& intent() const { return intent_at(segment(), at); }
  Intent::Store* stores() const { return intent_stores(intent()); }
  Shard& shard() const { return segment().shard(0); }
  void carry_out() const { detail::carry_out(segment(), shard(), "name"); }
  std::vector<std::uint64_t> values() const {
    std::vector<std::uint64_t> all;
    for (std::uint64_t i = 0; i < kWords; ++i) all.push_back(load_word(segment().at(words + i * kWord)));
    return all;
  }
};

const std::vector<std::uint64_t> kBefore{0, 1, 2, 3, 4, 5};
const std::vector<std::uint64_t> kAfter{100, 101, 102, 103, 104, 105};

}  // namespace

TEST_CASE("an intent that isn't published is nothing") {
  const Written d;
  d.carry_out();
  REQUIRE(d.values() == kBefore);
  REQUIRE(d.shard().intent.load() == 0);
}

TEST_CASE("a published intent is carried out whole, and is over then") {
  const Written d;
  publish_intent(d.shard(), d.at);
  REQUIRE(d.shard().intent.load() == d.at);
  REQUIRE(d.values() == kBefore);
  d.carry_out();
  REQUIRE(d.values() == kAfter);
  REQUIRE(d.shard().intent.load() == 0);
  store_word(d.segment().at(d.words), 7);
  d.carry_out();  // it is over
  REQUIRE(load_word(d.segment().at(d.words)) == 7);
}

TEST_CASE("an intent can be carried out twice, and when a part of it was done") {
  const Written d;
  for (const std::uint64_t done : {0U, 1U, 5U, 6U}) {
    for (std::uint64_t i = 0; i < Written::kWords; ++i)
      store_word(d.segment().at(d.words + i * kWord), i < done ? 100 + i : i);
    for (int times = 0; times < 2; ++times) {
      publish_intent(d.shard(), d.at);
      d.carry_out();
      REQUIRE(d.values() == kAfter);
      REQUIRE(d.shard().intent.load() == 0);
    }
  }
}

TEST_CASE("an intent that was ended isn't carried out") {
  const Written d;
  publish_intent(d.shard(), d.at);
  end_intent(d.shard());
  d.carry_out();
  REQUIRE(d.values() == kBefore);
}

TEST_CASE("an intent without stores is over at once") {
  const Written d(0);
  publish_intent(d.shard(), d.at);
  d.carry_out();
  REQUIRE(d.values() == kBefore);
  REQUIRE(d.shard().intent.load() == 0);
}

TEST_CASE("an intent that was damaged is refused before its first store, and stays") {
  const auto refused = [](auto damage, bool sealed) {
    const Written d;
    std::uint64_t published = d.at;
    damage(d, published);
    if (sealed) d.intent().checksum = checksum_of(d.intent());
    publish_intent(d.shard(), published);
    for (int times = 0; times < 2; ++times) {
      if (test::error_of([&] { d.carry_out(); }) != errc::corrupted) return false;
    }
    return d.values() == kBefore && d.shard().intent.load() == published;
  };
  // Bits that fell over: the checksum tells.
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().checksum ^= 1; }, false));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().count = 5; }, false));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().count = 0; }, false));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().count = ~std::uint64_t{0}; }, false));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().count = d.segment().identity().segment_bytes / 16; },
                false));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.intent().count = std::uint64_t{1} << 60; }, false));
  for (std::uint64_t i = 0; i < Written::kWords; ++i) {
    CHECK(refused([&](const Written& d, std::uint64_t&) { d.stores()[i].offset ^= 8; }, false));
    CHECK(refused([&](const Written& d, std::uint64_t&) { d.stores()[i].word ^= std::uint64_t{1} << 63; }, false));
  }
  // What can't be followed, whatever the checksum says.
  CHECK(refused([](const Written& d, std::uint64_t&) { d.stores()[5].offset = d.words + 4; }, true));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.stores()[5].offset = d.segment().identity().segment_bytes; },
                true));
  CHECK(refused([](const Written& d, std::uint64_t&) { d.stores()[5].offset = 0; }, true));  // the header
  CHECK(refused([](const Written& d, std::uint64_t&) { d.stores()[5].offset = ~std::uint64_t{7}; }, true));
  // The word that leads to it.
  CHECK(refused([](const Written& d, std::uint64_t& at) { at = d.segment().identity().segment_bytes; }, false));
  CHECK(refused([](const Written&, std::uint64_t& at) { at += 4; }, false));
  CHECK(refused([](const Written& d, std::uint64_t& at) { at = d.words; }, false));
  CHECK(refused([](const Written&, std::uint64_t& at) { at = 8; }, false));
}
