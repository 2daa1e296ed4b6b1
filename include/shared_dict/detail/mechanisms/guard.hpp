// The guard of one dictionary's directory: create, attach, leave, remove and recover run under it, one at a time on the machine.
//
// A Boost file lock excludes other processes, a mutex the other threads of this one. Neither is ever waited for while the other
// is held. The mutex alone protects what concerns only this process's descriptors: probing lock files (LockFile).
// Lock order: shards ascending, then the item limit, then the pool, then the guard. Nothing waits for the others while it holds
// the guard.
#pragma once

#include <algorithm>
#include <chrono>
#include <mutex>
#include <utility>

#include <shared_dict/detail/mechanisms/lock_file.hpp>
#include <shared_dict/detail/platform/pause.hpp>

namespace shared_dict::detail {

using Clock = std::chrono::steady_clock;

// Some ten years stand for every longer time-out, so that nothing overflows.
template <class Duration>
Clock::time_point deadline_after(Clock::time_point now, Duration timeout) noexcept {
  return now + std::clamp<Duration>(timeout, Duration::zero(), std::chrono::hours(24 * 3650));
}

class Guard {
 public:
  explicit Guard(LockFile file) noexcept : file_(std::move(file)) {}
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  // The guard file that is locked: the name may lead to another one by now (leads_to in lifecycle.hpp).
  const FileId& id() const noexcept { return file_.id(); }

  // Both locks, or nothing. Released with the object.
  class Hold {
   public:
    Hold() noexcept = default;
    explicit Hold(Guard& guard) noexcept : guard_(&guard) {}
    Hold(Hold&& other) noexcept : guard_(std::exchange(other.guard_, nullptr)) {}
    Hold& operator=(Hold&& other) noexcept {
      std::swap(guard_, other.guard_);
      return *this;
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    ~Hold() {
      if (guard_ == nullptr) return;
      guard_->file_.unlock();
      guard_->mutex_.unlock();
    }
    explicit operator bool() const noexcept { return guard_ != nullptr; }

   private:
    Guard* guard_ = nullptr;
  };

  Hold try_hold() {
    if (!mutex_.try_lock()) return {};
    if (file_.try_lock()) return Hold(*this);
    mutex_.unlock();
    return {};
  }

  // Tries until the deadline, in growing steps: the kernel has no wait with a time-out for file locks.
  Hold hold_until(Clock::time_point deadline) {
    auto step = std::chrono::microseconds(20);
    for (;;) {
      if (Hold hold = try_hold()) return hold;
      if (Clock::now() >= deadline) return {};
      sleep_for(step);
      step = std::min(step * 2, std::chrono::microseconds(2000));
    }
  }

  // For probing only.
  std::mutex& process_mutex() noexcept { return mutex_; }

 private:
  std::mutex mutex_;
  LockFile file_;
};

}  // namespace shared_dict::detail
