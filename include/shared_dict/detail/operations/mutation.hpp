// Writing: a change of one key is `change`, which looks at what is there and says what shall be there; the most frequent ones have shorter
// ways (storing.hpp). The others walk the shards. All work on stored bytes; types come in above.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/locked_shard.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/platform/pause.hpp>

namespace shared_dict::detail {

// What is to become of a key.
struct Decision {
  enum class Kind { keep, store, erase };
  Kind kind = Kind::keep;
  Bytes value{};

  static Decision keep() noexcept { return {}; }
  static Decision erase() noexcept { return {Kind::erase, {}}; }
  static Decision store(Bytes value) noexcept { return {Kind::store, value}; }
};

// For a process that was forked by a callback, and returns from that callback as the child: the lock is its parent's.
inline void require_still_owner(const Writer& writer, const LockedShard& shard) {
  if (!shard.mine()) {
    fail(errc::would_deadlock, writer.attachment.name(),
         "the process forked inside a callback: only the parent can finish the operation, the child must not return from there");
  }
}

// The sum of one of the shards' figures over those that aren't cleared.
inline std::uint64_t sum_over_shards(const Segment& segment, Word64 Shard::*figure) noexcept {
  // relaxed, all: a sum of figures that change meanwhile.
  const std::uint64_t generation = segment.header().clear_generation.load(std::memory_order_relaxed);
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    const Shard& shard = segment.shard(i);
    if (shard.generation.load(std::memory_order_relaxed) == generation) sum += (shard.*figure).load(std::memory_order_relaxed);
  }
  return sum;
}

inline std::uint64_t count_items(const Segment& segment) noexcept { return sum_over_shards(segment, &Shard::items); }
inline std::uint64_t count_bytes(const Segment& segment) noexcept { return sum_over_shards(segment, &Shard::stored_bytes); }

// What a write adds to the dictionary.
struct Growth {
  std::uint64_t items = 0;
  std::uint64_t bytes = 0;
};

// max_items is exact: whoever adds items says so (pending) before it counts them and those of the others, so the last of several who
// count at the same time sees all. If there might be too many, writers take turns.
class PendingItems {
 public:
  explicit PendingItems(Word64& pending) noexcept : pending_(pending) {}
  PendingItems(const PendingItems&) = delete;
  PendingItems& operator=(const PendingItems&) = delete;
  ~PendingItems() {
    if (set_) clear();
  }

  void set(std::uint64_t items) noexcept {
    // [N1] seq_cst, pairs with [N2]: of two who count at the same time, one sees the other.
    pending_.store(items, std::memory_order_seq_cst);
    set_ = true;
  }
  void clear() noexcept {
    // [N3] release, pairs with [N2]: the items are counted before they are pending no more.
    pending_.store(0, std::memory_order_release);
    set_ = false;
  }

 private:
  Word64& pending_;
  bool set_ = false;
};

// The pending ones first: what is stored meanwhile is then counted twice rather than never.
inline std::uint64_t count_pending(const Segment& segment) noexcept {
  std::uint64_t sum = 0;
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    // [N2] seq_cst, pairs with [N1], [N3], [N4]: see there.
    sum += segment.shard(i).pending.load(std::memory_order_seq_cst);
  }
  return sum;
}

// Whether writers must take turns. The pages in use bound the bytes from above and cost one load, so that the sum is only taken when
// heap_size is near; writes in flight may pass heap_size by what they add.
inline bool limit_near(const Segment& segment, const Growth& growth) noexcept {
  const Identity& identity = segment.identity();
  if (growth.items != 0 && identity.max_items != 0) {
    const std::uint64_t pending = count_pending(segment);
    if (pending + count_items(segment) > identity.max_items) return true;
  }
  const std::uint64_t pages = segment.header().pool.block_pages.load(std::memory_order_relaxed);  // relaxed: a hint
  return growth.bytes != 0 && (pages << segment.page_shift()) + growth.bytes > identity.heap_size &&
         count_bytes(segment) + identity.shard_count * growth.bytes > identity.heap_size;
}

// The shards are counted one after the other: what was taken out of one and put into another meanwhile may count in both, or in none. So it is
// counted again before anything is refused; heap_size may be passed by what is on its way.
inline void require_bytes(const Writer& writer, std::uint64_t bytes) {
  const Segment& segment = writer.attachment.segment();
  if (bytes == 0) return;
  for (int looks = 0; looks < 100; ++looks) {
    if (count_bytes(segment) + bytes <= segment.identity().heap_size) return;
    cpu_relax();
  }
  fail(errc::heap_full, writer.attachment.name(),
       "its keys and values fill heap_size (" + std::to_string(segment.identity().heap_size) +
           " bytes): erase something, or create it with a larger Options::heap_size");
}

[[noreturn]] SHARED_DICT_COLD inline void fail_too_large(const Attachment& attachment, std::size_t key, std::size_t value) {
  if (key > EntrySizes::kMaxKey) {
    fail(errc::value_too_large, attachment.name(), "a key of " + std::to_string(key) + " bytes; 16777215 are the most");
  }
  fail(errc::value_too_large, attachment.name(),
       "an item of " + std::to_string(key) + " + " + std::to_string(value) + " bytes can't be stored with a heap_size of " +
           std::to_string(attachment.segment().identity().heap_size) + ": create it with a larger Options::heap_size");
}

// What could never be stored is told before anything is tried.
inline void require_storable(const Writer& writer, std::size_t key, std::size_t value) {
  const bool fits = key <= EntrySizes::kMaxKey && std::uint64_t{value} <= EntrySizes::kMaxValue &&
                    std::uint64_t{key} + value <= writer.attachment.segment().identity().heap_size;
  if (!fits) fail_too_large(writer.attachment, key, value);
}

// A shard that somebody else is about to add items to, or has just added them to; its number is the count of shards if there is none.
inline std::uint32_t find_adder(const Writer& writer) noexcept {
  const Segment& segment = writer.attachment.segment();
  std::uint32_t i = 0;
  for (; i < segment.shard_count(); ++i) {
    const Shard& shard = segment.shard(i);
    // relaxed, both: hints; the counts are taken again.
    const LockWord owner(shard.lock.load(std::memory_order_relaxed));
    if (shard.pending.load(std::memory_order_relaxed) != 0 && owner != writer.attachment.self()) break;
  }
  return i;
}

// Whether it was a process that has died: its items are pending until its shard is repaired.
inline bool adder_is_gone(const Writer& writer, std::uint32_t index) {
  const Segment& segment = writer.attachment.segment();
  if (index == segment.shard_count()) return false;
  const Shard& shard = segment.shard(index);
  // relaxed, both: hints; whoever repairs looks again.
  return shard.dirty.load(std::memory_order_relaxed) != 0 ||
         writer.attachment.reap_if_dead(LockWord(shard.lock.load(std::memory_order_relaxed)));
}

// Whether `items` more were too many at a moment of this call. The shards are counted one after the other: an item that was taken out of one and
// put into another meanwhile would be counted in both. So nothing may have been put in: then there were at least as many when it began.
inline bool were_too_many(const Segment& segment, std::uint64_t items, std::uint64_t most) noexcept {
  const std::uint64_t insertions = sum_over_shards(segment, &Shard::insertions);
  // [N5] acquire fence, pairs with [N6]: what was taken out before those were put in is seen.
  acquire_fence();
  const bool too_many = count_items(segment) + items > most;
  // [N7] acquire fence, pairs with [N8], [N9]: what was counted has its insertion counted, too.
  acquire_fence();
  return too_many && sum_over_shards(segment, &Shard::insertions) == insertions;
}

// With the turn; `items` are pending. What others hold out as pending may be counted twice or may not come, so where that makes the
// difference they are waited for: they have no turn to wait for themselves.
SHARED_DICT_COLD inline void require_items(const Writer& writer, std::uint64_t items, std::uint64_t most) {
  const Segment& segment = writer.attachment.segment();
  constexpr std::chrono::microseconds kLongestNap{10'000};
  std::chrono::microseconds nap{20};
  for (int looks = 0;; ++looks) {
    const std::uint64_t pending = count_pending(segment);
    if (pending + count_items(segment) <= most) return;
    bool too_many = were_too_many(segment, items, most);
    if (!too_many && looks < 100) {
      cpu_relax();
      continue;
    }
    const std::uint32_t adder = too_many ? segment.shard_count() : find_adder(writer);
    too_many = too_many || (nap >= kLongestNap && adder_is_gone(writer, adder));  // what it left is repaired, and this tried again
    if (too_many) {
      fail(errc::too_many_items, writer.attachment.name(),
           "with " + std::to_string(items) + " more items it would hold more than Options::max_items (" + std::to_string(most) +
               "): erase some, or create it with a larger limit");
    }
    if (const auto now = Clock::now(); now >= writer.deadline(now)) {
      // relaxed: for people. Otherwise it is another thread of this process.
      const bool other = adder != segment.shard_count();
      const LockWord owner = other ? LockWord(segment.shard(adder).lock.load(std::memory_order_relaxed)) : writer.attachment.self();
      fail_timed_out(writer, owner, "is adding an item");
    }
    sleep_for(nap);
    nap = std::min(nap * 2, kLongestNap);
  }
}

SHARED_DICT_COLD inline void require_within_limits(const Writer& writer, const Growth& growth) {
  const std::uint64_t most = writer.attachment.segment().identity().max_items;
  if (most != 0 && growth.items != 0) require_items(writer, growth.items, most);
  require_bytes(writer, growth.bytes);
}

// Calls store_it() if the growth stays within the limits. With the lock of the shard that `pending` is of.
template <class StoreIt>
void store_within_limits(const Writer& writer, Word64& pending, const Growth& growth, StoreIt store_it) {
  const Segment& segment = writer.attachment.segment();
  const bool counts = growth.items != 0 && segment.identity().max_items != 0;
  PendingItems mark(pending);
  if (counts && growth.items == 1) mark.set(1);
  // Many at once always take the turn: what they hold out as pending would be in the way of all others.
  if (!(counts && growth.items > 1) && !limit_near(segment, growth)) return store_it();
  if (counts) mark.clear();  // who has the turn shall not count those who wait for it
  Header& header = segment.header();
  const OwnerLock turn(writer, header.limit_lock, header.limit_sleepers);
  if (counts) mark.set(growth.items);
  require_within_limits(writer, growth);
  store_it();
}

// What storing a value of a key adds.
inline Growth growth_of(const SlotTable::Found& found, const KeyBytes& key, std::uint64_t value_bytes) noexcept {
  if (!found.found) return {1, key.bytes.size() + value_bytes};
  return {0, value_bytes > found.entry.sizes.value() ? value_bytes - found.entry.sizes.value() : 0};
}

// Inserts or replaces.
SHARED_DICT_HOT void store(const Writer& writer, LockedShard& shard, const SlotTable::Found& found, const KeyBytes& key, Bytes value) {
  if (found.found && value.size() <= found.entry.sizes.value()) return shard.replace(found, key, value);
  const Growth growth = growth_of(found, key, value.size());
  store_within_limits(writer, shard.fields().pending, growth, [&] {
    if (found.found) {
      shard.replace(found, key, value);
    } else {
      shard.insert(found, key, value);
    }
  });
}

// Cleans up after dead processes: they may hold memory that nobody uses, and counts that are off; and after views that are gone. If it is memory
// that is wanted, the shards' spare blocks are freed, too. True if there was something. Asks only after those whose locks are taken at this
// moment, and those who may view something. Nor does it wait for long: a shard whose owner is stopped, or that is damaged, is no reason to say
// anything else than what was met.
SHARED_DICT_COLD inline bool repair_leftovers(const Writer& writer, bool memory) {
  const Segment& segment = writer.attachment.segment();
  const Writer patience(writer.attachment, std::min(writer.timeout(), std::chrono::milliseconds(20)));
  bool any = writer.attachment.reap_dead_area_users();
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    const Shard& shard = segment.shard(i);
    // relaxed, all: hints; the lock's owner looks again.
    const LockWord owner(shard.lock.load(std::memory_order_relaxed));
    const bool stale = (!owner.free() && writer.attachment.reap_if_dead(owner)) || shard.dirty.load(std::memory_order_relaxed) != 0 ||
                       shard.generation.load(std::memory_order_relaxed) !=  // relaxed: as above
                           segment.header().clear_generation.load(std::memory_order_relaxed);
    const bool spares = memory && any_spare(shard);
    if (!stale && !spares && shard.retired.load(std::memory_order_relaxed) == 0) continue;  // relaxed: as above
    try {
      LockedShard repaired(patience, i);
      const bool swept = repaired.heap().sweep() != 0;
      const bool freed = spares && repaired.heap().free_spares();
      any = any || stale || swept || freed;
    } catch (const Failure& error) {
      if (error.code() != errc::lock_timeout && error.code() != errc::corrupted) throw;
    }
  }
  return any;
}

// Runs `operation`, and once more if it met a limit while there was something to be repaired.
template <class Operation>
SHARED_DICT_HOT void with_leftovers(const Writer& writer, Operation operation) {
  for (bool again = false;; again = true) {
    try {
      return operation();
    } catch (const Failure& error) {
      const bool limit = error.code() == errc::heap_full || error.code() == errc::too_many_items;
      if (again || !limit || !repair_leftovers(writer, error.code() == errc::heap_full)) throw;
    }
  }
}

// Gets the lines on their way that a change of this key will touch, before the lock is taken: so cache misses go on beside the lock's own.
//
// A value that is replaced in place lies beside its key, so there the key is found at once.
SHARED_DICT_HOT Sighting prepare_change(const Segment& segment, const Shard& shard, const KeyBytes& key) noexcept {
  prefetch_to_write(&shard.lock);
  if (replaced_in_place(segment)) return sight(segment, shard, key);
  Sighting nothing;
  nothing.found = false;
  static_cast<void>(glimpse(segment, shard, key));
  return nothing;
}

// decide(const Bytes*) is called with the key's value, or null, under the shard's lock. If it throws, or storing fails, nothing has
// changed. It may be called again if the heap was full at first. `held` is the shard's lock if it was taken already: it is let go.
template <class Decide>
void change(const Writer& writer, const KeyBytes& key, Decide decide, OwnerLock* held = nullptr) {
  const Segment& segment = writer.attachment.segment();
  const std::uint32_t index = hash_shard(key.hash, segment.shard_count());
  Sighting seen;
  seen.found = false;
  if (held == nullptr) seen = prepare_change(segment, segment.shard(index), key);
  with_leftovers(writer, [&] {
    OwnerLock* const lock = std::exchange(held, nullptr);
    LockedShard shard = lock != nullptr ? LockedShard(writer, index, std::move(*lock)) : LockedShard(writer, index);
    const SlotTable::Found found = shard.find(key, seen);
    const Bytes current = found.found ? found.entry.value(segment) : Bytes();
    const Decision decision = decide(found.found ? &current : nullptr);
    if (decision.kind == Decision::Kind::keep) return;
    require_still_owner(writer, shard);
    if (decision.kind == Decision::Kind::erase) {
      if (found.found) shard.erase(found);
    } else {
      store(writer, shard, found, key, decision.value);
    }
  });
}

// For a key whose value is replaced in place: next(const std::byte*) is called with it under the shard's lock, and returns the word that
// replaces it. False if the key isn't there, or not at once, or something has to be done first: then nothing has happened, and `change` is the way.
template <class Next>
SHARED_DICT_HOT bool change_in_place(const Writer& writer, const KeyBytes& key, Next next) {
  const Segment& segment = writer.attachment.segment();
  const std::uint32_t index = hash_shard(key.hash, segment.shard_count());
  Shard& shard = segment.shard(index);
  prefetch_to_write(&shard.lock);
  Sighting seen = sight(segment, shard, key);
  if (!seen.found || seen.entry.sizes.value() != segment.shape().value_fixed_bytes) [[unlikely]] return false;
  OwnerLock lock(writer, shard.lock, shard.sleepers, &shard.lock_waits);
  if (!is_current(segment, shard) || !still_there(shard, seen)) [[unlikely]] return false;
  replace_word(segment, shard, index, seen.entry, key, next(segment.at(seen.entry.value_at)));
  return true;
}

// True if the key was there. Needs no memory.
inline bool erase_key(const Writer& writer, const KeyBytes& key) {
  const Segment& segment = writer.attachment.segment();
  const std::uint32_t index = hash_shard(key.hash, segment.shard_count());
  prefetch_to_write(&segment.shard(index).lock);
  Glimpse seen = glimpse(segment, segment.shard(index), key);
  LockedShard shard(writer, index);
  SlotTable::Found found = shard.find(key, seen);
  if (found.found) shard.erase(found);
  return found.found;
}

// Takes one item out: consume(key, value) is called under the lock, and the item goes if it returns. False if there is none.
// Begins where this process last found one, so that processes stay apart and a queue isn't searched through each time.
template <class Consume>
bool extract_any(const Writer& writer, Consume consume) {
  const Segment& segment = writer.attachment.segment();
  const std::uint32_t count = segment.identity().shard_count;
  std::atomic<std::uint32_t>& last = writer.attachment.last_extracted();
  const std::uint32_t first_shard = last.load(std::memory_order_relaxed);  // relaxed: a hint
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::uint32_t index = (first_shard + n) & (count - 1);
    const Shard& fields = segment.shard(index);
    // [L4] acquire, pairs with [L2]: a free lock means that all items up to now are counted; a dead owner's may not be.
    if (fields.lock.load(std::memory_order_acquire) == 0 && fields.items.load(std::memory_order_relaxed) == 0 &&  // relaxed: see [L4]
        fields.dirty.load(std::memory_order_relaxed) == 0) {                                                     // relaxed: see [L4]
      continue;
    }
    LockedShard shard(writer, index);
    const SlotTable::Found found = shard.find_any();
    if (!found.found) continue;
    consume(found.entry.key(segment), found.entry.value(segment));
    require_still_owner(writer, shard);
    shard.erase(found);
    last.store(index, std::memory_order_relaxed);  // relaxed: a hint
    return true;
  }
  return false;
}

// Erases the items for which predicate(key, value) is true; each shard's lock is held while its items are looked at.
template <class Predicate>
std::uint64_t erase_if(const Writer& writer, Predicate predicate) {
  const Segment& segment = writer.attachment.segment();
  std::uint64_t erased = 0;
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    LockedShard shard(writer, i);
    shard.for_each([&](const SlotTable::Found& found) {
      const bool goes = predicate(found.entry.key(segment), found.entry.value(segment));
      require_still_owner(writer, shard);
      if (!goes) return;
      shard.erase(found);
      ++erased;
    });
  }
  return erased;
}

// All shards, locked in order: for what concerns the dictionary as a whole.
inline std::vector<LockedShard> lock_all(const Writer& writer) {
  std::vector<LockedShard> shards;
  const std::uint32_t count = writer.attachment.segment().identity().shard_count;
  shards.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) shards.emplace_back(writer, i);
  return shards;
}

// One store empties the dictionary, for readers and after a crash too; what follows gives the memory back.
inline void clear(const Writer& writer) {
  std::vector<LockedShard> shards = lock_all(writer);
  Word64& generation = writer.attachment.segment().header().clear_generation;
  // relaxed: only stored with all the locks that are held here.
  const CheckedCount last(generation.load(std::memory_order_relaxed));
  // [C1] release, pairs with [C3]: the moment.
  generation.store(last.next().bits(), std::memory_order_release);
  for (LockedShard& shard : shards) {
    try {
      shard.make_current();
    } catch (const std::exception&) {  // it has happened all the same; the shard's next owner goes on
    }
  }
}

}  // namespace shared_dict::detail
