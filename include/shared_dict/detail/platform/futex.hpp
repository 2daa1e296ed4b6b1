// Sleeping until a word in shared memory changes. Without a futex it is a short sleep: every caller looks again anyway.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>

#include <shared_dict/detail/platform/pause.hpp>
#include <shared_dict/detail/platform/system.hpp>

#ifdef SHARED_DICT_LINUX
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace shared_dict::detail {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 && std::atomic<std::uint32_t>::is_always_lock_free,
              "the kernel compares the word itself");

// Returns when the word isn't `expected`, when somebody wakes it, at the time-out, or for no reason. A signal ends it too, so
// that nothing defers SIGTERM.
inline void wait_on(const std::atomic<std::uint32_t>& word, std::uint32_t expected, std::chrono::nanoseconds timeout) noexcept {
#ifdef SHARED_DICT_LINUX
#ifdef SYS_futex_time64
  constexpr long kCall = sizeof(std::time_t) > sizeof(long) ? SYS_futex_time64 : SYS_futex;
#else
  constexpr long kCall = SYS_futex;
#endif
  timespec time{};
  time.tv_sec = static_cast<std::time_t>(timeout.count() / 1'000'000'000);
  time.tv_nsec = static_cast<long>(timeout.count() % 1'000'000'000);
  ::syscall(kCall, &word, FUTEX_WAIT, expected, &time, nullptr, 0);
#else
  // relaxed: a hint only; the caller reads the word again with the order it needs.
  if (word.load(std::memory_order_relaxed) != expected) return;
  sleep_for(std::min(timeout, std::chrono::nanoseconds(200'000)));
#endif
}

inline void wake(const std::atomic<std::uint32_t>& word, int how_many) noexcept {
#ifdef SHARED_DICT_LINUX
  ::syscall(SYS_futex, &word, FUTEX_WAKE, how_many, nullptr, nullptr, 0);
#else
  (void)word;
  (void)how_many;
#endif
}

inline void wake_one(const std::atomic<std::uint32_t>& word) noexcept { wake(word, 1); }
inline void wake_all(const std::atomic<std::uint32_t>& word) noexcept { wake(word, INT_MAX); }

}  // namespace shared_dict::detail
