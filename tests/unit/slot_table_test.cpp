// The slot table's rules are what readers without locks rely on: an entry is found from its home on, past tombstones and around the
// end; a search always ends, also in a table without an empty slot.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include <shared_dict/detail/mechanisms/page_pool.hpp>
#include <shared_dict/detail/mechanisms/slot_table.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/place.hpp"
#include "support/write_entry.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

constexpr std::uint64_t kBuckets = 4;

/// A private table; its entries lie in pages of a dictionary. Hashes are made up, so that keys meet where the test wants.
struct Fixture {
  test::Place place;
  std::shared_ptr<Attachment> attachment = Lifecycle("name", place.path(), test::kHangDeadline)
                                               .open(OpenMode::create, {.heap_size = 1 << 20}, {"K", "V", {0, 0, 1}});
  std::array<Bucket, kBuckets> buckets{};
  SlotTable table{buckets.data(), kBuckets};
  std::uint64_t next = 0;

  Fixture() {
    PagePool pool({*attachment, test::kHangDeadline});
    next = segment().page_offset(pool.take(PageWord(PageKind::large, 8, 0)));
  }
  const Segment& segment() const { return attachment->segment(); }

  static std::uint64_t hash(std::uint64_t home, std::uint64_t tag) { return home << 16 | tag; }
  static KeyBytes key(const std::string& text, std::uint64_t hashed) {
    return {std::as_bytes(std::span(text.data(), text.size())), hashed};
  }

  SlotWord entry(const std::string& text, std::uint64_t hashed) {
    test::write_entry(segment(), next, key(text, hashed).bytes, {});
    const SlotWord word(next, hash_tag(hashed));
    next += 64;
    return word;
  }
  SlotTable::Found find(const std::string& text, std::uint64_t hashed) const {
    return table.find(segment(), key(text, hashed), [] { throw std::runtime_error("damaged"); });
  }
  SlotTable::Found add(const std::string& text, std::uint64_t hashed) {
    const SlotTable::Found found = find(text, hashed);
    REQUIRE_FALSE(found.found);
    REQUIRE(found.free_slot);
    table.store(found.at, entry(text, hashed));
    return find(text, hashed);
  }
};

}  // namespace

TEST_CASE("next and previous go around the table in opposite directions") {
  const Fixture f;
  SlotTable::Position at;
  for (std::uint64_t i = 0; i < f.table.slot_count(); ++i) {
    REQUIRE(at.bucket == i / kSlotsPerBucket);
    REQUIRE(at.slot == i % kSlotsPerBucket);
    const SlotTable::Position there = f.table.next(at);
    REQUIRE(f.table.previous(there).bucket == at.bucket);
    REQUIRE(f.table.previous(there).slot == at.slot);
    at = there;
  }
  REQUIRE((at.bucket == 0 && at.slot == 0));
}

TEST_CASE("a key that isn't there is offered the first free slot of its home") {
  Fixture f;
  const SlotTable::Found found = f.find("a", Fixture::hash(2, 7));
  REQUIRE_FALSE(found.found);
  REQUIRE(found.free_slot);
  REQUIRE((found.at.bucket == 2 && found.at.slot == 0));
}

TEST_CASE("keys that meet in one home are told apart by tag and bytes, and run over into the next bucket") {
  Fixture f;
  for (int i = 0; i < 10; ++i) f.add("key" + std::to_string(i), Fixture::hash(1, static_cast<std::uint64_t>(i % 2)));
  for (int i = 0; i < 10; ++i) {
    const SlotTable::Found found =
        f.find("key" + std::to_string(i), Fixture::hash(1, static_cast<std::uint64_t>(i % 2)));
    REQUIRE(found.found);
    REQUIRE(found.at.bucket == (i < 7 ? 1U : 2U));
  }
  REQUIRE_FALSE(f.find("key10", Fixture::hash(1, 0)).found);
}

TEST_CASE("a search goes around the end of the table") {
  Fixture f;
  for (int i = 0; i < 9; ++i) f.add("key" + std::to_string(i), Fixture::hash(3, 5));
  const SlotTable::Found found = f.find("key8", Fixture::hash(3, 5));
  REQUIRE(found.found);
  REQUIRE((found.at.bucket == 0 && found.at.slot == 1));
}

TEST_CASE("a search goes past tombstones, and the first of them is the place for what isn't found") {
  Fixture f;
  for (int i = 0; i < 5; ++i) f.add("key" + std::to_string(i), Fixture::hash(0, 1));
  f.table.store({0, 1}, SlotWord::erased());
  f.table.store({0, 3}, SlotWord::erased());
  REQUIRE(f.find("key4", Fixture::hash(0, 1)).found);
  REQUIRE_FALSE(f.find("key1", Fixture::hash(0, 1)).found);
  const SlotTable::Found place = f.add("new", Fixture::hash(0, 1));
  REQUIRE((place.at.bucket == 0 && place.at.slot == 1));
}

TEST_CASE("a home bucket alone says where a new key goes, or that it takes the whole search") {
  Fixture f;
  const auto place = [&](std::uint64_t tag) { return f.table.free_at_home(Fixture::key("new", Fixture::hash(0, tag))); };
  REQUIRE(place(1)->slot == 0);
  for (int i = 0; i < 5; ++i) f.add("key" + std::to_string(i), Fixture::hash(0, 1));
  REQUIRE((place(2)->bucket == 0 && place(2)->slot == 5));
  REQUIRE_FALSE(place(1));  // one of those may be the key
  f.table.store({0, 0}, SlotWord::erased());
  f.table.store({0, 3}, SlotWord::erased());
  REQUIRE(place(2)->slot == 0);
  REQUIRE_FALSE(place(1));  // it may stand behind the tombstone
  for (int i = 5; i < 9; ++i) f.add("key" + std::to_string(i), Fixture::hash(0, 1));
  REQUIRE_FALSE(place(2));  // it may stand in the next bucket
}

TEST_CASE("a full home bucket leaves it to the one behind it, also around the end, where a new key goes") {
  const auto is = [](const std::optional<SlotTable::Position>& at, std::uint64_t bucket, std::uint32_t slot) {
    return at && at->bucket == bucket && at->slot == slot;
  };
  for (const std::uint64_t home : {std::uint64_t{1}, kBuckets - 1}) {
    Fixture f;
    const std::uint64_t behind = (home + 1) % kBuckets;
    const auto place = [&](std::uint64_t tag) { return f.table.free_behind_home(Fixture::hash(home, tag)); };
    for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) {
      REQUIRE_FALSE(place(50).has_value());  // home has room
      f.table.store({home, i}, f.entry("home " + std::to_string(i), Fixture::hash(home, 100 + i)));
    }
    REQUIRE(is(place(50), behind, 0));
    REQUIRE_FALSE(place(103).has_value());  // may be the key
    f.table.store({behind, 0}, f.entry("behind", Fixture::hash(behind, 60)));
    REQUIRE(is(place(50), behind, 1));
    REQUIRE_FALSE(place(60).has_value());
    f.table.store({behind, 0}, SlotWord::erased());
    REQUIRE(is(place(60), behind, 0));
    for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) f.table.store({behind, i}, f.entry("full", Fixture::hash(behind, 200 + i)));
    REQUIRE_FALSE(place(50).has_value());  // the search goes on
    f.table.store({home, 2}, SlotWord::erased());
    REQUIRE_FALSE(place(50).has_value());
    f.table.store({behind, 6}, SlotWord());
    REQUIRE(is(place(50), home, 2));
    REQUIRE_FALSE(place(203).has_value());  // it may be the key behind
    f.table.store({behind, 0}, SlotWord::erased());
    f.table.store({home, 4}, SlotWord::erased());
    REQUIRE(is(place(50), home, 2));
  }
  // A table of one bucket, which is behind itself.
  Fixture f;
  const SlotTable small(f.buckets.data(), 1);
  for (std::uint32_t i = 0; i < kSlotsPerBucket; ++i) f.table.store({0, i}, f.entry("only", Fixture::hash(0, 100 + i)));
  REQUIRE_FALSE(small.free_behind_home(Fixture::hash(0, 50)).has_value());
}

TEST_CASE("a search ends in a table without an empty slot") {
  Fixture f;
  for (int i = 0; i < static_cast<int>(f.table.slot_count()); ++i)
    f.add("key" + std::to_string(i), Fixture::hash(2, 1));
  SlotTable::Found found = f.find("other", Fixture::hash(2, 1));
  REQUIRE_FALSE(found.found);
  REQUIRE_FALSE(found.free_slot);
  REQUIRE(f.find("key27", Fixture::hash(2, 1)).found);
  f.table.store({1, 4}, SlotWord::erased());
  found = f.find("other", Fixture::hash(2, 1));
  REQUIRE(found.free_slot);
  REQUIRE((found.at.bucket == 1 && found.at.slot == 4));
  for (std::uint64_t bucket = 0; bucket < kBuckets; ++bucket) {
    for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) f.table.store({bucket, slot}, SlotWord::erased());
  }
  found = f.find("other", Fixture::hash(3, 1));
  REQUIRE((found.free_slot && found.at.bucket == 3 && found.at.slot == 0));
}

TEST_CASE("a version steps alone") {
  Fixture f;
  f.table.step_version({2, 3});
  f.table.step_version({2, 0});
  for (std::uint64_t bucket = 0; bucket < kBuckets; ++bucket)
    REQUIRE(f.buckets[bucket].version.load() == (bucket == 2 ? 2U : 0U));
}

TEST_CASE("a slot that refers to what can't be an entry is damage, if its tag is the key's") {
  Fixture f;
  f.table.store({0, 0}, SlotWord(12, 9));
  REQUIRE_THROWS_WITH(f.find("a", Fixture::hash(0, 9)), "damaged");
  REQUIRE_FALSE(f.find("a", Fixture::hash(0, 8)).found);
  f.table.store({0, 0}, SlotWord(f.segment().identity().segment_bytes, 9));
  REQUIRE_THROWS_WITH(f.find("a", Fixture::hash(0, 9)), "damaged");
}

TEST_CASE("a table that is cleared and takes in the words of another one finds all of them") {
  Fixture f;
  for (int i = 0; i < 20; ++i) f.add("key" + std::to_string(i), Fixture::hash(static_cast<std::uint64_t>(i), 3));
  std::array<Bucket, 2 * kBuckets> larger;
  for (Bucket& bucket : larger) {
    bucket.version.store(99);
    for (Word64& slot : bucket.slots) slot.store(99);
  }
  SlotTable next(larger.data(), 2 * kBuckets);
  next.clear();
  for (int i = 0; i < 20; ++i) {
    const std::uint64_t hash = Fixture::hash(static_cast<std::uint64_t>(i), 3);
    next.adopt(hash, f.table.word(f.find("key" + std::to_string(i), hash).at));
  }
  for (int i = 0; i < 20; ++i) {
    const std::string text = "key" + std::to_string(i);
    REQUIRE(next.find(f.segment(), Fixture::key(text, Fixture::hash(static_cast<std::uint64_t>(i), 3)), [] {}).found);
  }
  for (const Bucket& bucket : larger) REQUIRE(bucket.version.load() == 0);
}
