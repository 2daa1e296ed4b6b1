// Reading goes without a lock through memory that others write, and that may be damaged: every answer must be a whole value, a miss, or
// errc::corrupted, never a crash and never a search without end.

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/scan.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

constexpr int kItems = 300;

std::string key_of(int i) { return "key" + std::to_string(i); }
std::string value_of(int i) { return std::string(static_cast<std::size_t>(i % 50), static_cast<char>('a' + i % 26)); }

struct Filled : Dictionary {
  Filled() : Dictionary({.heap_size = 1 << 16}) {  // one shard
    for (int i = 0; i < kItems; ++i) put(key_of(i), value_of(i));
  }
  Shard& shard() const { return segment().shard(0); }
  TableWord table() const { return TableWord(shard().table.load()); }
  Word64& slot_of(const std::string& text) const {
    Bucket* const buckets = segment().buckets(table());
    const auto found = SlotTable(buckets, table().buckets()).find(segment(), key(text), [] {});
    if (!found.found) throw std::runtime_error(text);
    return buckets[found.at.bucket].slots[found.at.slot];
  }
  bool refuses(const std::string& text) const {
    return test::error_of([&] { get(text); }) == errc::corrupted;
  }
};

}  // namespace

TEST_CASE("what was stored is found whole, and what wasn't is a miss") {
  const Filled d;
  for (int i = 0; i < kItems; ++i) REQUIRE(d.get(key_of(i)) == value_of(i));
  for (int i = kItems; i < 2 * kItems; ++i) REQUIRE_FALSE(d.get(key_of(i)));
  REQUIRE_FALSE(d.get(""));
  REQUIRE(d.problems().empty());
}

TEST_CASE("a shard without a table, or of an earlier generation, holds nothing") {
  const Dictionary empty;
  REQUIRE_FALSE(empty.get("a"));
  const Filled d;
  d.clear_for_readers();
  for (int i = 0; i < kItems; ++i) REQUIRE_FALSE(d.get(key_of(i)));
  REQUIRE(view_shard(d.segment(), 0).table.none());
}

TEST_CASE("a reader that doesn't want the bytes learns that the key is there") {
  const Filled d;
  const auto nothing = [](std::size_t) { return static_cast<std::byte*>(nullptr); };
  REQUIRE(lookup(d.segment(), "name", d.key(key_of(3)), nothing));
  REQUIRE_FALSE(lookup(d.segment(), "name", d.key("no such key"), nothing));
}

TEST_CASE("a reader notices that version or epoch stepped") {
  const Filled d;
  const ShardView view = view_shard(d.segment(), 0);
  Bucket& bucket = d.segment().buckets(view.table)[0];
  const std::uint64_t version = load_version(bucket);
  REQUIRE(still_valid(view, bucket, version));
  bucket.version.fetch_add(1);
  REQUIRE_FALSE(still_valid(view, bucket, version));
  REQUIRE(same_epoch(view));
  step_epoch(d.shard());
  REQUIRE_FALSE(same_epoch(view));
  REQUIRE_FALSE(still_valid(view, bucket, version + 1));
}

TEST_CASE("a damaged slot of the key's tag is corrupted") {
  for (const std::uint64_t offset : {std::uint64_t{8}, std::uint64_t{4097}, std::uint64_t{0xffff'ffff'fff8}}) {
    const Filled d;
    Word64& slot = d.slot_of(key_of(5));
    slot.store(SlotWord(offset, SlotWord(slot.load()).tag()).bits());
    REQUIRE(d.refuses(key_of(5)));
    REQUIRE(test::error_of([&] { d.put(key_of(5), "new"); }) == errc::corrupted);
    REQUIRE(test::error_of([&] { ShardScan().read(d.segment(), "name", 0); }) == errc::corrupted);
    REQUIRE_FALSE(d.problems().empty());
  }
}

TEST_CASE("a slot that refers to the middle of a word is corrupted, even if what lies there looks like the entry") {
  const Filled d;
  const std::string victim = "victim12";
  d.put(victim, "right");
  const std::uint64_t sizes = EntrySizes(victim.size(), 5).bits();
  std::string image(4, '.');
  image.append(reinterpret_cast<const char*>(&sizes), sizeof sizes);
  image += victim + "wrong" + std::string(8, '\0');
  d.put("host", image);
  const auto host =
      SlotTable(d.segment().buckets(d.table()), d.table().buckets()).find(d.segment(), d.key("host"), [] {});
  Word64& slot = d.slot_of(victim);
  const std::uint64_t good = slot.load();
  slot.store(SlotWord(host.entry.value_at + 4, SlotWord(good).tag()).bits());
  REQUIRE(d.refuses(victim));
  slot.store(good);
  REQUIRE(d.get(victim) == "right");
  REQUIRE(d.problems().empty());
}

TEST_CASE("damaged sizes of an entry are corrupted, or a miss of this one key") {
  const Filled d;
  std::byte* const sizes = d.segment().at(SlotWord(d.slot_of(key_of(5)).load()).offset());
  const std::uint64_t good = load_word(sizes);
  for (const std::uint64_t bad :
       {~std::uint64_t{0}, EntrySizes(4, EntrySizes::kMaxValue).bits(), EntrySizes(EntrySizes::kMaxKey, 0).bits()}) {
    store_word(sizes, bad);
    REQUIRE(d.refuses(key_of(5)));
    REQUIRE(test::error_of([&] { ShardScan().read(d.segment(), "name", 0); }) == errc::corrupted);
    REQUIRE_FALSE(d.problems().empty());
  }
  store_word(sizes, EntrySizes(5, 5).bits());
  REQUIRE_FALSE(d.get(key_of(5)));
  store_word(sizes, good);
  REQUIRE(d.get(key_of(5)) == value_of(5));
  REQUIRE(d.problems().empty());
}

TEST_CASE("a damaged table word is corrupted") {
  const Filled d;
  const TableWord good = d.table();
  for (const TableWord bad :
       {TableWord(~std::uint64_t{0}), TableWord(good.offset(), 39), TableWord(good.offset(), 63),
        TableWord(d.segment().identity().data_at - 4096, 6), TableWord(d.segment().identity().segment_bytes, 6)}) {
    d.shard().table.store(bad.bits());
    REQUIRE(d.refuses(key_of(5)));
    REQUIRE(test::error_of([&] { d.put(key_of(5), "new"); }) == errc::corrupted);
    REQUIRE(test::error_of([&] { ShardScan().read(d.segment(), "name", 0); }) == errc::corrupted);
    REQUIRE_FALSE(d.problems().empty());
  }
  d.shard().table.store(good.bits());
  REQUIRE(d.problems().empty());
}

TEST_CASE("a search ends in a table that damage left without an empty slot") {
  const Filled d;
  Bucket* const buckets = d.segment().buckets(d.table());
  for (std::uint64_t i = 0; i < d.table().buckets(); ++i) {
    for (Word64& slot : buckets[i].slots) {
      if (slot.load() == 0) slot.store(SlotWord::erased().bits());
    }
  }
  REQUIRE(d.get(key_of(7)) == value_of(7));
  REQUIRE_FALSE(d.get("no such key"));
  REQUIRE_FALSE(d.problems().empty());
}

TEST_CASE("whatever bits are damaged, reading, scanning and the audit end and don't crash") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Filled d;
  const std::uint64_t begin = d.segment().identity().data_at;
  const std::uint64_t end = d.segment().page_offset(d.segment().header().pool.frontier.load());
  int refused = 0;
  for (int i = 0; i < 1500; ++i) {
    // A word of the pages: of the table, of an entry or of neither; or the table word itself.
    std::byte* const at = i % 20 == 0 ? reinterpret_cast<std::byte*>(&d.shard().table)
                                      : d.segment().at(begin + random() % ((end - begin) / 8) * 8);
    const std::uint64_t good = load_word(at);
    store_word(at, i % 3 == 0 ? random() : good ^ (std::uint64_t{1} << (random() % 64)));
    for (int k = 0; k < 40; ++k) {
      const std::error_code code = test::error_of([&] { d.get(key_of(static_cast<int>(random() % kItems))); });
      if (code && code != errc::corrupted) FAIL(code.message());
      refused += code ? 1 : 0;
    }
    const std::error_code code = test::error_of([&] { ShardScan().read(d.segment(), "name", 0); });
    if (code && code != errc::corrupted) FAIL(code.message());
    d.problems();
    store_word(at, good);
  }
  REQUIRE(refused > 0);
  for (int i = 0; i < kItems; ++i) REQUIRE(d.get(key_of(i)) == value_of(i));
  REQUIRE(d.problems().empty());
}
