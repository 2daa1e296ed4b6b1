// The heap hands out blocks that readers look at while others write: no two may overlap, each must fit, a freed one is used again, and
// what is damaged must end in errc::corrupted before a wrong byte is written.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <shared_dict/detail/mechanisms/heap.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment;

  explicit Dictionary(std::size_t heap_size = 1 << 22)
      : attachment(Lifecycle("name", place.path(), test::kHangDeadline)
                       .open(OpenMode::create, {.heap_size = heap_size}, {"K", "V", {0, 0, 1}})) {}
  Segment& segment() const { return attachment->segment(); }
  Writer writer() const { return {*attachment, test::kHangDeadline}; }
  Heap heap(std::uint32_t shard = 0) const { return {for_heaps, shard}; }
  const Writer for_heaps{*attachment, test::kHangDeadline};  // a heap refers to its writer
  std::uint64_t used_pages() const { return segment().header().pool.block_pages.load(); }
};

}  // namespace

TEST_CASE("blocks that are allocated and freed at random never overlap and go back to the pool") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary dictionary(1 << 24);
  Heap heaps[] = {dictionary.heap(0), dictionary.heap(1)};
  struct Block {
    std::uint64_t size;
    int heap;
    std::uint64_t mark;
  };
  std::map<std::uint64_t, Block> live;  // by offset
  const std::uint64_t largest = dictionary.segment().classes().largest_block();
  for (int i = 0; i < 20'000; ++i) {
    if (live.empty() || random() % 100 < 52) {
      const std::uint64_t size = random() % 200 == 0  ? largest + random() % 20'000
                                 : random() % 20 == 0 ? 16 + random() % largest
                                                      : 16 + random() % 300;
      const int which = static_cast<int>(random() % 2);
      const std::uint64_t offset = heaps[which].allocate(size);
      if (offset % 8 != 0 || !dictionary.segment().holds(offset, size)) FAIL("block at " << offset);
      const auto after = live.lower_bound(offset);
      if (after != live.end() && offset + size > after->first) FAIL("overlaps the next block");
      if (after != live.begin() && std::prev(after)->first + std::prev(after)->second.size > offset)
        FAIL("overlaps the block before");
      const std::uint64_t mark = random();
      store_word(dictionary.segment().at(offset), mark);
      store_word(dictionary.segment().at(offset + (size - 8) / 8 * 8), mark);
      live.emplace(offset, Block{size, which, mark});
    } else {
      auto victim = live.begin();
      std::advance(victim, static_cast<std::ptrdiff_t>(random() % std::min<std::size_t>(live.size(), 50)));
      const auto& [offset, block] = *victim;
      const bool whole = load_word(dictionary.segment().at(offset)) == block.mark &&
                         load_word(dictionary.segment().at(offset + (block.size - 8) / 8 * 8)) == block.mark;
      if (!whole) FAIL("somebody wrote into a block in use");
      heaps[block.heap].free(offset, block.size);
      live.erase(victim);
    }
  }
  for (const auto& [offset, block] : live) heaps[block.heap].free(offset, block.size);
  REQUIRE(dictionary.used_pages() == 0);
  for (const std::uint32_t shard : {0U, 1U}) {
    REQUIRE(dictionary.segment().shard(shard).dirty.load() == 0);
    for (const std::uint32_t link : dictionary.segment().shard(shard).partial) REQUIRE(link == 0);
  }
  const PagePool pool(dictionary.writer());
  REQUIRE(pool.fields().free_pages == pool.frontier());
}

TEST_CASE("the block that was freed last is handed out first") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  std::vector<std::uint64_t> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(heap.allocate(64));
  for (const int i : {3, 7, 5}) heap.free(blocks[static_cast<std::size_t>(i)], 64);
  REQUIRE(heap.allocate(64) == blocks[5]);
  REQUIRE(heap.allocate(64) == blocks[7]);
  REQUIRE(heap.allocate(64) == blocks[3]);
  for (const std::uint64_t block : blocks) heap.free(block, 64);
}

TEST_CASE("a block that is kept aside is the next entry's, and nobody else's") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t old = heap.allocate(64);
  const std::uint64_t kept = heap.allocate(64);
  heap.free_entry(old, 64);
  REQUIRE(heap.allocate(64) != old);
  REQUIRE(heap.allocate_entry(128) != old);
  REQUIRE(heap.allocate_entry(64) == old);
  REQUIRE(heap.allocate_entry(64) != old);
  heap.free_entry(old, 64);
  heap.free_entry(kept, 64);  // there is one spare block of a class; this one goes to its list
  REQUIRE(heap.allocate(64) == kept);
  heap.free_spares();
  REQUIRE(heap.allocate(64) == old);
  REQUIRE(dictionary.segment().shard(0).dirty.load() == 0);
}

TEST_CASE("a block is kept aside in the place of another class's, whose span has it back") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t small = heap.allocate(64);
  const std::uint64_t larger = heap.allocate(64 + 8 * kSpares);
  heap.free_entry(small, 64);
  heap.free_entry(larger, 64 + 8 * kSpares);
  REQUIRE(heap.allocate(64) == small);
  REQUIRE(heap.allocate_entry(64 + 8 * kSpares) == larger);
}

TEST_CASE("a block that is smaller than its entry says isn't kept aside") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t block = heap.allocate(64);
  heap.allocate(64);
  heap.free_entry(block, 128);
  REQUIRE(heap.allocate_entry(128) != block);
  REQUIRE(heap.allocate(64) == block);
}

TEST_CASE("what isn't small is for all when it is erased") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t page_bytes = dictionary.segment().identity().page_bytes;
  heap.free_erased(heap.allocate(page_bytes), page_bytes);
  REQUIRE(dictionary.used_pages() == 0);
}

// Its span goes back to the pool, but the pool isn't asked again.
TEST_CASE("a heap that is full uses the pages that a spare block gives back") {
  const Dictionary dictionary(1);
  Heap heap = dictionary.heap();
  const std::uint64_t page_bytes = dictionary.segment().identity().page_bytes;
  const std::uint64_t spare = heap.allocate(page_bytes);  // alone in its span
  static_cast<void>(test::error_of([&] {
    for (;;) heap.take_run({PageKind::large, 1, 0});
  }));
  heap.free_entry(spare, page_bytes);
  REQUIRE_FALSE(test::error_of([&] { heap.allocate(64); }));
}

// It may be anything in committed memory: a block in use, a table, another shard's.
TEST_CASE("a spare block that was damaged is refused before it is written to") {
  const Dictionary dictionary;
  Heap one = dictionary.heap(0);
  Heap other = dictionary.heap(1);
  one.allocate(64);
  const std::uint64_t foreign = other.allocate(64);
  dictionary.segment().shard(0).spare[class_of(64) % kSpares] = SpareWord(foreign, class_of(64)).bits();
  REQUIRE(test::error_of([&] { one.allocate_entry(64); }) == errc::corrupted);
  REQUIRE(dictionary.segment().shard(0).dirty.load() == 1);  // the next owner does away with it
}

TEST_CASE("a spare block whose word names another class is refused") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t block = heap.allocate(64);
  heap.free_entry(block, 64);
  for (auto& word : dictionary.segment().shard(0).spare) word = SpareWord(block, class_of(128)).bits();
  REQUIRE(test::error_of([&] { heap.allocate_entry(128); }) == errc::corrupted);
}

TEST_CASE("a span goes back to the pool with its last block, not before") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  for (std::uint32_t c = 0; c < dictionary.segment().classes().count(); c += 3) {
    const SizeClass& shape = dictionary.segment().classes()[c];
    std::vector<std::uint64_t> blocks;
    for (std::uint32_t i = 0; i < shape.span_blocks + 1; ++i) blocks.push_back(heap.allocate(shape.block_bytes));
    REQUIRE(dictionary.used_pages() == 2 * shape.span_pages);
    heap.free(blocks.back(), shape.block_bytes);
    REQUIRE(dictionary.used_pages() == shape.span_pages);
    for (std::uint32_t i = 0; i < shape.span_blocks; ++i) {
      REQUIRE(dictionary.used_pages() == shape.span_pages);
      heap.free(blocks[i], shape.block_bytes);
    }
    REQUIRE(dictionary.used_pages() == 0);
  }
}

TEST_CASE("shards never share a span") {
  const Dictionary dictionary;
  Heap one = dictionary.heap(0);
  Heap other = dictionary.heap(1);
  const Segment& segment = dictionary.segment();
  const std::uint64_t a = one.allocate(32);
  const std::uint64_t b = other.allocate(32);
  REQUIRE(segment.page_of(a) != segment.page_of(b));
  REQUIRE(load_page_word(segment, segment.page_of(a)).shard() == 0);
  REQUIRE(load_page_word(segment, segment.page_of(b)).shard() == 1);
}

TEST_CASE("when there are no pages left a block of a larger class does, and is given back as what it is") {
  const Dictionary dictionary(1);
  Heap heap = dictionary.heap();
  const std::uint64_t large = heap.allocate(1000);
  std::vector<std::uint64_t> fill;
  REQUIRE(test::error_of([&] {
            for (;;) fill.push_back(heap.allocate(2 * dictionary.segment().identity().page_bytes));
          }) == errc::heap_full);
  REQUIRE(test::error_of([&] {
            for (;;) fill.push_back(heap.allocate(dictionary.segment().identity().page_bytes));
          }) == errc::heap_full);
  const std::uint64_t small = heap.allocate(24);
  REQUIRE(load_page_word(dictionary.segment(), dictionary.segment().page_of(small)) ==
          load_page_word(dictionary.segment(), dictionary.segment().page_of(large)));
  heap.free(small, 24);
  REQUIRE(heap.allocate(1000) == small);
  REQUIRE(dictionary.segment().shard(0).dirty.load() == 0);
}

TEST_CASE("an adopted span hands out exactly the blocks that aren't used") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t first = heap.allocate(128);
  const std::uint32_t page = dictionary.segment().page_of(first);
  const std::uint32_t size_class = class_of(128);
  const SizeClass& shape = dictionary.segment().classes()[size_class];
  heap.forget_all();
  heap.spans().adopt(page, size_class, [](std::uint32_t block) { return block % 3 == 0; });
  REQUIRE(dictionary.segment().page(page).live == (shape.span_blocks + 2) / 3);
  std::uint32_t expected = 0;
  for (std::uint32_t block = 0; block < shape.span_blocks; ++block) {
    if (block % 3 == 0) continue;
    REQUIRE(heap.allocate(128) == first + std::uint64_t{block} * 128);
    ++expected;
  }
  REQUIRE(dictionary.segment().shard(0).partial[size_class] == 0);
  REQUIRE(dictionary.segment().page(page).live == shape.span_blocks);
}

TEST_CASE("damaged lists are refused instead of followed") {
  const auto refused = [](auto damage) {
    const Dictionary dictionary;
    Heap heap = dictionary.heap();
    const std::uint64_t kept = heap.allocate(64);
    heap.free(heap.allocate(64), 64);
    damage(dictionary.segment(), dictionary.segment().page_of(kept), kept);
    return test::error_of([&] { heap.allocate(64); }) == errc::corrupted;
  };
  const std::uint32_t c = class_of(64);
  CHECK(refused([&](Segment& s, std::uint32_t, std::uint64_t) { s.shard(0).partial[c] = 0xffff'ffff; }));
  CHECK(
      refused([&](Segment& s, std::uint32_t, std::uint64_t) { s.shard(0).partial[c] = s.identity().page_count + 1; }));
  CHECK(refused([&](Segment& s, std::uint32_t page, std::uint64_t) { s.page(page).first_free = 10'000; }));
  CHECK(refused([&](Segment& s, std::uint32_t, std::uint64_t kept) { store_word(s.at(kept + 64), 10'000); }));
  CHECK(refused([&](Segment& s, std::uint32_t page, std::uint64_t) {
    s.page(page).first_free = 0;
    s.page(page).carved = 1'000'000;
  }));
}

TEST_CASE("counts of a span that lead to a block in use are refused, and the shard is marked for repair") {
  const auto refused = [](auto damage) {
    const Dictionary dictionary;
    Heap heap = dictionary.heap();
    const std::uint64_t used = heap.allocate(64);
    heap.allocate(64);
    store_word(dictionary.segment().at(used), 0);
    damage(dictionary.segment().page(dictionary.segment().page_of(used)));
    return test::error_of([&] { heap.allocate(64); }) == errc::corrupted && dictionary.segment().shard(0).dirty.load() == 1;
  };
  CHECK(refused([](Page& span) { span.carved = 1; }));
  CHECK(refused([](Page& span) { span.first_free = 1; }));
  CHECK(refused([](Page& span) { span.live = 1; }));
}

TEST_CASE("a list of spans that leads to pages of another use is refused before a block is handed out") {
  const Dictionary dictionary;
  Heap one = dictionary.heap(0);
  Heap other = dictionary.heap(1);
  one.allocate(64);
  const std::uint64_t foreign = other.allocate(64);
  dictionary.segment().shard(0).partial[class_of(64)] = dictionary.segment().page_of(foreign) + 1;
  REQUIRE(test::error_of([&] { one.allocate(64); }) == errc::corrupted);
}

TEST_CASE("freeing what is no block of the shard changes no list and marks the shard for repair") {
  const auto marked = [](auto use) {
    const Dictionary dictionary;
    Heap heap = dictionary.heap();
    const std::uint64_t kept = heap.allocate(64);
    Heap other = dictionary.heap(1);
    const std::uint64_t foreign = other.allocate(64);
    use(dictionary, heap, kept, foreign);
    return dictionary.segment().shard(0).dirty.load() == 1 &&
           dictionary.segment().page(dictionary.segment().page_of(kept)).live == 1 &&
           dictionary.segment().page(dictionary.segment().page_of(foreign)).live == 1;
  };
  CHECK(marked([](const Dictionary&, Heap& heap, std::uint64_t, std::uint64_t foreign) { heap.free(foreign, 64); }));
  CHECK(marked([](const Dictionary& d, Heap& heap, std::uint64_t kept, std::uint64_t) {
    d.segment().page(d.segment().page_of(kept)).head = 0x7fff'ffff;
    heap.free(kept, 64);
  }));
}

TEST_CASE("freeing a block under a size that makes it a run leaves the span alone") {
  const Dictionary dictionary;
  Heap heap = dictionary.heap();
  const std::uint64_t block = heap.allocate(64);
  heap.allocate(64);
  heap.free(block, dictionary.segment().classes().largest_block() + 1);
  REQUIRE(load_page_word(dictionary.segment(), dictionary.segment().page_of(block)).kind() == PageKind::span);
}
