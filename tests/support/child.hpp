// Child processes that share nothing with the test but what they are told: the test program starts itself anew.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <string>
#include <vector>

#include "support/eventually.hpp"

#if defined(_WIN32)
inline constexpr int SIGKILL = 9;  // stands for TerminateProcess
#endif

namespace shared_dict::test {

/// The main of a child. What it returns is its exit status; an exception that leaves it is printed and becomes
/// kChildThrew.
using ChildMain = int (*)(std::vector<std::string> args);

inline constexpr int kChildThrew = 99;

/// Makes a role known. As a namespace-scope constant beside the test that needs it:
///   const RegisterChild kWriter("writer", [](std::vector<std::string> args) { …; return 0; });
struct RegisterChild {
  RegisterChild(const char* role, ChildMain child_main);
};

/// Runs a role in this process; for main().
int run_child(const std::string& role, std::vector<std::string> args);

#if !defined(_WIN32)
/// This process becomes `program --child role args...`: as any exec, it closes nothing that isn't close-on-exec, and no destructor runs.
[[noreturn]] void become_child(const std::string& role, const std::vector<std::string>& args);

/// After a fork: tells the kernel to kill this process when the one that forked it ends, so that an aborted test run leaves nothing
/// behind. The kernel watches the forking thread, so this is only for children of the main thread.
void die_with(pid_t parent) noexcept;
#endif

/// One running child. It never outlives the object, nor the thread that started it if that was the main thread.
class Child {
 public:
  /// Starts `program --child role args...`. Inherited descriptors stay open under their numbers, unless close-on-exec.
  static Child start(const std::string& role, const std::vector<std::string>& args = {});

  Child(Child&& other) noexcept;
  Child& operator=(Child&& other) noexcept;
  ~Child();  ///< kills it if it still runs

  pid_t pid() const noexcept { return pid_; }

  /// Its exit status, or minus the number of the signal that killed it. A child that still runs at the deadline is killed,
  /// and std::runtime_error names its role. May be called again.
  int wait(std::chrono::milliseconds deadline = kHangDeadline);

  /// Sends a signal; does nothing once the child has been waited for, since its number may be another's by then.
  void kill(int signal = SIGKILL);

 private:
  Child(std::string role, pid_t pid) : role_(static_cast<std::string&&>(role)), pid_(pid) {}

  void take_handle(Child& other) noexcept;
  bool reap() noexcept;
  void end() noexcept;

  std::string role_;
  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;  ///< as wait() returns it, once ended_
#if defined(_WIN32)
  void* process_ = nullptr;
#endif
};

}  // namespace shared_dict::test
