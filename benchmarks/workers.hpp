// Processes that live as long as the program, each pinned to a core, that measure what the driver tells them to.
//
// The driver sends a Command through a socket; the workers that take part start together at a barrier in shared memory,
// and each sends back a Sample. The end of the driver, however it comes, is the workers' end.
#pragma once

#include "support.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sched.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace benchmark_support {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr std::size_t kChunk = 500;  // operations between two looks at the clock
constexpr double kTolerated = 0.02;  // the part of a measurement during which other programs may have a worker's core

enum class Work : int { insert, insert_new, read, write, mixed, erase_insert, fetch_add, fetch_add_one, miss };

struct Command {
  Work work;
  std::size_t container;  // which of those that the worker knows
  double seconds;
  unsigned writes = 5;  // of 100 operations, in mixed rows
  bool zipf = false;    // some items are asked for far more often than others
  unsigned barrier_target = 0;
  Clock::time_point start{};  // when the barrier opened
};

struct Sample {
  std::uint64_t operations = 0;
  double seconds = 0;
  std::uint64_t wrong = 0;  // results that weren't what they must be
  double waited = 0;        // seconds without a core, because other programs had it
};

// Of all workers that took part.
struct Measurement {
  double ns = 0;  // what one operation takes, as one process sees it
  std::uint64_t operations = 0;
  std::uint64_t wrong = 0;
  double waited = 0;  // the part of the time during which a worker had no core
};

struct Barrier {
  std::atomic<unsigned> arrived{0};
  std::atomic<unsigned> open_for{0};
  std::atomic<Clock::time_point> opened{};
};

// Returns when it opened. Time counts for everybody from then on: with more workers than cores some run later.
inline Clock::time_point wait_at(Barrier& barrier, unsigned target) {
  if (barrier.arrived.fetch_add(1) + 1 == target) {
    barrier.opened.store(Clock::now());
    barrier.open_for.store(target);
  }
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  for (int looks = 0; barrier.open_for.load() != target; ++looks) {
    if (looks > 1000) ::sched_yield();
    if (Clock::now() > deadline) throw std::runtime_error("the other workers didn't come to the barrier");
  }
  return barrier.opened.load();
}

// Calls op(i) with i running round 0 .. n-1 until the time is up.
template <class Op>
Sample measure(const Command& command, std::size_t n, Op op) {
  Sample sample;
  std::size_t i = 0;
  do {
    for (std::size_t c = 0; c < kChunk; ++c) {
      op(i);
      if (++i == n) i = 0;
    }
    sample.operations += kChunk;
    sample.seconds = Seconds(Clock::now() - command.start).count();
  } while (sample.seconds < command.seconds);
  return sample;
}

// Again while other programs take the cores away, but not for ever; the least disturbed one counts.
template <class Measure>
Measurement least_disturbed(int repeats, Measure measure) {
  Measurement best = measure();
  for (int tries = 0; best.waited > kTolerated && tries < repeats; ++tries) {
    ::usleep(200'000);
    const Measurement again = measure();
    if (again.waited < best.waited) best = again;
  }
  return best;
}

template <class T>
bool receive(int socket, T& message) {
  return ::recv(socket, &message, sizeof message, MSG_WAITALL) == static_cast<ssize_t>(sizeof message);
}
template <class T>
void send(int socket, const T& message) {
  if (::send(socket, &message, sizeof message, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof message)) {
    throw std::runtime_error("the process at the other end is gone");
  }
}

class Workers {
 public:
  using Run = std::function<Sample(const Command&)>;
  using Prepare = std::function<Run(std::size_t worker)>;  // called in the worker, when the driver says so

  // To be made before the driver opens anything that workers must not inherit.
  Workers(const std::string& program, std::size_t count, const Prepare& prepare) : cores_(usable_cores()) {
    for (std::size_t i = 0; i < count; ++i) start(program, i, prepare);
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  ~Workers() {
    for (int socket : sockets_) ::close(socket);  // which ends the workers
    for (int tries = 0; tries < 100 && !all_gone(); ++tries) ::usleep(50'000);
    for (pid_t pid : pids_) ::kill(pid, SIGKILL);
    for (pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  }

  // One after the other: the second finds what the first has filled.
  void prepare() {
    for (int socket : sockets_) {
      send(socket, Command{});
      get_sample(socket);
    }
  }

  int core_of(std::size_t worker) const { return cores_[worker % cores_.size()]; }

  // By the first `processes` workers at the same time.
  Measurement run(Command command, std::size_t processes) {
    barrier_target_ += static_cast<unsigned>(processes);
    command.barrier_target = barrier_target_;
    for (std::size_t i = 0; i < processes; ++i) send(sockets_[i], command);
    Measurement all;
    double rate = 0;
    for (std::size_t i = 0; i < processes; ++i) {
      const Sample sample = get_sample(sockets_[i]);
      rate += static_cast<double>(sample.operations) / sample.seconds;
      all.operations += sample.operations;
      all.wrong += sample.wrong;
      all.waited = std::max(all.waited, sample.waited / sample.seconds);
    }
    all.ns = static_cast<double>(processes) * 1e9 / rate;
    return all;
  }

 private:
  bool all_gone() {
    std::erase_if(pids_, [](pid_t pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    return pids_.empty();
  }

  void start(const std::string& program, std::size_t worker, const Prepare& prepare) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error("socketpair failed");
    const pid_t pid = ::fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid == 0) {
      for (int other : sockets_) ::close(other);  // or they would stay open when the driver is gone
      ::close(ends[0]);
      std::signal(SIGINT, SIG_IGN);  // the driver's end is the workers' end too, and they clean up
      pin_to({core_of(worker)});
      try {
        serve(ends[1], prepare, worker);
        ::_exit(0);
      } catch (const std::exception& e) {
        std::cerr << program << ": worker " << worker << ": " << e.what() << '\n';
        ::_exit(1);
      }
    }
    ::close(ends[1]);
    const timeval limit{300, 0};  // for a worker that hangs
    ::setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockets_.push_back(ends[0]);
    pids_.push_back(pid);
  }

  void serve(int socket, const Prepare& prepare, std::size_t worker) {
    Command command{};
    if (!receive(socket, command)) return;
    const Run run = prepare(worker);
    send(socket, Sample{});
    while (receive(socket, command)) {
      const double waited_before = seconds_waited();
      command.start = wait_at(*barrier_, command.barrier_target);
      Sample sample = run(command);
      sample.waited = seconds_waited() - waited_before;
      send(socket, sample);
    }
  }

  static Sample get_sample(int socket) {
    Sample sample;
    if (!receive(socket, sample)) throw std::runtime_error("a worker process is gone, or hangs");
    return sample;
  }

  std::vector<int> cores_;
  SeenByChildren<Barrier> barrier_;
  unsigned barrier_target_ = 0;
  std::vector<int> sockets_;
  std::vector<pid_t> pids_;
};

}  // namespace benchmark_support
