// The seed of random tests.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

namespace shared_dict::test {

/// The same in the whole process: SHARED_DICT_SEED if it is set, else a new one. Printed at the first call, to be set at
/// the next run. A child process gets it as an argument.
inline std::uint64_t test_seed() {
  static const std::uint64_t seed = [] {
    const char* given = std::getenv("SHARED_DICT_SEED");
    std::random_device random;
    const std::uint64_t chosen =
        given != nullptr ? std::stoull(given, nullptr, 0) : std::uint64_t{random()} << 32 | random();
    std::fprintf(stderr, "SHARED_DICT_SEED=%llu\n", static_cast<unsigned long long>(chosen));
    return chosen;
  }();
  return seed;
}

}  // namespace shared_dict::test
