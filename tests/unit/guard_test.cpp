// The guard serialises create, attach, leave, remove and recover: between processes by a file lock, between threads by a mutex, and
// nobody may wait for it without an end.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/guard.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::detail;
namespace test = shared_dict::test;
using test::Child;
using test::eventually;
using test::SharedArea;
using test::StartBarrier;

namespace {

constexpr int kRounds = 300;

struct State {
  std::atomic<int> inside;
  std::atomic<int> met;  // somebody who was inside too
  int plain;             // only ever touched inside
  std::atomic<unsigned> held;
};

std::unique_ptr<Guard> guard_at(const std::filesystem::path& path) {
  return std::make_unique<Guard>(LockFile::open(path, status_of(path).value().id).value());
}

Clock::time_point soon() { return Clock::now() + test::kHangDeadline; }

void take_turns(Guard& guard, const SharedArea<State>& state) {
  for (int i = 0; i < kRounds; ++i) {
    const Guard::Hold hold = guard.hold_until(soon());
    if (!hold) throw std::runtime_error("the guard can't be had");
    if (state->inside.fetch_add(1) != 0) state->met.fetch_add(1);
    state->plain = state->plain + 1;
    state->inside.fetch_sub(1);
  }
}

const test::RegisterChild kTaker("guard_taker", [](std::vector<std::string> args) {
  const auto state = SharedArea<State>::from_token(args.at(1));
  const auto guard = guard_at(args.at(0));
  StartBarrier::from_token(args.at(2)).arrive_and_wait();
  take_turns(*guard, state);
  return 0;
});

const test::RegisterChild kKeeper("guard_keeper", [](std::vector<std::string> args) {
  const auto state = SharedArea<State>::from_token(args.at(1));
  const auto guard = guard_at(args.at(0));
  const Guard::Hold hold = guard->hold_until(soon());
  state->held.store(hold ? 1 : 2);
  static_cast<void>(eventually([] { return false; }, std::chrono::seconds(60)));
  return 0;
});

struct File {
  test::Place place;
  std::filesystem::path path = place.path() / "guard.lock";
  File() { test::write_file(path, ""); }
};

}  // namespace

TEST_CASE("processes and their threads are inside one at a time") {
  const File file;
  const SharedArea<State> state;
  const StartBarrier barrier;
  std::vector<Child> children;
  for (int i = 0; i < 2; ++i)
    children.push_back(Child::start("guard_taker", {file.path.string(), state.token(), barrier.token()}));
  const auto guard = guard_at(file.path);
  barrier.open_for(2);
  std::thread other([&] { take_turns(*guard, state); });
  take_turns(*guard, state);
  other.join();
  for (Child& child : children) REQUIRE(child.wait() == 0);
  REQUIRE(state->met.load() == 0);
  REQUIRE(state->plain == 4 * kRounds);
}

TEST_CASE("waiting for a guard that another process keeps ends at the deadline") {
  const File file;
  const SharedArea<State> state;
  Child keeper = Child::start("guard_keeper", {file.path.string(), state.token()});
  REQUIRE(eventually([&] { return state->held.load() == 1; }));
  const auto guard = guard_at(file.path);
  REQUIRE_FALSE(guard->hold_until(Clock::now() + std::chrono::milliseconds(20)));
  REQUIRE_FALSE(guard->hold_until(Clock::now()));
  keeper.kill(SIGSTOP);
  REQUIRE_FALSE(guard->hold_until(Clock::now() + std::chrono::milliseconds(20)));
  keeper.kill(SIGKILL);
  REQUIRE(guard->hold_until(soon()));
}

TEST_CASE("waiting for a guard that another thread keeps ends at the deadline") {
  const File file;
  const auto guard = guard_at(file.path);
  Guard::Hold hold = guard->try_hold();
  REQUIRE(hold);
  bool got = true;
  std::thread([&] { got = static_cast<bool>(guard->hold_until(Clock::now() + std::chrono::milliseconds(20))); }).join();
  REQUIRE_FALSE(got);
  hold = Guard::Hold();
  std::thread([&] { got = static_cast<bool>(guard->hold_until(soon())); }).join();
  REQUIRE(got);
}

TEST_CASE("who doesn't get the guard leaves nothing locked") {
  const File file;
  const SharedArea<State> state;
  const auto guard = guard_at(file.path);
  {
    Child keeper = Child::start("guard_keeper", {file.path.string(), state.token()});
    REQUIRE(eventually([&] { return state->held.load() == 1; }));
    REQUIRE_FALSE(guard->try_hold());
  }
  REQUIRE(guard->process_mutex().try_lock());
  // With the mutex taken, the file must stay free for other processes.
  REQUIRE_FALSE([&] {
    bool got = true;
    std::thread([&] { got = static_cast<bool>(guard->try_hold()); }).join();
    return got;
  }());
  const StartBarrier barrier;
  Child taker = Child::start("guard_taker", {file.path.string(), state.token(), barrier.token()});
  barrier.open_for(1);
  REQUIRE(taker.wait() == 0);
  guard->process_mutex().unlock();
}

TEST_CASE("a moved hold is one hold") {
  const File file;
  const auto guard = guard_at(file.path);
  Guard::Hold hold = guard->try_hold();
  {
    Guard::Hold moved = std::move(hold);
    REQUIRE(moved);
    REQUIRE_FALSE(hold);
  }
  hold = guard->try_hold();
  REQUIRE(hold);
}
