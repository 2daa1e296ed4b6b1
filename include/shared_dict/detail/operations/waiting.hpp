// Waiting until a key changes (wait_change, wait_until). How waiters are told is in waiter.hpp.
//
// A waiter sleeps until it is told. Now and then it looks whether a writer has died in its shard with nobody else coming by: then the
// change that this one made would stay untold.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/mechanisms/waiter.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

class ChangeWaiter {
 public:
  ChangeWaiter(Attachment& attachment, const KeyBytes& key, Clock::time_point deadline)
      : attachment_(attachment),
        segment_(attachment.segment()),
        key_(key),
        index_(hash_shard(key.hash, segment_.identity().shard_count)),
        deadline_(deadline),
        owner_(attachment.registered()) {}
  ChangeWaiter(const ChangeWaiter&) = delete;
  ChangeWaiter& operator=(const ChangeWaiter&) = delete;
  ~ChangeWaiter() {
    // [F3] release, pairs with [F4]: free for another thread of this process.
    if (waiter_ != nullptr && attachment_.self() == owner_) waiter_->shard.store(0, std::memory_order_release);
  }

  // From here on every change of the key counts. False if another writer kept the lock until the deadline.
  bool arm() {
    if (attachment_.self() != owner_) {  // forked since: the waiter is the parent's
      waiter_ = nullptr;
      owner_ = attachment_.registered();
    }
    if (waiter_ == nullptr) claim();
    try {
      const Writer writer(attachment_, left());
      LockedShard shard(writer, index_);
      const SlotTable::Found found = shard.find(key_);
      const ValueNote note = found.found ? note_value(segment_, found.entry) : ValueNote{};
      // relaxed, all: read by whoever has the lock.
      waiter_->entry.store(note.entry, std::memory_order_relaxed);
      waiter_->value.store(note.value, std::memory_order_relaxed);
      waiter_->hash.store(waited_hash(key_.hash), std::memory_order_relaxed);
      waiter_->shard.store(index_ + 1, std::memory_order_relaxed);  // relaxed: as above
      shard.fields().watched.store(1, std::memory_order_relaxed);
      return true;
    } catch (const Failure& error) {
      if (error.code() != errc::lock_timeout) throw;
      return false;
    }
  }

  // True when the key was changed, false at the deadline. True as well in a child that was forked since arm(): the waiter is its
  // parent's, which may take it back for another change at any time.
  bool sleep() {
    if (attachment_.self() != owner_) return true;
    for (auto next_look = Clock::now() + kLook;;) {
      // relaxed: if it steps behind this look, the thread doesn't fall asleep.
      const std::uint32_t sequence = waiter_->sequence.load(std::memory_order_relaxed);
      // [F2] acquire, pairs with [F1]: the change is seen.
      if (waiter_->hash.load(std::memory_order_acquire) == 0) return true;
      const auto now = Clock::now();
      if (now >= deadline_) return false;
      if (now >= next_look) {
        look_after_writers();
        next_look = now + kLook;
        continue;
      }
      wait_on(waiter_->sequence, sequence, std::min(deadline_, next_look) - now);
    }
  }

 private:
  std::chrono::milliseconds left() const noexcept {
    return std::max(std::chrono::milliseconds(0), std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now()));
  }

  void claim() {
    Word32& used = segment_.record(owner_.record()).waiters_used;
    Waiter* const waiters = segment_.area(owner_.record()).waiters;
    for (;;) {
      // [A16] seq_cst, pairs with [A4]: as [A14].
      const std::uint32_t count = std::min(used.load(std::memory_order_seq_cst), kWaiters);
      for (std::uint32_t i = 0; i < count; ++i) {
        std::uint32_t expected = 0;
        if (waiters[i].shard.load(std::memory_order_relaxed) != 0) continue;  // relaxed: a hint
        // [F4] acquire, pairs with [F3]: the last one is done with it. relaxed on failure: a hint
        if (waiters[i].shard.compare_exchange_strong(expected, kClaimed, std::memory_order_acquire, std::memory_order_relaxed)) {
          waiter_ = &waiters[i];
          return;
        }
      }
      if (count >= kWaiters) {
        fail(errc::too_many_views, attachment_.name(), std::to_string(kWaiters) + " threads of this process wait for changes already");
      }
      raise_use(attachment_, owner_.record(), used, std::min(count + 8, kWaiters), 0);
    }
  }

  // If an owner of the shard's lock has died, what it did is repaired, and that alerts the waiters.
  void look_after_writers() {
    const Shard& shard = segment_.shard(index_);
    const LockWord owner(shard.lock.load(std::memory_order_relaxed));  // relaxed, both: hints
    const bool died = !owner.free() && owner == last_owner_ && attachment_.reap_if_dead(owner);
    last_owner_ = owner;
    if (!died && shard.dirty.load(std::memory_order_relaxed) == 0) return;
    try {
      const Writer writer(attachment_, left());
      const LockedShard repaired(writer, index_);
    } catch (const Failure& error) {
      if (error.code() != errc::lock_timeout) throw;
    }
  }

  static constexpr std::uint32_t kClaimed = UINT32_MAX;  // in Waiter::shard: no shard's
  static constexpr std::chrono::milliseconds kLook{100};

  Attachment& attachment_;
  Segment& segment_;
  KeyBytes key_;
  std::uint32_t index_;
  Clock::time_point deadline_;
  LockWord owner_;
  LockWord last_owner_;
  Waiter* waiter_ = nullptr;
};

// Until the key is changed. False at the deadline.
inline bool wait_change(Attachment& attachment, const KeyBytes& key, Clock::time_point deadline) {
  ChangeWaiter waiter(attachment, key, deadline);
  return waiter.arm() && waiter.sleep();
}

// Until check() is true, which is asked at first and after each change of the key. False at the deadline.
template <class Check>
bool wait_until(Attachment& attachment, const KeyBytes& key, Clock::time_point deadline, Check check) {
  if (check()) return true;
  ChangeWaiter waiter(attachment, key, deadline);
  for (;;) {
    const bool armed = waiter.arm();
    if (check()) return true;
    if (!armed || !waiter.sleep()) return false;
    if (check()) return true;
  }
}

}  // namespace shared_dict::detail
