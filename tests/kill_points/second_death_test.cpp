// Whoever recovers after a death at the n-th store of a change dies at the m-th store of that. A long run tries every m for one n after the
// other, until it has been through all of them or the time is up.

#include <cstddef>
#include <cstdint>
#include <string>

#include "steps/changes.hpp"
#include "steps/second_deaths.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/killed.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict::test;

namespace {

template <class V>
void kill_at(Subject<V>& subject, std::uint64_t n) {
  subject.restore(subject.start());
  KillPoints::kill_at(n, [&] { subject.operate(); });
}

// All deaths of a recoverer of what is there; or all at its first stores, which release what the dead one held, and some of those at which it
// repairs.
template <class V>
void kill_recoverer(Subject<V>& subject, Recoverer who, bool all, std::uint64_t offset, SecondDeaths& deaths) {
  const bool in_batch = subject.in_batch();
  const Image::Copy first = subject.image().copy();
  const std::size_t outcome = outcome_of(subject, first);
  const auto recover = [&] { subject.recover(who); };
  const std::uint64_t count = KillPoints::count(recover);
  ++deaths.first;
  for (std::uint64_t m = 1; m <= count + 1; ++m) {
    if (!all && m > 50 && m % 16 != offset % 16) continue;
    INFO("second death at kill point " << m << " of " << count);
    subject.restore(first);
    KillPoints::kill_at(m, recover);
    // Who waits for locks repairs what is free before it finds out about the rest.
    REQUIRE(subject.check(m <= 50 && (in_batch || m % 8 == 3) ? Recoverer::waiter : Recoverer::newcomer) == outcome);
    ++deaths.second;
  }
}

template <class V>
void kill_twice(const std::string& what, const Setting<V>& setting, std::uint64_t rounds) {
  Effort effort(kSanitized ? (rounds + 7) / 8 : rounds);
  SecondDeaths deaths;
  each_change_in_turn(setting, effort, [&](Subject<V>& subject, std::uint64_t visit, auto& random) {
    const std::uint64_t n = spread(visit, KillPoints::count([&] { subject.operate(); }) + 1) + 1;
    INFO("first death at kill point " << n);
    kill_at(subject, n);
    kill_recoverer(subject, random() % 16 == 0 ? Recoverer::waiter : Recoverer::newcomer, effort.timed(), random(),
                   deaths);
  });
  deaths.tell("at every store", what);
}

// Between a batch's moment and its end: others do the rest of it, and die in that.
template <class V>
void kill_twice_in_batches(const std::string& what, const Setting<V>& setting) {
  Shares shares(kSanitized ? 16 : 2);
  SecondDeaths deaths;
  while (shares.more()) {
    for (const Change<V>& change : setting.changes) {
      if (!change.name.starts_with("update")) continue;
      INFO(change.name);
      Subject<V> subject(setting, change);
      const std::uint64_t count = KillPoints::count([&] { subject.operate(); });
      for (std::uint64_t n = 1; n <= count; ++n) {
        if (!shares.has(n)) continue;
        INFO("first death at kill point " << n << " of " << count);
        kill_at(subject, n);
        if (subject.in_batch()) kill_recoverer(subject, Recoverer::newcomer, shares.timed(), n, deaths);
      }
    }
  }
  deaths.tell("at every store, after a death in the middle of a batch", what);
}

}  // namespace

TEST_CASE("whatever store the recoverer of words dies at, the next one starts over", "[long]") {
  kill_twice("words", words(), 60);
}

TEST_CASE("whatever store the recoverer of numbers dies at, the next one starts over", "[long]") {
  kill_twice("numbers", numbers(), 20);
}

TEST_CASE("whatever store the recoverer of counted items dies at, the next one starts over", "[long]") {
  kill_twice("max_items", limited(), 8);
}

TEST_CASE("whatever store the recoverer of a full heap dies at, the next one starts over", "[long]") {
  kill_twice("full heap", full(), 8);
}

TEST_CASE("whatever store the recoverer of a batch dies at, the next one completes the batch", "[long]") {
  kill_twice_in_batches("words", words());
  kill_twice_in_batches("numbers", numbers());
}
