// Who a process is, whether it still runs, and what to do when it forks.
//
// A pid alone says nothing: pids are reused, and in containers everybody is pid 1. The identity is the pid with the PID
// namespace that it counts in and the time the process started.
#pragma once

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shared_dict/detail/platform/system.hpp>

#if defined(__APPLE__)
#include <libproc.h>
#include <sys/proc_info.h>
#endif

namespace shared_dict::detail {

struct ProcessIdentity {
  std::uint64_t pid_namespace = 0;  // 0: the system has none, or doesn't tell
  std::uint64_t start_time = 0;     // in the system's own unit; 0: unknown
  std::uint32_t pid = 0;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

// What the system tells of a process. All zero if it tells nothing: there is no such process, or it can't be looked at.
struct ProcessState {
  std::uint64_t start_time = 0;
  bool zombie = false;  // ended, and not waited for
};

#ifdef SHARED_DICT_LINUX
inline constexpr bool kHasPidNamespaces = true;
#else
inline constexpr bool kHasPidNamespaces = false;
#endif

#ifdef SHARED_DICT_LINUX
// Whether /proc numbers processes as this one does: a process can be in another PID namespace than the /proc that it sees.
inline bool proc_is_ours() noexcept {
  char text[32];
  const ::ssize_t size = ::readlink("/proc/self", text, sizeof text - 1);
  if (size <= 0) return false;
  text[size] = '\0';
  return std::strtol(text, nullptr, 10) == static_cast<long>(::getpid());
}
#endif

inline ProcessState state_of(std::uint32_t pid) noexcept {
#if defined(SHARED_DICT_LINUX)
  char path[64] = "/proc/self/stat";
  if (pid != static_cast<std::uint32_t>(::getpid())) {
    if (!proc_is_ours()) return {};
    std::snprintf(path, sizeof path, "/proc/%u/stat", pid);
  }
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return {};
  char text[1024];
  const std::size_t size = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[size] = '\0';
  // The second field is the program's name in brackets and may itself hold brackets and spaces; 22 is the start time.
  const char* at = std::strrchr(text, ')');
  if (at == nullptr || at[1] == '\0') return {};
  const bool ended = at[2] == 'Z' || at[2] == 'X';
  unsigned long long threads = 0;
  unsigned long long ticks = 0;
  for (int field = 2; field < 22; ++field) {
    at = std::strchr(at + 1, ' ');
    if (at == nullptr) return {};
    if (field + 1 == 20) std::sscanf(at, " %llu", &threads);
  }
  if (std::sscanf(at, " %llu", &ticks) != 1) return {};
  return {ticks, ended && threads <= 1};  // with more, only its first thread has ended
#elif defined(__APPLE__)
  constexpr std::uint64_t kZombiesToo = 1;
  constexpr std::uint32_t kZombie = 5;  // SZOMB in <sys/proc.h>, which is full of macros
  proc_bsdinfo told{};
  if (::proc_pidinfo(static_cast<int>(pid), PROC_PIDTBSDINFO, kZombiesToo, &told, sizeof told) != static_cast<int>(sizeof told)) return {};
  return {told.pbi_start_tvsec * 1'000'000 + told.pbi_start_tvusec, told.pbi_status == kZombie};
#else
  (void)pid;
  return {};
#endif
}

// 0 if the system doesn't tell.
inline std::uint64_t start_time_of(std::uint32_t pid) noexcept { return state_of(pid).start_time; }

inline ProcessIdentity current_process() noexcept {
  ProcessIdentity self;
  self.pid = static_cast<std::uint32_t>(::getpid());
#ifdef SHARED_DICT_LINUX
  struct stat s {};
  if (::stat("/proc/self/ns/pid", &s) == 0) self.pid_namespace = static_cast<std::uint64_t>(s.st_ino);
#endif
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
  if (::kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH) return true;
  const ProcessState now = state_of(process.pid);
  if (process.start_time == 0 || now.start_time == 0) return false;
  return now.zombie || now.start_time != process.start_time;
}

// Whether this process may have children that run.
inline bool has_children() noexcept {
  siginfo_t ignored{};
  return ::waitid(P_ALL, 0, &ignored, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

// Handlers run in the forking thread: `prepare` before, the others after. They stay registered for good.
inline bool on_fork(void (*prepare)(), void (*parent)(), void (*child)()) noexcept {
  return ::pthread_atfork(prepare, parent, child) == 0;
}

}  // namespace shared_dict::detail
