// The numbers that follow from a dictionary's options: sizes and places of everything in the segment, and the size classes.
//
// heap_size bounds the bytes of keys and values themselves, so items * (key bytes + value bytes) always fit, whatever headers,
// classes and partly filled spans take on top. The address range must therefore hold more than heap_size: all of that, and room
// for runs that need their pages side by side. It is only a range: memory is committed as it is used.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/bytes/words.hpp>

namespace shared_dict::detail {

inline constexpr std::uint64_t kMinPageBytes = 4096;
inline constexpr std::uint64_t kMaxPageBytes = 16384;
inline constexpr std::uint64_t kMaxHeapSize = std::uint64_t{1} << 44;

// ---- entries: {EntrySizes, key, value}, key and value from 8-aligned places, the value from a place aligned for its type.

SHARED_DICT_HOT std::uint64_t entry_bytes(std::uint64_t key, std::uint64_t value, std::uint32_t alignment) noexcept {
  const std::uint64_t slack = alignment > kWord ? alignment - kWord : 0;
  return kWord + round_up(key, kWord) + slack + round_up(value, kWord);
}

// ---- size classes: multiples of 8 up to 128, then eight steps to each doubling, so that at most an eighth is lost.

inline constexpr std::uint64_t kMinBlock = 16;

constexpr std::uint32_t class_of(std::uint64_t size) noexcept {
  if (size <= 128) return size <= kMinBlock ? 0 : static_cast<std::uint32_t>((size + 7) / 8 - 2);
  const std::uint64_t last = size - 1;
  const auto log = static_cast<std::uint32_t>(std::bit_width(last)) - 1;
  return 15 + (log - 7) * 8 + static_cast<std::uint32_t>((last >> (log - 3)) & 7);
}

constexpr std::uint64_t class_bytes(std::uint32_t size_class) noexcept {
  if (size_class < 15) return (std::uint64_t{size_class} + 2) * 8;
  const std::uint32_t log = (size_class - 15) / 8 + 7;
  return std::uint64_t{(size_class - 15) % 8 + 9} << (log - 3);
}

static_assert(class_bytes(class_of(1)) == 16 && class_bytes(class_of(24)) == 24 && class_bytes(class_of(128)) == 128);
static_assert(class_bytes(class_of(129)) == 144 && class_bytes(class_of(256)) == 256 && class_bytes(class_of(257)) == 288);
static_assert(class_of(8 * kMaxPageBytes) < kMaxClasses, "every class has its place in a shard");

struct SizeClass {
  std::uint32_t block_bytes = 0;
  std::uint32_t span_pages = 0;
  std::uint32_t span_blocks = 0;
};

// The shortest span that wastes at most an eighth behind its last block.
constexpr SizeClass make_size_class(std::uint32_t size_class, std::uint64_t page_bytes) noexcept {
  const std::uint64_t block = class_bytes(size_class);
  std::uint64_t pages = (block + page_bytes - 1) / page_bytes;
  while ((pages * page_bytes) % block > pages * page_bytes / 8) ++pages;
  return {static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(pages),
          static_cast<std::uint32_t>(pages * page_bytes / block)};
}

// How a block's size becomes pages. A value of this type is private to a process; equal page sizes give equal classes.
class SizeClasses {
 public:
  SizeClasses() noexcept = default;
  explicit SizeClasses(std::uint64_t page_bytes) noexcept : largest_(8 * page_bytes), count_(class_of(largest_) + 1) {
    for (std::uint32_t c = 0; c < count_; ++c) classes_[c] = make_size_class(c, page_bytes);
  }

  std::uint64_t largest_block() const noexcept { return largest_; }  // larger ones get a run of pages of their own
  std::uint32_t count() const noexcept { return count_; }
  const SizeClass& operator[](std::uint32_t size_class) const noexcept { return classes_[size_class]; }

 private:
  std::uint64_t largest_ = 0;
  std::uint32_t count_ = 0;
  std::array<SizeClass, kMaxClasses> classes_{};
};

// ---- the whole segment

struct TypeShape {
  std::uint32_t key_fixed_bytes = 0;    // 0: varies
  std::uint64_t value_fixed_bytes = 0;  // 0: varies
  std::uint32_t value_alignment = 1;
};

// The address range for blocks whose keys and values add up to `heap` bytes. If both have fixed sizes it is known; otherwise items
// of a few bytes each could take twelve times that, which is granted up to a quarter of a gigabyte, and twice beyond.
inline std::uint64_t block_range(std::uint64_t heap, const TypeShape& shape, std::uint64_t page) noexcept {
  const std::uint64_t item = shape.key_fixed_bytes + shape.value_fixed_bytes;
  if (shape.key_fixed_bytes == 0 || shape.value_fixed_bytes == 0) return std::min(heap * 12, heap * 2 + (std::uint64_t{256} << 20));
  const std::uint64_t entry = entry_bytes(shape.key_fixed_bytes, shape.value_fixed_bytes, shape.value_alignment);
  const std::uint64_t block = entry <= 8 * page ? class_bytes(class_of(entry)) : round_up(entry, page);
  return (heap / item + 1) * block;
}

// Fills in what `identity` derives from heap_size, max_items, max_processes and the shape of the types.
inline void plan(Identity& identity, const TypeShape& shape) noexcept {
  const std::uint64_t heap = identity.heap_size;
  const std::uint64_t page = std::clamp(std::bit_floor(heap >> 20), kMinPageBytes, kMaxPageBytes);
  std::uint64_t shards = std::clamp<std::uint64_t>(std::bit_floor(std::max<std::uint64_t>(heap >> 16, 1)), 1, 64);
  if (heap >= std::uint64_t{1} << 34) shards = 256;
  if (identity.max_items != 0) shards = std::min(shards, std::bit_ceil(std::max<std::uint64_t>(identity.max_items / 64, 1)));

  identity.page_bytes = static_cast<std::uint32_t>(page);
  identity.shard_count = static_cast<std::uint32_t>(shards);

  // Half as much again for rounding, spans that aren't full, and gaps; a few pages for each shard where everything is small.
  std::uint64_t blocks = block_range(heap, shape, page);
  blocks += blocks / 2 + (shards * 16 + 64) * page;
  // A table that has just doubled is 4/10 full (7 slots in 64 bytes), and the old one stands beside it for a moment.
  const std::uint64_t smallest = std::max<std::uint64_t>(entry_bytes(1, 1, shape.value_alignment),
                                                         entry_bytes(shape.key_fixed_bytes, shape.value_fixed_bytes, 1));
  std::uint64_t items = blocks / smallest;
  if (identity.max_items != 0) items = std::min(items, identity.max_items);
  const std::uint64_t tables = items * 36 + shards * 4 * page;

  identity.page_count = static_cast<std::uint32_t>(std::min<std::uint64_t>((blocks + tables) / page + 1, 0xffff'fff0U));
  identity.records_at = kHeaderBytes;
  identity.shards_at = identity.records_at + identity.max_processes * sizeof(ProcessRecord);
  identity.areas_at = round_up(identity.shards_at + identity.shard_count * sizeof(Shard), 4096);
  identity.pages_at = identity.areas_at + std::uint64_t{identity.max_processes} * sizeof(ProcessArea);
  identity.data_at = round_up(identity.pages_at + std::uint64_t{identity.page_count} * sizeof(Page), page);
  identity.segment_bytes = identity.data_at + std::uint64_t{identity.page_count} * page;
}

// Whether the numbers fit each other and a file of this size: what a damaged header must not get past.
inline bool plausible(const Identity& i, std::uint64_t file_bytes) noexcept {
  return i.heap_size != 0 && i.heap_size <= kMaxHeapSize && i.max_processes >= 1 && i.max_processes <= kMaxProcesses &&
         std::has_single_bit(i.page_bytes) && i.page_bytes >= kMinPageBytes && i.page_bytes <= kMaxPageBytes &&
         std::has_single_bit(i.shard_count) && i.shard_count <= 256 && i.page_count >= 1 && i.records_at == kHeaderBytes &&
         i.shards_at == i.records_at + i.max_processes * sizeof(ProcessRecord) &&
         i.areas_at == round_up(i.shards_at + i.shard_count * sizeof(Shard), 4096) &&
         i.pages_at == i.areas_at + std::uint64_t{i.max_processes} * sizeof(ProcessArea) &&
         i.data_at == round_up(i.pages_at + std::uint64_t{i.page_count} * sizeof(Page), i.page_bytes) &&
         i.segment_bytes == i.data_at + std::uint64_t{i.page_count} * i.page_bytes && i.segment_bytes <= file_bytes &&
         std::has_single_bit(i.value_alignment) && i.value_alignment <= 4096 && i.key_name_bytes <= kTypeNameBytes &&
         i.value_name_bytes <= kTypeNameBytes && i.lifetime <= 1;
}

}  // namespace shared_dict::detail
