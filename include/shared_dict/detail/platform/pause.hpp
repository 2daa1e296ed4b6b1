// Letting other threads run. <thread> has the same, but with what a std::thread needs, which every program would have to compile.
#pragma once

#include <chrono>

#if defined(_WIN32)
#include <shared_dict/detail/platform/windows_api.hpp>
#else
#include <cerrno>
#include <ctime>

#include <sched.h>
#endif

namespace shared_dict::detail {

// Others may have the processor now.
inline void yield() noexcept {
#if defined(_WIN32)
  ::SwitchToThread();
#else
  ::sched_yield();
#endif
}

// For that long, or longer. (Not noexcept: a thread can be cancelled in it.)
inline void sleep_for(std::chrono::nanoseconds time) {
  if (time <= std::chrono::nanoseconds::zero()) return;
#if defined(_WIN32)
  ::Sleep(static_cast<DWORD>(std::chrono::ceil<std::chrono::milliseconds>(time).count()));
#else
  timespec left{static_cast<std::time_t>(time.count() / 1'000'000'000), static_cast<long>(time.count() % 1'000'000'000)};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) continue;
#endif
}

}  // namespace shared_dict::detail
