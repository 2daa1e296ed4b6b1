// Figures for people are believed: they must add up, with each other and with the memory that is really in use.

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/inspection.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

/// Bytes of the pages below the frontier, by use, and the tables' slots, counted from the page words.
struct Pages {
  std::uint64_t free = 0, tables = 0, slots = 0, large = 0, blocks = 0, span_ends = 0;
};

Pages count_pages(const Dictionary& d) {
  Pages pages;
  const PagePool pool(d.writer());
  pool.for_each_run([&](std::uint32_t, PageWord word) {
    const std::uint64_t bytes = std::uint64_t{word.pages()} * d.segment().identity().page_bytes;
    if (word.kind() == PageKind::free) pages.free += bytes;
    if (word.kind() == PageKind::table) {
      pages.tables += bytes;
      pages.slots += std::uint64_t{kSlotsPerBucket} << word.size_class();
    }
    if (word.kind() == PageKind::large) pages.large += bytes;
    if (word.kind() == PageKind::span) {
      const SizeClass& shape = d.segment().classes()[word.size_class()];
      pages.blocks += std::uint64_t{shape.span_blocks} * shape.block_bytes;
      pages.span_ends += bytes - std::uint64_t{shape.span_blocks} * shape.block_bytes;
    }
  });
  return pages;
}

}  // namespace

TEST_CASE("an empty dictionary has nothing in it, and says what it was made with") {
  const Dictionary d({.heap_size = 3 << 20});
  const Stats stats = collect_stats(*d.attachment);
  REQUIRE(stats.items == 0);
  REQUIRE(stats.slot_count == 0);
  REQUIRE(stats.used_slots == 0);
  REQUIRE(stats.load_factor == 0);
  REQUIRE(stats.heap_size == 3 << 20);
  REQUIRE(stats.heap_used == 0);
  REQUIRE(stats.processes == 1);
  REQUIRE(stats.shards == d.segment().identity().shard_count);
  REQUIRE(stats.recoveries == 0);
  const GcStats gc = collect_gc_stats(d.writer());
  REQUIRE(gc.total_free_blocks == 0);
  REQUIRE(gc.total_free_space == 0);
  REQUIRE(gc.largest_free_block == 0);
}

TEST_CASE("the figures add up to each other, to the items and to the memory in use, whatever was done") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary d({.heap_size = 1 << 23});
  std::map<std::string, std::size_t> model;
  for (int i = 0; i < 6000; ++i) {
    const std::string key = std::to_string(random() % 3000);
    if (random() % 3 == 0) {
      d.erase(key);
      model.erase(key);
    } else {
      const std::size_t size = random() % 150 == 0 ? 40'000 : random() % 300;
      if (!test::error_of([&] { d.put(key, std::string(size, 'v')); })) model[key] = size;
    }
    if (i % 500 != 499) continue;
    const Stats stats = collect_stats(*d.attachment);
    const GcStats gc = collect_gc_stats(d.writer());
    const Pages pages = count_pages(d);
    std::uint64_t bytes = 0;
    std::uint64_t live_blocks = 0;
    std::uint64_t live_large = 0;
    const std::uint64_t page_bytes = d.segment().identity().page_bytes;
    for (const auto& [k, size] : model) {
      bytes += k.size() + size;
      const std::uint64_t entry = entry_bytes(k.size(), size, 1);
      if (entry > d.segment().classes().largest_block()) {
        live_large += round_up(entry, page_bytes);
      } else {
        live_blocks += class_bytes(class_of(entry));
      }
    }
    for (std::uint32_t shard = 0; shard < d.segment().identity().shard_count; ++shard) {
      for (const std::uint64_t spare : d.segment().shard(shard).spare) {  // kept aside counts as in use
        if (spare == 0) continue;
        const Page& page = d.segment().page(d.segment().page(d.segment().page_of(SpareWord(spare).offset())).head.load());
        live_blocks += class_bytes(PageWord(page.word.load()).size_class());
      }
    }
    REQUIRE(stats.items == model.size());
    REQUIRE(stats.heap_used == bytes);
    REQUIRE(stats.heap_used <= stats.heap_size);
    REQUIRE(stats.used_slots >= stats.items);
    REQUIRE(stats.slot_count == pages.slots);
    REQUIRE(stats.load_factor == Approx(static_cast<double>(stats.used_slots) / static_cast<double>(stats.slot_count)));
    REQUIRE(pages.large == live_large);
    REQUIRE(gc.total_free_space == pages.free + pages.blocks - live_blocks);
    REQUIRE(gc.largest_free_block <= gc.total_free_space);
    REQUIRE((gc.total_free_blocks == 0) == (gc.total_free_space == 0));
    REQUIRE(gc.retired_blocks == 0);
    const std::uint64_t committed = d.segment().committed_pages().value();
    REQUIRE(stats.heap_committed == d.segment().identity().areas_at + committed * (page_bytes + sizeof(Page)));
    REQUIRE(pages.free + pages.tables + pages.large + pages.blocks + pages.span_ends <= committed * page_bytes);
  }
  REQUIRE(d.problems().empty());
}

TEST_CASE("the memory that is said to be committed is what the file occupies") {
  const Dictionary d({.heap_size = 1 << 24});
  for (int i = 0; i < 3000; ++i) d.put(std::to_string(i), std::string(1000, 'v'));
  struct stat status {};
  REQUIRE(::fstat(d.segment().file().get(), &status) == 0);
  const auto occupied = static_cast<std::uint64_t>(status.st_blocks) * 512;
  const Stats stats = collect_stats(*d.attachment);
  INFO("occupied " << occupied << ", committed " << stats.heap_committed);
  REQUIRE(stats.heap_committed <= occupied);
  REQUIRE(occupied <= stats.heap_committed + 64 * 1024);  // partly used pages of the file, the file system's own blocks
}

TEST_CASE("figures of a cleared dictionary are those of an empty one") {
  const Dictionary d;
  for (int i = 0; i < 1000; ++i) d.put(std::to_string(i), "value");
  d.clear_for_readers();
  const Stats stats = collect_stats(*d.attachment);
  REQUIRE(stats.items == 0);
  REQUIRE(stats.heap_used == 0);
  REQUIRE(stats.slot_count == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("processes, recoveries and waits are counted") {
  const Dictionary d;
  d.put("a", "1");
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
    if (collect_stats(*d.attachment).processes != 2) return 1;
    d.segment().shard(0).lock.store(d.attachment->self().bits());
    return 0;  // leaves the lock taken, without leaving the dictionary
  }));
  const Writer writer = d.writer();
  const LockedShard shard(writer, 0);
  const Stats stats = collect_stats(*d.attachment);
  REQUIRE(stats.processes == 1);
  REQUIRE(stats.recoveries == 1);
  REQUIRE(stats.lock_waits == 1);
}
