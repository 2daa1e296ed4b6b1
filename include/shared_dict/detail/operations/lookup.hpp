// Reading without a lock: optimistic, then validated. No store to shared memory, no system call, no waiting for anybody.
//
// A reader notes the shard's epoch and table, and at each bucket its version; it follows slot words into entries, compares and
// copies. Whatever it concludes from an entry's bytes holds only if, behind an acquire fence, version and epoch are unchanged:
// then the block had not been freed when the bytes were read (rule 3 in slot_table.hpp, and the repair's epoch step). That goes
// for "not equal" and "impossible" as much as for "equal": the block may have been freed and reused with the key still there.
//
// Why a miss is right if the epoch is unchanged: a key that was there during the whole search stayed in its slot, with no empty
// slot before it, so the search would have met it.
//
// Progress: lock-free. A validation fails only if a writer of the same bucket got something done meanwhile, or a table grew.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/mechanisms/slot_table.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

// What a reader notes when it comes to a shard. `none`: there is nothing to search.
struct ShardView {
  const Shard* shard;
  std::uint64_t epoch;
  TableWord table;
};

SHARED_DICT_HOT ShardView view_shard(const Segment& segment, std::uint32_t index) noexcept {
  const Shard& shard = segment.shard(index);
  ShardView view{&shard, 0, TableWord()};
  // [C4] acquire, pairs with [C2]: a shard that has caught up with a clear shows nothing old in its table.
  const std::uint64_t generation = shard.generation.load(std::memory_order_acquire);
  // [C3] acquire, pairs with [C1]: who knows that the dictionary was cleared finds it cleared.
  if (generation != segment.header().clear_generation.load(std::memory_order_acquire)) return view;
  // [E5] acquire, pairs with [E4]: the epoch first, so that a new epoch never goes with an old table.
  view.epoch = shard.epoch.load(std::memory_order_acquire);
  // [T3] acquire, pairs with [T2], [B4]: the table is complete.
  view.table = TableWord(shard.table.load(std::memory_order_acquire));
  return view;
}

// A shard whose generation isn't the dictionary's is empty, unless one of the two is no generation at all.
SHARED_DICT_COLD inline void require_generations(const Segment& segment, const Shard& shard, const std::string& name) {
  // relaxed, both: each of them is one at every moment.
  if (CheckedCount(shard.generation.load(std::memory_order_relaxed)).valid() &&
      CheckedCount(segment.header().clear_generation.load(std::memory_order_relaxed)).valid()) {
    return;
  }
  fail_corrupted(name, "the count of clears contradicts itself");
}

inline std::uint64_t load_version(const Bucket& bucket) noexcept {
  // [V3] acquire, pairs with [V2]: a version goes with the slot word that was stored before it, or a later one.
  return bucket.version.load(std::memory_order_acquire);
}

// Whether nothing that was read since can have been freed before it was read.
SHARED_DICT_HOT bool still_valid(const ShardView& view, const Bucket& bucket, std::uint64_t version) noexcept {
  // [V1] acquire fence, pairs with [E1], [E2], [E3], [E6], [E7], [E8], [E9], [E11], [T1], [S3], [B4]: if a byte that was copied is
  // newer than the block's end, the steps before that are seen here. The loads are seq_cst for those who have pinned the block:
  // either they see a step here, or who stepped sees their pin (process_area.hpp).
  acquire_fence();
  // [V6] seq_cst, pairs with [V2]: as [V1].
  const bool same_version = bucket.version.load(std::memory_order_seq_cst) == version;
  // [V5] seq_cst, pairs with [E4]: as [V1].
  return same_version && view.shard->epoch.load(std::memory_order_seq_cst) == view.epoch;
}

inline bool same_epoch(const ShardView& view) noexcept {
  // [V4] acquire fence, pairs with [E4], [T5]: all slot words were read before the epoch is looked at again.
  acquire_fence();
  return view.shard->epoch.load(std::memory_order_relaxed) == view.epoch;  // relaxed: ordered by the fence
}

// Above this many bytes a size is validated before anything is made to hold it: it might be garbage.
inline constexpr std::uint64_t kTrustedBytes = 4096;

// Where a value is: its entry's offset, its own, its size.
struct StoredValue {
  std::uint64_t entry;
  std::uint64_t at;
  std::size_t size;
};

// The whole search, slot by slot, as often as it takes. True if the key is there; then visit(StoredValue) was called, last for what was
// there, and nothing had been freed when it returned. It may be called several times, also for what was there no more; what it reads
// goes through racing_bytes.hpp.
template <class Visit>
SHARED_DICT_COLD bool search_value(const Segment& segment, const std::string& name, const KeyBytes& key, Visit visit) {
  const std::uint32_t index = hash_shard(key.hash, segment.identity().shard_count);
  const std::uint32_t tag = hash_tag(key.hash);
  for (;; cpu_relax()) {
    const ShardView view = view_shard(segment, index);
    if (view.table.none()) {
      require_generations(segment, *view.shard, name);
      return false;
    }
    if (!segment.holds_table(view.table)) {
      if (!same_epoch(view)) continue;
      fail_corrupted(name, "a table lies outside the segment");
    }
    const Bucket* const buckets = segment.buckets(view.table);
    const std::uint64_t mask = view.table.buckets() - 1;
    std::uint64_t at = hash_home(key.hash) & mask;
    bool again = false;
    for (std::uint64_t n = 0; n <= mask && !again; ++n, at = (at + 1) & mask) {
      const Bucket& bucket = buckets[at];
      const std::uint64_t version = load_version(bucket);
      bool ended = false;
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        const SlotWord word = load_slot(bucket, slot);
        if (word.is_empty()) {
          ended = true;
          break;
        }
        if (word.tag() != tag || !word.is_entry()) continue;
        Entry entry;
        if (!read_entry(segment, word.offset(), entry)) {
          if (still_valid(view, bucket, version)) fail_corrupted(name, "a slot refers to something that is no entry");
          again = true;
          break;
        }
        if (!has_key(segment, entry, key)) {
          if (still_valid(view, bucket, version)) continue;
          again = true;
          break;
        }
        const auto size = static_cast<std::size_t>(entry.sizes.value());
        if (size <= kTrustedBytes || still_valid(view, bucket, version)) {
          visit(StoredValue{entry.offset, entry.value_at, size});
          if (still_valid(view, bucket, version)) return true;
        }
        again = true;
        break;
      }
      if (ended) {
        if (same_epoch(view)) return false;
        again = true;
      }
    }
    if (!again && same_epoch(view)) return false;
  }
}

// Whether there is a table to search, or at least memory where it says that there is one.
SHARED_DICT_HOT bool has_buckets(const Segment& segment, TableWord table) noexcept { return segment.holds_table(table); }

// Where the search for a key begins in such a table.
SHARED_DICT_HOT Bucket* home_bucket(const Segment& segment, TableWord table, const KeyBytes& key) noexcept {
  return &segment.buckets(table)[hash_home(key.hash) & (table.buckets() - 1)];
}

// ---- the search's first guess, in stages: what is noted is what the whole search notes. After each stage a look-up of many keys asks for
// the memory that the next one needs, and works on other keys until that is there.
struct Approach {
  ShardView view{};
  const Bucket* bucket = nullptr;  // the key's home; null: there is no table
  std::uint64_t version = 0;
  Candidate candidate;
};

SHARED_DICT_HOT void approach_bucket(const Segment& segment, const KeyBytes& key, Approach& approach) noexcept {
  approach.bucket = nullptr;
  approach.view = view_shard(segment, hash_shard(key.hash, segment.shard_count()));
  if (!has_buckets(segment, approach.view.table)) [[unlikely]] return;
  approach.bucket = home_bucket(segment, approach.view.table, key);
}

SHARED_DICT_HOT void approach_entry(const KeyBytes& key, Approach& approach) noexcept {
  approach.candidate = Candidate();
  if (approach.bucket == nullptr) [[unlikely]] return;
  approach.version = load_version(*approach.bucket);
  approach.candidate = find_candidate(*approach.bucket, hash_tag(key.hash));
}

inline void prefetch_entry(const Segment& segment, SlotWord word, std::uint64_t likely_bytes) noexcept {
  if (!word.is_entry()) return;
  const std::byte* const entry = segment.at(word.offset());
  const std::uint64_t end = word.offset() % kCacheLine + std::min(likely_bytes, 4 * kCacheLine);
  for (std::uint64_t at = 0; at < end; at += kCacheLine) prefetch(entry + at);
}

SHARED_DICT_HOT Approach approach_value(const Segment& segment, const KeyBytes& key) noexcept {
  Approach approach;
  approach_bucket(segment, key, approach);
  approach_entry(key, approach);
  return approach;
}

// True as search_value. False says nothing: it takes the whole search to know.
template <class Visit>
SHARED_DICT_HOT bool visit_guessed(const Segment& segment, const KeyBytes& key, const Approach& approach, const Visit& visit) {
  Entry entry;
  if (!holds_key(segment, approach.candidate.word, key, entry)) [[unlikely]] return false;
  if (entry.sizes.value() > kTrustedBytes && !still_valid(approach.view, *approach.bucket, approach.version)) return false;
  visit(StoredValue{entry.offset, entry.value_at, static_cast<std::size_t>(entry.sizes.value())});
  return still_valid(approach.view, *approach.bucket, approach.version);
}

// As search_value.
template <class Visit>
SHARED_DICT_HOT bool visit_approached(const Segment& segment, const std::string& name, const KeyBytes& key, const Approach& approach, const Visit& visit) {
  if (visit_guessed(segment, key, approach, visit)) [[likely]] return true;
  return search_value(segment, name, key, visit);
}

template <class Visit>
SHARED_DICT_HOT bool visit_value(const Segment& segment, const std::string& name, const KeyBytes& key, const Visit& visit) {
  return visit_approached(segment, name, key, approach_value(segment, key), visit);
}

// A visitor that copies the value's bytes to where `prepare(size)` says. It may be called several times, and what it returned last
// counts. A null answer means that the bytes aren't wanted. If `prepare` has pieces, a long value may be made of the shared bytes by
// itself, or it makes room piece by piece when it says so, and each is filled while it is still in the cache.
template <class Prepare>
SHARED_DICT_HOT auto copy_to(const Segment& segment, Prepare& prepare) {
  return [&segment, &prepare](const StoredValue& value) SHARED_DICT_HOT_LAMBDA {
    const std::byte* const from = segment.at(value.at);
    std::size_t at = 0;
    if constexpr (requires { Prepare::kPiece; }) {
      if (value.size > Prepare::kPiece && prepare.is_to_grow(value.size)) [[unlikely]] {
        if (prepare.made_of(from, value.size)) return;
        for (; value.size - at > Prepare::kPiece; at += Prepare::kPiece) {
          read_racing(prepare(at + Prepare::kPiece) + at, from + at, Prepare::kPiece);
        }
      }
    }
    if (std::byte* const to = prepare(value.size)) read_racing_here(to + at, from + at, value.size - at);
  };
}

// True if the key is there; then its value was copied.
template <class Prepare>
SHARED_DICT_HOT bool lookup(const Segment& segment, const std::string& name, const KeyBytes& key, Prepare&& prepare) {
  return visit_value(segment, name, key, copy_to(segment, prepare));
}

// As lookup, but the value stays where it is, pinned. Nothing if the key is missing. Throws too_many_views.
inline std::optional<StoredValue> pin_value(Attachment& attachment, const std::string& name, const KeyBytes& key, Pin& pin) {
  StoredValue found{};
  const bool there = visit_value(attachment.segment(), name, key, [&](const StoredValue& value) {
    if (pin.held()) {
      pin.move_to(value.entry);
    } else {
      pin = Pin(attachment, value.entry);
    }
    found = value;
  });
  if (there) return found;
  pin.release();
  return std::nullopt;
}

// ---- for writers, before the shard's lock is taken

// Gets the line of the key's bucket on its way.
SHARED_DICT_HOT void prefetch_home(const Segment& segment, const Shard& shard, const KeyBytes& key) noexcept {
  const TableWord table(shard.table.load(std::memory_order_relaxed));  // relaxed: a hint
  if (has_buckets(segment, table)) [[likely]] prefetch_to_write(home_bucket(segment, table, key));
}

// Where a key's entry may be. A hint: what it says is looked at again under the lock.
struct Glimpse {
  TableWord table;
  Bucket* bucket = nullptr;  // the key's home in it, or where the candidate is; null: there is no table
  Candidate candidate;
};

// Empty slots are a bucket's last ones: a key takes the first of them, and an erased slot becomes empty only in front of an empty one.
SHARED_DICT_HOT bool is_full(const Bucket& bucket) noexcept {
  return bucket.slots[kSlotsPerBucket - 1].load(std::memory_order_relaxed) != 0;  // relaxed: a hint
}

// The bucket behind a key's home: where that is full, most of those keys are here that aren't there.
SHARED_DICT_HOT Bucket* next_bucket(const Segment& segment, TableWord table, const KeyBytes& key) noexcept {
  return &segment.buckets(table)[(hash_home(key.hash) + 1) & (table.buckets() - 1)];
}

SHARED_DICT_COLD inline Glimpse glimpse_next(const Segment& segment, TableWord table, const KeyBytes key) noexcept {
  Bucket* const bucket = next_bucket(segment, table, key);
  return {table, bucket, find_candidate(*bucket, hash_tag(key.hash))};
}

// Its entry's memory is on its way then.
SHARED_DICT_HOT Glimpse glimpse(const Segment& segment, const Shard& shard, const KeyBytes& key) noexcept {
  Glimpse seen;
  seen.table = TableWord(shard.table.load(std::memory_order_relaxed));  // relaxed: a hint
  if (!has_buckets(segment, seen.table)) [[unlikely]] return seen;
  seen.bucket = home_bucket(segment, seen.table, key);
  seen.candidate = find_candidate(*seen.bucket, hash_tag(key.hash));
  if (seen.candidate.word.is_empty()) {
    if (!is_full(*seen.bucket)) return seen;
    seen = glimpse_next(segment, seen.table, key);
    if (seen.candidate.word.is_empty()) return seen;
  }
  prefetch_to_write(segment.at(seen.candidate.word.offset()));  // wherever that is: a prefetch never fails
  return seen;
}

// Where a key was before its shard's lock was taken.
//
// So the search, with its cache misses, goes on beside the lock's own, and the lock is held for less time. It is believed if, under the
// lock, epoch, table, version and slot word are the same: then what the slot word referred to when its key was compared hasn't been
// freed since, and is what it refers to now.
struct Sighting {
  bool found;
  std::uint64_t epoch;
  TableWord table;
  std::uint64_t version;
  SlotWord word;
  Bucket* bucket;
  std::uint32_t slot;
  Entry entry;
};

SHARED_DICT_HOT Sighting sight(const Segment& segment, const Shard& shard, const KeyBytes& key) noexcept {
  Sighting seen;
  seen.found = false;
  // [E10] acquire, pairs with [E4]: as [E5].
  seen.epoch = shard.epoch.load(std::memory_order_acquire);
  // [T4] acquire, pairs with [T2], [B4]: as [T3].
  seen.table = TableWord(shard.table.load(std::memory_order_acquire));
  if (!has_buckets(segment, seen.table)) [[unlikely]] return seen;
  seen.bucket = home_bucket(segment, seen.table, key);
  seen.version = load_version(*seen.bucket);
  Candidate candidate = find_candidate(*seen.bucket, hash_tag(key.hash));
  if (candidate.word.is_empty() && is_full(*seen.bucket)) [[unlikely]] {
    seen.bucket = next_bucket(segment, seen.table, key);
    seen.version = load_version(*seen.bucket);
    candidate = find_candidate(*seen.bucket, hash_tag(key.hash));
  }
  seen.found = holds_key(segment, candidate.word, key, seen.entry);
  seen.word = candidate.word;
  seen.slot = candidate.slot;
  return seen;
}

// With the shard's lock.
SHARED_DICT_HOT bool still_there(const Shard& shard, const Sighting& seen) noexcept {
  // relaxed, all: only the owner of the lock changes them.
  return seen.found && seen.table == TableWord(shard.table.load(std::memory_order_relaxed)) && seen.epoch == shard.epoch.load(std::memory_order_relaxed) &&
         seen.version == seen.bucket->version.load(std::memory_order_relaxed) &&
         seen.word == SlotWord(seen.bucket->slots[seen.slot].load(std::memory_order_relaxed));
}

// With the shard's lock: whether the key is where it was seen.
SHARED_DICT_HOT bool is_there(const Segment& segment, const Shard& shard, const Glimpse& seen, const KeyBytes& key, Entry& entry) noexcept {
  // relaxed, both: as above
  return !seen.candidate.word.is_empty() && seen.table == TableWord(shard.table.load(std::memory_order_relaxed)) &&
         seen.candidate.word == SlotWord(seen.bucket->slots[seen.candidate.slot].load(std::memory_order_relaxed)) &&
         holds_key(segment, seen.candidate.word, key, entry);
}

}  // namespace shared_dict::detail
