// All locks of a dictionary, and whose they are: to release what a dead process held, and to find out whether one that leaves holds any.
//
// A lock that is released for a dead process is marked before: who takes it next rebuilds what is derived before it does anything else
// (repair.hpp, page_pool.hpp). A batch that the process had begun is carried out while all of its shards are still locked (intent.hpp).
#pragma once

#include <cstdint>
#include <string>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/intent.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/futex.hpp>

namespace shared_dict::detail {

// f(lock, dirty) for each lock of the dictionary.
template <class F>
void for_each_lock(const Segment& segment, F f) {
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) f(segment.shard(i).lock, segment.shard(i).dirty);
  Header& header = segment.header();
  f(header.limit_lock, header.limit_dirty);
  f(header.pool.lock, header.pool.dirty);
}

// Whether a thread of the process that is `me` holds a lock: the program ends, or closes the handle that the thread uses.
inline bool holds_lock(const Segment& segment, LockWord me) {
  bool any = false;
  for_each_lock(segment, [&](Word32& lock, Word32&) {
    // [W2] seq_cst, pairs with [L1], [L3]: behind [W1], see Attachment::leave.
    any = any || LockWord(lock.load(std::memory_order_seq_cst)) == me;
  });
  return any;
}

inline bool release_dead(Word32& lock, Word32& dirty, LockWord dead) noexcept {
  // relaxed: only says whether this word is the dead one's, and then nobody else changes it.
  if (LockWord(lock.load(std::memory_order_relaxed)) != dead) return false;
  dirty.store(1, std::memory_order_relaxed);  // relaxed: [D1] publishes it
  // The kernel ordered all that the dead process wrote before its file lock came free.
  // [D1] release, pairs with [L1], [L3]: who takes the lock sees the mark.
  lock.store(0, std::memory_order_release);
  wake_all(lock);
  return true;
}

// What the dead process held in the dictionary `name`. With the guard held. True if there was anything. All shards of a batch are locked
// until the batch is done, so that comes before the first release.
inline bool release_all(const Segment& segment, LockWord dead, const std::string& name) {
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    Shard& shard = segment.shard(i);
    // relaxed: only says whether this word is the dead one's, and then nobody else changes it.
    if (LockWord(shard.lock.load(std::memory_order_relaxed)) == dead) carry_out(segment, shard, name);
  }
  bool any = false;
  for_each_lock(segment, [&](Word32& lock, Word32& dirty) { any = release_dead(lock, dirty, dead) || any; });
  return any;
}

}  // namespace shared_dict::detail
