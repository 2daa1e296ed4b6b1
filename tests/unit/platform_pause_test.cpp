// What <thread> promises of its sleep, the library's own keeps: it lasts, signals don't end it, and a thread can be cancelled in it.
// (Less than no time is tested on Windows, where the number would be taken for a large one.)

#include <pthread.h>
#include <sys/time.h>

#include <chrono>
#include <csignal>

#include <shared_dict/detail/platform/pause.hpp>

#include "support/catch.hpp"
#include "support/forked.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict::detail;
using namespace shared_dict::test;
using namespace std::chrono_literals;

TEST_CASE("a sleep lasts its time, also when signals come meanwhile") {
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([](auto) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGALRM, &action, nullptr);
    const itimerval soon{{0, 1000}, {0, 1000}};
    ::setitimer(ITIMER_REAL, &soon, nullptr);
    const auto began = std::chrono::steady_clock::now();
    sleep_for(20ms);
    return std::chrono::steady_clock::now() - began >= 20ms ? 0 : 1;
  }));
}

TEST_CASE("a thread can be cancelled in a sleep") {
  if (kSanitized) return;  // their runtimes don't unwind cancelled threads everywhere
  pthread_t thread{};
  REQUIRE(::pthread_create(&thread, nullptr, [](void*) -> void* {
            for (;;) sleep_for(1h);
          }, nullptr) == 0);
  REQUIRE(::pthread_cancel(thread) == 0);
  void* result = nullptr;
  REQUIRE(::pthread_join(thread, &result) == 0);
  REQUIRE(result == PTHREAD_CANCELED);
}
