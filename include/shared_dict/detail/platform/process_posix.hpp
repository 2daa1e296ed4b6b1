// What Linux, macOS and other systems with POSIX tell of processes: see process.hpp.
#pragma once

#if !defined(_WIN32)

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX' own, not only what C++ has of it
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shared_dict/detail/platform/process_types.hpp>
#include <shared_dict/detail/platform/system.hpp>

#if defined(__APPLE__)
#include <libproc.h>
#include <sys/proc_info.h>
#endif

namespace shared_dict::detail {

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

inline std::uint32_t own_pid() noexcept { return static_cast<std::uint32_t>(::getpid()); }

inline std::uint64_t own_pid_namespace() noexcept {
#ifdef SHARED_DICT_LINUX
  struct stat s {};
  if (::stat("/proc/self/ns/pid", &s) == 0) return static_cast<std::uint64_t>(s.st_ino);
#endif
  return 0;
}

// Whether no process has that number, for certain.
inline bool is_nobody(std::uint32_t pid) noexcept { return ::kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH; }

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

#endif
