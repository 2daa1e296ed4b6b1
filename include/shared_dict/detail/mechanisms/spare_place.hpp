// The blocks that a shard keeps aside. With its lock held.
//
// Replacing a value takes a block and frees one of mostly the same size, and who erases often inserts, too. So a block that is
// freed is kept aside, in one of a few places that depend on class and process, and is the next entry's block: no list changes, and it is still in
// the cache. A spare block counts as live in its span.
//
// As all of the heap, spares are derived: whatever a death leaves here, the repair throws away.
#pragma once

#include <atomic>
#include <cstdint>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

// Where a process keeps its spare block of a class. By process, too: what it has freed itself is still in its processor's cache.
inline std::uint32_t spare_place(std::uint32_t size_class, LockWord self) noexcept { return (size_class + self.record()) % kSpares; }

// Of the next block to be handed out: its first line is here, the others will be when they are written.
inline void prefetch_rest(const Segment& segment, std::uint64_t offset, std::uint64_t size) noexcept {
  if (size > kCacheLine) prefetch_to_write(segment.at(offset + kCacheLine));
  if (size > 2 * kCacheLine) prefetch_to_write(segment.at(offset + 2 * kCacheLine));
}

// A spare block says itself that it is one, and of which class: a damaged word would lead to a block in use, or to a smaller one.
SHARED_DICT_HOT bool is_spare(const Segment& segment, SpareWord spare, std::uint64_t size) noexcept {
  const std::uint64_t offset = spare.offset();
  return segment.holds_word(offset) && segment.holds_rest(offset, size) && load_word(segment.at(offset)) == ~spare.bits();
}

inline SpareWord load_spare(const Shard& shard, std::uint32_t place) noexcept {
  return SpareWord(shard.spare[place].load(std::memory_order_relaxed));  // relaxed: under the lock, or a hint
}

// A hint, without the lock.
inline bool any_spare(const Shard& shard) noexcept {
  bool any = false;
  for (std::uint32_t place = 0; place < kSpares; ++place) any = any || !load_spare(shard, place).none();
  return any;
}

// The place of a size class in a shard, as seen by a process.
class SparePlace {
 public:
  SHARED_DICT_HOT SparePlace(const Segment& segment, Shard& shard, std::uint32_t size_class, LockWord self) noexcept
      : segment_(segment), word_(shard.spare[spare_place(size_class, self)]), size_class_(size_class) {}

  bool taken() const noexcept { return !load().none(); }

  // Whether the block that is kept here is one: then all but its first word may be written.
  SHARED_DICT_HOT bool has_block(std::uint64_t size, std::uint64_t& block) const noexcept {
    const SpareWord spare = load();
    block = spare.offset();
    return spare.of(size_class_) && is_spare(segment_, spare, size);
  }
  bool holds_class() const noexcept { return load().of(size_class_); }

  // It is a block in use from now on.
  SHARED_DICT_HOT void take() noexcept { store(0); }

  // Keeps a block that no reader can believe any more.
  SHARED_DICT_HOT void keep(std::uint64_t offset, std::uint64_t size) noexcept {
    const SpareWord spare(offset, size_class_);
    store(spare.bits());
    // [E6] release fence, pairs with [V1]: as [E1].
    release_fence();
    store_word(segment_.at(offset), ~spare.bits());
    prefetch_rest(segment_, offset, size);
  }

 private:
  SpareWord load() const noexcept { return SpareWord(word_.load(std::memory_order_relaxed)); }  // relaxed: under the lock
  void store(std::uint64_t word) noexcept { word_.store(word, std::memory_order_relaxed); }     // relaxed: as above

  const Segment& segment_;
  Word64& word_;
  std::uint32_t size_class_;
};

}  // namespace shared_dict::detail
