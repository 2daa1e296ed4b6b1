// What a shard's owner does when it can't trust what is derived: another one died in it, or everything was cleared. And the building
// of a new table.
//
// With the shard's lock held. Every function can be repeated from the start: the shard stays marked until it is through.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include <shared_dict/detail/mechanisms/heap.hpp>
#include <shared_dict/detail/mechanisms/slot_table.hpp>
#include <shared_dict/detail/mechanisms/waiter.hpp>

namespace shared_dict::detail {

inline void step_epoch(Shard& shard) noexcept {
  // relaxed: only the owner of the lock changes it.
  const std::uint64_t next = shard.epoch.load(std::memory_order_relaxed) + 1;
  // [E4] seq_cst, pairs with [E5], [E10], [V4], [V5]: a reader that sees the step sees the new table; who looks at the pins afterwards
  // sees those of all viewers that don't see the step.
  shard.epoch.exchange(next, std::memory_order_seq_cst);
}

inline void store_table(Shard& shard, TableWord table) noexcept {
  // [T2] release, pairs with [T3], [T4]: the table is complete before readers find it.
  shard.table.store(table.bits(), std::memory_order_release);
}

// The page word of a table of 2^log2 buckets. It says how many they are, as several sizes can be of the same number of pages.
inline PageWord table_run(const Segment& segment, std::uint32_t index, std::uint32_t log2) noexcept {
  const std::uint64_t bytes = std::uint64_t{sizeof(Bucket)} << log2;
  const std::uint64_t pages = (bytes + segment.identity().page_bytes - 1) >> segment.page_shift();
  return {PageKind::table, static_cast<std::uint32_t>(pages), index, log2};
}

// Whether a table word leads to a table of this shard: the page word of its run says the same. A word with one flipped bit would have the
// repair take another table's place for this one's, and everything in this one for lost.
inline bool is_table(const Segment& segment, std::uint32_t index, TableWord table) noexcept {
  if (table.none() || !segment.holds_table(table)) return false;
  const std::uint32_t page = segment.page_of(table.offset());
  return segment.page_offset(page) == table.offset() && load_page_word(segment, page) == table_run(segment, index, table.log2_buckets());
}

// Whether a run begins where this table does.
inline bool is_run(const Writer& writer, TableWord table) {
  const Segment& segment = writer.attachment.segment();
  bool found = false;
  PagePool(writer).for_each_run([&](std::uint32_t page, PageWord) { found = found || segment.page_offset(page) == table.offset(); });
  return found;
}

inline void require_table(const Writer& writer, std::uint32_t index, TableWord table) {
  if (!table.none() && !is_table(writer.attachment.segment(), index, table)) {
    fail_corrupted(writer.attachment.name(), "a table lies outside the segment, or isn't the run that it should be");
  }
}

// An empty table of 2^log2 buckets that nobody sees yet. Throws heap_full.
inline TableWord make_table(const Segment& segment, Heap& heap, std::uint32_t index, std::uint32_t log2) {
  const TableWord made(segment.page_offset(heap.take_run(table_run(segment, index, log2))), log2);
  SlotTable(segment.buckets(made), made.buckets()).clear();
  return made;
}

// The shard's table at a size of 2^log2 buckets, with the same entries and no tombstones. Throws heap_full and changes nothing.
inline void rebuild_table(const Writer& writer, Heap& heap, Shard& shard, std::uint32_t index, std::uint32_t log2) {
  const Segment& segment = writer.attachment.segment();
  const TableWord old(shard.table.load(std::memory_order_relaxed));  // relaxed: under the lock
  require_table(writer, index, old);
  const TableWord made = make_table(segment, heap, index, log2);
  SlotTable next(segment.buckets(made), made.buckets());
  if (!old.none()) {
    const SlotTable before(segment.buckets(old), old.buckets());
    before.for_each(segment, [&](SlotTable::Position, SlotWord word) {
      Entry entry;
      if (!read_entry(segment, word.offset(), entry)) {
        heap.give_run(segment.page_of(made.offset()));
        fail_corrupted(writer.attachment.name(), "a slot refers to something that is no entry");
      }
      next.adopt(hash_key(segment, entry.key(segment)).hash, word);
    });
  }
  store_table(shard, made);
  step_epoch(shard);
  shard.tombstones.store(0, std::memory_order_relaxed);  // relaxed: a hint for others
  if (!old.none()) heap.give_run(segment.page_of(old.offset()));
}

// What can be seen of a key's value without reading all of it: its entry, and the value itself where that is replaced in place.
struct ValueNote {
  std::uint64_t entry = 0;
  std::uint64_t value = 0;
  friend bool operator==(const ValueNote&, const ValueNote&) noexcept = default;
};

inline ValueNote note_value(const Segment& segment, const Entry& entry) noexcept {
  return {entry.offset, replaced_in_place(segment) ? load_word(segment.at(entry.value_at)) : 0};
}

// The same of the key with this hash.
inline ValueNote note_of(const Segment& segment, const SlotTable& slots, std::uint64_t waited) noexcept {
  SlotTable::Position at{slots.home(waited), 0};
  for (std::uint64_t n = 0; n < slots.slot_count() && !slots.word(at).is_empty(); ++n, at = slots.next(at)) {
    const SlotWord word = slots.word(at);
    Entry entry;
    if (!word.is_entry() || word.tag() != hash_tag(waited) || !read_entry(segment, word.offset(), entry)) continue;
    if (waited_hash(hash_key(segment, entry.key(segment)).hash) == waited) return note_value(segment, entry);
  }
  return {};
}

// Tells those waiters whose key isn't as it was when they began. Before the lock's new owner changes anything.
SHARED_DICT_COLD inline void tell_of_differences(const Segment& segment, Shard& shard, std::uint32_t index) noexcept {
  const TableWord table(shard.table.load(std::memory_order_relaxed));  // relaxed: under the lock
  bool any = false;
  for_each_waiter(segment, index, [&](Waiter& waiter) {
    any = true;
    // relaxed, all: stored under the lock that is held.
    const std::uint64_t waited = waiter.hash.load(std::memory_order_relaxed);
    if (waited == 0) return;
    // One that has just gone may have made place for one of another shard's key: see tell().
    if (hash_shard(waited, segment.shard_count()) != index) return;
    const ValueNote before{waiter.entry.load(std::memory_order_relaxed), waiter.value.load(std::memory_order_relaxed)};  // relaxed
    const ValueNote now = table.none() ? ValueNote{} : note_of(segment, {segment.buckets(table), table.buckets()}, waited);
    if (now != before) tell(waiter, waited);
  });
  if (!any) shard.watched.store(0, std::memory_order_relaxed);  // relaxed: under the lock
}

// Rebuilds counts and heap of a shard from its table and the page words. Throws corrupted if they contradict each other.
SHARED_DICT_COLD inline void repair_shard(const Writer& writer, Heap& heap, Shard& shard, std::uint32_t index) {
  const Segment& segment = writer.attachment.segment();
  const std::string& name = writer.attachment.name();
  // Before a byte of a block changes: the dead owner may have stored a slot word and not stepped the version.
  step_epoch(shard);
  // [E2] release fence, pairs with [V1]: the step comes before every byte that is written below.
  release_fence();

  const TableWord table(shard.table.load(std::memory_order_relaxed));  // relaxed: under the lock
  std::vector<std::uint64_t> blocks;  // offsets of the live ones
  std::uint64_t tombstones = 0;
  std::uint64_t stored = 0;
  if (!table.none()) {
    require_table(writer, index, table);
    const SlotTable slots(segment.buckets(table), table.buckets());
    for (std::uint64_t bucket = 0; bucket < slots.bucket_count(); ++bucket) {
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        const SlotWord word = slots.word({bucket, slot});
        Entry entry;
        if (word.is_erased()) ++tombstones;
        if (!word.is_entry()) continue;
        if (!read_entry(segment, word.offset(), entry)) fail_corrupted(name, "a slot refers to something that is no entry");
        blocks.push_back(word.offset());
        stored += entry.sizes.key() + entry.sizes.value();
      }
    }
    std::sort(blocks.begin(), blocks.end());
  }

  // What is viewed or loaned stays. Collected behind the step of the epoch: see process_area.hpp.
  const std::vector<std::uint64_t> pinned = pinned_blocks(segment);
  const auto is_pinned_here = [&](std::uint64_t offset) { return std::binary_search(pinned.begin(), pinned.end(), offset); };

  heap.forget_all();
  PagePool pool(writer);
  std::vector<std::uint32_t> orphans;  // runs without a live block: taken and not used yet, or not given back any more
  std::size_t next = 0;                // into blocks
  bool has_run = table.none();         // for its table: pages in the middle of a run have words from other times
  pool.for_each_run([&](std::uint32_t page, PageWord word) {
    const bool mine = word.kind() != PageKind::free && word.shard() == index;
    const std::uint64_t begin = segment.page_offset(page);
    const std::uint64_t end = segment.page_offset(page + word.pages());
    const std::size_t first = next;
    while (next < blocks.size() && blocks[next] < end) ++next;
    if (next != first && (!mine || word.kind() == PageKind::table)) fail_corrupted(name, "an entry lies in pages of another use");
    if (!mine) return;
    if (word.kind() == PageKind::table) {
      if (table.none() || begin != table.offset()) {
        orphans.push_back(page);
      } else {
        has_run = true;
      }
    } else if (word.kind() == PageKind::large) {
      if (next - first > 1 || (next != first && blocks[first] != begin)) fail_corrupted(name, "two entries share a block");
      if (next != first) return;
      if (is_pinned_here(begin)) {
        heap.retire(begin, true);
      } else {
        orphans.push_back(page);
      }
    } else {
      if (word.size_class() >= segment.classes().count()) fail_corrupted(name, "a span has an unknown size class");
      const SizeClass& shape = segment.classes()[word.size_class()];
      if (word.pages() != shape.span_pages) fail_corrupted(name, "a span has an impossible length");
      std::vector<bool> used(shape.span_blocks);
      for (std::size_t i = first; i < next; ++i) {
        const std::uint64_t at = blocks[i] - begin;
        const auto block = static_cast<std::size_t>(at / shape.block_bytes);
        if (at % shape.block_bytes != 0 || block >= shape.span_blocks || used[block]) {
          fail_corrupted(name, "two entries share a block");
        }
        used[block] = true;
      }
      bool any = next != first;
      for (auto pin = std::lower_bound(pinned.begin(), pinned.end(), begin); pin != pinned.end() && *pin < end; ++pin) {
        const std::uint64_t at = *pin - begin;
        const auto block = static_cast<std::size_t>(at / shape.block_bytes);
        if (at % shape.block_bytes != 0 || block >= shape.span_blocks || used[block]) continue;
        heap.retire(*pin, false);
        used[block] = true;
        any = true;
      }
      if (any) {
        heap.spans().adopt(page, word.size_class(), [&](std::uint32_t block) { return used[block]; });
      } else {
        orphans.push_back(page);
      }
    }
  });
  if (next != blocks.size()) fail_corrupted(name, "an entry lies in pages that nobody owns");
  if (!has_run) fail_corrupted(name, "a table isn't a run of its own");
  for (const std::uint32_t page : orphans) pool.give(page);

  // [N9] release, pairs with [N7]: as [N8], of an item that the dead owner had put in.
  shard.items.store(blocks.size(), std::memory_order_release);
  // relaxed, all: hints for others, released with the lock.
  shard.tombstones.store(tombstones, std::memory_order_relaxed);
  shard.stored_bytes.store(stored, std::memory_order_relaxed);
  // [N4] release, pairs with [N2]: as [N3].
  shard.pending.store(0, std::memory_order_release);
  shard.scan_hint = 0;
  shard.dirty.store(0, std::memory_order_relaxed);  // relaxed, and below: as above
  // Whatever was due of a batch was carried out before the lock could be had.
  shard.intent.store(0, std::memory_order_relaxed);
  if (shard.watched.load(std::memory_order_relaxed) != 0) tell_of_differences(segment, shard, index);  // relaxed: as above
}

// Empties a shard of a dictionary that was cleared. The clear has happened already, with the header's generation. The table stays, empty,
// for those who fill it again; one that can't be right goes.
SHARED_DICT_COLD inline void reset_shard(const Writer& writer, Heap& heap, Shard& shard, std::uint32_t index,
                                         std::uint64_t generation) {
  // The epoch steps before slots are emptied or the table goes, so a reader may pair the new epoch with what was there. That harms nobody:
  // the repair steps it again before the first block or page is freed, after a death in between too.
  // Marked first: once the generation is stored, only the mark says that pages are left to be given back.
  shard.dirty.store(1, std::memory_order_relaxed);  // relaxed: read under the lock
  step_epoch(shard);
  const Segment& segment = writer.attachment.segment();
  const TableWord table(shard.table.load(std::memory_order_relaxed));  // relaxed: under the lock
  if (is_table(segment, index, table) && is_run(writer, table)) {
    SlotTable(segment.buckets(table), table.buckets()).forget_all();
  } else {
    store_table(shard, TableWord());
  }
  // Before they count again: the repair may have to be left to the next owner.
  // relaxed, all: [C2] publishes them.
  shard.items.store(0, std::memory_order_relaxed);
  shard.tombstones.store(0, std::memory_order_relaxed);
  shard.stored_bytes.store(0, std::memory_order_relaxed);
  // [C2] release, pairs with [C4]: who sees the generation sees that nothing is in the table.
  shard.generation.store(generation, std::memory_order_release);
  repair_shard(writer, heap, shard, index);
}

}  // namespace shared_dict::detail
