// Waiting for another process: it is heard at once, it may die at any moment, and so may those who wait.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::string, std::int64_t>;

struct Progress {
  std::atomic<int> asked;  ///< the child's predicate has been called for the second time, so the child is armed
  std::atomic<int> inside;
};

/// Answers each ping with a pong. args: name, rounds
const RegisterChild kPong("waiting: pong", [](std::vector<std::string> args) {
  Numbers d = Numbers::attach(args.at(0));
  for (std::int64_t i = 1; i <= std::stoll(args.at(1)); ++i) {
    if (!d.wait_until("ping", [&](std::int64_t ping) { return ping == i; }, kHangDeadline)) return 1;
    d["pong"] = i;
  }
  return 0;
});

/// Waits for what never comes, and is killed. args: name, progress
const RegisterChild kPatient("waiting: patient", [](std::vector<std::string> args) {
  Numbers d = Numbers::attach(args.at(0));
  const auto progress = SharedArea<Progress>::from_token(args.at(1));
  d.wait_until(
      "key",
      [&](std::int64_t) {
        ++progress->asked;
        return false;
      },
      kHangDeadline);
  return 0;
});

/// Dies in the middle of a change of another key of the shard. args: name, progress
const RegisterChild kDying("waiting: dying", [](std::vector<std::string> args) {
  Numbers d = Numbers::attach(args.at(0));
  const auto progress = SharedArea<Progress>::from_token(args.at(1));
  d.modify("other", [&](std::int64_t&) {
    progress->inside = 1;
    for (;;) std::this_thread::sleep_for(1s);
  });
  return 0;
});

}  // namespace

TEST_CASE("two processes play ping-pong by waiting for each other") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  constexpr std::int64_t kRounds = 1000;
  Child pong = Child::start("waiting: pong", {name.str(), std::to_string(kRounds)});
  for (std::int64_t i = 1; i <= kRounds; ++i) {
    d["ping"] = i;
    REQUIRE(d.wait_until("pong", [&](std::int64_t value) { return value == i; }, kHangDeadline) == i);
  }
  REQUIRE(pong.wait() == 0);
  REQUIRE(d.audit().ok());
}

TEST_CASE("a waiter that is killed leaves nothing that writers have to look at") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 16});
  d["key"] = 0;
  for (int round = 0; round < 20; ++round) {
    const SharedArea<Progress> progress;
    Child patient = Child::start("waiting: patient", {name.str(), progress.token()});
    REQUIRE(eventually([&] { return progress->asked.load() >= 2; }));
    patient.kill();
    REQUIRE(patient.wait() == -SIGKILL);
    d["key"] = round;
    d.gc_stats();  // asks after the dead
    REQUIRE(d.stats().processes == 1);
    d["key"] = round;
    REQUIRE(d.audit().ok());
  }
}

// The lock that a waiter needs for a moment is held by one who dies: the waiter, or whom it waits for, takes care of that.
TEST_CASE("a wait goes through a writer's death") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 16});
  d["key"] = 0;
  d["other"] = 0;
  const SharedArea<Progress> progress;
  Child dying = Child::start("waiting: dying", {name.str(), progress.token()});
  REQUIRE(eventually([&] { return progress->inside.load() != 0; }));
  REQUIRE_FALSE(d.wait_change("key", 20ms));  // it lives, and keeps the lock: nothing was written
  Child pong = Child::start("waiting: pong", {name.str(), "1"});
  dying.kill();
  REQUIRE(dying.wait() == -SIGKILL);
  d["ping"] = 1;
  REQUIRE(d.wait_until("pong", [](std::int64_t value) { return value == 1; }, kHangDeadline) == 1);
  REQUIRE(pong.wait() == 0);
  REQUIRE(d.at("other") == 0);
  REQUIRE(d.audit().ok());
}
