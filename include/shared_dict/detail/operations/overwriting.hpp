// Replacing a value by another one of a small size, the most frequent change of all: the same steps as LockedShard's, in one piece, for the
// case that a spare block for the new entry is at hand and nothing else has to be done first. Everything else is left to `change`.
//
// An entry is written to the spare block before it is known whether its key is there: while that waits for memory. Nobody looks at a spare block
// but at its first word, and that one is left alone until the key was found.
//
// What it costs beyond its instructions is two accesses to memory that can't go on at the same time, the key's bucket and the entry that this
// leads to.
#pragma once

#include <cstdint>

#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

// With the shard's lock. False if it is none of these cases: then nothing has happened.
SHARED_DICT_HOT bool overwrite(const Writer& writer, std::uint32_t index, const Glimpse& seen, const KeyBytes& key, Bytes value, const EntryShape& shape) {
  Segment& segment = writer.attachment.segment();
  Shard& shard = segment.shard(index);
  if (!is_current(segment, shard)) [[unlikely]] return false;
  SparePlace place(segment, shard, shape.size_class, writer.attachment.self());
  const std::uint64_t block = place.block(shape.bytes);
  if (block == 0) [[unlikely]] return false;
  write_contents(segment, block, key.bytes, value);

  // relaxed: only the owner of the lock stores it.
  if (TableWord(shard.table.load(std::memory_order_relaxed)) != seen.table) [[unlikely]] return false;
  const auto bucket = static_cast<std::uint64_t>(seen.bucket - segment.buckets(seen.table));
  const SlotTable::Position at{bucket, seen.candidate.slot};
  SlotTable slots(segment.buckets(seen.table), seen.table.buckets());
  Entry entry;
  if (slots.word(at) != seen.candidate.word || !holds_key(segment, seen.candidate.word, key, entry)) [[unlikely]] return false;

  const EntrySizes sizes(key.bytes.size(), value.size());
  const std::uint64_t before = entry.sizes.value();
  // relaxed, all: written under the lock only; read without it as a hint.
  const std::uint64_t stored = shard.stored_bytes.load(std::memory_order_relaxed);
  if (value.size() > before) {
    if (limit_near(segment, {0, value.size() - before})) [[unlikely]] return false;
    shard.stored_bytes.store(stored + (value.size() - before), std::memory_order_relaxed);
  }
  place.take();
  write_sizes(segment, block, sizes);
  slots.store(at, SlotWord(block, hash_tag(key.hash)));
  slots.step_version(at);
  if (value.size() < before) shard.stored_bytes.store(stored - (before - value.size()), std::memory_order_relaxed);
  if (entry.sizes == sizes && !is_pinned(segment, entry.offset)) [[likely]] {
    place.keep(entry.offset, shape.bytes);
  } else {
    Heap(writer, index).free_entry(entry.offset, entry_bytes(segment, entry.sizes));
  }
  if (shard.watched.load(std::memory_order_relaxed) != 0) [[unlikely]] tell_waiters(segment, shard, index, key.hash);
  return true;
}

}  // namespace shared_dict::detail
