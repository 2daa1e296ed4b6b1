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

// What is replaced, and by what.
struct Overwriting {
  Bucket& bucket;
  Word64& slot;
  SlotWord before;
  std::uint64_t block;  // of the new entry, complete but for its sizes
};

// The steps themselves, up to the one behind which the old block is nobody's.
SHARED_DICT_HOT void exchange_entry(const Segment& segment, SparePlace& place, const Overwriting& change, EntrySizes sizes) noexcept {
  place.take();
  write_sizes(segment, change.block, sizes);
  SlotTable::store(change.slot, change.before.moved_to(change.block));
  SlotTable::step_version(change.bucket);
}

// Where the value isn't as long as before, or its entry isn't what it should be.
SHARED_DICT_COLD inline bool overwrite_resized(const Writer& writer, std::uint32_t index, SparePlace place, const Overwriting change, const KeyBytes key,
                                               const EntryShape shape) {
  Segment& segment = writer.attachment.segment();
  Shard& shard = segment.shard(index);
  Entry entry;
  if (!holds_key(segment, change.before, key, entry)) return false;
  const std::uint64_t before = entry.sizes.value();
  const std::uint64_t after = shape.sizes.value();
  // relaxed, all: written under the lock only; read without it as a hint.
  const std::uint64_t stored = shard.stored_bytes.load(std::memory_order_relaxed);
  if (after > before) {
    if (limit_near(segment, {0, after - before})) return false;
    shard.stored_bytes.store(stored + (after - before), std::memory_order_relaxed);
  }
  exchange_entry(segment, place, change, shape.sizes);
  if (after < before) shard.stored_bytes.store(stored - (before - after), std::memory_order_relaxed);
  Heap(writer, index).free_entry(entry.offset, entry_bytes(segment, entry.sizes));
  if (shard.watched.load(std::memory_order_relaxed) != 0) tell_waiters(segment, shard, index, key.hash);
  return true;
}

// With the shard's lock. False if it is none of these cases: then nothing has happened.
SHARED_DICT_HOT bool overwrite(const Writer& writer, Shard& shard, std::uint32_t index, const Glimpse& seen, const KeyBytes& key, Bytes value,
                               const EntryShape& shape) {
  Attachment& attachment = writer.attachment;
  Segment& segment = attachment.segment();
  if (!is_current(segment, shard)) [[unlikely]] return false;
  SparePlace place(segment, shard, class_of(shape.bytes), attachment.self());
  std::uint64_t block = 0;
  if (!place.has_block(shape.bytes, block)) [[unlikely]] return false;
  write_contents(segment, block, shape.head, key.bytes, value);

  const Overwriting change{*seen.bucket, seen.bucket->slots[seen.candidate.slot], seen.candidate.word, block};
  const std::uint64_t old = change.before.offset();
  // relaxed, both: only the owner of the lock stores them.
  if (TableWord(shard.table.load(std::memory_order_relaxed)) != seen.table ||
      SlotWord(change.slot.load(std::memory_order_relaxed)) != change.before || !segment.holds_word(old)) [[unlikely]] {
    return false;
  }
  if (EntrySizes(load_word(segment.at(old))) != shape.sizes) return overwrite_resized(writer, index, place, change, key, shape);
  // Of the same sizes, so it ends where one of this shape does.
  if (!segment.holds_rest(old, shape.bytes) || !equal_racing(segment.at(old + kWord), key.bytes.data(), key.bytes.size())) [[unlikely]] return false;
  exchange_entry(segment, place, change, shape.sizes);
  if (is_pinned(segment, old)) [[unlikely]] {
    Heap(writer, index).free_entry(old, shape.bytes);
  } else {
    place.keep(old, shape.bytes);
  }
  if (shard.watched.load(std::memory_order_relaxed) != 0) [[unlikely]] tell_waiters(segment, shard, index, key.hash);  // relaxed: under the lock
  return true;
}

}  // namespace shared_dict::detail
