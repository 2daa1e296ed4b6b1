// A shard's slot table, for the owner of the shard's lock. Linear probing over buckets of seven slots; a search begins at the first
// slot of the home bucket and ends at the first empty one.
//
// Rules that readers rely on (lookup.hpp):
//   1. An entry's slot never changes as long as the entry's key stays and the epoch doesn't step.
//   2. Between an entry's home and its slot there is no empty slot: erasing leaves a tombstone, unless the next slot is empty.
//   3. A slot word is replaced, then the bucket's version steps, then the old block is freed.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/platform/compare.hpp>

namespace shared_dict::detail {

inline SlotWord load_slot(const Bucket& bucket, std::uint32_t slot) noexcept {
  // [S2] acquire, pairs with [S1], [S4], [B4]: the entry is complete.
  return SlotWord(bucket.slots[slot].load(std::memory_order_acquire));
}

// The first slot of a bucket whose word has a key's tag: where a search looks first. A hint, which can be wrong in all ways.
struct Candidate {
  SlotWord word;  // empty: none
  std::uint32_t slot = 0;
};

SHARED_DICT_HOT Candidate find_candidate(const Bucket& bucket, std::uint32_t tag) noexcept {
  static_assert(sizeof(Bucket) == 8 * kWord && offsetof(Bucket, slots) == kWord, "the slots are a line's words but the first");
  const std::uint32_t word = first_with_top_16(&bucket.version, tag);
  if (word == 0) return {};
  return {load_slot(bucket, word - 1), word - 1};
}

class SlotTable {
 public:
  SlotTable(Bucket* buckets, std::uint64_t count) noexcept : buckets_(buckets), mask_(count - 1) {}

  std::uint64_t bucket_count() const noexcept { return mask_ + 1; }
  std::uint64_t slot_count() const noexcept { return bucket_count() * kSlotsPerBucket; }
  std::uint64_t home(std::uint64_t hash) const noexcept { return hash_home(hash) & mask_; }

  // A slot by its bucket and its place therein.
  struct Position {
    std::uint64_t bucket = 0;
    std::uint32_t slot = 0;
  };

  Position next(Position at) const noexcept {
    if (++at.slot < kSlotsPerBucket) return at;
    return {(at.bucket + 1) & mask_, 0};
  }
  Position previous(Position at) const noexcept {
    if (at.slot > 0) return {at.bucket, at.slot - 1};
    return {(at.bucket - 1) & mask_, kSlotsPerBucket - 1};
  }

  const Word64& at(Position at) const noexcept { return buckets_[at.bucket].slots[at.slot]; }

  SlotWord word(Position at) const noexcept {
    // relaxed: only the owner of the lock stores slot words, and that is the caller.
    return SlotWord(buckets_[at.bucket].slots[at.slot].load(std::memory_order_relaxed));
  }

  // The moment of an insertion. An exchange, as it makes the operation linearizable: it returns only when what it stored can be seen by
  // everybody. (A plain store could still be in this processor's store buffer while the same thread already reads another key.) For
  // the other changes it is the step of the version, behind their slot word, that sees to it.
  SHARED_DICT_HOT void publish(Position at, SlotWord word) noexcept {
    // [S4] seq_cst, pairs with [S2], [I1]: as [S1].
    buckets_[at.bucket].slots[at.slot].exchange(word.bits(), std::memory_order_seq_cst);
  }

  // The moment of every replacement and erasure.
  SHARED_DICT_HOT static void store(Word64& slot, SlotWord word) noexcept {
    // [S1] release, pairs with [S2], [I1]: the entry is complete before a slot refers to it.
    slot.store(word.bits(), std::memory_order_release);
  }
  void store(Position at, SlotWord word) noexcept { store(buckets_[at.bucket].slots[at.slot], word); }

  // After the slot word was replaced, before its old block is freed.
  SHARED_DICT_HOT static void step_version(Bucket& bucket) noexcept {
    Word64& version = bucket.version;
    // relaxed: only the owner of the lock changes it.
    const std::uint64_t next_version = version.load(std::memory_order_relaxed) + 1;
    // [V2] seq_cst, pairs with [V3], [V6]: a reader that sees the step sees the new slot word; who looks at the pins afterwards
    // sees those of all viewers that don't see the step.
    version.exchange(next_version, std::memory_order_seq_cst);
  }
  void step_version(Position at) noexcept { step_version(buckets_[at.bucket]); }

  std::uint64_t version(Position at) const noexcept {
    return buckets_[at.bucket].version.load(std::memory_order_relaxed);  // relaxed: as in word()
  }

  // f(Position, SlotWord) for each slot with an entry; f may change the slot. Entries of buckets ahead are on their way meanwhile.
  template <class F>
  void for_each(const Segment& segment, F f) const {
    const auto for_each_slot = [this](std::uint64_t bucket, auto g) {
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        if (const SlotWord seen = word({bucket, slot}); seen.is_entry()) g(Position{bucket, slot}, seen);
      }
    };
    constexpr std::uint64_t kAhead = 4;
    for (std::uint64_t bucket = 0; bucket <= mask_; ++bucket) {
      if (bucket + kAhead <= mask_) {
        for_each_slot(bucket + kAhead, [&](Position, SlotWord seen) {
          if (segment.holds(seen.offset(), kWord)) prefetch(segment.at(seen.offset()));
        });
      }
      for_each_slot(bucket, f);
    }
  }

  struct Found {
    bool found = false;
    Position at;     // of the entry, or where it goes
    bool free_slot = false;  // not found: `at` is a slot that can take it
    Entry entry;
  };

  // The slot that takes a key, if the key's home bucket alone shows that it isn't in the table: an empty slot ends the search there, and what
  // stands before it has another tag. Nothing if it takes a look elsewhere.
  SHARED_DICT_HOT std::optional<Position> free_at_home(const KeyBytes& key) const noexcept { return free_in(home(key.hash), hash_tag(key.hash)); }

  // The same where the home bucket has no empty slot, and the bucket behind it ends the search.
  SHARED_DICT_COLD std::optional<Position> free_behind_home(std::uint64_t hash) const noexcept {
    const std::uint64_t bucket = home(hash);
    std::optional<Position> tombstone;  // the first one
    for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
      const SlotWord seen = word({bucket, slot});
      if (seen.is_erased()) {
        if (!tombstone) tombstone = Position{bucket, slot};
      } else if (seen.is_empty() || seen.tag() == hash_tag(hash)) {
        return std::nullopt;
      }
    }
    const std::optional<Position> behind = free_in((bucket + 1) & mask_, hash_tag(hash));
    return behind && tombstone ? tombstone : behind;
  }

  // Whether `used` of `slots` are more than a table is filled to.
  static bool crowded(std::uint64_t used, std::uint64_t slots) noexcept { return used * 5 > slots * 4; }

  // `damaged()` is called, and must throw, when a slot refers to something that can't be an entry.
  template <class Damaged>
  Found find(const Segment& segment, const KeyBytes& key, Damaged damaged) const {
    Found result;
    const std::uint32_t tag = hash_tag(key.hash);
    std::uint64_t bucket = home(key.hash);
    const Candidate candidate = find_candidate(buckets_[bucket], tag);
    if (holds_key(segment, candidate.word, key, result.entry)) {
      result.found = true;
      result.at = {bucket, candidate.slot};
      return result;
    }
    for (std::uint64_t n = 0; n <= mask_; ++n, bucket = (bucket + 1) & mask_) {
      const Word64* const slots = buckets_[bucket].slots;
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        const SlotWord seen(slots[slot].load(std::memory_order_relaxed));  // relaxed: as in word()
        if (!seen.is_entry()) {
          if (!result.free_slot) {
            result.free_slot = true;
            result.at = {bucket, slot};
          }
          if (seen.is_empty()) return result;
        } else if (seen.tag() == tag) {
          if (!read_entry(segment, seen.offset(), result.entry)) damaged();
          if (has_key(segment, result.entry, key)) {
            result.found = true;
            result.at = {bucket, slot};
            return result;
          }
        }
      }
    }
    return result;
  }

  // For a table that no reader sees yet.
  void clear() noexcept {
    // [T1] release fence, pairs with [V1]: the pages may have held blocks that readers still copy.
    release_fence();
    for (std::uint64_t bucket = 0; bucket <= mask_; ++bucket) {
      buckets_[bucket].version.store(0, std::memory_order_relaxed);  // relaxed: published with the table
      for (Word64& slot : buckets_[bucket].slots) slot.store(0, std::memory_order_relaxed);  // relaxed: as above
    }
  }

  // For the table of a shard that was cleared, behind the epoch's step. Versions go on: readers may still be here.
  void forget_all() noexcept {
    // [T5] release fence, pairs with [V4]: who misses a key by these stores, in a search that began before the step, sees the step.
    release_fence();
    for (std::uint64_t bucket = 0; bucket <= mask_; ++bucket) {
      for (Word64& slot : buckets_[bucket].slots) slot.store(0, std::memory_order_relaxed);  // relaxed: behind the fence
    }
  }

  // For a table that no reader sees yet: takes in a slot word of the old one.
  void adopt(std::uint64_t hash, SlotWord word) noexcept {
    for (std::uint64_t bucket = home(hash);; bucket = (bucket + 1) & mask_) {
      for (Word64& slot : buckets_[bucket].slots) {
        if (slot.load(std::memory_order_relaxed) != 0) continue;   // relaxed: private so far
        slot.store(word.bits(), std::memory_order_relaxed);        // relaxed: published with the table
        return;
      }
    }
  }

 private:
  SHARED_DICT_HOT std::optional<Position> free_in(std::uint64_t bucket, std::uint32_t tag) const noexcept {
    std::uint32_t tombstone = kSlotsPerBucket;  // the first one
    for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
      const SlotWord seen = word({bucket, slot});
      if (seen.is_empty()) return Position{bucket, std::min(slot, tombstone)};
      if (seen.is_erased()) {
        tombstone = std::min(slot, tombstone);
      } else if (seen.tag() == tag) {
        return std::nullopt;
      }
    }
    return std::nullopt;
  }

  Bucket* buckets_;
  std::uint64_t mask_;
};

}  // namespace shared_dict::detail
