// One shard with its lock held: the steps that writers are made of.
//
// What every owner does first, before anything else: if the dictionary was cleared, make this shard empty; if an owner died in it,
// rebuild what is derived. Then each change is one store, and everything around it can be lost and rebuilt:
//
//   insert     allocate, fill | slot word | count
//   replace    allocate, fill | slot word | version + 1, free the old block
//   in place   | value word
//   erase      | slot word | version + 1, count, free the block
//   loan       allocate, retire, pin |
//   publish    take off the list, fill | as insert or replace, unpin
//   grow       allocate, fill | table word | epoch + 1, free the old table
//   clear      (all shards locked) | clear generation | each shard: epoch + 1, empty the table, free everything else
//   batch      (its shards locked) batch.hpp
//
// Then waiters are told, still under the lock: whoever repairs after a death tells them again.
//
// What dies left of the bar leaves blocks or pages that no slot refers to; what dies right of it leaves the same and wrong
// counts. The repair finds both, and steps the epoch before it frees the first byte, as the version may not have been stepped.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <utility>

#include <shared_dict/detail/mechanisms/heap.hpp>
#include <shared_dict/detail/mechanisms/slot_table.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/repair.hpp>

namespace shared_dict::detail {

// Whether a shard's owner has nothing to do first: neither to catch up with a clear nor to repair.
SHARED_DICT_HOT bool is_current(const Segment& segment, const Shard& shard) noexcept {
  // relaxed, all: `dirty` was set by whoever released the lock; the generation is stored with all locks held. A free shard has no intent: a
  // bit of it was flipped.
  const std::uint64_t behind = shard.generation.load(std::memory_order_relaxed) ^ segment.header().clear_generation.load(std::memory_order_relaxed);
  return (behind | shard.dirty.load(std::memory_order_relaxed) | shard.intent.load(std::memory_order_relaxed)) == 0;
}

// Replaces a value in place. With the shard's lock.
SHARED_DICT_HOT void replace_word(const Segment& segment, Shard& shard, std::uint32_t index, const Entry& entry, const KeyBytes& key,
                                  std::uint64_t word) noexcept {
  // [S3] seq_cst, pairs with [V1]: one store is the whole change; what its writer did before is seen with it. An exchange for
  // the same reason as [S4].
  word_at(segment, entry.value_at).exchange(word, std::memory_order_seq_cst);
  if (shard.watched.load(std::memory_order_relaxed) != 0) [[unlikely]] tell_waiters(segment, shard, index, key.hash);  // relaxed: under the lock
}

class LockedShard {
 public:
  SHARED_DICT_HOT LockedShard(const Writer& writer, std::uint32_t index)
      : writer_(writer),
        segment_(writer.attachment.segment()),
        shard_(segment_.shard(index)),
        index_(index),
        lock_(writer, shard_.lock, shard_.sleepers, &shard_.lock_waits),
        heap_(writer, shard_, index) {
    make_current();
  }

  // With its lock, which somebody has taken already.
  LockedShard(const Writer& writer, std::uint32_t index, OwnerLock lock)
      : writer_(writer),
        segment_(writer.attachment.segment()),
        shard_(segment_.shard(index)),
        index_(index),
        lock_(std::move(lock)),
        heap_(writer, shard_, index) {
    make_current();
  }
  LockedShard(const LockedShard&) = delete;
  LockedShard& operator=(const LockedShard&) = delete;
  LockedShard(LockedShard&&) = default;
  ~LockedShard() = default;

  // Catches up with a clear, or with the death of an owner.
  SHARED_DICT_HOT void make_current() {
    if (!is_current(segment_, shard_)) [[unlikely]] catch_up();
  }

  const Segment& segment() const noexcept { return segment_; }
  Shard& fields() noexcept { return shard_; }
  std::uint32_t index() const noexcept { return index_; }
  bool mine() const noexcept { return lock_.mine(); }

  TableWord table_word() const noexcept {
    // relaxed: only the owner of the lock stores it.
    return TableWord(shard_.table.load(std::memory_order_relaxed));
  }
  std::uint64_t items() const noexcept { return get(shard_.items); }
  std::uint64_t slot_count() const noexcept { return table_word().none() ? 0 : table_word().buckets() * kSlotsPerBucket; }

  SHARED_DICT_HOT SlotTable table() const {
    const TableWord word = table_word();
    if (word != checked_) check_table(word);
    return {segment_.buckets(word), word.buckets()};
  }

  SlotTable::Found find(const KeyBytes& key) const {
    if (table_word().none()) return {};
    return table().find(segment_, key, [this] { damaged("a slot refers to something that is no entry"); });
  }

  // The same, with less work if it is still where it was seen.
  SHARED_DICT_HOT SlotTable::Found find(const KeyBytes& key, const Sighting& seen) const {
    if (!still_there(shard_, seen)) return find(key);
    return found_at(seen.table, seen.bucket, seen.slot, seen.entry);
  }
  SHARED_DICT_HOT SlotTable::Found find(const KeyBytes& key, const Glimpse& seen) const {
    Entry entry;
    if (!is_there(segment_, shard_, seen, key, entry)) return find(key);
    return found_at(seen.table, seen.bucket, seen.candidate.slot, entry);
  }

  [[noreturn]] void damaged(const char* what) const { fail_corrupted(writer_.attachment.name(), what); }

  // ---- changes. Each is complete, or has thrown and changed nothing.

  void insert(const SlotTable::Found& found, const KeyBytes& key, Bytes value) {
    const SlotTable::Found place = make_room(found, key);
    insert_block(place, key, allocate(key, value), value.size());
  }

  SHARED_DICT_HOT void replace(const SlotTable::Found& found, const KeyBytes& key, Bytes value) {
    if (in_place(found.entry, value.size())) return replace_word(segment_, shard_, index_, found.entry, key, value_word(value));
    replace_block(found, key, allocate(key, value), value.size());
    tell(key.hash);
  }

  SHARED_DICT_HOT void erase(const SlotTable::Found& found) {
    SlotTable slots = table();
    const bool told = watched();
    const std::uint64_t hash = told ? hash_key(segment_, found.entry.key(segment_)).hash : 0;
    const bool chain_ends = slots.word(slots.next(found.at)).is_empty();
    slots.store(found.at, chain_ends ? SlotWord() : SlotWord::erased());
    slots.step_version(found.at);
    std::uint64_t tombstones = get(shard_.tombstones) + (chain_ends ? 0 : 1);
    if (chain_ends) {
      // Tombstones that now stand before an empty slot hold no chain together any more.
      for (auto at = slots.previous(found.at); tombstones > 0 && slots.word(at).is_erased(); at = slots.previous(at)) {
        slots.store(at, SlotWord());
        --tombstones;
      }
    }
    set(shard_.tombstones, tombstones);
    set(shard_.items, get(shard_.items) - 1);
    set(shard_.stored_bytes, get(shard_.stored_bytes) - found.entry.sizes.key() - found.entry.sizes.value());
    heap_.free_erased(found.entry.offset, entry_bytes(segment_, found.entry.sizes));
    if (items() == 0) heap_.free_spares();
    if (told) tell(hash);
  }

  // ---- their steps, for those who do more than one change at once or bring their own block

  // A block with an entry that no slot refers to yet. Throws heap_full.
  std::uint64_t allocate(const KeyBytes& key, Bytes value) {
    const EntrySizes sizes(key.bytes.size(), value.size());
    const std::uint64_t size = entry_bytes(segment_, sizes);
    const std::uint64_t offset = heap_.allocate_entry(size);
    write_contents(segment_, offset, key.bytes, value);
    write_sizes(segment_, offset, sizes);
    return offset;
  }

  // Where a new key goes; the table may have grown. Throws heap_full.
  SlotTable::Found make_room(SlotTable::Found found, const KeyBytes& key) {
    if (needs_room(1)) {
      grow(1, found.free_slot && table().word(found.at).is_erased());
      found = find(key);
    }
    if (!found.free_slot) fail(errc::heap_full, writer_.attachment.name(), "its table is full and can't grow");
    return found;
  }

  // A complete entry becomes the one of a new key.
  void insert_block(const SlotTable::Found& place, const KeyBytes& key, std::uint64_t offset, std::uint64_t value_bytes) {
    SlotTable slots = table();
    const bool reused = slots.word(place.at).is_erased();
    count_insertions(1);
    slots.publish(place.at, SlotWord(offset, hash_tag(key.hash)));
    count_item(key.bytes.size() + value_bytes);
    if (reused) count_reused_tombstone();
    tell(key.hash);
  }

  // A complete entry takes the place of the one that its key has, which is freed.
  void replace_block(const SlotTable::Found& found, const KeyBytes& key, std::uint64_t offset, std::uint64_t value_bytes) {
    SlotTable slots = table();
    const std::uint64_t before = found.entry.sizes.value();
    if (value_bytes > before) count_bytes(value_bytes - before);
    slots.store(found.at, SlotWord(offset, hash_tag(key.hash)));
    finish_replacement(slots, found, value_bytes);
  }

  // What follows the new slot word. If the value is larger than before, that was counted before it.
  void finish_replacement(SlotTable& slots, const SlotTable::Found& found, std::uint64_t value_bytes) noexcept {
    slots.step_version(found.at);
    const std::uint64_t before = found.entry.sizes.value();
    if (value_bytes < before) set(shard_.stored_bytes, get(shard_.stored_bytes) - (before - value_bytes));
    heap_.free_entry(found.entry.offset, entry_bytes(segment_, found.entry.sizes));
  }

  // Before the slot words: a scan that meets one of the entries sees that something was added.
  void count_insertions(std::uint64_t n) noexcept {
    // [N6] release, pairs with [N5]: see were_too_many.
    shard_.insertions.store(get(shard_.insertions) + n, std::memory_order_release);
  }

  void count_item(std::uint64_t bytes) noexcept {
    raise_items(get(shard_.items) + 1);
    count_bytes(bytes);
  }
  void count_bytes(std::uint64_t more) noexcept { set(shard_.stored_bytes, get(shard_.stored_bytes) + more); }
  void count_at_least(std::uint64_t items, std::uint64_t bytes) noexcept {
    raise_items(std::max(get(shard_.items), items));
    set(shard_.stored_bytes, std::max(get(shard_.stored_bytes), bytes));
  }
  void count_reused_tombstone() noexcept { set(shard_.tombstones, get(shard_.tombstones) - 1); }

  // Room for `n` more keys, so that each finds a free slot and searches still end. Whether slots have moved. Throws heap_full.
  bool reserve(std::uint64_t n) {
    bool moved = false;
    while (needs_room(n)) {
      const TableWord before = table_word();
      grow(n);
      if (table_word() == before) break;  // no memory for a larger one, but this one will do
      moved = true;
    }
    return moved;
  }

  // Of how many buckets a new table for so many keys is, as a power of two: eight, eight times as many up to a page, twice as many from there
  // on. A smaller one takes a page as well: it is there so that few items are gone through fast and stay in the nearest cache. It is
  // given up when it is less full, as it would have to be rebuilt for few erased slots.
  std::uint32_t fitting_log2(std::uint64_t keys) const noexcept {
    const std::uint32_t page_log2 = segment_.page_shift() - static_cast<std::uint32_t>(std::countr_zero(sizeof(Bucket)));
    std::uint32_t log2 = 3;
    while (keys * 16 > (std::uint64_t{kSlotsPerBucket} << log2) * (log2 < page_log2 ? 7 : 10)) {
      log2 = log2 < page_log2 ? std::min(log2 + 3, page_log2) : log2 + 1;
    }
    return log2;
  }

  Heap& heap() noexcept { return heap_; }

  // Whether the entry's value is one that is replaced by a store.
  bool in_place(const Entry& entry, std::size_t size) const noexcept {
    return replaced_in_place(segment_) && size == segment_.shape().value_fixed_bytes && entry.sizes.value() == size;
  }

  static std::uint64_t value_word(Bytes value) noexcept {
    return value.size() < kWord ? load_tail(value.data(), value.size()) : load_private<std::uint64_t>(value.data());
  }

  bool watched() const noexcept { return shard_.watched.load(std::memory_order_relaxed) != 0; }  // relaxed: under the lock

  SHARED_DICT_HOT void tell(std::uint64_t hash) noexcept {
    if (watched()) [[unlikely]] tell_waiters(segment_, shard_, index_, hash);
  }

  // The next entry from the shard's hint on, or nothing; for extract_any.
  SlotTable::Found find_any() {
    SlotTable::Found found;
    if (table_word().none() || items() == 0) return found;
    const SlotTable slots = table();
    for (std::uint64_t n = 0; n < slots.bucket_count(); ++n) {
      const std::uint64_t bucket = (shard_.scan_hint + n) & (slots.bucket_count() - 1);
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        const SlotTable::Position at{bucket, slot};
        if (!slots.word(at).is_entry()) continue;
        shard_.scan_hint = bucket;
        take_found(slots, at, found);
        return found;
      }
    }
    return found;
  }

  // f(Found) for each entry; f may erase or replace what it was given.
  template <class F>
  void for_each(F f) const {
    if (!table_word().none()) for_each_in(table(), f);
  }

  // The same of a table that it has, or had before.
  template <class F>
  void for_each_in(const SlotTable& slots, F f) const {
    slots.for_each(segment_, [&](SlotTable::Position at, SlotWord) {
      SlotTable::Found found;
      take_found(slots, at, found);
      f(found);
    });
  }

 private:
  SHARED_DICT_COLD void catch_up() {
    const std::uint64_t generation = segment_.header().clear_generation.load(std::memory_order_relaxed);  // relaxed: as is_current
    if (get(shard_.generation) != generation) {
      require_generations(segment_, shard_, writer_.attachment.name());
      reset_shard(writer_, heap_, shard_, index_, generation);
    } else {
      repair_shard(writer_, heap_, shard_, index_);
    }
  }

  // Insertions are counted before. (Those of a load behind it; but that has all locks, and who counts has one.)
  void raise_items(std::uint64_t items) noexcept {
    // [N8] release, pairs with [N7]: see were_too_many.
    shard_.items.store(items, std::memory_order_release);
  }

  // relaxed, both: written under the lock only; read without it as a hint.
  static std::uint64_t get(const Word64& word) noexcept { return word.load(std::memory_order_relaxed); }
  static void set(Word64& word, std::uint64_t value) noexcept { word.store(value, std::memory_order_relaxed); }

  SHARED_DICT_HOT SlotTable::Found found_at(TableWord table, const Bucket* bucket, std::uint32_t slot, const Entry& entry) const noexcept {
    checked_ = table;
    return {true, {static_cast<std::uint64_t>(bucket - segment_.buckets(table)), slot}, false, entry};
  }

  void check_table(TableWord word) const {
    if (!segment_.holds_table(word)) damaged("a table lies outside the segment");
    checked_ = word;
  }

  void take_found(const SlotTable& slots, SlotTable::Position at, SlotTable::Found& found) const {
    if (!read_entry(segment_, slots.word(at).offset(), found.entry)) damaged("a slot refers to something that is no entry");
    found.found = true;
    found.at = at;
  }

  bool needs_room(std::uint64_t n) const noexcept {
    return SlotTable::crowded(get(shard_.items) + get(shard_.tombstones) + n, slot_count());
  }

  // Makes the table larger for `n` more keys; where tombstones are what fills it, only sweeps them away.
  // If there is no memory for it the old table goes on, as long as it has a free slot and an empty one to end searches, which an erased slot that
  // is used again leaves as they are (`reuses`).
  SHARED_DICT_COLD void grow(std::uint64_t n, bool reuses = false) {
    if (items() > slot_count()) damaged("a shard's count of items is larger than its table");
    const std::uint32_t log2 = std::max(table_word().none() ? 0 : table_word().log2_buckets(), fitting_log2(items() + n));
    try {
      rebuild_table(writer_, heap_, shard_, index_, log2);
    } catch (const Failure& error) {
      const bool can_go_on = reuses || get(shard_.items) + get(shard_.tombstones) + n < slot_count();
      if (error.code() != errc::heap_full || !can_go_on) throw;
    }
  }

  const Writer& writer_;
  Segment& segment_;
  Shard& shard_;
  std::uint32_t index_;
  OwnerLock lock_;
  Heap heap_;
  mutable TableWord checked_;  // that table's place was found good
};

}  // namespace shared_dict::detail
