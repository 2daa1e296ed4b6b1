// The spans of one shard: runs of pages that are cut into blocks of one size class. Those with a free block are listed by class. With the
// shard's lock held; the pool's is only taken when a span ends. Taking and freeing a block are O(1).
//
// All of this but the page word is derived: a block is in use if, and only if, a slot refers to it, or it is kept aside, viewed or loaned. Each block that
// was ever handed out (`carved`) is in use or in its span's list.
#pragma once

#include <cstdint>
#include <optional>

#include <shared_dict/detail/mechanisms/page_pool.hpp>
#include <shared_dict/detail/mechanisms/spare_place.hpp>

namespace shared_dict::detail {

class Spans {
 public:
  SHARED_DICT_HOT Spans(const Writer& writer, Shard& shard, std::uint32_t shard_index) noexcept
      : writer_(writer), segment_(writer.attachment.segment()), shard_(shard), shard_index_(shard_index) {}

  bool any_free(std::uint32_t size_class) const noexcept { return shard_.partial[size_class] != 0; }

  // A block that is still free.
  struct FreeBlock {
    std::uint64_t offset = 0;
    std::uint32_t page = 0;       // of its span
    std::uint32_t free_then = 0;  // its span's first free block when it is taken, index + 1
  };

  // Of the class's first span with a free block; there is one. Throws corrupted, and has the shard repaired.
  FreeBlock first_free(std::uint32_t size_class) const {
    const SizeClass& shape = segment_.classes()[size_class];
    const std::uint32_t link = shard_.partial[size_class];
    check_derived(segment_.has_page(link - 1), "a list of spans leads outside the segment");
    const Page& span = segment_.page(link - 1);
    check_derived(load_page_word(segment_, link - 1) == PageWord(PageKind::span, shape.span_pages, shard_index_, size_class),
                  "a list of spans leads to something else");
    const std::uint64_t begin = segment_.page_offset(link - 1);
    // Each block that was carved lives or is in the list: so a count with a flipped bit doesn't lead to one that lives.
    if (span.first_free == 0) {
      check_derived(span.carved < shape.span_blocks && span.live == span.carved, "a span's counts contradict each other");
      return {begin + std::uint64_t{span.carved} * shape.block_bytes, link - 1};
    }
    const std::uint32_t block = span.first_free - 1;
    check_derived(block < span.carved && span.carved <= shape.span_blocks && span.live < span.carved, "a list of blocks leads outside its span");
    const std::uint64_t offset = begin + std::uint64_t{block} * shape.block_bytes;
    const std::uint64_t next = load_word(segment_.at(offset));
    check_derived(next <= span.carved, "a list of blocks leads outside its span");
    return {offset, link - 1, static_cast<std::uint32_t>(next)};
  }

  // Such a block is in use from now on. Throws corrupted, and then nothing has changed.
  void take(const FreeBlock& next, std::uint32_t size_class) {
    Page& span = segment_.page(next.page);
    const std::uint32_t carved = span.carved + (span.first_free == 0 ? 1 : 0);
    if (next.free_then == 0 && carved >= segment_.classes()[size_class].span_blocks) unlist(next.page, size_class);  // it may throw
    span.first_free = next.free_then;
    span.carved = carved;
    ++span.live;
  }

  // Of pages that were taken for it.
  void begin(std::uint32_t page, std::uint32_t size_class) noexcept {
    const SizeClass& shape = segment_.classes()[size_class];
    Page& span = segment_.page(page);
    span.first_free = 0;
    span.live = 0;
    span.carved = 0;
    set_heads(page, shape);
    list(page, size_class);
  }

  // The first page of a block's span and its class.
  struct Span {
    std::uint32_t page;
    std::uint32_t size_class;
  };

  // Gives a block back, and its span to the pool if it was the last one in use. Throws corrupted if it is none, and what the pool's lock throws.
  void free(std::uint64_t offset) {
    const std::optional<Span> found = of_block(offset);
    check(found.has_value(), "a block lies outside its span");
    free(offset, *found);
  }
  // The same of a block whose span is known.
  void free(std::uint64_t offset, const Span& span_of_block) {
    const auto [page, size_class] = span_of_block;
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

  // Nothing if it isn't one of this shard's.
  std::optional<Span> of_block(std::uint64_t offset) const noexcept {
    if (!segment_.holds(offset, kWord)) return std::nullopt;
    const std::uint32_t page = segment_.page(segment_.page_of(offset)).head.load(std::memory_order_relaxed);  // relaxed: own span
    if (!segment_.has_page(page)) return std::nullopt;
    const PageWord word = load_page_word(segment_, page);
    if (word.kind() != PageKind::span || word.shard() != shard_index_ || word.size_class() >= segment_.classes().count()) return std::nullopt;
    return Span{page, word.size_class()};
  }

  // `used(block)` says which blocks of the span live; there is at least one. The caller has stepped the epoch and fenced.
  template <class Used>
  void adopt(std::uint32_t page, std::uint32_t size_class, Used used) noexcept {
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

  // Of what the repair makes anew: the next owner of the lock does.
  void check_derived(bool good, const char* what) const {
    if (!good) [[unlikely]] fail_derived(what);
  }
  [[noreturn]] SHARED_DICT_COLD void fail_derived(const char* what) const {
    shard_.dirty.store(1, std::memory_order_relaxed);  // relaxed: as in sweep()
    fail_corrupted(writer_.attachment.name(), what);
  }

 private:
  static bool full(const Page& span, const SizeClass& shape) noexcept {
    return span.first_free == 0 && span.carved >= shape.span_blocks;
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
    check_derived((span.next == 0 || segment_.has_page(span.next - 1)) && (span.previous == 0 || segment_.has_page(span.previous - 1)),
                  "a list of spans leads outside the segment");
    if (span.next != 0) segment_.page(span.next - 1).previous = span.previous;
    if (span.previous != 0) {
      segment_.page(span.previous - 1).next = span.next;
    } else {
      shard_.partial[size_class] = span.next;
    }
  }

  void check(bool good, const char* what) const {
    if (!good) fail_corrupted(writer_.attachment.name(), what);
  }

  const Writer& writer_;
  Segment& segment_;
  Shard& shard_;
  std::uint32_t shard_index_;
};

}  // namespace shared_dict::detail
