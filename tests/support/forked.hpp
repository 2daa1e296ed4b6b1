// A child made by fork alone, for what only fork can show: inherited handles, dropped privileges, namespaces of its own.
// Nothing of Catch runs in it: it tells by its exit status and by the text that it leaves for the parent.
#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "support/eventually.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

/// How a child ended.
struct Ending {
  bool exited = false;  ///< by itself, with `status`
  int status = -1;
  int signal = 0;    ///< that killed it, 0 if none did
  std::string text;  ///< what it said, an exception's what() included

  bool ok() const noexcept { return exited && status == 0; }
};

/// Runs in the child; false and text lead to a failed Ending.
class Forked {
 public:
  static constexpr int kFailed = 1;
  static constexpr int kThrew = 2;
  static constexpr int kSkipped = 3;  ///< by agreement: the machine does not permit what the child needs

  /// Starts a child that calls `body(say)`, with `say(text)` for what the parent should know. The child ends with
  /// body's int as status, by _exit: neither destructors of the parent's objects nor atexit functions run in it.
  template <class Body>
  explicit Forked(Body body) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ == 0) run(std::move(body));
  }

  Forked(const Forked&) = delete;
  Forked& operator=(const Forked&) = delete;

  ~Forked() {
    if (pid_ > 0) {
      kill();
      wait();
    }
  }

  pid_t pid() const noexcept { return pid_; }
  /// Not after wait(), when the number may be another's.
  void signal(int number) const {
    if (pid_ > 0) ::kill(pid_, number);
  }
  void kill() const { signal(SIGKILL); }

  /// Stops it, for certain when this returns; until go_on(). False if it has ended.
  bool stop() const {
    signal(SIGSTOP);
    return wait_stopped();
  }
  /// When it stops itself. False if it ends instead.
  bool wait_stopped() const {
    siginfo_t state{};
    const bool settled = eventually([&] {
      return ::waitid(P_PID, static_cast<id_t>(pid_), &state, WSTOPPED | WEXITED | WNOWAIT | WNOHANG) == 0 &&
             state.si_pid == pid_;
    });
    return settled && state.si_code == CLD_STOPPED;
  }
  /// Stops it when it is in a state that it comes to now and then, as often as it takes until it is stopped in it. It is stopped too if
  /// that doesn't happen before the deadline; then this is false.
  template <class InState>
  bool stop_when(InState in_state, std::chrono::milliseconds deadline) const {
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
      spin_until(in_state, left);
      if (!stop()) return false;
      if (in_state()) return true;
      if (left <= std::chrono::milliseconds(0)) return false;
      go_on();
    }
  }
  void go_on() const { signal(SIGCONT); }

  /// How the child ended. One that is still there after the deadline is killed and counts as failed.
  Ending wait(std::chrono::milliseconds deadline = kHangDeadline) {
    Ending ending;
    int status = 0;
    const bool ended = eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; }, deadline);
    if (!ended) {
      kill();
      ::waitpid(pid_, &status, 0);
      ending.text = "still running at the deadline";
    }
    pid_ = -1;
    ending.exited = ended && WIFEXITED(status);
    if (ending.exited) ending.status = WEXITSTATUS(status);
    if (WIFSIGNALED(status)) ending.signal = WTERMSIG(status);
    ending.text += text_->bytes;
    return ending;
  }

 private:
  struct Text {
    char bytes[1024];
  };

  template <class Body>
  [[noreturn]] void run(Body body) {
    const auto say = [this](const std::string& text) {
      std::snprintf(text_->bytes, sizeof text_->bytes, "%s", text.c_str());
    };
    int status = kThrew;
    try {
      status = body(say);
    } catch (const std::exception& error) {
      say(std::string("exception: ") + error.what());
    } catch (...) {
      say("an exception that is no std::exception");
    }
    ::_exit(status);
  }

  SharedArea<Text> text_;
  pid_t pid_ = -1;
};

/// Starts, waits, tells how it ended.
template <class Body>
Ending run_forked(Body body, std::chrono::milliseconds deadline = kHangDeadline) {
  return Forked(std::move(body)).wait(deadline);
}

}  // namespace shared_dict::test

/// The child ended well, or the test fails with what the child said.
#define SHARED_DICT_REQUIRE_ENDED_WELL(ending)                                                      \
  do {                                                                                              \
    const ::shared_dict::test::Ending child_ending = (ending);                                      \
    INFO("child: status " << child_ending.status << ", signal " << child_ending.signal << ", said " \
                          << child_ending.text);                                                    \
    REQUIRE(child_ending.ok());                                                                     \
  } while (false)
