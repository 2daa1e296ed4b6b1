// Threads that wait until a key changes: each has a Waiter in its process's area and sleeps on its sequence.
//
// A waiter is registered, and notes what the key's slot says, under the lock of the key's shard; a change is made and told under the
// same lock. So a waiter is told of every change after its registration and of none before. It is told by its hash: other keys of the
// shard leave it alone, and two keys with the same 64 bits are too rare to care.
//
// What can't name the keys that it changed (a clear, the repair after a death) compares for each waiter of the shard what the slot says
// now with what it said when the wait began (repair.hpp). That is exact, as it is the first thing that the lock's next owner does, and at most
// one change has gone untold: the dead owner's last one.
//
// `Shard::watched` is set by who registers, under the lock, and taken back by a writer that finds nobody. So a waiter that is killed
// leaves nothing but that word, until its process is known to be dead.
#pragma once

#include <cstdint>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/mechanisms/process_area.hpp>
#include <shared_dict/detail/platform/futex.hpp>

namespace shared_dict::detail {

// A key's hash as it stands in a Waiter, where 0 means that the key was changed. It leads to the same shard.
inline std::uint64_t waited_hash(std::uint64_t hash) noexcept { return hash != 0 ? hash : 1; }

// f(Waiter&) for each that is registered for the shard. With its lock held.
template <class F>
void for_each_waiter(const Segment& segment, std::uint32_t shard, F f) {
  for_each_area_user(segment, [&](std::uint32_t index) {
    const ProcessRecord& record = segment.record(index);
    const std::uint32_t used = waiters_in_use(record);
    for (std::uint32_t i = 0; i < used; ++i) {
      Waiter& waiter = segment.area(index).waiters[i];
      // relaxed: registered under the lock that is held; one that goes meanwhile can be told too much.
      if (waiter.shard.load(std::memory_order_relaxed) == shard + 1) f(waiter);
    }
  });
}

// The key that it waits for was changed, if it has this hash: a waiter that has just gone may have made place for one of another key.
inline void tell(Waiter& waiter, std::uint64_t waited) noexcept {
  // [F1] release, pairs with [F2]: who is told sees the change. relaxed on failure: nothing is read on the strength of it
  if (!waiter.hash.compare_exchange_strong(waited, 0, std::memory_order_release, std::memory_order_relaxed)) return;
  // relaxed: only what the thread sleeps on; it looks at the hash.
  waiter.sequence.fetch_add(1, std::memory_order_relaxed);
  wake_all(waiter.sequence);
}

// A key of this hash was changed. With the lock of its shard held.
SHARED_DICT_COLD inline void tell_waiters(const Segment& segment, Shard& shard, std::uint32_t index, std::uint64_t hash) noexcept {
  bool any = false;
  for_each_waiter(segment, index, [&](Waiter& waiter) {
    any = true;
    tell(waiter, waited_hash(hash));
  });
  if (!any) shard.watched.store(0, std::memory_order_relaxed);  // relaxed: under the lock
}

}  // namespace shared_dict::detail
