// Who is alive, when names, records and processes change hands: a dictionary that was removed and made anew under its name, children
// forked before or after that, zombies, programs that exec. Each of these once robbed a live owner or protected a dead one.

#include <shared_dict/shared_dict.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::uint64_t, std::int64_t>;

/// Steps that the test and its child take one after the other.
struct Steps {
  std::atomic<int> child;
  std::atomic<int> parent;
};

/// args: place, how often to exec itself again
const RegisterChild kExec("identity: exec", [](std::vector<std::string> args) {
  const std::filesystem::path place = args.at(0);
  const int left = std::stoi(args.at(1));
  Numbers d = Numbers::open_or_create("name", {.heap_size = 1 << 18, .max_processes = 3, .directory = place});
  d.fetch_add(1, 1);
  if (left == 0) return d.stats().processes == 2 ? 0 : 1;
  const std::string next = std::to_string(left - 1);
  ::execl("/proc/self/exe", "test", "--child", "identity: exec", args.at(0).c_str(), next.c_str(), nullptr);
  return 2;
});

/// Becomes another program while it holds the lock of key 1. args: place, steps
const RegisterChild kExecInside("identity: exec inside", [](std::vector<std::string> args) {
  const auto steps = SharedArea<Steps>::from_token(args.at(1));
  Numbers d = Numbers::attach("name", {.directory = args.at(0)});
  d.modify(1, [&](std::int64_t& value) {
    value = 666;
    steps->child = 1;
    ::execlp("sleep", "sleep", "100", nullptr);
  });
  return 2;
});

}  // namespace

TEST_CASE("closing a removed dictionary's handle leaves the lock in the one that has its name now") {
  const Place place;
  const Options options{.heap_size = 1 << 18, .directory = place.path()};
  Numbers old = Numbers::create("name", options);
  REQUIRE(shared_dict::remove("name", place.path()));
  Numbers d = Numbers::create("name", options);
  d.insert(1, 0);
  const SharedArea<Steps> steps;
  Forked child([&](const auto&) {
    old.close();
    d.modify(1, [&](std::int64_t& value) {
      const std::int64_t seen = value;
      steps->child = 1;
      eventually([&] { return steps->parent.load() == 1; });
      value = seen + 1;
    });
    return 0;
  });
  REQUIRE(eventually([&] { return steps->child.load() == 1; }));
  // The child lives and holds the lock: a writer with less patience than the child's callback must not rob it.
  Numbers impatient = Numbers::attach("name", {.lock_timeout = 300ms, .directory = place.path()});
  REQUIRE(error_of([&] { impatient.fetch_add(1, 1); }) == errc::lock_timeout);
  steps->parent = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
  REQUIRE(d.fetch_add(1, 1) == 1);
  REQUIRE(d.at(1) == 2);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("members of a removed dictionary go on, fork, and recover from each other's deaths") {
  const Place place;
  Numbers d = Numbers::create("name", {.heap_size = 1 << 18, .directory = place.path()});
  d.insert(1, 1);
  REQUIRE(shared_dict::remove("name", place.path()));
  REQUIRE_FALSE(exists("name", place.path()));
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](const auto&) { return d.fetch_add(1, 1) == 1 && d.insert(2, 2) ? 0 : 1; }));
  REQUIRE(d.at(1) == 2);
  const SharedArea<Steps> steps;
  Forked victim([&](const auto&) {
    d.modify(1, [&](std::int64_t&) {
      steps->child = 1;
      ::pause();
    });
    return 0;
  });
  REQUIRE(eventually([&] { return steps->child.load() == 1; }));
  victim.kill();
  REQUIRE(d.fetch_add(1, 1) == 2);  // the victim is a zombie still: dead all the same
  victim.wait();
  SHARED_DICT_REQUIRE_SOUND(d);
  d.close();
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("what was removed in use goes with the next of its name if its members have died") {
  const Place place;
  const Options options{.heap_size = 1 << 18, .lifetime = Lifetime::persistent, .directory = place.path()};
  const SharedArea<Steps> steps;
  Forked member([&](const auto&) {
    Numbers d = Numbers::create("name", options);
    steps->child = 1;
    eventually([&] { return steps->parent.load() == 1; });
    return 0;
  });
  REQUIRE(eventually([&] { return steps->child.load() == 1; }));
  REQUIRE(shared_dict::remove("name", place.path()));
  REQUIRE_FALSE(std::filesystem::is_empty(place.path()));
  member.kill();
  member.wait();
  Numbers::create("name", options).close();
  REQUIRE(shared_dict::remove("name", place.path()));
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("a program that execs is not taken for the one that it was") {
  const Place place;
  Numbers d = Numbers::create("name", {.heap_size = 1 << 18, .max_processes = 3, .directory = place.path()});
  Child child = Child::start("identity: exec", {place.path().string(), "5"});
  REQUIRE(child.wait() == 0);
  REQUIRE(d.at(1) == 6);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a program that is replaced while it holds a lock counts as dead") {
  const Place place;
  Numbers d = Numbers::create("name", {.heap_size = 1 << 18, .directory = place.path()});
  d.insert(1, 1);
  const SharedArea<Steps> steps;
  Child child = Child::start("identity: exec inside", {place.path().string(), steps.token()});
  REQUIRE(eventually([&] { return steps->child.load() == 1; }));
  REQUIRE(d.fetch_add(1, 1) == 1);
  REQUIRE(::kill(child.pid(), 0) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a dead owner's lock is released however short the time-out is") {
  const Place place;
  Numbers d = Numbers::create("name", {.heap_size = 1 << 18, .lock_timeout = 0ms, .directory = place.path()});
  d.insert(1, 0);
  const SharedArea<Steps> steps;
  Forked victim([&](const auto&) {
    d.modify(1, [&](std::int64_t&) {
      steps->child = 1;
      ::pause();
    });
    return 0;
  });
  REQUIRE(eventually([&] { return steps->child.load() == 1; }));
  REQUIRE(error_of([&] { d.fetch_add(1, 1); }) == errc::lock_timeout);
  victim.kill();
  victim.wait();
  REQUIRE(d.fetch_add(1, 1) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
