// Whether a process is gone may only be answered with yes when that is certain: a wrong yes robs a live process of its locks.

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/detail/platform/process.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::detail;
using namespace shared_dict::test;

namespace {

struct Told {
  ProcessIdentity identity;
};

// Tells its identity and stays until it is killed.
int tell_and_stay(const SharedArea<Told>& area, const SharedArea<std::atomic<unsigned>>& ready) {
  area->identity = current_process();
  ready->store(1);
  for (;;) ::pause();
}

const RegisterChild kTeller("platform_process_teller", [](std::vector<std::string> args) {
  return tell_and_stay(SharedArea<Told>::from_token(args.at(0)),
                       SharedArea<std::atomic<unsigned>>::from_token(args.at(1)));
});

}  // namespace

TEST_CASE("a process is the same whenever it is asked, and from every thread") {
  const ProcessIdentity self = current_process();
  REQUIRE(self.pid == static_cast<std::uint32_t>(::getpid()));
  REQUIRE(current_process() == self);
  ProcessIdentity in_thread;
  std::thread([&] { in_thread = current_process(); }).join();
  REQUIRE(in_thread == self);
#if defined(SHARED_DICT_LINUX)
  REQUIRE(self.pid_namespace != 0);
  REQUIRE(self.start_time != 0);
  REQUIRE(self.start_time == start_time_of(self.pid));
#endif
}

TEST_CASE("a child is another process, and its parent sees the same start time as itself") {
  const SharedArea<Told> told;
  const SharedArea<std::atomic<unsigned>> ready;
  Child child = Child::start("platform_process_teller", {told.token(), ready.token()});
  REQUIRE(eventually([&] { return ready->load() != 0; }));
  const ProcessIdentity self = current_process();
  REQUIRE_FALSE(told->identity == self);
  REQUIRE(told->identity.pid == static_cast<std::uint32_t>(child.pid()));
  REQUIRE(told->identity.pid_namespace == self.pid_namespace);
  REQUIRE(told->identity.start_time == start_time_of(told->identity.pid));
  REQUIRE_FALSE(certainly_gone(told->identity, self));
  child.kill(SIGSTOP);
  REQUIRE_FALSE(certainly_gone(told->identity, self));
  child.kill(SIGKILL);
  child.wait();
  REQUIRE(certainly_gone(told->identity, self));
}

TEST_CASE("the program's own name can't hide the start time") {
  // The second field of /proc/<pid>/stat: brackets and spaces in it must not shift the others.
  const Ending ending = run_forked([](auto) {
    const std::uint64_t before = start_time_of(static_cast<std::uint32_t>(::getpid()));
#if defined(SHARED_DICT_LINUX)
    std::FILE* const comm = std::fopen("/proc/self/comm", "w");
    if (comm == nullptr) return 1;
    std::fputs("a) b ) 1 2 3", comm);
    std::fclose(comm);
    if (before == 0) return 2;
#endif
    return start_time_of(static_cast<std::uint32_t>(::getpid())) == before ? 0 : 3;
  });
  SHARED_DICT_REQUIRE_ENDED_WELL(ending);
}

TEST_CASE("no process is no start time") {
  Forked child([](auto) { return 0; });
  const auto pid = static_cast<std::uint32_t>(child.pid());
  child.wait();
  REQUIRE(start_time_of(pid) == 0);
}

TEST_CASE("a pid that another process has by now is a process that is gone") {
#if defined(SHARED_DICT_LINUX)
  const ProcessIdentity self = current_process();
  ProcessIdentity earlier = self;
  earlier.start_time -= 1;
  REQUIRE(certainly_gone(earlier, self));
#endif
}

TEST_CASE("it is never certain that a process itself, one of another namespace or an unknown one is gone") {
  const ProcessIdentity self = current_process();
  REQUIRE_FALSE(certainly_gone(self, self));

  Forked child([](auto) { return 0; });
  ProcessIdentity dead = self;
  dead.pid = static_cast<std::uint32_t>(child.pid());
  child.wait();
  REQUIRE(certainly_gone(dead, self));
  dead.pid_namespace += 1;
  REQUIRE_FALSE(certainly_gone(dead, self));

  ProcessIdentity nobody = self;
  nobody.pid = 0;
  REQUIRE_FALSE(certainly_gone(nobody, self));

  ProcessIdentity unknown_start = self;
  unknown_start.start_time = 0;
  REQUIRE_FALSE(certainly_gone(unknown_start, self));
}

TEST_CASE("a process of which only the exit status is left is gone") {
#if defined(SHARED_DICT_LINUX)
  const SharedArea<std::atomic<unsigned>> go;
  Forked child([&](auto) { return eventually([&] { return go->load() != 0; }) ? 0 : 1; });
  ProcessIdentity zombie = current_process();
  zombie.pid = static_cast<std::uint32_t>(child.pid());
  zombie.start_time = start_time_of(zombie.pid);
  REQUIRE_FALSE(certainly_gone(zombie, current_process()));
  go->store(1);
  REQUIRE(eventually([&] {
    siginfo_t info{};
    return ::waitid(P_PID, zombie.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }));
  REQUIRE(certainly_gone(zombie, current_process()));
  SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
  REQUIRE(certainly_gone(zombie, current_process()));
#endif
}

#if defined(SHARED_DICT_LINUX)

// /proc can't be read then (nor with hidepid=2), which says nothing about the other process.
TEST_CASE("a process that has no descriptor left takes nobody for dead") {
  Forked other([](auto) {
    for (;;) ::pause();
    return 0;
  });
  ProcessIdentity alive = current_process();
  alive.pid = static_cast<std::uint32_t>(other.pid());
  alive.start_time = start_time_of(alive.pid);
  REQUIRE(alive.start_time != 0);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    const ProcessIdentity self = current_process();
    rlimit none{};
    if (::getrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
    none.rlim_cur = 0;  // valgrind refuses to lower the other one
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 1;
    return certainly_gone(alive, self) ? 2 : 0;
  }));
}

// Its first thread is shown as a zombie as long as others run.
TEST_CASE("a process whose first thread has ended lives on") {
  const SharedArea<std::atomic<unsigned>> go;
  Forked other([&](auto) {
    std::thread([&] {
      for (;;) ::pause();
    }).detach();
    static_cast<void>(eventually([&] { return go->load() != 0; }));
    ::syscall(SYS_exit, 0);  // ends this thread alone
    return 0;
  });
  ProcessIdentity alive = current_process();
  alive.pid = static_cast<std::uint32_t>(other.pid());
  alive.start_time = start_time_of(alive.pid);
  REQUIRE(alive.start_time != 0);
  go->store(1);
  REQUIRE(eventually([&] {
    std::ifstream stat("/proc/" + std::to_string(other.pid()) + "/stat");
    std::string text;
    std::getline(stat, text);
    return text.find(") Z ") != std::string::npos;
  }));
  REQUIRE_FALSE(certainly_gone(alive, current_process()));
}

#endif

TEST_CASE("fork handlers run in the parent and in the child") {
  static int prepared = 0;
  static int in_parent = 0;
  static int in_child = 0;
  REQUIRE(on_fork([] { ++prepared; }, [] { ++in_parent; }, [] { ++in_child; }));
  prepared = in_parent = in_child = 0;
  SHARED_DICT_REQUIRE_ENDED_WELL(
      run_forked([](auto) { return prepared == 1 && in_parent == 0 && in_child == 1 ? 0 : 1; }));
  REQUIRE(prepared == 1);
  REQUIRE(in_parent == 1);
  REQUIRE(in_child == 0);
}
