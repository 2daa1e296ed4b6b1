// A second death: whoever cleans up after the first one dies at some step of that, and the next one starts over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "crash/change.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

/// In each round f(Subject, random) deals with some change of the setting, all of them in turn.
template <class V, class F>
void each_change_in_turn(const Setting<V>& setting, Effort& effort, F f) {
  std::mt19937_64 random(test_seed());
  for (std::size_t next = random(); effort.more(); ++next) {
    const Change<V>& change = setting.changes[next % setting.changes.size()];
    INFO(change.name);
    Subject<V> subject(setting, change);
    f(subject, random);
  }
}

/// How far the change has got whose first death left `first`: no later death alters that.
template <class V>
std::size_t outcome_of(Subject<V>& subject, const Image::Copy& first) {
  subject.restore(first);
  const std::size_t outcome = subject.check(Recoverer::newcomer);
  subject.restore(first);
  return outcome;
}

struct SecondDeaths {
  std::uint64_t first = 0;
  std::uint64_t second = 0;

  void tell(const std::string& how, const std::string& what) const {
    report("second death in the recovery, " + how + ": " + what, {{"first deaths", first}, {"second deaths", second}});
  }
};

}  // namespace shared_dict::test
