// A child that does something one instruction at a time, under ptrace, until it is killed.
#pragma once

#include <sched.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <system_error>

#include "support/forked.hpp"

namespace shared_dict::test {

/// This process, and what it forks, on the processor that it is on, while this lives.
class OnOneProcessor {
 public:
  OnOneProcessor() noexcept {
    cpu_set_t one;
    CPU_ZERO(&one);
    const int here = ::sched_getcpu();
    if (here < 0 || ::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
    CPU_SET(here, &one);
    pinned_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
  }
  OnOneProcessor(const OnOneProcessor&) = delete;
  OnOneProcessor& operator=(const OnOneProcessor&) = delete;
  ~OnOneProcessor() {
    if (pinned_) ::sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_{};
  bool pinned_ = false;
};

class Stepped {
 public:
  /// `before` is done at once, `operation` step by step.
  explicit Stepped(
      const std::function<void()>& operation, const std::function<void()>& before = [] {})
      : child_([&](auto) {
          if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return Forked::kSkipped;
          before();
          ::raise(SIGSTOP);
          operation();
          ::raise(SIGSTOP);
          return 0;
        }) {
    const int stop = wait();
    permitted_ = stop == SIGSTOP;
    if (!permitted_ && stop != ended_with(Forked::kSkipped)) fail(stop);
    if (permitted_) ::ptrace(PTRACE_SETOPTIONS, child_.pid(), nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  }

  /// Whether the machine lets a process trace its child.
  static bool possible() {
    static const bool yes = [] {
      Stepped child([] {});
      const bool permitted = child.permitted() && child.step();
      child.kill();
      return permitted;
    }();
    return yes;
  }

  bool permitted() const noexcept { return permitted_; }
  pid_t pid() const noexcept { return child_.pid(); }

  /// One instruction. False when the operation is through.
  bool step() { return go_on(PTRACE_SINGLESTEP); }
  /// To the beginning or the end of the next system call.
  bool step_to_system_call() { return go_on(PTRACE_SYSCALL); }

  void kill() {
    child_.kill();
    child_.wait();
  }

 private:
  template <class Request>
  bool go_on(Request request) {
    if (::ptrace(request, child_.pid(), nullptr, nullptr) != 0)
      throw std::system_error(errno, std::generic_category(), "ptrace");
    const int stop = wait();
    if (stop == SIGTRAP || stop == (SIGTRAP | 0x80)) return true;
    if (stop == SIGSTOP) return false;
    fail(stop);
  }

  [[noreturn]] static void fail(int stop) {
    throw std::runtime_error("the child ended with signal or status " + std::to_string(stop));
  }

  static int ended_with(int status) noexcept { return -status - 1000; }

  // The signal that stopped it; otherwise minus what it ended with.
  int wait() const {
    int status = 0;
    while (::waitpid(child_.pid(), &status, __WALL) < 0) {
      if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
    }
    if (WIFSTOPPED(status)) return WSTOPSIG(status);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : ended_with(WEXITSTATUS(status));
  }

  OnOneProcessor together_;  // handing over to each other on one is several times as fast as waking another one
  Forked child_;
  bool permitted_ = false;
};

}  // namespace shared_dict::test
