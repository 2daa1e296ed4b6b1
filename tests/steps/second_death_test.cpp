// Whoever recovers after a death is killed in that, too, at each instruction that changes the segment. The change has afterwards happened
// or not as it had before, and everything is as sound as after one death.
//
// Stepping takes long, so this looks at some first deaths; in a long run at as many as there is time for. The kill points do it for more.

#include <cstddef>
#include <cstdint>
#include <string>

#include "steps/changes.hpp"
#include "steps/deaths.hpp"
#include "steps/second_deaths.hpp"
#include "support/catch.hpp"
#include "support/distinct.hpp"
#include "support/effort.hpp"
#include "support/stepped.hpp"

using namespace shared_dict::test;

namespace {

// One of the images in which there is something to recover, if there are such.
template <class V, class Random>
const Image::Copy& choose_first(Subject<V>& subject, const Distinct<Image::Copy>& images, Random& random) {
  for (int i = 0; i < 20; ++i) {
    const Image::Copy& image = images[random() % images.size()];
    subject.restore(image);
    if (!subject.at_rest()) return image;
  }
  return images[random() % images.size()];
}

template <class V>
void kill_twice(const std::string& what, const Setting<V>& setting, std::uint64_t rounds) {
  if (!Stepped::possible()) {
    WARN("ptrace isn't permitted here: only the kill points show what a second death leaves");
    SecondDeaths().tell("left to the kill points, as ptrace isn't permitted", what);
    return;
  }
  Effort effort(rounds);
  SecondDeaths deaths;
  each_change_in_turn(setting, effort, [&](Subject<V>& subject, std::uint64_t, auto& random) {
    const Distinct<Image::Copy> left = images_of(subject, [&] { subject.operate(); });
    const Image::Copy& first = choose_first(subject, left, random);
    const std::size_t outcome = outcome_of(subject, first);
    const Distinct<Image::Copy> again = images_of(subject, [&] { subject.recover(Recoverer::newcomer); });
    ++deaths.first;
    for (const std::size_t i : choose(again.size(), again.last(), effort.timed())) {
      INFO("second death " << i << " of " << again.size());
      subject.restore(again[i]);
      REQUIRE(subject.check(i % 64 == 7 ? Recoverer::waiter : Recoverer::newcomer) == outcome);
      ++deaths.second;
    }
  });
  deaths.tell("at every instruction", what);
}

}  // namespace

TEST_CASE("whatever instruction the recoverer of words is killed at, the next one starts over", "[long]") {
  kill_twice("words", words(), 5);
}

TEST_CASE("whatever instruction the recoverer of numbers is killed at, the next one starts over", "[long]") {
  kill_twice("numbers", numbers(), 2);
}
