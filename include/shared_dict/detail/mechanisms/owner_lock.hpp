// The lock of a shard or of the pool: one word that names its owner.
//
// Uncontended it is one compare-and-swap to take and one store to release.
//
// Who sleeps leaves a mark in a word of its own; it is a hint. Every nap is bounded, so a mark that is missed costs a millisecond or
// two. Killed sleepers leave at most a mark, and the next release takes it away.
//
// A waiter spins a little, yields, then sleeps on the word in bounded steps. It asks after the owner's life from 10 ms on, at intervals of
// at most 50 ms; a dead owner's lock is released by Attachment::reap_if_dead, a live owner, stopped or slow, is never robbed: then the wait
// ends in errc::lock_timeout.
//
// While it spins it looks at the word ever more seldom, as each look takes the word's line, and soon the shard's others too, away from the
// owner. Two who write one key all the time so take turns of some dozen operations each instead of moving every line there and back
// for each operation (exponential back-off: Anderson, The Performance of Spin Lock Alternatives for Shared-Memory Multiprocessors, 1990).
//
// One word, never two: taking the lock and saying who has it is one store, so there is no instant at which a death would leave
// a lock without a name.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/futex.hpp>
#include <shared_dict/detail/platform/pause.hpp>

namespace shared_dict::detail {

// What an operation brings to every lock it takes. The time-out is for all its waits together; the clock is first read when there is
// something to wait for.
class Writer {
 public:
  Writer(Attachment& member, std::chrono::milliseconds timeout) noexcept : attachment(member), timeout_(timeout) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  std::chrono::milliseconds timeout() const noexcept { return timeout_; }
  Clock::time_point deadline(Clock::time_point now) const noexcept {
    if (deadline_ == Clock::time_point{}) deadline_ = deadline_after(now, timeout_);
    return deadline_;
  }

  Attachment& attachment;

 private:
  std::chrono::milliseconds timeout_;
  mutable Clock::time_point deadline_{};
};

// `what` is what its process does.
[[noreturn]] SHARED_DICT_COLD inline void fail_timed_out(const Writer& writer, LockWord owner, const char* what) {
  fail(errc::lock_timeout, writer.attachment.name(),
       "process " + std::to_string(writer.attachment.pid_of(owner)) + " " + what + ", and isn't known to be dead (a stopped one may keep others from finding out); waited " +
           std::to_string(writer.timeout().count()) +
           " ms: let it go on or end it (its lock is then released by the next writer), or raise Options::lock_timeout");
}

// Waiting for a lock that somebody else has.
struct LockWait {
  Word32& word;
  Word32& sleepers;
  LockWord self;

  void wait(const Writer& writer, Word64* waits) {
    const bool taken = spin();
    // Not before: it is on the line that the owner works on. relaxed: a counter for people.
    if (waits != nullptr) waits->fetch_add(1, std::memory_order_relaxed);
    if (!taken) sleep_until_taken(writer);
  }

 private:
  // True if it was taken.
  bool spin() noexcept {
    for (int pause = kFirstPause; pause <= kLongestPause; pause *= 2) {
      for (int i = 0; i < pause; ++i) cpu_relax();
      if (try_take()) return true;
    }
    for (int i = 0; i < kYields; ++i) {
      yield();
      if (try_take()) return true;
    }
    return false;
  }

  void sleep_until_taken(const Writer& writer) {
    const auto begin = Clock::now();
    const auto deadline = writer.deadline(begin);
    auto next_probe = begin + kFirstProbe;
    auto probe_interval = kFirstProbe;
    std::chrono::nanoseconds nap = kFirstNap;
    for (bool slept = false;;) {
      if (try_take()) {
        // Others may sleep too, and this one's wake-up took their mark.
        if (slept) sleepers.store(1, std::memory_order_relaxed);  // relaxed: a hint
        return;
      }
      const LockWord seen(word.load(std::memory_order_relaxed));  // relaxed: a hint whom to wait for
      const auto now = Clock::now();
      if (now >= next_probe || now >= deadline) {
        if (writer.attachment.reap_if_dead(seen)) continue;
        probe_interval = std::min(probe_interval * 2, kLongestProbe);
        next_probe = now + probe_interval;
      }
      if (seen.free()) continue;
      if (now >= deadline) fail_timed_out(writer, seen, "holds a lock");
      sleepers.store(1, std::memory_order_relaxed);  // relaxed: a hint
      const auto left = std::min<std::chrono::nanoseconds>(deadline - now, next_probe - now);
      wait_on(word, seen.bits(), std::clamp<std::chrono::nanoseconds>(left, kShortestNap, nap));
      slept = true;
      nap = std::min<std::chrono::nanoseconds>(nap * 2, kLongestNap);
    }
  }

  bool try_take() noexcept {
    std::uint32_t expected = 0;
    // relaxed: looks before it writes, so that spinning doesn't move the cache line about.
    if (word.load(std::memory_order_relaxed) != 0) return false;
    // [L3] seq_cst, pairs with [L2], [D1], [W1], [W2]: as [L1].
    return word.compare_exchange_strong(expected, self.bits(), std::memory_order_seq_cst, std::memory_order_relaxed);
  }  // relaxed on failure: nothing is read on the strength of it

  static constexpr int kFirstPause = 16;
  static constexpr int kLongestPause = 64;
  static constexpr int kYields = 4;
  static constexpr std::chrono::nanoseconds kFirstNap = std::chrono::microseconds(100);
  static constexpr std::chrono::nanoseconds kShortestNap = std::chrono::microseconds(50);
  static constexpr std::chrono::nanoseconds kLongestNap = std::chrono::milliseconds(2);
  static constexpr std::chrono::nanoseconds kFirstProbe = std::chrono::milliseconds(10);
  static constexpr std::chrono::nanoseconds kLongestProbe = std::chrono::milliseconds(50);
};

// Its rare parts are given what they need, and not the lock: so it can be in registers.
class OwnerLock {
 public:
  // `waits` counts the times that the lock was found taken.
  SHARED_DICT_HOT OwnerLock(const Writer& writer, Word32& word, Word32& sleepers, Word64* waits = nullptr)
      : attachment_(&writer.attachment), word_(&word), sleepers_(&sleepers), self_(writer.attachment.registered()) {
    std::uint32_t expected = 0;
    // [L1] seq_cst, pairs with [L2], [D1], [W1], [W2]: sees all that the last owner did; acquire would be enough for that.
    if (!word.compare_exchange_strong(expected, self_.bits(), std::memory_order_seq_cst, std::memory_order_relaxed)) [[unlikely]] {
      wait(writer, word, sleepers, self_, waits);  // relaxed on failure: nothing is read on the strength of it
    }
    if (attachment_->self_in_order() != self_) [[unlikely]] give_up(writer, word, self_);
  }
  OwnerLock(const OwnerLock&) = delete;
  OwnerLock& operator=(const OwnerLock&) = delete;
  SHARED_DICT_HOT OwnerLock(OwnerLock&& other) noexcept
      : attachment_(other.attachment_),
        word_(other.word_),
        sleepers_(other.sleepers_),
        self_(other.self_) {
    other.word_ = nullptr;
  }
  SHARED_DICT_HOT ~OwnerLock() { release(); }

  // False in a process that was forked while its parent held the lock: it is the parent's, and so is what it protects.
  SHARED_DICT_HOT bool mine() const noexcept { return attachment_->self() == self_; }

  SHARED_DICT_HOT void release() noexcept {
    if (word_ == nullptr) return;
    if (mine()) [[likely]] {
      // [L2] release, pairs with [L1], [L3], [L4]: the next owner sees all that this one did.
      word_->store(0, std::memory_order_release);
      if (sleepers_->load(std::memory_order_relaxed) != 0) [[unlikely]] wake_sleeper(*word_, *sleepers_);  // relaxed: a hint
    }
    word_ = nullptr;
  }

 private:
  // The handle was closed while this thread was on its way here, which is no use of it that is allowed; but no lock may stay.
  [[noreturn]] SHARED_DICT_COLD static void give_up(const Writer& writer, Word32& word, LockWord self) {
    std::uint32_t expected = self.bits();
    // relaxed: nothing was done under the lock. Somebody may have released the word for its record, which is free by now.
    word.compare_exchange_strong(expected, 0, std::memory_order_relaxed);
    fail(errc::closed, writer.attachment.name(), "its last handle was closed during the call");
  }

  // The mark goes first: whoever still sleeps, or begins to, sets it again.
  SHARED_DICT_COLD static void wake_sleeper(Word32& word, Word32& sleepers) noexcept {
    sleepers.store(0, std::memory_order_relaxed);  // relaxed: a hint
    wake_one(word);
  }

  SHARED_DICT_COLD static void wait(const Writer& writer, Word32& word, Word32& sleepers, LockWord self, Word64* waits) {
    LockWait{word, sleepers, self}.wait(writer, waits);
  }

  Attachment* attachment_;
  Word32* word_;
  Word32* sleepers_;
  LockWord self_;
};

}  // namespace shared_dict::detail
