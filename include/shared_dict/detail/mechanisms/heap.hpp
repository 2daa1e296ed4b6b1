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
#include <shared_dict/detail/mechanisms/spare_place.hpp>

namespace shared_dict::detail {

class Heap {
 public:
  Heap(const Writer& writer, std::uint32_t shard_index) noexcept
      : writer_(writer),
        segment_(writer.attachment.segment()),
        shard_(segment_.shard(shard_index)),
        shard_index_(shard_index) {}

  // The offset of a block of at least `size` bytes. Throws heap_full.
  std::uint64_t allocate(std::uint64_t size) {
    const SizeClasses& classes = segment_.classes();
    return size > classes.largest_block() ? allocate_large(size) : allocate_block(class_of(size));
  }
  std::uint64_t allocate_block(std::uint32_t size_class) {
    if (shard_.partial[size_class] == 0) size_class = find_span(size_class);
    const NextBlock next = next_of_span(size_class);
    take_of_span(next, size_class);
    return next.offset;
  }

  // The block that an entry of a size class gets next: the one that was kept aside, or the first free one of a span. It may be written before it
  // is taken, all but its first word. Offset 0: it would take new pages, or the spare block isn't one.
  struct NextBlock {
    std::uint64_t offset = 0;
    std::uint32_t page = 0;       // of its span
    std::uint32_t free_then = 0;  // its span's first free block then, index + 1
    bool spare = false;           // was kept aside: the other two say nothing
  };
  SHARED_DICT_HOT NextBlock next_block(std::uint64_t size, std::uint32_t size_class) const {
    const SparePlace place = spare_place_of(size_class);
    if (place.holds_class()) return {place.block(size), 0, 0, true};
    return shard_.partial[size_class] == 0 ? NextBlock() : next_of_span(size_class);
  }
  SHARED_DICT_HOT void take(const NextBlock& next, std::uint32_t size_class) {
    if (next.spare) {
      spare_place_of(size_class).take();
    } else {
      take_of_span(next, size_class);
    }
  }

  // A block for an entry.
  std::uint64_t allocate_entry(std::uint64_t size) {
    return size > segment_.classes().largest_block() ? allocate_large(size) : allocate_entry(size, class_of(size));
  }
  // Of a class that is known, and not large.
  std::uint64_t allocate_entry(std::uint64_t size, std::uint32_t size_class) {
    const NextBlock next = next_block(size, size_class);
    if (next.offset == 0 && !next.spare) return allocate_block(size_class);
    if (next.offset != 0) [[likely]] {
      take(next, size_class);
      return next.offset;
    }
    shard_.dirty.store(1, std::memory_order_relaxed);  // relaxed: as below; the next owner's repair throws it away
    fail_corrupted(writer_.attachment.name(), "a spare block isn't one");
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
        free_block(offset);
      }
    } catch (const std::exception&) {
      // relaxed: read by this process or by the next owner of the lock.
      shard_.dirty.store(1, std::memory_order_relaxed);
    }
  }

  // Runs for slot tables. `give_run` is as `free`.
  std::uint32_t take_run(PageKind kind, std::uint32_t pages) {
    return take_pages(PageWord(kind, pages, shard_index_));
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

  // ---- for the repair: empties the lists, then takes each span in with the blocks that are in use.

  void forget_all() noexcept {
    for (Plain32& link : shard_.partial) link = 0;
    for (std::uint32_t place = 0; place < kSpares; ++place) set_spare(place, 0);
    set_retired(0);
    shard_.retired_count = 0;
    shard_.sweep_at = kSweepAtLeast;
  }

  // `used(block)` says which blocks of the span live; there is at least one. The caller has stepped the epoch and fenced.
  template <class Used>
  void adopt_span(std::uint32_t page, std::uint32_t size_class, Used used) noexcept {
    const SizeClass& shape = segment_.classes()[size_class];
    Page& span = segment_.page(page);
    span.first_free = 0;
    span.live = 0;
    span.carved = shape.span_blocks;
    set_heads(page, shape);
    const std::uint64_t begin = segment_.page_offset(page);
    for (std::uint32_t block = shape.span_blocks; block-- > 0;) {
      if (used(block)) {
        ++span.live;
      } else {
        store_word(segment_.at(begin + std::uint64_t{block} * shape.block_bytes), span.first_free);
        span.first_free = block + 1;
      }
    }
    if (!full(span, shape)) list(page, size_class);
  }

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
    if (size > largest_kept || block_bytes_at(offset) < size) return free(offset, size);
    const std::uint32_t size_class = class_of(size);
    SparePlace place = spare_place_of(size_class);
    if (place.holds_class()) return free(offset, size);
    free_spare(spare_place(size_class, writer_.attachment.self()));
    place.keep(offset, size);
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

  // The first page of a block's span and its class; nothing if it isn't one of this shard's.
  struct SpanOf {
    std::uint32_t page;
    std::uint32_t size_class;
  };
  std::optional<SpanOf> span_of(std::uint64_t offset) const noexcept {
    if (!segment_.holds(offset, kWord)) return std::nullopt;
    const std::uint32_t page = segment_.page(segment_.page_of(offset)).head.load(std::memory_order_relaxed);  // relaxed: own span
    if (!segment_.has_page(page)) return std::nullopt;
    const PageWord word = load_page_word(segment_, page);
    if (word.kind() != PageKind::span || word.shard() != shard_index_ || word.size_class() >= segment_.classes().count()) return std::nullopt;
    return SpanOf{page, word.size_class()};
  }

  // 0: it is none.
  std::uint64_t block_bytes_at(std::uint64_t offset) const noexcept {
    const std::optional<SpanOf> found = span_of(offset);
    return found ? segment_.classes()[found->size_class].block_bytes : 0;
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

  // Of the class's first span with a free block; there is one.
  NextBlock next_of_span(std::uint32_t size_class) const {
    const SizeClass& shape = segment_.classes()[size_class];
    const std::uint32_t link = shard_.partial[size_class];
    check(segment_.has_page(link - 1), "a list of spans leads outside the segment");
    const Page& span = segment_.page(link - 1);
    check(load_page_word(segment_, link - 1) == PageWord(PageKind::span, shape.span_pages, shard_index_, size_class),
          "a list of spans leads to something else");
    const std::uint64_t begin = segment_.page_offset(link - 1);
    if (span.first_free == 0) {
      check(span.carved < shape.span_blocks, "a full span is listed as having room");
      return {begin + std::uint64_t{span.carved} * shape.block_bytes, link - 1};
    }
    const std::uint32_t block = span.first_free - 1;
    check(block < shape.span_blocks, "a list of blocks leads outside its span");
    const std::uint64_t offset = begin + std::uint64_t{block} * shape.block_bytes;
    const std::uint64_t next = load_word(segment_.at(offset));
    check(next <= shape.span_blocks, "a list of blocks leads outside its span");
    return {offset, link - 1, static_cast<std::uint32_t>(next)};
  }

  void take_of_span(const NextBlock& next, std::uint32_t size_class) {
    Page& span = segment_.page(next.page);
    if (span.first_free != 0) {
      span.first_free = next.free_then;
    } else {
      ++span.carved;
    }
    ++span.live;
    if (full(span, segment_.classes()[size_class])) unlist(next.page, size_class);
  }

  static bool full(const Page& span, const SizeClass& shape) noexcept {
    return span.first_free == 0 && span.carved >= shape.span_blocks;
  }

  void check(bool good, const char* what) const {
    if (!good) fail_corrupted(writer_.attachment.name(), what);
  }

  // When there are none, this shard's spares may be what keeps some.
  std::uint32_t take_pages(PageWord owner) {
    if (retired() != 0 && owner.kind() == PageKind::large) sweep();
    try {
      return PagePool(writer_).take(owner);
    } catch (const Error& error) {
      if (error.code() != errc::heap_full) throw;
      free_spares();
      if (retired() != 0) sweep();
      return PagePool(writer_).take(owner);
    }
  }

  SHARED_DICT_COLD std::uint64_t allocate_large(std::uint64_t size) {
    const std::uint64_t page_bytes = segment_.identity().page_bytes;
    const std::uint64_t pages = (size + page_bytes - 1) / page_bytes;
    if (pages > segment_.identity().page_count) {
      fail(errc::heap_full, writer_.attachment.name(), "the item is larger than the whole heap");
    }
    const std::uint32_t page = take_run(PageKind::large, static_cast<std::uint32_t>(pages));
    return segment_.page_offset(page);
  }

  // A class with room for blocks of this class: itself with a new span, or, when there are no pages left, the next larger one that
  // has a free block. Throws heap_full.
  SHARED_DICT_COLD std::uint32_t find_span(std::uint32_t size_class) {
    try {
      begin_span(size_class);
      return size_class;
    } catch (const Error& error) {
      if (error.code() != errc::heap_full) throw;
      if (shard_.partial[size_class] != 0) return size_class;  // a spare was given back
      for (std::uint32_t larger = size_class + 1; larger < segment_.classes().count(); ++larger) {
        if (shard_.partial[larger] != 0) return larger;
      }
      throw;
    }
  }

  void begin_span(std::uint32_t size_class) {
    const SizeClass& shape = segment_.classes()[size_class];
    const std::uint32_t page = take_pages(PageWord(PageKind::span, shape.span_pages, shard_index_, size_class));
    Page& span = segment_.page(page);
    span.first_free = 0;
    span.live = 0;
    span.carved = 0;
    set_heads(page, shape);
    list(page, size_class);
  }

  void free_block(std::uint64_t offset) {
    const std::optional<SpanOf> found = span_of(offset);
    check(found.has_value(), "a block lies outside its span");
    const auto [page, size_class] = *found;
    const SizeClass& shape = segment_.classes()[size_class];
    Page& span = segment_.page(page);
    const std::uint64_t block = (offset - segment_.page_offset(page)) / shape.block_bytes;
    check(block < shape.span_blocks && span.live > 0, "a block lies outside its span");
    const bool was_full = full(span, shape);
    // [E3] release fence, pairs with [V1]: as [E1], for the link that is written into the block.
    release_fence();
    store_word(segment_.at(offset), span.first_free);
    span.first_free = static_cast<std::uint32_t>(block) + 1;
    prefetch_rest(segment_, offset, shape.block_bytes);
    --span.live;
    if (span.live == 0) {
      PagePool pool(writer_);  // if it can't be had, the empty span stays: unlisted only if it was full, found by the repair
      if (!was_full) unlist(page, size_class);
      pool.give(page);
    } else if (was_full) {
      list(page, size_class);
    }
  }

  void set_heads(std::uint32_t page, const SizeClass& shape) noexcept {
    // relaxed: read by the owner of this lock; of the last page also under the pool's lock, where the value is the same.
    for (std::uint32_t i = 0; i < shape.span_pages; ++i) segment_.page(page + i).head.store(page, std::memory_order_relaxed);
  }

  void list(std::uint32_t page, std::uint32_t size_class) noexcept {
    Page& span = segment_.page(page);
    span.previous = 0;
    span.next = shard_.partial[size_class];
    if (span.next != 0 && segment_.has_page(span.next - 1)) segment_.page(span.next - 1).previous = page + 1;
    shard_.partial[size_class] = page + 1;
  }

  void unlist(std::uint32_t page, std::uint32_t size_class) {
    const Page& span = segment_.page(page);
    check((span.next == 0 || segment_.has_page(span.next - 1)) && (span.previous == 0 || segment_.has_page(span.previous - 1)),
          "a list of spans leads outside the segment");
    if (span.next != 0) segment_.page(span.next - 1).previous = span.previous;
    if (span.previous != 0) {
      segment_.page(span.previous - 1).next = span.next;
    } else {
      shard_.partial[size_class] = span.next;
    }
  }

  static constexpr std::uint64_t kSweepAtLeast = 8;
  static constexpr std::uint64_t kMaxRetired = std::uint64_t{kMaxProcesses} * kPins;  // each is pinned

  const Writer& writer_;
  Segment& segment_;
  Shard& shard_;
  std::uint32_t shard_index_;
};

}  // namespace shared_dict::detail
