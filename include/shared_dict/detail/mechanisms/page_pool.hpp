// The pages of the segment: who owns which run, and free runs for whoever needs one.
//
// True: the page words. From page 0 to the frontier run lies behind run, each described by the word of its first page; words
// inside a run mean nothing. So to cut a run, write the word of the rest first (it is inside, and means nothing yet), then shorten
// the head; to merge, lengthen the head; to extend, write the word beyond the frontier, then move the frontier. Each change is
// one store of one word, and a death before or after it leaves a pool without contradiction.
//
// Derived: the bins (free runs by length, O(1) to take and to give back), the counts, and the `head` of each run's last page, by
// which a freed run finds the one before it.
// They are rebuilt from the words if their writer died (dirty).
//
// A run that was taken but that no slot or table refers to yet is found by the repair of the shard it was taken for, as
// that shard's lock is held all the while.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include <shared_dict/detail/mechanisms/owner_lock.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>

namespace shared_dict::detail {

inline PageWord load_page_word(const Segment& segment, std::uint32_t page) noexcept {
  // [P3] acquire, pairs with [P1], [P2]: a run is seen with the word that stands behind it.
  return PageWord(segment.page(page).word.load(std::memory_order_acquire));
}

// The pool with its lock held.
class PagePool {
 public:
  explicit PagePool(const Writer& writer)
      : segment_(writer.attachment.segment()),
        name_(writer.attachment.name()),
        pool_(segment_.header().pool),
        lock_(writer, pool_.lock, pool_.sleepers) {
    const auto committed = segment_.committed_pages();
    if (!committed || frontier() > *committed) fail_corrupted(name_, "its pages lie behind committed memory");
    // relaxed: set by whoever released the lock word that was just acquired.
    if (pool_.dirty.load(std::memory_order_relaxed) != 0) repair();
  }

  // A run that becomes `owner` (whose length it has). Throws heap_full when the range or the memory is used up.
  std::uint32_t take(PageWord owner) {
    std::uint32_t page = 0;
    std::error_code refused;
    std::optional<std::uint32_t> found = find_free(owner.pages(), 8);
    if (!found) found = last_free(owner.pages());
    if (!found) {
      page = extend(owner.pages(), refused);
      if (refused) found = find_free(owner.pages(), frontier());
      if (refused && !found) fail_full(owner.pages(), refused);
    }
    if (found) {
      page = *found;
      const std::uint32_t length = free_length(page);
      remove_free(page, length);
      if (length > owner.pages()) add_free(page + owner.pages(), length - owner.pages());
    }
    set_head(page, owner.pages());
    store_word_of(page, owner);
    count_blocks(owner, +1);
    return page;
  }

  // Gives the run back that begins at `page`, merged with free neighbours.
  void give(std::uint32_t page) {
    const PageWord owner = load_page_word(segment_, page);
    std::uint32_t first = page;
    std::uint32_t length = owner.pages();
    const std::uint32_t frontier = this->frontier();
    if (length == 0 || length > frontier - page) fail_corrupted(name_, "a run of pages has an impossible length");
    count_blocks(owner, -1);
    if (page + length < frontier) {
      const PageWord next = load_page_word(segment_, page + length);
      if (next.kind() == PageKind::free) {
        const std::uint32_t behind = free_length(page + length);
        remove_free(page + length, behind);
        length += behind;
      }
    }
    if (page > 0) {
      const std::uint32_t head = head_before(page);
      const PageWord previous = load_page_word(segment_, head);
      if (previous.kind() == PageKind::free) {
        remove_free(head, previous.pages());
        first = head;
        length += previous.pages();
      }
    }
    add_free(first, length);
    // It is inside now, and means nothing; but a list of spans with a flipped bit shall not come upon a span there.
    if (first != page) segment_.page(page).word.store(0, std::memory_order_relaxed);  // relaxed: nobody is led there
  }

  std::uint32_t frontier() const noexcept {
    // relaxed: only changed under the lock that is held.
    return pool_.frontier.load(std::memory_order_relaxed);
  }

  // f(page, PageWord) for each run. Throws corrupted if they don't lie one behind the other.
  template <class F>
  void for_each_run(F f) const {
    const std::uint32_t end = frontier();
    for (std::uint32_t page = 0; page < end;) {
      const PageWord word = load_page_word(segment_, page);
      if (word.pages() == 0 || word.pages() > end - page || word.kind() == PageKind::none || word.kind() > PageKind::table) {
        fail_corrupted(name_, "the page table contradicts itself at page " + std::to_string(page));
      }
      f(page, word);
      page += word.pages();
    }
  }

  const Pool& fields() const noexcept { return pool_; }

  // Which bin holds free runs of this length: one for each up to 31 pages, then one for each power of two.
  static std::uint32_t bin_of(std::uint32_t length) noexcept {
    if (length < 32) return length - 1;
    return 31 + static_cast<std::uint32_t>(std::bit_width(length)) - 6;
  }

  static std::uint64_t block_pages(PageWord word) noexcept {
    return word.kind() == PageKind::span || word.kind() == PageKind::large ? word.pages() : 0;
  }

 private:
  void count_blocks(PageWord word, int sign) noexcept {
    // relaxed, both: written under the lock that is held; a hint for others.
    const std::uint64_t old = pool_.block_pages.load(std::memory_order_relaxed);
    const std::uint64_t pages = block_pages(word);
    pool_.block_pages.store(sign > 0 ? old + pages : old - std::min(old, pages), std::memory_order_relaxed);
  }

  void store_word_of(std::uint32_t page, PageWord word) noexcept {
    // [P1] release, pairs with [P3]: the word of the rest stands before the head is shortened.
    segment_.page(page).word.store(word.bits(), std::memory_order_release);
  }

  void set_head(std::uint32_t page, std::uint32_t length) noexcept {
    // relaxed: under the lock; the owner of a span stores the same value.
    segment_.page(page + length - 1).head.store(page, std::memory_order_relaxed);
  }

  // The length of the free run that begins at `page`.
  std::uint32_t free_length(std::uint32_t page) const {
    const PageWord word = load_page_word(segment_, page);
    if (word.kind() != PageKind::free || word.pages() == 0 || word.pages() > frontier() - page) {
      fail_corrupted(name_, "a list of free pages leads to a run that isn't free");
    }
    return word.pages();
  }

  // Of the runs that may be too short or long enough it looks at `most`.
  std::optional<std::uint32_t> find_free(std::uint32_t pages, std::uint32_t most) const {
    const std::uint32_t bin = bin_of(pages);
    if (pages >= 32) {
      std::uint32_t link = pool_.bins[bin];
      for (std::uint32_t i = 0; i < most && link != 0; ++i) {
        check_link(link);
        if (free_length(link - 1) >= pages) return link - 1;
        link = segment_.page(link - 1).next;
      }
    }
    const std::uint32_t first = pages < 32 ? bin : bin + 1;
    const std::uint64_t fitting = first < 64 ? pool_.bin_bits & (~std::uint64_t{0} << first) : 0;
    if (fitting == 0) return std::nullopt;
    const std::uint32_t link = pool_.bins[static_cast<std::uint32_t>(std::countr_zero(fitting))];
    check_link(link);
    if (free_length(link - 1) < pages) fail_corrupted(name_, "a list of free pages leads to a run that is too short");
    return link - 1;
  }

  // The free run of at least `pages` pages that ends at the frontier: find_free may not have come across it.
  std::optional<std::uint32_t> last_free(std::uint32_t pages) const {
    const std::uint32_t end = frontier();
    if (end == 0) return std::nullopt;
    const std::uint32_t head = head_before(end);
    if (load_page_word(segment_, head).kind() != PageKind::free || end - head < pages) return std::nullopt;
    return head;
  }

  // New pages at the frontier, together with a free run that ends there. errc::heap_full: the range is used up; or why there is no memory.
  std::uint32_t extend(std::uint32_t pages, std::error_code& refused) {
    const std::uint32_t old = frontier();
    std::uint32_t begin = old;
    if (const auto last = last_free(0)) begin = *last;
    const std::uint32_t missing = pages - (old - begin);
    if (missing > segment_.identity().page_count - old) {
      refused = errc::heap_full;
    } else {
      refused = segment_.commit(old + missing);
    }
    if (refused) return 0;
    if (begin != old) remove_free(begin, old - begin);
    store_word_of(old, PageWord(PageKind::free, missing));
    // [P2] release, pairs with [P3]: the new run's word stands before the run counts.
    pool_.frontier.store(old + missing, std::memory_order_release);
    return begin;
  }

  [[noreturn]] void fail_full(std::uint32_t pages, const std::error_code& refused) const {
    if (refused == errc::heap_full) {
      fail(errc::heap_full, name_, "no " + std::to_string(pages) +
                                       " pages side by side are left (heap_size " + std::to_string(segment_.identity().heap_size) +
                                       "): erase something, or create it with a larger Options::heap_size");
    }
    fail(errc::heap_full, name_, "the file system that holds it has no memory left (" + refused.message() +
                                     "): free some there, or erase something here");
  }

  // ---- derived: the bins

  void check_link(std::uint32_t link) const {
    if (link == 0 || link > frontier()) fail_corrupted(name_, "a list of free pages leads outside the segment");
  }

  // Where the run begins that ends before `page`.
  std::uint32_t head_before(std::uint32_t page) const {
    const std::uint32_t head = segment_.page(page - 1).head.load(std::memory_order_relaxed);  // relaxed: under the lock
    if (head >= page || load_page_word(segment_, head).pages() != page - head) {
      fail_corrupted(name_, "a run of pages doesn't end where it should");
    }
    return head;
  }

  void add_free(std::uint32_t page, std::uint32_t length) {
    const std::uint32_t bin = bin_of(length);
    Page& head = segment_.page(page);
    head.previous = 0;
    head.next = pool_.bins[bin];
    if (head.next != 0) {
      check_link(head.next);
      segment_.page(head.next - 1).previous = page + 1;
    }
    pool_.bins[bin] = page + 1;
    pool_.bin_bits |= std::uint64_t{1} << bin;
    pool_.free_pages += length;
    set_head(page, length);
    store_word_of(page, PageWord(PageKind::free, length));
  }

  void remove_free(std::uint32_t page, std::uint32_t length) {
    const std::uint32_t bin = bin_of(length);
    const Page& head = segment_.page(page);
    if (head.next != 0) {
      check_link(head.next);
      segment_.page(head.next - 1).previous = head.previous;
    }
    if (head.previous != 0) {
      check_link(head.previous);
      segment_.page(head.previous - 1).next = head.next;
    } else {
      pool_.bins[bin] = head.next;
      if (head.next == 0) pool_.bin_bits &= ~(std::uint64_t{1} << bin);
    }
    pool_.free_pages -= std::min<std::uint64_t>(pool_.free_pages, length);
  }

  // Rebuilds what is derived. Can be repeated.
  SHARED_DICT_COLD void repair() {
    pool_.free_pages = 0;
    pool_.block_pages.store(0, std::memory_order_relaxed);  // relaxed: a hint for others
    pool_.bin_bits = 0;
    for (Plain32& bin : pool_.bins) bin = 0;
    std::uint32_t free_begin = 0;
    std::uint32_t free_length = 0;
    const auto flush = [&] {
      if (free_length != 0) add_free(free_begin, free_length);
      free_length = 0;
    };
    for_each_run([&](std::uint32_t page, PageWord word) {
      if (word.kind() == PageKind::free) {
        if (free_length == 0) free_begin = page;
        free_length += word.pages();
        return;
      }
      flush();
      set_head(page, word.pages());
      count_blocks(word, +1);
    });
    flush();
    // relaxed: the release of the lock publishes it; a death before that marks the pool again.
    pool_.dirty.store(0, std::memory_order_relaxed);
  }

  Segment& segment_;
  const std::string& name_;
  Pool& pool_;
  OwnerLock lock_;
};

}  // namespace shared_dict::detail
