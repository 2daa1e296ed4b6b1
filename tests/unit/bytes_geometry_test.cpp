// The promise behind heap_size (twice the bytes of the items always hold them) is arithmetic: size classes, spans, charges and the
// plan of the segment. Here it is checked as arithmetic, for far more sizes than a test could store.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <shared_dict/detail/bytes/geometry.hpp>

#include "support/catch.hpp"

using namespace shared_dict::detail;

namespace {

constexpr std::uint32_t kPageSizes[] = {4096, 8192, 16384};

Identity planned(std::uint64_t heap, std::uint64_t max_items, std::uint32_t processes, const TypeShape& shape) {
  Identity identity{};
  identity.heap_size = heap;
  identity.max_items = max_items;
  identity.max_processes = processes;
  identity.key_fixed_bytes = shape.key_fixed_bytes;
  identity.value_fixed_bytes = shape.value_fixed_bytes;
  identity.value_alignment = shape.value_alignment;
  plan(identity, shape);
  return identity;
}

/// The pages that `items` equal items take if the keys fall on the shards in the worst way: every shard has a span that was begun
/// for one item, and the other items fill spans. Tables are as large as they can be, one old one beside them.
std::uint64_t worst_pages(const Identity& identity, std::uint64_t items, std::uint64_t size) {
  const SizeClasses classes(identity.page_bytes);
  const std::uint64_t shards = identity.shard_count;
  const std::uint64_t slots = items / shards * 8 / 5 + 1;  // doubled at five eighths at the latest
  const std::uint64_t buckets = std::bit_ceil(slots / kSlotsPerBucket + 1);
  const std::uint64_t table = std::max<std::uint64_t>(buckets * sizeof(Bucket) / identity.page_bytes, 1);
  const std::uint64_t tables = table * shards + std::max<std::uint64_t>(table / 2, 1);
  if (size > classes.largest_block())
    return tables + items * (round_up(size, identity.page_bytes) / identity.page_bytes);
  const SizeClass& one = classes[class_of(size)];
  const std::uint64_t spans = items <= shards ? items : shards + (items - shards) / one.span_blocks;
  return tables + spans * one.span_pages;
}

}  // namespace

TEST_CASE("every size fits its class, and at most an eighth of a class is lost") {
  std::uint32_t last = 0;
  for (std::uint64_t size = 1; size <= 8 * kMaxPageBytes; ++size) {
    const std::uint32_t size_class = class_of(size);
    const std::uint64_t bytes = class_bytes(size_class);
    const bool fits = bytes >= size && bytes % kWord == 0 && size_class < kMaxClasses &&
                      (size_class == last || size_class == last + 1);
    const bool tight = size_class == 0 || (class_bytes(size_class - 1) < size &&
                                           (size <= 128 ? bytes < size + 8 : (bytes - size) * 8 < bytes));
    if (!fits || !tight) FAIL("size " << size << ", class " << size_class << " of " << bytes << " bytes");
    last = size_class;
  }
  REQUIRE(class_bytes(0) == kMinBlock);
}

TEST_CASE("every class is its own") {
  for (std::uint32_t c = 0; c < kMaxClasses; ++c) REQUIRE(class_of(class_bytes(c)) == c);
}

TEST_CASE("a span wastes at most an eighth behind its last block and is no longer than its largest block needs") {
  for (const std::uint32_t page : kPageSizes) {
    const SizeClasses classes(page);
    REQUIRE(classes.largest_block() == 8 * page);
    REQUIRE(classes.count() == class_of(classes.largest_block()) + 1);
    for (std::uint32_t c = 0; c < classes.count(); ++c) {
      const SizeClass& one = classes[c];
      const std::uint64_t span = std::uint64_t{one.span_pages} * page;
      INFO("page " << page << ", block " << one.block_bytes);
      REQUIRE(one.block_bytes == class_bytes(c));
      REQUIRE(one.span_blocks == span / one.block_bytes);
      REQUIRE(one.span_blocks >= 1);
      REQUIRE((span - std::uint64_t{one.span_blocks} * one.block_bytes) * 8 <= span);
      REQUIRE(one.span_pages <= 8);
    }
  }
}

TEST_CASE("the plan is plausible for heaps of every size, limit and shape of types") {
  const TypeShape shapes[] = {{0, 0, 1},       {1, 1, 1},  {8, 8, 8},
                              {8, 0, 1},       {0, 8, 8},  {16, 100, 4},
                              {4, 4096, 4096}, {0, 0, 64}, {100'000, 1 << 20, 8}};
  std::vector<std::uint64_t> heaps;
  for (std::uint64_t heap = 1; heap <= kMaxHeapSize; heap *= 2) {
    for (const std::uint64_t around : {heap - 1, heap, heap + 1, heap + heap / 3})
      heaps.push_back(std::clamp<std::uint64_t>(around, 1, kMaxHeapSize));
  }
  for (const TypeShape& shape : shapes) {
    for (const std::uint64_t heap : heaps) {
      for (const std::uint64_t max_items : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{63}, std::uint64_t{1000},
                                            std::uint64_t{1} << 40, ~std::uint64_t{0}}) {
        for (const std::uint32_t processes : {1U, 128U, kMaxProcesses}) {
          const Identity i = planned(heap, max_items, processes, shape);
          const std::uint64_t range = std::uint64_t{i.page_count} * i.page_bytes;
          const bool good = plausible(i, i.segment_bytes) && !plausible(i, i.segment_bytes - 1) && range >= heap &&
                            i.data_at % i.page_bytes == 0 && i.pages_at % 4096 == 0 && i.records_at >= sizeof(Header);
          if (!good)
            FAIL("heap " << heap << ", max_items " << max_items << ", processes " << processes << ", keys "
                         << shape.key_fixed_bytes);
        }
      }
    }
  }
}

TEST_CASE("what a damaged header could say is not plausible") {
  const Identity good = planned(std::uint64_t{1} << 26, 0, 128, {8, 8, 8});
  REQUIRE(plausible(good, good.segment_bytes));
  const auto refused = [&](auto damage) {
    Identity bad = good;
    damage(bad);
    return !plausible(bad, good.segment_bytes);
  };
  CHECK(refused([](Identity& i) { i.heap_size = 0; }));
  CHECK(refused([](Identity& i) { i.heap_size = kMaxHeapSize + 1; }));
  CHECK(refused([](Identity& i) { i.max_processes = 0; }));
  CHECK(refused([](Identity& i) { ++i.max_processes; }));
  CHECK(refused([](Identity& i) { i.page_bytes = 2048; }));
  CHECK(refused([](Identity& i) { i.page_bytes = 4097; }));
  CHECK(refused([](Identity& i) { i.page_bytes *= 8; }));
  CHECK(refused([](Identity& i) { ++i.shard_count; }));
  CHECK(refused([](Identity& i) { i.shard_count = 0; }));
  CHECK(refused([](Identity& i) { i.shard_count = 512; }));
  CHECK(refused([](Identity& i) { ++i.page_count; }));
  CHECK(refused([](Identity& i) { i.page_count = 0; }));
  CHECK(refused([](Identity& i) { i.records_at += 8; }));
  CHECK(refused([](Identity& i) { i.shards_at += 8; }));
  CHECK(refused([](Identity& i) { i.pages_at += 4096; }));
  CHECK(refused([](Identity& i) { i.data_at -= 4096; }));
  CHECK(refused([](Identity& i) { i.segment_bytes += 4096; }));
  CHECK(refused([](Identity& i) { i.value_alignment = 3; }));
  CHECK(refused([](Identity& i) { i.value_alignment = 8192; }));
  CHECK(refused([](Identity& i) { i.key_name_bytes = kTypeNameBytes + 1; }));
  CHECK(refused([](Identity& i) { i.value_name_bytes = kTypeNameBytes + 1; }));
  CHECK(refused([](Identity& i) { i.lifetime = 2; }));
}

TEST_CASE("the address range holds twice the bytes of the items, however the keys fall on the shards") {
  const std::uint64_t values[] = {0,    1,    2,    4,      7,      8,      9,       12,       16,   17,
                                  24,   30,   33,   40,     56,     64,     100,     120,      121,  128,
                                  200,  257,  300,  500,    513,    1000,   1025,    2000,     2049, 4000,
                                  4097, 5000, 9000, 17'000, 33'000, 70'000, 140'000, 1'000'000};
  for (const std::uint32_t key : {1U, 2U, 3U, 8U, 16U, 17U, 100U}) {
    for (const std::uint64_t value : values) {
      for (const std::uint64_t wished :
           {1U, 2U, 5U, 30U, 100U, 1000U, 3000U, 10'000U, 100'000U, 1'000'000U, 10'000'000U}) {
        const std::uint64_t items =
            key < 8 ? std::min(wished, std::uint64_t{1} << (8 * key)) : wished;  // different keys
        const std::uint64_t heap = 2 * (key + value) * items;
        if (heap > kMaxHeapSize) continue;
        for (const TypeShape& shape :
             {TypeShape{0, 0, 1}, TypeShape{key, 0, 1}, TypeShape{0, value, 1}, TypeShape{key, value, 1}}) {
          const Identity identity = planned(heap, 0, 128, shape);
          const std::uint64_t pages = worst_pages(identity, items, entry_bytes(key, value, shape.value_alignment));
          if (pages <= identity.page_count) continue;
          FAIL_CHECK("key " << key << ", value " << value << ", items " << items << ", fixed " << shape.key_fixed_bytes
                            << " and " << shape.value_fixed_bytes << ": " << pages << " of " << identity.page_count
                            << " pages");
        }
      }
    }
  }
}

TEST_CASE("the address range holds values of every alignment too") {
  for (std::uint32_t alignment = 16; alignment <= 4096; alignment *= 2) {
    for (const std::uint32_t key : {2U, 8U, 40U}) {
      for (const std::uint64_t items : {1U, 10U, 100U, 1000U, 10'000U, 60'000U}) {
        for (const bool fixed : {false, true}) {
          const TypeShape shape{fixed ? key : 0, alignment, alignment};
          const Identity identity = planned(2 * (key + alignment) * items, 0, 128, shape);
          const std::uint64_t pages = worst_pages(identity, items, entry_bytes(key, alignment, alignment));
          if (pages <= identity.page_count) continue;
          FAIL_CHECK("alignment " << alignment << ", key " << key << ", items " << items << ", fixed " << fixed << ": "
                                  << pages << " of " << identity.page_count << " pages");
        }
      }
    }
  }
}

TEST_CASE("items of fixed sizes can fill heap_size to the last byte") {
  for (const std::uint32_t key : {1U, 4U, 8U, 16U}) {
    for (const std::uint64_t value : {1U, 4U, 8U, 100U, 1000U, 20'000U, 100'000U}) {
      for (const std::uint64_t items : {100U, 10'000U, 1'000'000U}) {
        if (key == 1 && items > 256) continue;
        const Identity identity = planned((key + value) * items, 0, 128, {key, value, 1});
        INFO("key " << key << ", value " << value << ", items " << items);
        REQUIRE(worst_pages(identity, items, entry_bytes(key, value, 1)) <= identity.page_count);
      }
    }
  }
}
