// How much a repeated test does, and what it tells of it: a fixed number of rounds on every change, more of them in a long run.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "support/seed.hpp"

namespace shared_dict::test {

/// `rounds` rounds, or as many as begin within SHARED_DICT_TEST_SECONDS seconds if that is set.
class Effort {
 public:
  explicit Effort(std::uint64_t rounds) : rounds_(rounds) {
    if (const char* const seconds = std::getenv("SHARED_DICT_TEST_SECONDS")) {
      timed_ = true;
      end_ = std::chrono::steady_clock::now() + std::chrono::seconds(std::stoull(seconds));
    }
  }

  /// Begins another round, unless it was enough.
  bool more() {
    if (timed_ ? done_ > 0 && std::chrono::steady_clock::now() >= end_ : done_ >= rounds_) return false;
    ++done_;
    return true;
  }
  /// Where something else than rounds is counted: on every change until that is `enough`, and no longer than it would go on otherwise.
  bool more_until(bool enough) { return (timed_ || !enough) && more(); }
  std::uint64_t done() const noexcept { return done_; }
  /// A long run: what is sampled on every change can be exhaustive.
  bool timed() const noexcept { return timed_; }

 private:
  std::uint64_t rounds_;
  std::uint64_t done_ = 0;
  bool timed_ = false;
  std::chrono::steady_clock::time_point end_;
};

/// One in `of` things on every change, which ones by the seed; in a long run the others as well, share after share, as long as there is time.
class Shares {
 public:
  explicit Shares(std::uint64_t of) : of_(of) {}

  /// Begins the next share.
  bool more() { return effort_.done() < of_ && effort_.more(); }
  /// Whether the i-th thing is in it.
  bool has(std::uint64_t i) const noexcept { return (i + test_seed() + effort_.done()) % of_ == 0; }
  std::uint64_t done() const noexcept { return effort_.done(); }
  std::uint64_t of() const noexcept { return of_; }
  bool timed() const noexcept { return effort_.timed(); }

 private:
  std::uint64_t of_;
  Effort effort_{1};
};

/// One line on standard output, which tests/run.sh collects: "proof: WHAT | seed S | NAME N | ...".
inline void report(std::string_view what, std::initializer_list<std::pair<std::string_view, std::uint64_t>> counts) {
  std::ostringstream line;
  line << "proof: " << what << " | seed " << test_seed();
  for (const auto& [name, count] : counts) line << " | " << name << ' ' << count;
  line << '\n';
  std::cout << line.str() << std::flush;
}

/// The same of what can't be tried here.
inline void report_skipped(std::string_view what, std::string_view why) {
  std::ostringstream line;
  line << "proof: " << what << " | skipped: " << why << '\n';
  std::cout << line.str() << std::flush;
}

}  // namespace shared_dict::test
