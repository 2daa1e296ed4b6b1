// Adding an item of a small size: the same steps as LockedShard's, in one piece, for the case that the search for the key ends in its home
// bucket or in the one behind it, with nothing that looks like the key, that the shard has a block at hand, and that no limit is near. Everything
// else is left to `change`.
//
// As when a value is replaced (overwriting.hpp), the entry is written before it is known whether its key is there: while that waits for memory. Nobody
// looks at a free block but at its first word, and that one is left alone until the slot was found. So the key's bucket is the one access to
// memory that an insertion waits for. A large one is written afterwards: the key may be there.
#pragma once

#include <cstdint>

#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

inline constexpr std::uint64_t kWrittenEarly = 4 * kCacheLine;

// With the shard's lock. False if it is none of these cases: then nothing has happened.
inline bool insert_new(const Writer& writer, std::uint32_t index, const KeyBytes key, Bytes value, const EntryShape shape) {
  Segment& segment = writer.attachment.segment();
  Shard& shard = segment.shard(index);
  // relaxed, all: stored by the owner of the lock only; the counts are read without it as hints.
  const TableWord table(shard.table.load(std::memory_order_relaxed));
  if (!is_current(segment, shard) || !has_buckets(segment, table)) [[unlikely]] return false;
  const std::uint64_t items = shard.items.load(std::memory_order_relaxed);
  const std::uint64_t tombstones = shard.tombstones.load(std::memory_order_relaxed);
  SlotTable slots(segment.buckets(table), table.buckets());
  if (SlotTable::crowded(items + tombstones + 1, slots.slot_count())) [[unlikely]] return false;
  const std::uint64_t bytes = key.bytes.size() + value.size();
  if (segment.identity().max_items != 0 || limit_near(segment, {0, bytes})) [[unlikely]] return false;
  const std::uint32_t size_class = class_of(shape.bytes);
  Heap heap(writer, shard, index);
  const Heap::NextBlock next = heap.next_block(shape.bytes, size_class);
  if (next.offset == 0) [[unlikely]] return false;
  const bool early = shape.bytes <= kWrittenEarly;
  if (early) write_contents(segment, next.offset, shape.head, key.bytes, value);
  std::optional<SlotTable::Position> at = slots.free_at_home(key);
  if (!at) [[unlikely]] at = slots.free_behind_home(key.hash);
  if (!at) [[unlikely]] return false;
  if (!early) write_contents(segment, next.offset, shape.head, key.bytes, value);

  heap.take(next, size_class);
  write_sizes(segment, next.offset, shape.sizes);
  shard.insertions.store(shard.insertions.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // relaxed, both: as above
  const bool reused = slots.word(*at).is_erased();
  slots.publish(*at, SlotWord(next.offset, hash_tag(key.hash)));
  const std::uint64_t stored = shard.stored_bytes.load(std::memory_order_relaxed);  // relaxed, the rest: as above
  shard.items.store(items + 1, std::memory_order_relaxed);
  shard.stored_bytes.store(stored + bytes, std::memory_order_relaxed);
  if (reused) shard.tombstones.store(tombstones - 1, std::memory_order_relaxed);
  if (shard.watched.load(std::memory_order_relaxed) != 0) [[unlikely]] tell_waiters(segment, shard, index, key.hash);
  return true;
}

}  // namespace shared_dict::detail
