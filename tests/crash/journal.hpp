// What the workers of the crash tests write down outside the dictionary, before and after each operation, so that the
// survivors know after a kill what must be there, what must not, and the one thing that may be either.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace shared_dict::test {

inline constexpr std::size_t kWorkers = 4;
inline constexpr std::size_t kCounters = 8;
inline constexpr std::size_t kOwnKeys = 256;

/// One worker writes it while it lives; the test reads and settles it after its death.
struct Journal {
  // Counters are shared by all workers: additions that were begun, and those that returned.
  std::array<std::atomic<std::uint64_t>, kCounters> begun;
  std::array<std::atomic<std::uint64_t>, kCounters> acknowledged;

  // Keys of this worker alone. A state is the version stored, 0 for none.
  std::array<std::atomic<std::uint64_t>, kOwnKeys> state;
  std::atomic<std::uint64_t> pending_key;  ///< number of the key that is being written, plus 1; 0: none
  std::atomic<std::uint64_t> pending_state;
  std::atomic<std::uint64_t> last_version;  ///< never used again, in later lives either

  std::atomic<std::uint64_t> operations;
  std::atomic<std::uint32_t> asked_to_hold;  ///< the test wants it to enter a callback and stay there
  std::atomic<std::uint32_t> holding;        ///< it is inside, with the lock
  std::atomic<std::uint32_t> failed;         ///< it found something wrong; 0: nothing
};

struct Journals {
  std::array<Journal, kWorkers> of;
  std::atomic<std::uint32_t> stop;
};

}  // namespace shared_dict::test
