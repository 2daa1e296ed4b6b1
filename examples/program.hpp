// The frame of an example: its command line, a name for its dictionaries, and its other processes.
#pragma once

#include <cerrno>
#include <chrono>
#include <csignal>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace example {

inline volatile std::sig_atomic_t interrupted = 0;
inline std::string program = "example";

// Ctrl-C only raises a flag, so that the program ends by an exception, which ends its processes and removes its dictionaries.
inline void handle_interrupts(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

inline void throw_if_interrupted() {
  if (interrupted != 0) throw std::runtime_error("interrupted");
}

// Looks every millisecond whether pred() is true, for what only a look can tell. Gives up after 30 seconds.
template <class Pred>
void poll_until(const std::string& what, Pred pred) {
  using namespace std::chrono;
  const auto deadline = steady_clock::now() + seconds(30);
  while (!pred()) {
    throw_if_interrupted();
    if (steady_clock::now() > deadline) throw std::runtime_error("waited 30 seconds for " + what);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

// A name that no other run uses at this moment.
inline std::string unique_name(std::string_view suffix = "") {
  return program + "." + std::to_string(::getpid()) + std::string(suffix);
}

// The program's check of itself: if it fails, the exit status says so.
inline void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error("check failed: " + what);
}

// What was to be shown has to have been: a full disk, or a reader that has gone, is a failure too.
inline void require_shown() {
  if (!std::cout.flush()) throw std::runtime_error("can't write the output");
}

// Another process that runs body(). Handles to dictionaries that are open here work there too, and it counts as attached
// until it ends, however it ends.
class Process {
 public:
  template <class Body>
  explicit Process(Body body) {
    std::cout.flush();
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ > 0) return;
    int status = 0;
    try {
      handle_interrupts(SIG_DFL);
      body();
    } catch (const std::exception& e) {
      std::cerr << program << ": process " << ::getpid() << ": " << e.what() << '\n';
      status = 1;
    }
    std::cout.flush();
    ::_exit(status);
  }
  Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  Process& operator=(Process&&) = delete;
  ~Process() { kill(); }

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const noexcept { ::kill(pid_, number); }

  // Waits for its end; throws if that was not the end of body().
  void join() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0) {
      if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
      throw_if_interrupted();
    }
    const pid_t ended = std::exchange(pid_, -1);
    require(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process " + std::to_string(ended) + " failed");
  }

  // Ends it with SIGKILL, wherever it is, and waits until it is gone.
  void kill() noexcept {
    if (pid_ <= 0) return;
    signal(SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// `count` processes; each runs body(i) with its number.
template <class Body>
std::vector<Process> start(unsigned count, Body body) {
  std::vector<Process> processes;
  processes.reserve(count);
  for (unsigned i = 0; i < count; ++i) processes.emplace_back([&] { body(i); });
  return processes;
}

inline void join(std::vector<Process>& processes) {
  for (Process& process : processes) process.join();
}

// The body of main: --help, then body() or body(arguments), and the exit status: 0 if all is right, 1 if something failed, 2
// for wrong usage.
template <class Body>
int run(int argc, char** argv, std::string_view usage, Body body) {
  using Arguments = std::vector<std::string>;
  constexpr bool kTakesArguments = std::is_invocable_v<Body, const Arguments&>;
  const Arguments arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  program = usage.substr(7, usage.find_first_of(" \n", 7) - 7);  // "usage: NAME ..."
  try {
    for (const std::string& argument : arguments) {
      const bool help = argument == "--help" || argument == "-h";
      if (!help && kTakesArguments && !argument.starts_with('-')) continue;
      (help ? std::cout : std::cerr) << usage;
      return help ? 0 : 2;
    }
    handle_interrupts([](int signal) { interrupted = signal; });
    if constexpr (kTakesArguments) {
      body(arguments);
    } else {
      body();
    }
    require_shown();
    return 0;
  } catch (const std::exception& e) {
    std::cout.flush();
    std::cerr << program << ": " << e.what() << '\n';
    return 1;
  }
}

}  // namespace example
