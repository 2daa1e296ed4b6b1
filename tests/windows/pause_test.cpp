// Windows takes the milliseconds of a sleep as a number without a sign: less than no time would be weeks.

#include <chrono>

#include <shared_dict/detail/platform/pause.hpp>

#include "support/catch.hpp"

using namespace shared_dict::detail;
using namespace std::chrono_literals;

TEST_CASE("nothing is slept for no time, nor for less") {
  sleep_for(0ns);
  sleep_for(-1h);
}

TEST_CASE("a sleep of less than a millisecond lasts at least as long") {
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) sleep_for(100us);
  REQUIRE(std::chrono::steady_clock::now() - began >= 2ms);
}
