// What the deaths in one change have left, looked at one after the other.
#pragma once

#include <cstddef>
#include <functional>
#include <iostream>
#include <vector>

#include "steps/change.hpp"
#include "support/catch.hpp"
#include "support/distinct.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/stepped.hpp"

namespace shared_dict::test {

/// Which of `count` deaths are recovered from, where that takes as long as forks do, or is done again and again. The thousands of words of a
/// large value, which nobody sees yet, are all alike. With a sanitizer a sixteenth, others in each run: all takes ten times as long. The one
/// at the `end` of the operation in any case.
inline std::vector<std::size_t> choose(std::size_t count, std::size_t end, bool all) {
  std::vector<std::size_t> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    const bool turn = !kSanitized || (i + test_seed()) % 16 == 0;
    if (all || i == end || (turn && (i < 250 || i + 250 >= count || i % 50 == 0))) chosen.push_back(i);
  }
  return chosen;
}

/// The segment after each instruction of `operation` that changes it, and before the first; each state of it once. Its process is killed then.
template <class V>
Distinct<Image::Copy> images_of(Subject<V>& subject, const std::function<void()>& operation) {
  Distinct<Image::Copy> images;
  Stepped child(operation);
  images.add(subject.image().copy());
  while (child.step()) {
    if (subject.image().differs(images[images.last()])) images.add(subject.image().copy());
  }
  child.kill();
  return images;
}

/// In the order of the deaths: what a later one leaves has got at least as far.
template <class V>
class Deaths {
 public:
  explicit Deaths(Subject<V>& subject) : subject_(subject) {}

  /// What was restored. How far it has got.
  std::size_t check() {
    // Now and then it is a writer that finds out.
    const std::size_t got = subject_.check(count_ % 16 == 5 ? Recoverer::waiter : Recoverer::newcomer);
    REQUIRE(got >= got_);
    got_ = got;
    ++count_;
    return got;
  }
  /// As check(), when the operation was through.
  void check_end() { REQUIRE(check() == subject_.whole()); }

  std::size_t count() const noexcept { return count_; }

 private:
  Subject<V>& subject_;
  std::size_t count_ = 0;
  std::size_t got_ = 0;
};

}  // namespace shared_dict::test
