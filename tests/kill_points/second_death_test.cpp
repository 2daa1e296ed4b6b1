// Whoever recovers after a death at the n-th store of a change dies at the m-th store of that.

#include <cstddef>
#include <cstdint>
#include <string>

#include "crash/changes.hpp"
#include "crash/second_deaths.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/killed.hpp"

using namespace shared_dict::test;

namespace {

template <class V>
void kill_twice(const std::string& what, const Setting<V>& setting, std::uint64_t rounds) {
  Effort effort(rounds);
  SecondDeaths deaths;
  each_change_in_turn(setting, effort, [&](Subject<V>& subject, auto& random) {
    const auto operate = [&] { subject.operate(); };
    const std::uint64_t n = random() % (KillPoints::count(operate) + 1) + 1;
    subject.restore(subject.start());
    KillPoints::kill_at(n, operate);
    const Image::Copy first = subject.image().copy();
    const std::size_t outcome = outcome_of(subject, first);
    const Recoverer who = random() % 16 == 0 ? Recoverer::waiter : Recoverer::newcomer;
    const auto recover = [&] { subject.recover(who); };
    const std::uint64_t count = KillPoints::count(recover);
    ++deaths.first;
    for (std::uint64_t m = 1 + random() % (effort.timed() ? 1 : 8); m <= count + 1; m += effort.timed() ? 1 : 8) {
      INFO("first death at kill point " << n << ", second at " << m << " of " << count);
      subject.restore(first);
      KillPoints::kill_at(m, recover);
      REQUIRE(subject.check(Recoverer::newcomer) == outcome);
      ++deaths.second;
    }
  });
  deaths.tell("at every store", what);
}

}  // namespace

TEST_CASE("whatever store the recoverer of words dies at, the next one starts over", "[long]") { kill_twice("words", words(), 60); }

TEST_CASE("whatever store the recoverer of numbers dies at, the next one starts over", "[long]") { kill_twice("numbers", numbers(), 20); }

TEST_CASE("whatever store the recoverer of counted items dies at, the next one starts over", "[long]") {
  kill_twice("max_items", limited(), 8);
}

TEST_CASE("whatever store the recoverer of a full heap dies at, the next one starts over", "[long]") { kill_twice("full heap", full(), 8); }
