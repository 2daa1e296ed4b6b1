// Who a process is, whether it still runs, and what to do when it forks.
//
// A pid alone says nothing: pids are reused, and in containers everybody is pid 1. The identity is the pid with the PID
// namespace that it counts in and the time the process started.
#pragma once

#include <cstdint>

#include <shared_dict/detail/platform/process_types.hpp>
#include <shared_dict/detail/platform/system.hpp>

#if defined(_WIN32)
#include <shared_dict/detail/platform/process_windows.hpp>
#else
#include <shared_dict/detail/platform/process_posix.hpp>
#endif

namespace shared_dict::detail {

// 0 if the system doesn't tell.
inline std::uint64_t start_time_of(std::uint32_t pid) noexcept { return state_of(pid).start_time; }

inline ProcessIdentity current_process() noexcept {
  ProcessIdentity self;
  self.pid = own_pid();
  self.pid_namespace = own_pid_namespace();
  self.start_time = start_time_of(self.pid);
  return self;
}

// Whether no other process can have the same identity.
inline bool is_unique(const ProcessIdentity& process) noexcept {
  return (process.pid_namespace != 0 || !kHasPidNamespaces) && process.start_time != 0;
}

// True only if it is certain that the process is gone. For the case that its lock file can't be asked any more.
inline bool certainly_gone(const ProcessIdentity& process, const ProcessIdentity& self) noexcept {
  if (process.pid_namespace != self.pid_namespace || process.pid == 0) return false;
  if (kHasPidNamespaces && process.pid_namespace == 0) return false;  // it can be any
  if (is_nobody(process.pid)) return true;
  const ProcessState now = state_of(process.pid);
  if (process.start_time == 0 || now.start_time == 0) return false;
  return now.zombie || now.start_time != process.start_time;
}

}  // namespace shared_dict::detail
