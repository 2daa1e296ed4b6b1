// Another program of the pair: starting it, and dying at once as nothing but the kernel can make a process.
#pragma once

#include <stdexcept>
#include <string>

#if defined(_WIN32)
#include <windows.h>

#include "../support/windows_process.hpp"
#else
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#endif

/// `program role name`, which doesn't outlive the object.
class Started {
 public:
  Started(std::string program, std::string role, std::string name);
  Started(const Started&) = delete;
  Started& operator=(const Started&) = delete;
  ~Started();

  /// Waits until it ends; true if that was by die().
  bool was_killed();

 private:
#if defined(_WIN32)
  PROCESS_INFORMATION process_{};
#else
  pid_t pid_ = -1;
#endif
};

#if defined(_WIN32)

inline constexpr unsigned kKilled = 137;

[[noreturn]] inline void die() {
  ::TerminateProcess(::GetCurrentProcess(), kKilled);
  for (;;) ::Sleep(1000);
}

inline Started::Started(std::string program, std::string role, std::string name) {
  const std::string command = '"' + program + "\" " + role + " " + name;
  if (!start_process(command, process_)) throw std::runtime_error("can't start " + command);
}
inline Started::~Started() {
  ::TerminateProcess(process_.hProcess, 1);
  ::WaitForSingleObject(process_.hProcess, INFINITE);
  ::CloseHandle(process_.hThread);
  ::CloseHandle(process_.hProcess);
}
inline bool Started::was_killed() {
  DWORD status = 0;
  ::WaitForSingleObject(process_.hProcess, INFINITE);
  return ::GetExitCodeProcess(process_.hProcess, &status) != 0 && status == kKilled;
}

#else

[[noreturn]] inline void die() {
  ::raise(SIGKILL);
  for (;;) ::pause();
}

inline Started::Started(std::string program, std::string role, std::string name) : pid_(::fork()) {
  if (pid_ < 0) throw std::runtime_error("can't fork");
  if (pid_ > 0) return;
  char* argv[] = {program.data(), role.data(), name.data(), nullptr};
  ::execv(argv[0], argv);
  ::_exit(127);
}
inline Started::~Started() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}
inline bool Started::was_killed() {
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

#endif
