// What Windows tells of processes: see process.hpp. There are no PID namespaces, and no fork.
#pragma once

#if defined(_WIN32)

#include <cstdint>

#include <shared_dict/detail/platform/process_types.hpp>
#include <shared_dict/detail/platform/windows_api.hpp>

namespace shared_dict::detail {

inline constexpr bool kHasPidNamespaces = false;

inline ProcessState state_of(std::uint32_t pid) noexcept {
  const HANDLE process = ::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE, FALSE, pid);
  if (process == nullptr) return {};
  ProcessState state;
  FILETIME began{}, ended{}, kernel{}, user{};
  if (::GetProcessTimes(process, &began, &ended, &kernel, &user) != 0) {
    state.start_time = std::uint64_t{began.dwHighDateTime} << 32 | began.dwLowDateTime;
  }
  state.zombie = ::WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
  ::CloseHandle(process);
  return state;
}

inline std::uint32_t own_pid() noexcept { return ::GetCurrentProcessId(); }
inline std::uint64_t own_pid_namespace() noexcept { return 0; }

// Whether no process has that number, for certain.
inline bool is_nobody(std::uint32_t pid) noexcept {
  const HANDLE process = ::OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
  if (process == nullptr) return ::GetLastError() == ERROR_INVALID_PARAMETER;
  ::CloseHandle(process);
  return false;
}

inline bool has_children() noexcept { return false; }
inline bool on_fork(void (*)(), void (*)(), void (*)()) noexcept { return true; }

}  // namespace shared_dict::detail

#endif
