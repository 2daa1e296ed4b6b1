// The mapped segment: typed access to its parts, and the growth of the memory behind it.
//
// The file has its full length from the start, mapped once; memory stands behind the header part and the pages below
// `header().committed`. Growing is one system call and one store: nothing moves and nobody remaps.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include <shared_dict/detail/bytes/geometry.hpp>
#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

inline std::uint64_t checksum_of(const Identity& identity) noexcept { return hash_bytes(&identity, sizeof identity, 0); }

// For the moment when a segment is put into its attachment, before anybody else knows it.
template <class T>
struct MovableAtomic : std::atomic<T> {
  using std::atomic<T>::atomic;
  MovableAtomic(MovableAtomic&& other) noexcept : std::atomic<T>(other.load(std::memory_order_relaxed)) {}  // relaxed: private
  MovableAtomic& operator=(MovableAtomic&&) = delete;
};

class Segment {
 public:
  // `identity` is a verified copy: what the process relies on can't change under it.
  Segment(FileDescriptor file, FileId id, const Identity& identity)
      : mapping_(file, identity.segment_bytes),
        file_(std::move(file)),
        id_(id),
        base_(mapping_.base()),
        identity_(identity),
        shape_{identity.key_fixed_bytes, identity.value_fixed_bytes, identity.value_alignment},
        classes_(identity.page_bytes),
        page_shift_(static_cast<std::uint32_t>(std::countr_zero(identity.page_bytes))),
        value_mask_(std::max<std::uint64_t>(identity.value_alignment, kWord) - 1),
        small_bytes_(std::min(classes_.largest_block(), identity.heap_size)),
        records_(base_ + identity.records_at),
        shards_(base_ + identity.shards_at),
        areas_(base_ + identity.areas_at),
        pages_(base_ + identity.pages_at) {}

  const FileId& id() const noexcept { return id_; }
  const FileDescriptor& file() const noexcept { return file_; }
  const Identity& identity() const noexcept { return identity_; }
  std::uint32_t shard_count() const noexcept { return identity_.shard_count; }
  const TypeShape& shape() const noexcept { return shape_; }
  const SizeClasses& classes() const noexcept { return classes_; }
  // Of the places where values may begin, the bits that are zero.
  std::uint64_t value_mask() const noexcept { return value_mask_; }
  // An entry of so many bytes is no large one, and its key and its value aren't more than may ever be stored.
  std::uint64_t small_bytes() const noexcept { return small_bytes_; }

  std::byte* at(std::uint64_t offset) const noexcept { return base_ + offset; }
  Header& header() const noexcept { return *reinterpret_cast<Header*>(base_); }
  ProcessRecord& record(std::uint32_t index) const noexcept {
    return reinterpret_cast<ProcessRecord*>(records_)[index];
  }
  Shard& shard(std::uint32_t index) const noexcept { return reinterpret_cast<Shard*>(shards_)[index]; }
  // Only the part that its record says to be in use has memory behind it.
  ProcessArea& area(std::uint32_t record) const noexcept { return reinterpret_cast<ProcessArea*>(areas_)[record]; }
  Page& page(std::uint32_t index) const noexcept { return reinterpret_cast<Page*>(pages_)[index]; }
  Bucket* buckets(TableWord table) const noexcept { return reinterpret_cast<Bucket*>(base_ + table.offset()); }

  std::uint64_t page_offset(std::uint32_t page) const noexcept {
    return identity_.data_at + (std::uint64_t{page} << page_shift_);
  }
  std::uint32_t page_of(std::uint64_t offset) const noexcept {
    return static_cast<std::uint32_t>((offset - identity_.data_at) >> page_shift_);
  }
  std::uint64_t offset_of(const void* address) const noexcept {
    return static_cast<std::uint64_t>(static_cast<const std::byte*>(address) - base_);
  }
  std::uint32_t page_shift() const noexcept { return page_shift_; }

  // Whether [offset, offset + size) are committed pages' bytes: the check before following anything stored. Called behind the
  // acquire load of the word that led to the offset: whoever published that word had committed the memory before, so relaxed
  // is enough.
  SHARED_DICT_HOT bool holds(std::uint64_t offset, std::uint64_t size) const noexcept {
    // relaxed: how much this process knows to be committed; memory is never taken back.
    const std::uint64_t known = known_bytes_.load(std::memory_order_relaxed);
    const std::uint64_t begin = offset - identity_.data_at;  // wraps around to something huge below the pages
    if (begin < known && size <= known - begin) [[likely]] return true;
    return look_again(begin, size);
  }

  // The same of one word, at an offset that may be no word's.
  SHARED_DICT_HOT bool holds_word(std::uint64_t offset) const noexcept {
    const std::uint64_t begin = offset - identity_.data_at;  // as pages begin at words, so does this, and there is all of it
    return begin % kWord == 0 && (begin < known_bytes_.load(std::memory_order_relaxed) || look_again(begin, kWord));  // relaxed: see holds()
  }

  // The same of `size` bytes from a place on that is in a committed page or behind one. Neither is so large that their sum wraps around.
  SHARED_DICT_HOT bool holds_rest(std::uint64_t offset, std::uint64_t size) const noexcept {
    const std::uint64_t begin = offset - identity_.data_at;
    if (begin + size <= known_bytes_.load(std::memory_order_relaxed)) [[likely]] return true;  // relaxed: see holds()
    return look_again(begin, size);
  }

  // The same of a page and its entry in the page table.
  bool has_page(std::uint32_t page) const noexcept { return holds(page_offset(page), 1); }

  // How many pages have memory behind them; nothing if the word that says so is damaged.
  std::optional<std::uint32_t> committed_pages() const noexcept {
    // relaxed: see holds().
    const CheckedCount pages(header().committed.load(std::memory_order_relaxed));
    if (!pages.valid() || pages.count() > identity_.page_count) return std::nullopt;
    return pages.count();
  }

  // False for no table, too. What is behind its beginning is shifted instead of its size, which may be anything.
  SHARED_DICT_HOT bool holds_table(TableWord table) const noexcept {
    const std::uint64_t known = known_bytes_.load(std::memory_order_relaxed);  // relaxed: see holds()
    const std::uint64_t begin = table.offset() - identity_.data_at;
    if (begin < known && (known - begin) / sizeof(Bucket) >> table.log2_buckets() != 0) [[likely]] return true;
    return !table.none() && table.log2_buckets() < 40 && look_again(begin, table.buckets() * sizeof(Bucket));
  }

  // Puts memory behind 4096 bytes of a process's area. Can be repeated.
  std::error_code commit_area(std::uint32_t record, std::uint64_t at) noexcept {
    return commit_range(file_, identity_.areas_at + std::uint64_t{record} * sizeof(ProcessArea) + at, 4096);
  }

  // Puts memory behind the pages below `pages`, some ahead so that the system call is rare. With the pool's lock held. A death
  // between call and store costs nothing: the call can be repeated.
  std::error_code commit(std::uint32_t pages) noexcept {
    const std::uint32_t committed = committed_pages().value_or(identity_.page_count);
    if (pages <= committed) return {};
    const std::uint32_t ahead = std::clamp(committed / 16, 65536 / identity_.page_bytes, (1U << 20) / identity_.page_bytes);
    const std::uint32_t wished =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{pages} + ahead, identity_.page_count));
    std::uint32_t reached = wished;
    if (commit_pages(committed, wished)) {
      if (const std::error_code error = commit_pages(committed, pages)) return error;
      reached = pages;
    }
    // relaxed: an offset in the new memory gets to others only through a word that is released later.
    header().committed.store(CheckedCount::of(reached).bits(), std::memory_order_relaxed);
    return {};
  }

 private:
  SHARED_DICT_COLD bool look_again(std::uint64_t begin, std::uint64_t size) const noexcept {
    const std::uint64_t bytes = std::uint64_t{committed_pages().value_or(0)} << page_shift_;
    known_bytes_.store(bytes, std::memory_order_relaxed);  // relaxed: see holds()
    return begin < bytes && size <= bytes - begin;
  }

  std::error_code commit_pages(std::uint32_t from, std::uint32_t to) noexcept {
    const std::uint64_t table = identity_.pages_at;
    if (const auto error = commit_range(file_, table + from * sizeof(Page), (to - from) * sizeof(Page))) return error;
    return commit_range(file_, page_offset(from), page_offset(to) - page_offset(from));
  }

  Mapping mapping_;  // goes last: see Leftovers
  FileDescriptor file_;
  FileId id_;
  std::byte* base_ = nullptr;
  Identity identity_{};
  TypeShape shape_{};
  SizeClasses classes_;
  std::uint32_t page_shift_ = 0;
  std::uint64_t value_mask_ = kWord - 1;
  std::uint64_t small_bytes_ = 0;
  std::byte* records_ = nullptr;
  std::byte* shards_ = nullptr;
  std::byte* areas_ = nullptr;
  std::byte* pages_ = nullptr;
  mutable MovableAtomic<std::uint64_t> known_bytes_{0};
};

}  // namespace shared_dict::detail
