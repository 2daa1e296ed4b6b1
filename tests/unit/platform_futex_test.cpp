// Waiters sleep on a word of the segment: they must not sleep when the word has changed already, and whoever changes it must be able
// to wake them in another process. All naps of the library are bounded, so here too a lost wake-up would only be slow; the tests use
// naps that are far longer than they may take.

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>

#include <shared_dict/detail/platform/futex.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::detail;
using namespace shared_dict::test;

namespace {

struct Words {
  std::atomic<std::uint32_t> word;
  std::atomic<std::uint32_t> awake;
};

constexpr auto kFarTooLong = std::chrono::hours(1);

const RegisterChild kSleeper("platform_futex_sleeper", [](std::vector<std::string> args) {
  const auto area = SharedArea<Words>::from_token(args.at(0));
  while (area->word.load() == 0) wait_on(area->word, 0, kFarTooLong);
  area->awake.fetch_add(1);
  return 0;
});

}  // namespace

TEST_CASE("who waits for a word that has changed already doesn't sleep") {
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([](auto) {
    const std::atomic<std::uint32_t> word{7};
    wait_on(word, 8, kFarTooLong);
    return 0;
  }));
}

TEST_CASE("a wait ends at its time-out, an empty one at once") {
  const std::atomic<std::uint32_t> word{7};
  wait_on(word, 7, std::chrono::nanoseconds(0));
  wait_on(word, 7, std::chrono::milliseconds(1));
  wait_on(word, 7, std::chrono::milliseconds(1100) - std::chrono::milliseconds(1099));
}

TEST_CASE("waking where nobody sleeps does nothing") {
  const std::atomic<std::uint32_t> word{0};
  wake_one(word);
  wake_all(word);
  REQUIRE(word.load() == 0);
}

TEST_CASE("a change wakes a sleeper in another process") {
  const SharedArea<Words> area;
  Child sleeper = Child::start("platform_futex_sleeper", {area.token()});
  area->word.store(1);
  REQUIRE(eventually([&] {
    wake_one(area->word);  // it may have been about to sleep
    return area->awake.load() == 1;
  }));
  REQUIRE(sleeper.wait() == 0);
}

TEST_CASE("all sleepers of all processes are woken at once") {
  const SharedArea<Words> area;
  Child first = Child::start("platform_futex_sleeper", {area.token()});
  Child second = Child::start("platform_futex_sleeper", {area.token()});
  Forked third([&](auto) {
    while (area->word.load() == 0) wait_on(area->word, 0, kFarTooLong);
    area->awake.fetch_add(1);
    return 0;
  });
  area->word.store(1);
  REQUIRE(eventually([&] {
    wake_all(area->word);
    return area->awake.load() == 3;
  }));
  REQUIRE(first.wait() == 0);
  REQUIRE(second.wait() == 0);
  SHARED_DICT_REQUIRE_ENDED_WELL(third.wait());
}

TEST_CASE("a signal ends the wait, so that nothing defers it") {
  const SharedArea<Words> area;
  Forked sleeper([&](auto) {
    std::signal(SIGTERM, SIG_DFL);  // Catch's own handler isn't what is tested
    area->awake.store(1);
    for (;;) wait_on(area->word, 0, kFarTooLong);
    return 0;
  });
  REQUIRE(eventually([&] { return area->awake.load() == 1; }));
  sleeper.signal(SIGTERM);
  REQUIRE(sleeper.wait().signal == SIGTERM);
}
