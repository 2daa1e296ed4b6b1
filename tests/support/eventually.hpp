// Waiting for a condition, always with a deadline. The deadlines are there to end a hang, not to measure speed.
#pragma once

#include <chrono>
#include <thread>

namespace shared_dict::test {

/// Far beyond anything that works, also under a sanitizer on a busy machine.
#if defined(_WIN32)
inline constexpr std::chrono::seconds kHangDeadline{120};  // under wine each use of a file is a question to a server
#else
inline constexpr std::chrono::seconds kHangDeadline{30};
#endif

/// True as soon as `condition` holds; false once `deadline` has passed without it.
template <class Condition>
bool eventually(Condition&& condition, std::chrono::milliseconds deadline = kHangDeadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (int turn = 0; !condition(); ++turn) {
    if (std::chrono::steady_clock::now() >= end) return condition();
    if (turn < 100) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  return true;
}

/// As eventually, for what passes soon: looks again at once. Lets others run now and then, who may have to for it to come.
template <class Condition>
bool spin_until(Condition&& condition, std::chrono::milliseconds deadline = kHangDeadline) {
  const auto end = std::chrono::steady_clock::now() + deadline;
  for (;;) {
    for (int look = 0; look < 200; ++look) {
      if (condition()) return true;
    }
    if (std::chrono::steady_clock::now() >= end) return condition();
    std::this_thread::yield();
  }
}

}  // namespace shared_dict::test
