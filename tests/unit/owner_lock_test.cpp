// The lock behind every write: one owner at a time, never robbed while it lives however slow it is, released when it is dead, and no
// waiter left behind.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/owner_lock.hpp>
#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
using test::eventually;
using test::Forked;
using test::SharedArea;

namespace {

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment = Lifecycle("name", place.path(), test::kHangDeadline)
                                               .open(OpenMode::create, {.heap_size = 1 << 20}, {"K", "V", {8, 8, 8}});

  Shard& shard() const { return attachment->segment().shard(0); }
  OwnerLock lock(std::chrono::milliseconds timeout = test::kHangDeadline) const {
    return OwnerLock({*attachment, timeout}, shard().lock, shard().sleepers, &shard().lock_waits);
  }
  void require_sound() const { REQUIRE(Audit({*attachment, test::kHangDeadline}).run().ok()); }
};

struct State {
  std::atomic<int> inside;
  std::atomic<int> met;
  std::uint64_t plain;  // only ever touched with the lock held
  std::atomic<int> stage;
};

/// A child that takes the lock and stays.
std::unique_ptr<Forked> own(const Dictionary& dictionary, const SharedArea<State>& state) {
  auto owner = std::make_unique<Forked>([&](auto) {
    const OwnerLock lock = dictionary.lock();
    state->stage.store(1);
    for (;;) ::pause();
    return 0;
  });
  REQUIRE(eventually([&] { return state->stage.load() == 1; }));
  return owner;
}

}  // namespace

TEST_CASE("taking an owner lock names the owner, releasing it names nobody") {
  const Dictionary dictionary;
  {
    OwnerLock lock = dictionary.lock();
    REQUIRE(dictionary.shard().lock.load() == dictionary.attachment->self().bits());
    REQUIRE(lock.mine());
    const OwnerLock moved = std::move(lock);
    REQUIRE(moved.mine());
    lock.release();  // NOLINT(bugprone-use-after-move): a moved one releases nothing
    REQUIRE(dictionary.shard().lock.load() != 0);
  }
  REQUIRE(dictionary.shard().lock.load() == 0);
  REQUIRE(dictionary.shard().lock_waits.load() == 0);
  dictionary.require_sound();
}

TEST_CASE("processes and threads under the lock lose no increment of a plain counter") {
  constexpr int kRounds = 20'000;
  const Dictionary dictionary;
  const SharedArea<State> state;
  const test::StartBarrier barrier;
  const auto increment = [&] {
    for (int i = 0; i < kRounds; ++i) {
      const OwnerLock lock = dictionary.lock();
      if (state->inside.fetch_add(1) != 0) state->met.fetch_add(1);
      state->plain = state->plain + 1;
      if (i % 1000 == 0) std::this_thread::yield();
      state->inside.fetch_sub(1);
    }
  };
  std::vector<std::unique_ptr<Forked>> children;
  for (int i = 0; i < 3; ++i) {
    children.push_back(std::make_unique<Forked>([&](auto) {
      barrier.arrive_and_wait();
      increment();
      return 0;
    }));
  }
  barrier.open_for(3);
  std::thread thread(increment);
  increment();
  thread.join();
  for (const auto& child : children) SHARED_DICT_REQUIRE_ENDED_WELL(child->wait());
  REQUIRE(state->met.load() == 0);
  REQUIRE(state->plain == 5 * kRounds);
  dictionary.require_sound();
}

TEST_CASE("a lock that a live process keeps ends in a time-out that names it, and a stopped process is never robbed") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto owner = own(dictionary, state);
  const std::uint32_t word = dictionary.shard().lock.load();
  for (const int signal : {0, SIGSTOP}) {
    if (signal != 0) owner->signal(signal);
    const std::string text =
        test::message_of([&] { const OwnerLock lock = dictionary.lock(std::chrono::milliseconds(60)); });
    INFO(text);
    REQUIRE(text.find("process " + std::to_string(owner->pid()) + " ") != std::string::npos);
    REQUIRE(text.find("'name'") != std::string::npos);
    REQUIRE(test::error_of([&] { const OwnerLock lock = dictionary.lock(std::chrono::milliseconds(0)); }) ==
            errc::lock_timeout);
    REQUIRE(dictionary.shard().lock.load() == word);
    REQUIRE(dictionary.shard().dirty.load() == 0);
  }
  owner->kill();
  owner->wait();
  dictionary.require_sound();
  REQUIRE(dictionary.attachment->segment().header().recoveries.load() == 1);
}

TEST_CASE("a dead owner's lock is taken over by a waiter") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto owner = own(dictionary, state);
  owner->kill();
  REQUIRE(owner->wait().signal == SIGKILL);
  {
    const OwnerLock lock = dictionary.lock();
    REQUIRE(lock.mine());
    REQUIRE(dictionary.shard().dirty.load() == 1);
  }
  dictionary.require_sound();
}

TEST_CASE("an owner that dies while others wait lets all of them through, one by one") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto owner = own(dictionary, state);
  std::vector<std::unique_ptr<Forked>> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.push_back(std::make_unique<Forked>([&](auto) {
      const OwnerLock lock = dictionary.lock();
      state->plain = state->plain + 1;
      return 0;
    }));
  }
  REQUIRE(eventually([&] { return dictionary.shard().lock_waits.load() >= 3; }));
  owner->kill();
  for (const auto& waiter : waiters) SHARED_DICT_REQUIRE_ENDED_WELL(waiter->wait());
  REQUIRE(state->plain == 3);
  dictionary.require_sound();
}

TEST_CASE("a dead owner's lock is taken over with a time-out of any length") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto owner = own(dictionary, state);
  owner->kill();
  REQUIRE(owner->wait().signal == SIGKILL);
  REQUIRE_FALSE(test::error_of([&] { const OwnerLock lock = dictionary.lock(std::chrono::milliseconds(3)); }));
}

TEST_CASE("waiters get through when the lock is released") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  std::vector<std::unique_ptr<Forked>> waiters;
  {
    OwnerLock lock = dictionary.lock();
    for (int i = 0; i < 3; ++i) {
      waiters.push_back(std::make_unique<Forked>([&](auto) {
        const OwnerLock own_lock = dictionary.lock();
        state->plain = state->plain + 1;
        return 0;
      }));
    }
    REQUIRE(eventually(
        [&] { return dictionary.shard().lock_waits.load() >= 3 && dictionary.shard().sleepers.load() != 0; }));
  }
  for (const auto& waiter : waiters) SHARED_DICT_REQUIRE_ENDED_WELL(waiter->wait());
  REQUIRE(state->plain == 3);
  dictionary.require_sound();
}

TEST_CASE("a sleeper that is killed leaves nothing that hinders the others") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  {
    OwnerLock lock = dictionary.lock();
    Forked sleeper([&](auto) {
      const OwnerLock own_lock = dictionary.lock();
      return 0;
    });
    Forked other([&](auto) {
      const OwnerLock own_lock = dictionary.lock();
      state->plain = state->plain + 1;
      return 0;
    });
    REQUIRE(eventually(
        [&] { return dictionary.shard().lock_waits.load() >= 2 && dictionary.shard().sleepers.load() != 0; }));
    sleeper.kill();
    REQUIRE(sleeper.wait().signal == SIGKILL);
    lock.release();
    SHARED_DICT_REQUIRE_ENDED_WELL(other.wait());
  }
  REQUIRE(state->plain == 1);
  {
    const OwnerLock again = dictionary.lock();
    REQUIRE(dictionary.shard().dirty.load() == 0);
  }
  dictionary.require_sound();
}

TEST_CASE("a child that is forked while its parent has the lock neither has nor releases it") {
  const Dictionary dictionary;
  {
    OwnerLock lock = dictionary.lock();
    const std::uint32_t word = dictionary.shard().lock.load();
    SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
      if (lock.mine()) return 1;
      lock.release();
      return dictionary.shard().lock.load() == word ? 0 : 2;
    }));
    REQUIRE(dictionary.shard().lock.load() == word);
    REQUIRE(lock.mine());
  }
  REQUIRE(dictionary.shard().lock.load() == 0);
  dictionary.require_sound();
}

TEST_CASE("an owner that left the dictionary and died by exec counts as gone") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const Forked owner([&](auto) {
    const OwnerLock lock = dictionary.lock();
    state->stage.store(1);
    ::execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
    return 1;
  });
  REQUIRE(eventually([&] { return state->stage.load() == 1; }));
  const OwnerLock lock = dictionary.lock();
  REQUIRE(lock.mine());
}
