// A second death: whoever cleans up after the first one dies at some step of that, and the next one starts over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "steps/change.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

/// In each round f(Subject, visit, random) deals with one change of the setting, all of them in turn; `visit` is one more each time that
/// it is the same one.
template <class V, class F>
void each_change_in_turn(const Setting<V>& setting, Effort& effort, F f) {
  std::mt19937_64 random(test_seed());
  const std::uint64_t first = random() % setting.changes.size();
  const std::uint64_t first_visit = random() % 10'000;
  for (std::uint64_t next = first; effort.more(); ++next) {
    const Change<V>& change = setting.changes[next % setting.changes.size()];
    INFO(change.name);
    Subject<V> subject(setting, change);
    f(subject, first_visit + next / setting.changes.size(), random);
  }
}

/// A number below `count`: another one at each visit until all were there, neighbours far apart.
inline std::uint64_t spread(std::uint64_t visit, std::uint64_t count) {
  std::uint64_t stride = count * 5 / 8 + 1;
  while (std::gcd(stride, count) != 1) ++stride;
  return visit * stride % count;
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
