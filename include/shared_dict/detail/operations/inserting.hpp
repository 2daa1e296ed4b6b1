// Adding an item of a small size: the same steps as LockedShard's, in one piece, for the case that the key's home bucket has room and nothing
// that looks like the key, that the shard has a block at hand, and that no limit is near. Everything else is left to `change`.
#pragma once

#include <cstdint>

#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

// With the shard's lock. False if it is none of these cases: then nothing has happened.
SHARED_DICT_HOT bool insert_new(const Writer& writer, std::uint32_t index, const Glimpse& seen, const KeyBytes& key, Bytes value, const EntryShape& shape) {
  Segment& segment = writer.attachment.segment();
  Shard& shard = segment.shard(index);
  if (!is_current(segment, shard)) [[unlikely]] return false;
  // relaxed, all: stored by the owner of the lock only; the counts are read without it as hints.
  if (seen.bucket == nullptr || TableWord(shard.table.load(std::memory_order_relaxed)) != seen.table) [[unlikely]] return false;
  const std::uint64_t items = shard.items.load(std::memory_order_relaxed);
  const std::uint64_t used = items + shard.tombstones.load(std::memory_order_relaxed);
  SlotTable slots(segment.buckets(seen.table), seen.table.buckets());
  if (SlotTable::crowded(used + 1, slots.slot_count())) [[unlikely]] return false;
  const std::optional<SlotTable::Position> at = slots.free_at_home(key);
  Heap heap(writer, index);
  if (!at || !heap.has_block(shape.size_class)) [[unlikely]] return false;
  const EntrySizes sizes(key.bytes.size(), value.size());
  const std::uint64_t bytes = key.bytes.size() + value.size();
  if (segment.identity().max_items != 0 || limit_near(segment, {0, bytes})) [[unlikely]] return false;

  const std::uint64_t block = heap.allocate_entry(shape.bytes, shape.size_class);
  write_contents(segment, block, key.bytes, value);
  write_sizes(segment, block, sizes);
  shard.insertions.store(shard.insertions.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);  // relaxed, both: as above
  slots.publish(*at, SlotWord(block, hash_tag(key.hash)));
  const std::uint64_t stored = shard.stored_bytes.load(std::memory_order_relaxed);  // relaxed, the rest: as above
  shard.items.store(items + 1, std::memory_order_relaxed);
  shard.stored_bytes.store(stored + bytes, std::memory_order_relaxed);
  if (shard.watched.load(std::memory_order_relaxed) != 0) [[unlikely]] tell_waiters(segment, shard, index, key.hash);
  return true;
}

}  // namespace shared_dict::detail
