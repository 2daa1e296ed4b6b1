// Another process that does something while this one measures.
#pragma once

#include "rounds.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <thread>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace benchmark_support {

// Forked, on the last core, where this process is on the first. It ends when it is told to, when this goes, and when its
// parent is gone.
class Companion {
 public:
  // body(keep_going) returns soon after keep_going() is false, which it asks at least every few milliseconds.
  template <class Body>
  explicit Companion(Body body) : parent_(::getpid()), pid_(::fork()) {
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    pin_to({all_cores().back()});
    int status = 0;
    try {
      body([this] { return state_->stop.load() == 0 && ::getppid() == parent_; });
    } catch (const std::exception& e) {
      std::cerr << "the companion process: " << e.what() << std::endl;
      status = 1;
    }
    ::_exit(status);
  }
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;
  ~Companion() {
    if (pid_ > 0 && !ended(std::chrono::seconds(1))) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
  }

  pid_t pid() const noexcept { return pid_; }

  // Waits for something that it does. Throws if it has ended, or takes too long.
  template <class Done>
  void wait_for(Done done) {
    const auto start = Clock::now();
    while (!done()) {
      if (::waitpid(pid_, nullptr, WNOHANG) != 0) {
        pid_ = -1;
        throw std::runtime_error("the companion process is gone");
      }
      if (seconds_since(start) > 60) throw std::runtime_error("the companion process hangs");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

  // Throws if it failed.
  void finish() {
    if (!ended(std::chrono::seconds(30))) throw std::runtime_error("the companion process doesn't end");
    if (status_ != 0) throw std::runtime_error("the companion process failed");
  }

 private:
  struct State {
    std::atomic<int> stop;
  };

  bool ended(std::chrono::seconds patience) {
    state_->stop = 1;
    for (const auto start = Clock::now(); Clock::now() - start < patience;) {
      if (::waitpid(pid_, &status_, WNOHANG) != 0) {
        pid_ = -1;
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  SeenByChildren<State> state_;  // before the fork
  pid_t parent_;
  pid_t pid_;
  int status_ = 0;
};

}  // namespace benchmark_support
