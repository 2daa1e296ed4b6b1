// One shard's changes against a model: whatever comes and goes, the same keys are there, tombstones are counted and swept, values of up
// to eight bytes stay in their place, and a table that can't grow goes on.

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

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

constexpr std::size_t kOneShard = 1 << 16;

/// Keeps the pool without a page. The leak is what the audit would find.
class EmptyPool {
 public:
  explicit EmptyPool(const Dictionary& dictionary) : dictionary_(dictionary) {
    PagePool pool(dictionary_.writer());
    static_cast<void>(test::error_of([&] {
      for (;;) pool.take(PageWord(PageKind::large, 1, 1));
    }));
  }

  void give_back() const {
    PagePool pool(dictionary_.writer());
    std::vector<std::uint32_t> foreign;
    pool.for_each_run([&](std::uint32_t page, PageWord word) {
      if (word.kind() == PageKind::large && word.shard() == 1) foreign.push_back(page);
    });
    for (const std::uint32_t page : foreign) pool.give(page);
  }

 private:
  const Dictionary& dictionary_;
};

}  // namespace

TEST_CASE("random changes of one shard are those of a map, and the audit agrees all the time") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary d({.heap_size = kOneShard});
  REQUIRE(d.segment().identity().shard_count == 1);
  std::map<std::string, std::string> model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string key = std::to_string(random() % 600);
    // Waves: it fills, then empties, so that tables grow and tombstones gather.
    if (random() % 100 < (i / 2500 % 2 == 0 ? 70U : 25U)) {
      model[key] = std::string(random() % 40, static_cast<char>('a' + random() % 26));
      d.put(key, model[key]);
    } else {
      d.erase(key);
      model.erase(key);
    }
    if (i % 500 == 0) {
      const std::string problems = d.problems();
      INFO(problems);
      REQUIRE(problems.empty());
      REQUIRE(count_items(d.segment()) == model.size());
      for (const auto& [k, v] : model) REQUIRE(d.get(k) == v);
    }
  }
  REQUIRE(d.problems().empty());
}

TEST_CASE("erasing and inserting for ever doesn't make the table grow") {
  const int items = GENERATE(24, 100);
  const Dictionary d({.heap_size = kOneShard});
  for (int i = 0; i < items; ++i) d.put(std::to_string(i), "v");
  const TableWord before(d.segment().shard(0).table.load());
  for (int i = items; i < 20'000; ++i) {
    d.erase(std::to_string(i - items));
    d.put(std::to_string(i), "v");
  }
  REQUIRE(TableWord(d.segment().shard(0).table.load()).log2_buckets() == before.log2_buckets());
  REQUIRE(count_items(d.segment()) == static_cast<std::uint64_t>(items));
  REQUIRE(d.problems().empty());
}

TEST_CASE("the last key of a chain leaves no tombstone, nor do those before it") {
  const Dictionary d({.heap_size = kOneShard});
  for (int i = 0; i < 300; ++i) d.put(std::to_string(i), "v");
  for (int i = 0; i < 300; ++i) d.erase(std::to_string(i));
  // A chain of one shard ends somewhere; all of them are gone, so nothing holds a tombstone in front of an empty slot.
  REQUIRE(d.segment().shard(0).tombstones.load() == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("a value of at most eight bytes is replaced where it lies") {
  for (const std::uint64_t size : {1U, 4U, 7U, 8U}) {
    const Dictionary d({.heap_size = kOneShard}, {0, size, 1});
    const std::string a(size, 'a');
    const std::string b(size, 'b');
    d.put("key", a);
    const Writer writer = d.writer();
    LockedShard shard(writer, 0);
    const auto found = shard.find(d.key("key"));
    REQUIRE(found.found);
    const std::uint64_t epoch = shard.fields().epoch.load();
    shard.replace(found, d.key("key"), Dictionary::bytes(b));
    REQUIRE(shard.find(d.key("key")).entry.offset == found.entry.offset);
    REQUIRE(d.get("key") == b);
    REQUIRE(shard.fields().epoch.load() == epoch);
    REQUIRE(d.segment().buckets(shard.table_word())[found.at.bucket].version.load() == 0);
  }
}

TEST_CASE("a longer value gets a block of its own, and the version steps before the old one is used again") {
  const Dictionary d({.heap_size = kOneShard});
  d.put("key", "12345678");
  const Writer writer = d.writer();
  LockedShard shard(writer, 0);
  const auto found = shard.find(d.key("key"));
  const std::string other = "87654321";
  shard.replace(found, d.key("key"), Dictionary::bytes(other));
  const auto now = shard.find(d.key("key"));
  REQUIRE(now.entry.offset != found.entry.offset);
  REQUIRE((now.at.bucket == found.at.bucket && now.at.slot == found.at.slot));
  REQUIRE(d.segment().buckets(shard.table_word())[found.at.bucket].version.load() == 1);
}

TEST_CASE("growing steps the epoch, keeps all keys and gives the old table back") {
  const Dictionary d({.heap_size = kOneShard});
  d.put("0", "v");
  const TableWord first(d.segment().shard(0).table.load());
  const std::uint64_t epoch = d.segment().shard(0).epoch.load();
  int i = 1;
  while (TableWord(d.segment().shard(0).table.load()) == first) d.put(std::to_string(i++), "v");
  REQUIRE(d.segment().shard(0).epoch.load() > epoch);
  for (int k = 0; k < i; ++k) REQUIRE(d.get(std::to_string(k)) == "v");
  REQUIRE(d.problems().empty());  // a table that no shard uses would be a problem
}

// Of a few cache lines while it is small; from a page on it doubles.
TEST_CASE("a table has eight buckets, as many as fill a page, twice as many, and so on") {
  const Dictionary d({.heap_size = kOneShard});
  const auto buckets = [&] { return TableWord(d.segment().shard(0).table.load()).buckets(); };
  const std::uint64_t in_page = d.segment().identity().page_bytes / sizeof(Bucket);
  std::vector<std::uint64_t> sizes;
  std::uint64_t items = 0;
  for (; items < 3 * in_page * kSlotsPerBucket; ++items) {
    d.put(std::to_string(items), "");
    if (sizes.empty() || sizes.back() != buckets()) sizes.push_back(buckets());
    REQUIRE((items + 1) * 5 <= buckets() * kSlotsPerBucket * 4);
  }
  REQUIRE(sizes == std::vector<std::uint64_t>{8, in_page, 2 * in_page, 4 * in_page});
  REQUIRE(d.problems().empty());
}

TEST_CASE("a table that can't grow goes on up to its last but one slot, and no search goes on for ever") {
  const Dictionary d({.heap_size = kOneShard});
  d.put("first", "");
  {
    // All pages are taken but those for blocks, which the shard has in advance.
    for (int i = 0; i < 600; ++i) d.put("reserve" + std::to_string(i), "");
    for (int i = 0; i < 600; ++i) d.erase("reserve" + std::to_string(i));
  }
  const TableWord table(d.segment().shard(0).table.load());
  const std::uint64_t slots = table.buckets() * kSlotsPerBucket;
  const EmptyPool empty(d);
  int stored = 0;
  const std::error_code code = test::error_of([&] {
    for (;; ++stored) d.put("key" + std::to_string(stored), "");
  });
  REQUIRE(code == errc::heap_full);
  REQUIRE(count_items(d.segment()) < slots);
  for (int i = 0; i < stored; ++i) REQUIRE(d.get("key" + std::to_string(i)));
  REQUIRE_FALSE(d.get("no such key"));
  empty.give_back();
  d.put("key" + std::to_string(stored), "");
  REQUIRE(d.problems().empty());
}

// It can't be rebuilt without a page.
TEST_CASE("a table whose last empty slot must stay takes new keys in the place of erased ones") {
  const Dictionary d({.heap_size = kOneShard});
  for (int i = 0; i < 30; ++i) d.put(std::to_string(i), "");
  const EmptyPool empty(d);
  int last = 30;
  const auto exchange_one = [&] {
    d.erase(std::to_string(last - 30));
    return test::error_of([&] { d.put(std::to_string(last), ""); });
  };
  while (!exchange_one()) REQUIRE(++last < 100'000);
  int taken = 0;
  for (int i = 0; i < 200; ++i) {
    const std::string key = "new " + std::to_string(i);
    const std::error_code code = test::error_of([&] { d.put(key, ""); });
    REQUIRE((!code || code == errc::heap_full));
    REQUIRE(d.get(key).has_value() == !code);
    if (code) continue;
    ++taken;
    d.erase(key);
  }
  REQUIRE(taken > 0);
  for (int i = last - 29; i < last; ++i) REQUIRE(d.get(std::to_string(i)));
  empty.give_back();
  d.put(std::to_string(last), "");
  REQUIRE(d.problems().empty());
}
