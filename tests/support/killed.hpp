// A child that dies at the n-th kill point of what it does. Only in programs that are compiled with SHARED_DICT_KILL_POINTS.
#pragma once

#if !defined(SHARED_DICT_KILL_POINTS)
#error "compile the whole program with SHARED_DICT_KILL_POINTS"
#endif

#include <csignal>
#include <cstdint>
#include <functional>
#include <limits>
#include <stdexcept>

#include <shared_dict/detail/platform/kill_point.hpp>

#include "support/forked.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

class KillPoints {
 public:
  /// How many there are in `operation`, which a child does, and survives. `before` doesn't count.
  static std::uint64_t count(
      const std::function<void()>& operation, const std::function<void()>& before = [] {}) {
    const SharedArea<std::uint64_t> passed;
    const Ending ending = run_forked([&](auto) {
      begin(before);
      operation();
      end();
      *passed = seen;
      return 0;
    });
    if (!ending.ok()) throw std::runtime_error("the child failed: " + ending.text);
    return *passed;
  }

  /// A child does the operation and dies at its n-th kill point, or behind it.
  static void kill_at(
      std::uint64_t n, const std::function<void()>& operation, const std::function<void()>& before = [] {}) {
    const Ending ending = run_forked([&](auto) {
      begin(before, n);
      operation();
      end();
      ::raise(SIGKILL);
      return Forked::kFailed;
    });
    if (ending.signal != SIGKILL) throw std::runtime_error("the child wasn't killed: " + ending.text);
  }

 private:
  static void begin(const std::function<void()>& before, std::uint64_t n = std::numeric_limits<std::uint64_t>::max()) {
    before();
    deadly = n;
    seen = 0;
    detail::at_kill_point = []() noexcept {
      if (++seen == deadly) ::raise(SIGKILL);
    };
  }
  static void end() noexcept { detail::at_kill_point = nullptr; }

  static inline std::uint64_t seen = 0;
  static inline std::uint64_t deadly = 0;
};

}  // namespace shared_dict::test
