// The blocks of one shard: segregated lists, one for each size class, over spans of pages that belong to the shard alone. With the
// shard's lock held; the pool's is only taken when a span begins or ends. Taking and freeing a block are O(1).
//
// All of this is derived: a block is in use if, and only if, a slot refers to it. A death anywhere in here leaves lists that the
// shard's repair throws away (repair.hpp).
//
// Some blocks are kept aside for the next entry (spare_place.hpp). The last erase of a shard gives them back, and so does a heap that is full:
// first those of the shard that asks, then all (repair_leftovers).
//
// A block that somebody views isn't freed but retired: put on a list of the shard, linked through its first word, which no view
// reads. They are looked through when twice as many have gathered, when there is a large one, and when memory is short: then those
// that are viewed no more are freed. A loan begins as such a block.
#pragma once

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <vector>

#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/page_pool.hpp>
#include <shared_dict/detail/mechanisms/process_area.hpp>
#include <shared_dict/detail/mechanisms/spans.hpp>
#include <shared_dict/detail/mechanisms/spare_place.hpp>

namespace shared_dict::detail {

class Heap {
 public:
  Heap(const Writer& writer, std::uint32_t shard_index) noexcept : Heap(writer, writer.attachment.segment().shard(shard_index), shard_index) {}
  SHARED_DICT_HOT Heap(const Writer& writer, Shard& shard, std::uint32_t shard_index) noexcept
      : writer_(writer), segment_(writer.attachment.segment()), shard_(shard), shard_index_(shard_index), spans_(writer, shard, shard_index) {}

  // The offset of a block of at least `size` bytes. Throws heap_full.
  std::uint64_t allocate(std::uint64_t size) {
    const SizeClasses& classes = segment_.classes();
    return size > classes.largest_block() ? allocate_large(size) : allocate_block(class_of(size));
  }
  std::uint64_t allocate_block(std::uint32_t size_class) {
    if (!spans_.any_free(size_class)) size_class = find_span(size_class);
    const Spans::FreeBlock block = spans_.first_free(size_class);
    spans_.take(block, size_class);
    return block.offset;
  }

  // The block that an entry of a size class gets next: the one that was kept aside, or a span's. It may be written before it is taken, all but its
  // first word. Offset 0: it would take new pages, or the spare block isn't one.
  struct NextBlock : Spans::FreeBlock {
    bool spare = false;
  };
  SHARED_DICT_HOT NextBlock next_block(std::uint64_t size, std::uint32_t size_class) const {
    const SparePlace place = spare_place_of(size_class);
    if (place.holds_class()) {
      std::uint64_t block = 0;
      return {{place.has_block(size, block) ? block : 0}, true};
    }
    return spans_.any_free(size_class) ? NextBlock{spans_.first_free(size_class)} : NextBlock();
  }
  SHARED_DICT_HOT void take(const NextBlock& next, std::uint32_t size_class) {
    if (next.spare) {
      spare_place_of(size_class).take();
    } else {
      spans_.take(next, size_class);
    }
  }

  // A block for an entry.
  std::uint64_t allocate_entry(std::uint64_t size) {
    return size > segment_.classes().largest_block() ? allocate_large(size) : allocate_entry(size, class_of(size));
  }
  // Of a class that is known, and not large.
  std::uint64_t allocate_entry(std::uint64_t size, std::uint32_t size_class) {
    const NextBlock next = next_block(size, size_class);
    if (next.offset == 0) [[unlikely]] {
      if (next.spare) spans_.fail_derived("a spare block isn't one");
      return allocate_block(size_class);
    }
    take(next, size_class);
    return next.offset;
  }

  // Frees the block of an entry that no reader can believe any more: version or epoch have stepped. Mostly it is kept aside, in the place of one
  // of another class, which nobody has asked for since.
  void free_entry(std::uint64_t offset, std::uint64_t size) noexcept { free_or_keep(offset, size, segment_.classes().largest_block()); }

  // The same where no other entry comes in its place: what isn't small goes back to all.
  void free_erased(std::uint64_t offset, std::uint64_t size) noexcept {
    constexpr std::uint64_t kSmallEntry = 1024;
    free_or_keep(offset, size, std::min(kSmallEntry, segment_.classes().largest_block()));
  }

  // True if there were some.
  bool free_spares() noexcept {
    bool any = false;
    for (std::uint32_t place = 0; place < kSpares; ++place) any = free_spare(place) || any;
    return any;
  }

  // ---- blocks that aren't freed yet

  // A block that is viewed, or loaned. It stays on the list until it is swept or taken off.
  void retire(std::uint64_t offset, bool large) noexcept {
    // [E7] release fence, pairs with [V1]: as [E1].
    release_fence();
    store_word(segment_.at(offset), RetiredWord(retired(), large).bits());
    set_retired(offset);
    ++shard_.retired_count;
  }

  // Frees the retired blocks that nobody views any more, and returns how many. Linear in their number and in that of the views.
  SHARED_DICT_COLD std::uint64_t sweep() noexcept {
    std::uint64_t left = 0;
    std::uint64_t freed = 0;
    try {
      const std::vector<std::uint64_t> pinned = pinned_blocks(segment_);
      std::uint64_t before = 0;
      for (std::uint64_t at = retired(); at != 0;) {
        const RetiredWord word = retired_word(at);
        check(left <= kMaxRetired, "a list of retired blocks has no end");
        if (std::binary_search(pinned.begin(), pinned.end(), at)) {
          before = at;
          ++left;
        } else {
          take_off(before, at);
          free(at, word.large() ? run_bytes(at) : 0);
          ++freed;
        }
        at = word.next();
      }
    } catch (const std::exception&) {
      // relaxed: read by this process or by the next owner of the lock.
      shard_.dirty.store(1, std::memory_order_relaxed);
    }
    shard_.retired_count = left;
    shard_.sweep_at = 2 * left + kSweepAtLeast;
    return freed;
  }

  // The first retired block; 0: there are none.
  std::uint64_t retired() const noexcept { return shard_.retired.load(std::memory_order_relaxed); }  // relaxed: under the lock

  // f(offset, large) for each retired block. Throws corrupted.
  template <class F>
  void for_each_retired(F f) const {
    std::uint64_t n = 0;
    for (std::uint64_t at = retired(); at != 0;) {
      const RetiredWord word = retired_word(at);
      check(++n <= kMaxRetired, "a list of retired blocks has no end");
      f(at, word.large());
      at = word.next();
    }
  }

  // Takes a loaned block off the list: it is about to be an entry's. False if it isn't there.
  bool reclaim(std::uint64_t offset) {
    std::uint64_t before = 0;
    std::uint64_t n = 0;
    for (std::uint64_t at = retired(); at != 0;) {
      const RetiredWord word = retired_word(at);
      check(++n <= kMaxRetired, "a list of retired blocks has no end");
      if (at == offset) {
        take_off(before, at);
        shard_.retired_count -= std::min<std::uint64_t>(shard_.retired_count, 1);
        return true;
      }
      before = at;
      at = word.next();
    }
    return false;
  }

  // Frees a block that nobody looks at. Never fails: what the pool doesn't take back now stays with the shard, and its next repair
  // finds it. `size` only has to be exact if it is a large one.
  void free(std::uint64_t offset, std::uint64_t size) noexcept {
    try {
      if (size > segment_.classes().largest_block()) {
        const std::uint32_t page = segment_.page_of(offset);
        const PageWord word = load_page_word(segment_, page);
        const std::uint64_t bytes = std::uint64_t{word.pages()} << segment_.page_shift();
        check(segment_.page_offset(page) == offset && word.kind() == PageKind::large && word.shard() == shard_index_ &&
                  size <= bytes && bytes - size < segment_.identity().page_bytes,
              "a large block isn't the run that it should be");
        PagePool(writer_).give(page);
      } else {
        spans_.free(offset);
      }
    } catch (const std::exception&) {
      // relaxed: read by this process or by the next owner of the lock.
      shard_.dirty.store(1, std::memory_order_relaxed);
    }
  }

  // A run of pages, with the page word that it gets. When there are none, this shard's spares may be what keeps some. `give_run`, of tables, is as
  // `free`.
  std::uint32_t take_run(PageWord run) {
    if (retired() != 0 && run.kind() == PageKind::large) sweep();
    try {
      return PagePool(writer_).take(run);
    } catch (const Failure& error) {
      if (error.code() != errc::heap_full) throw;
      free_spares();
      if (retired() != 0) sweep();
      return PagePool(writer_).take(run);
    }
  }
  void give_run(std::uint32_t page) noexcept {
    try {
      const PageWord word = load_page_word(segment_, page);
      check(word.kind() == PageKind::table && word.shard() == shard_index_, "a table isn't the run that it should be");
      PagePool(writer_).give(page);
    } catch (const std::exception&) {
      shard_.dirty.store(1, std::memory_order_relaxed);  // relaxed: as above
    }
  }

  // ---- for the repair: empties the lists, then spans() takes each span in with the blocks that are in use.

  void forget_all() noexcept {
    for (Plain32& link : shard_.partial) link = 0;
    for (std::uint32_t place = 0; place < kSpares; ++place) set_spare(place, 0);
    set_retired(0);
    shard_.retired_count = 0;
    shard_.sweep_at = kSweepAtLeast;
  }

  Spans& spans() noexcept { return spans_; }

 private:
  void set_retired(std::uint64_t offset) noexcept { shard_.retired.store(offset, std::memory_order_relaxed); }  // relaxed: as above

  SparePlace spare_place_of(std::uint32_t size_class) const noexcept {
    return {segment_, shard_, size_class, writer_.attachment.self()};
  }

  void set_spare(std::uint32_t place, std::uint64_t word) noexcept {
    shard_.spare[place].store(word, std::memory_order_relaxed);  // relaxed: under the lock
  }

  void free_or_keep(std::uint64_t offset, std::uint64_t size, std::uint64_t largest_kept) noexcept {
    if (in_view(offset)) {
      const bool large = size > segment_.classes().largest_block();
      retire(offset, large);
      if (large || shard_.retired_count >= shard_.sweep_at) sweep();
      return;
    }
    // A size can be damaged; a block is as large as its span's blocks are.
    if (size > largest_kept) return free(offset, size);
    const std::optional<Spans::Span> span = spans_.of_block(offset);
    if (!span || segment_.classes()[span->size_class].block_bytes < size) return free(offset, size);
    const std::uint32_t size_class = class_of(size);
    SparePlace place = spare_place_of(size_class);
    if (place.holds_class()) return free_block(offset, *span);
    free_spare(spare_place(size_class, writer_.attachment.self()));
    place.keep(offset, size);
  }

  // As `free`, of a block whose span is known.
  void free_block(std::uint64_t offset, Spans::Span span) noexcept {
    try {
      spans_.free(offset, span);
    } catch (const std::exception&) {
      // relaxed: read by this process or by the next owner of the lock.
      shard_.dirty.store(1, std::memory_order_relaxed);
    }
  }

  // True if there was one.
  bool free_spare(std::uint32_t place) noexcept {
    const SpareWord spare = load_spare(shard_, place);
    if (spare.none()) return false;
    set_spare(place, 0);
    if (is_spare(segment_, spare, kWord)) {
      free(spare.offset(), 0);
    } else {
      shard_.dirty.store(1, std::memory_order_relaxed);  // relaxed: as below
    }
    return true;
  }

  bool in_view(std::uint64_t offset) const noexcept { return is_pinned(segment_, offset); }

  RetiredWord retired_word(std::uint64_t at) const {
    check(at % kWord == 0 && segment_.holds(at, kWord), "a list of retired blocks leads outside the segment");
    const RetiredWord word(load_word(segment_.at(at)));
    check(word.valid(), "a list of retired blocks leads to something else");
    return word;
  }

  // Block `at` behind `before` (0: the first).
  void take_off(std::uint64_t before, std::uint64_t at) {
    const std::uint64_t next = retired_word(at).next();
    if (before == 0) {
      set_retired(next);
    } else {
      store_word(segment_.at(before), RetiredWord(next, retired_word(before).large()).bits());
    }
  }

  std::uint64_t run_bytes(std::uint64_t offset) const noexcept {
    return std::uint64_t{load_page_word(segment_, segment_.page_of(offset)).pages()} << segment_.page_shift();
  }

  void check(bool good, const char* what) const {
    if (!good) fail_corrupted(writer_.attachment.name(), what);
  }

  SHARED_DICT_COLD std::uint64_t allocate_large(std::uint64_t size) {
    const std::uint64_t page_bytes = segment_.identity().page_bytes;
    const std::uint64_t pages = (size + page_bytes - 1) / page_bytes;
    if (pages > segment_.identity().page_count) {
      fail(errc::heap_full, writer_.attachment.name(), "the item is larger than the whole heap");
    }
    const std::uint32_t page = take_run(PageWord(PageKind::large, static_cast<std::uint32_t>(pages), shard_index_));
    return segment_.page_offset(page);
  }

  // A class with room for blocks of this class: itself with a new span, or, when there are no pages left, the next larger one that
  // has a free block. Throws heap_full.
  SHARED_DICT_COLD std::uint32_t find_span(std::uint32_t size_class) {
    try {
      spans_.begin(take_run(PageWord(PageKind::span, segment_.classes()[size_class].span_pages, shard_index_, size_class)), size_class);
      return size_class;
    } catch (const Failure& error) {
      if (error.code() != errc::heap_full) throw;
      if (spans_.any_free(size_class)) return size_class;  // a spare was given back
      for (std::uint32_t larger = size_class + 1; larger < segment_.classes().count(); ++larger) {
        if (spans_.any_free(larger)) return larger;
      }
      throw;
    }
  }

  static constexpr std::uint64_t kSweepAtLeast = 8;
  static constexpr std::uint64_t kMaxRetired = std::uint64_t{kMaxProcesses} * kPins;  // each is pinned

  const Writer& writer_;
  Segment& segment_;
  Shard& shard_;
  std::uint32_t shard_index_;
  Spans spans_;
};

}  // namespace shared_dict::detail
