// What a dead owner leaves can be anything that is derived. From the true words alone the repair must make the same dictionary again,
// find what leaked, and refuse what contradicts itself.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"
#include "support/stored_dictionary.hpp"
#include "support/write_entry.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

using Contents = std::map<std::string, std::string>;

Contents fill(const Dictionary& dictionary, std::mt19937_64& random, int items) {
  Contents contents;
  for (int i = 0; i < items; ++i) {
    const std::string key = "key" + std::to_string(random() % 5000);
    if (random() % 4 == 0) {
      dictionary.erase(key);
      contents.erase(key);
    } else {
      const std::size_t size = random() % 100 == 0 ? 30'000 + random() % 20'000 : random() % 200;
      contents[key] = std::string(size, static_cast<char>('a' + random() % 26));
      dictionary.put(key, contents[key]);
    }
  }
  return contents;
}

void require_same(const Dictionary& dictionary, const Contents& contents) {
  const std::string problems = dictionary.problems();
  INFO(problems);
  REQUIRE(problems.empty());
  REQUIRE(count_items(dictionary.segment()) == contents.size());
  for (const auto& [key, value] : contents) {
    if (dictionary.get(key) != value) FAIL(key);
  }
}

std::uint64_t pages_of_tables(const Dictionary& dictionary) {
  const Segment& segment = dictionary.segment();
  std::uint64_t pages = 0;
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    const TableWord table(segment.shard(i).table.load());
    if (!table.none()) pages += table_run(segment, i, table.log2_buckets()).pages();
  }
  return pages;
}

void mark_all(const Dictionary& dictionary) {
  for (std::uint32_t i = 0; i < dictionary.segment().identity().shard_count; ++i)
    dictionary.segment().shard(i).dirty.store(1);
}

}  // namespace

TEST_CASE("whatever is scrambled of the derived fields of every shard, the same dictionary comes out") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary dictionary({.heap_size = 1 << 23});
  Segment& segment = dictionary.segment();
  const Contents contents = fill(dictionary, random, 8000);
  require_same(dictionary, contents);
  const auto any = [&] { return static_cast<std::uint32_t>(random()); };
  for (int round = 0; round < 10; ++round) {
    for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
      Shard& shard = segment.shard(i);
      const std::uint64_t epoch = shard.epoch.load();
      shard.items.store(random());
      shard.tombstones.store(random());
      shard.stored_bytes.store(random());
      shard.scan_hint = random();
      for (std::uint32_t& link : shard.partial) link = any();
      shard.dirty.store(1);
      REQUIRE(shard.epoch.load() == epoch);
    }
    for (std::uint32_t page = 0; page < segment.header().pool.frontier.load(); ++page) {
      Page& fields = segment.page(page);
      fields.first_free = any();
      fields.live = any();
      fields.carved = any();
      fields.previous = any();
      fields.next = any();
      fields.head = any();
    }
    segment.header().pool.dirty.store(1);
    require_same(dictionary, contents);
  }
  for (const auto& [key, value] : contents) dictionary.erase(key);
  require_same(dictionary, {});
}

TEST_CASE("a repair steps the epoch and never sets it back") {
  const Dictionary dictionary;
  dictionary.put("a", "1");
  Shard& shard = dictionary.shard_of("a");
  std::uint64_t last = shard.epoch.load();
  for (int i = 0; i < 5; ++i) {
    shard.dirty.store(1);
    dictionary.put("a", "2");
    REQUIRE(shard.epoch.load() > last);
    REQUIRE(shard.dirty.load() == 0);
    last = shard.epoch.load();
  }
  REQUIRE(dictionary.problems().empty());
}

TEST_CASE("runs and blocks that a dead owner took and never used are given back") {
  const Dictionary dictionary;
  for (int i = 0; i < 100; ++i) dictionary.put("key" + std::to_string(i), "value");
  const std::uint64_t before = dictionary.pages_in_use();
  for (std::uint32_t i = 0; i < dictionary.segment().identity().shard_count; ++i) {
    const Writer writer = dictionary.writer();
    Heap heap(writer, i);
    heap.take_run({PageKind::table, 3, i});
    heap.take_run({PageKind::large, 5, i});
    heap.allocate(100);
    heap.allocate(3000);
    heap.allocate(100'000);
  }
  REQUIRE(dictionary.pages_in_use() > before);
  mark_all(dictionary);
  REQUIRE(dictionary.problems().empty());
  REQUIRE(dictionary.pages_in_use() == before);
}

TEST_CASE("a table that its owner died before giving back is given back") {
  const Dictionary dictionary({.heap_size = 1 << 16});
  dictionary.put("a", "1");
  Shard& shard = dictionary.shard_of("a");
  const TableWord old(shard.table.load());
  const std::uint64_t before = dictionary.pages_in_use();
  // As rebuild_table up to the table word: the new table stands, the old one isn't given back, the epoch not stepped.
  const Writer writer = dictionary.writer();
  Heap heap(writer, 0);
  const std::uint32_t page = heap.take_run(table_run(dictionary.segment(), 0, old.log2_buckets()));
  const TableWord made(dictionary.segment().page_offset(page), old.log2_buckets());
  SlotTable next(dictionary.segment().buckets(made), made.buckets());
  next.clear();
  next.adopt(dictionary.key("a").hash, SlotWord(dictionary.slot_of("a").load()));
  store_table(shard, made);
  shard.dirty.store(1);
  REQUIRE(dictionary.problems().empty());
  REQUIRE(dictionary.pages_in_use() == before);
  REQUIRE(TableWord(shard.table.load()) == made);
  REQUIRE(dictionary.get("a") == "1");
}

TEST_CASE("a death right after the slot word was stored counts as done") {
  const Dictionary dictionary;
  Contents contents;
  for (int i = 0; i < 50; ++i) dictionary.put("key" + std::to_string(i), contents["key" + std::to_string(i)] = "value");
  // An erase, an insert and a replacement, each only up to its moment.
  dictionary.slot_of("key7").store(SlotWord::erased().bits());
  contents.erase("key7");
  for (const std::string key : {"new", "key9"}) {
    const KeyBytes wanted = dictionary.key(key);
    const Writer writer = dictionary.writer();
    Heap heap(writer, hash_shard(wanted.hash, dictionary.segment().identity().shard_count));
    const std::uint64_t offset = heap.allocate(200);
    test::write_entry(dictionary.segment(), offset, wanted.bytes, Dictionary::bytes("from a dead one"));
    if (key == "new") dictionary.put(key, "x");
    dictionary.slot_of(key).store(SlotWord(offset, hash_tag(wanted.hash)).bits());
    contents[key] = "from a dead one";
  }
  mark_all(dictionary);
  require_same(dictionary, contents);
}

TEST_CASE("a clear that was interrupted right after its moment empties every shard at its next use") {
  const Dictionary dictionary;
  for (int i = 0; i < 500; ++i) dictionary.put("key" + std::to_string(i), "value");
  dictionary.clear_for_readers();
  REQUIRE(count_items(dictionary.segment()) == 0);
  for (int i = 0; i < 500; ++i) REQUIRE_FALSE(dictionary.get("key" + std::to_string(i)));
  dictionary.put("key3", "again");
  require_same(dictionary, {{"key3", "again"}});
  // And one that died in the shard itself, with the generation stored and the pages not given back.
  dictionary.clear_for_readers();
  Shard& shard = dictionary.shard_of("key3");
  shard.dirty.store(1);
  step_epoch(shard);
  store_table(shard, TableWord());
  shard.generation.store(dictionary.segment().header().clear_generation.load());
  require_same(dictionary, {});
  REQUIRE(dictionary.pages_in_use() == pages_of_tables(dictionary));
}

// Several sizes take the same number of pages. (Large pages take a large heap, for whose addresses not every process has room.)
TEST_CASE("a table word with a flipped bit is no table") {
#if defined(__linux__)
  const std::uint32_t page_bytes = sizeof(std::size_t) == 4 ? 4096U : GENERATE(4096U, 8192U, 16384U);
#else
  const std::uint32_t page_bytes = 4096;
#endif
  const std::uint64_t heap_size = page_bytes == 4096 ? std::uint64_t{1} << 22 : std::uint64_t{page_bytes} << 20;
  const Dictionary dictionary({.heap_size = static_cast<std::size_t>(heap_size), .max_items = 100'000});
  const int items = GENERATE(1, 12'000);
  for (int i = 0; i < items; ++i) dictionary.put("key" + std::to_string(i), "");
  const Segment& segment = dictionary.segment();
  REQUIRE(segment.identity().page_bytes == page_bytes);
  const std::uint32_t index = hash_shard(dictionary.key("key0").hash, segment.shard_count());
  const std::uint64_t word = segment.shard(index).table.load();
  REQUIRE(is_table(segment, index, TableWord(word)));
  for (int bit = 0; bit < 64; ++bit) {
    CAPTURE(bit);
    REQUIRE_FALSE(is_table(segment, index, TableWord(word ^ (std::uint64_t{1} << bit))));
  }
}

TEST_CASE("a shard that was cleared keeps its table, unless that can't be right") {
  const Dictionary dictionary;
  const auto fill = [&] {
    for (int i = 0; i < 3000; ++i) dictionary.put("key" + std::to_string(i), "value");
  };
  fill();
  Shard& shard = dictionary.shard_of("key1");
  const std::uint64_t table = shard.table.load();
  dictionary.clear_for_readers();
  fill();
  REQUIRE(shard.table.load() == table);
  dictionary.clear_for_readers();
  const std::uint32_t page = dictionary.segment().page_of(TableWord(table).offset());
  // Another shard's, so that nobody is given this page meanwhile.
  const std::uint32_t other = &shard == &dictionary.segment().shard(0) ? 1 : 0;
  dictionary.segment().page(page).word.store(table_run(dictionary.segment(), other, TableWord(table).log2_buckets()).bits());
  dictionary.put("key1", "value");
  REQUIRE(shard.table.load() != table);
  REQUIRE(dictionary.get("key1") == std::optional<std::string>("value"));
}

TEST_CASE("contents that contradict themselves are refused, and refused again") {
  const auto refused = [](auto damage) {
    const Dictionary dictionary({.heap_size = 1 << 18});
    for (int i = 0; i < 200; ++i) dictionary.put("key" + std::to_string(i), "value");
    damage(dictionary);
    mark_all(dictionary);
    bool all = true;
    for (int i = 0; i < 2; ++i) {
      all = all && test::error_of([&] {
                     for (std::uint32_t s = 0; s < dictionary.segment().identity().shard_count; ++s)
                       const LockedShard shard(dictionary.writer(), s);
                   }) == errc::corrupted;
    }
    return all;
  };
  CHECK(refused([](const Dictionary& d) { d.shard_of("key1").table.store(~std::uint64_t{0}); }));
  CHECK(refused([](const Dictionary& d) { d.shard_of("key1").table.store(4096 + 6); }));
  CHECK(refused([](const Dictionary& d) { d.slot_of("key1").store(12); }));
  CHECK(refused(
      [](const Dictionary& d) { d.slot_of("key1").store(SlotWord(d.segment().identity().segment_bytes, 3).bits()); }));
  CHECK(refused([](const Dictionary& d) { d.slot_of("key1").fetch_add(8); }));
  CHECK(refused([](const Dictionary& d) {  // two slots of one shard refer to one block
    for (int i = 2; i < 200; ++i) {
      const std::string other = "key" + std::to_string(i);
      if (&d.shard_of(other) != &d.shard_of("key1")) continue;
      d.slot_of("key1").store(d.slot_of(other).load());
      return;
    }
  }));
  CHECK(refused([](const Dictionary& d) {  // an entry in pages of another shard
    for (int i = 2; i < 200; ++i) {
      const std::string other = "key" + std::to_string(i);
      if (&d.shard_of(other) == &d.shard_of("key1")) continue;
      d.slot_of("key1").store(d.slot_of(other).load());
      return;
    }
  }));
  CHECK(refused([](const Dictionary& d) {  // an entry in a table
    d.slot_of("key1").store(SlotWord(TableWord(d.shard_of("key1").table.load()).offset(), 1).bits());
  }));
  CHECK(refused([](const Dictionary& d) { d.segment().page(0).word.store(0); }));
}
