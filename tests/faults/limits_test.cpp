// What the system refuses for good: no more descriptors, no larger files, no more processes.

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Words = SharedDict<std::string, std::string>;

/// Of this process, from now on.
void limit(decltype(RLIMIT_FSIZE) resource, rlim_t most) {
  rlimit limits{};
  ::getrlimit(resource, &limits);
  limits.rlim_cur = most;
  demand(::setrlimit(resource, &limits) == 0, "a limit");
}

/// Leaves this process `free` descriptors, and gives them back.
template <class F>
bool with_descriptors(int free, F f) {
  std::vector<detail::FileDescriptor> taken;
  limit(RLIMIT_NOFILE, 64);
  for (;;) {
    detail::FileDescriptor one(::dup(0));
    if (!one) break;
    taken.push_back(std::move(one));
  }
  for (int i = 0; i < free; ++i) taken.pop_back();
  return f();
}

/// False if the descriptors don't suffice.
bool opens_and_lists(const Place& place, const Options& options) {
  const std::error_code code = error_of([&] {
    Words d = Words::create(kName, options);
    d.insert("key", "value");
    Words::attach(kName, options).insert("other", "value");
    demand(list(place.path()) == std::vector<std::string>{kName}, "the list");
  });
  demand(!code || code == std::errc::too_many_files_open, "this error, and not " + code.message());
  return !code;
}

/// From now on this process can't make another one.
bool forbid_processes() {
  // Kept: the number of the call. Refused with EAGAIN: clone, clone3.
  sock_filter rules[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{sizeof rules / sizeof rules[0], rules};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

}  // namespace

TEST_CASE("however few descriptors are free, a dictionary is opened and used or nothing is left of it") {
  const Place place(memory());
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    const Options options{.heap_size = 1 << 14, .lock_timeout = 300ms, .max_processes = 8, .directory = place.path()};
    for (int free = 0;; ++free) {
      const bool enough = with_descriptors(free, [&] { return opens_and_lists(place, options); });
      demand(std::filesystem::is_empty(place.path()), "no file left over with " + std::to_string(free) + " free");
      if (enough) break;
    }
    return 0;
  }));
}

TEST_CASE("a file that may not grow any more is an error, and no signal") {
  const Place place(memory());
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    const Options options{.heap_size = std::size_t{8} << 20, .directory = place.path()};
    Words d = Words::create(kName, options);
    d.insert("key", "value");
    limit(RLIMIT_FSIZE, 4096);
    const std::error_code filled = error_of([&] { d.insert("large", std::string(1 << 20, 'l')); });
    if (kLinuxCalls) {
      demand(!filled, "that a file of full length may be filled");
    } else {  // its blocks are written to be had, which the limit is for
      demand(filled == errc::heap_full && !d.contains("large"), "an error that leaves things as they were");
    }
    const auto create = [&] { Words::create("second", options); };
    demand(error_of(create) == std::errc::file_too_large, "an error");
    demand(message_of(create).find("smaller Options::heap_size") != std::string::npos, "a message that names the way out");
    demand(!std::filesystem::exists(place.of("second")), "no file left over");
    sigset_t pending;
    demand(::sigpending(&pending) == 0 && ::sigismember(&pending, SIGXFSZ) == 0, "no signal on its way");
    limit(RLIMIT_FSIZE, RLIM_INFINITY);
    Words::create("second", options).insert("key", "value");
    demand(d.audit().ok(), "a sound dictionary");
    return 0;
  }));
}

TEST_CASE("a fork that failed does not keep its process from leaving") {
  const Place place(memory());
  const Ending ending = run_forked([&](auto) -> int {
    Words d = Words::create(kName, {.heap_size = 1 << 14, .directory = place.path()});
    if (!forbid_processes()) return Forked::kSkipped;
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(0);
    demand(pid < 0, "no child");
    const auto begin = std::chrono::steady_clock::now();
    d.close();
    // The wait for a child that registers would be a second.
    return std::chrono::steady_clock::now() - begin < 900ms && std::filesystem::is_empty(place.path())
               ? 0
               : Forked::kFailed;
  });
  if (ending.exited && ending.status == Forked::kSkipped) {
    return report_skipped("a fork that fails", "a filter for system calls is not permitted here");
  }
  SHARED_DICT_REQUIRE_ENDED_WELL(ending);
}

// As in tmpfs of older kernels, where each signal ends the call and takes back what it had got.
TEST_CASE("memory is committed beside signals that come more often than that takes") {
  const Place place(memory());
  Words d = Words::create(kName, {.heap_size = 8 << 20, .directory = place.path()});
  interrupt_fallocate();
  d.insert("large", std::string(4 << 20, 'l'));
  const std::uint64_t interruptions = end_interrupting_fallocate();
  REQUIRE(d.at("large") == std::string(4 << 20, 'l'));
  if (!kLinuxCalls) return;  // it isn't called there
  CHECK(interruptions > 0);
  CHECK(interruptions < 100);
  sigset_t held;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &held) == 0);
  CHECK(::sigismember(&held, SIGPROF) == 0);  // they come again
}
