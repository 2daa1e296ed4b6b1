// Where a test can end the process: behind each store to shared memory and each change of files.
//
// That is what SHARED_DICT_KILL_POINTS is for, an option for tests alone. A program must be compiled with it as a whole, or not at all.
// Without it there is nothing here.
#pragma once

namespace shared_dict::detail {

#if defined(SHARED_DICT_KILL_POINTS)
inline void (*at_kill_point)() noexcept = nullptr;  // need not return
inline void kill_point() noexcept {
  if (at_kill_point != nullptr) at_kill_point();
}
#else
constexpr void kill_point() noexcept {}
#endif

}  // namespace shared_dict::detail
