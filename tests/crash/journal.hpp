// What the workers of the kill tests write down outside the dictionaries, before and after each operation, so that the survivors
// know after a kill what must be there, what must not, and the one thing that may be either.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shared_dict::test {

inline constexpr std::size_t kWorkers = 4;
inline constexpr std::size_t kOwnValues = 48;       // keys with values of changing size, of each worker
inline constexpr std::size_t kOwnCounters = 12;     // numbers that one worker writes
inline constexpr std::size_t kSharedCounters = 6;   // numbers that all add to
inline constexpr std::size_t kGroupKeys = 12;       // keys that are only written all together, by one worker
inline constexpr std::size_t kSharedGroupKeys = 8;  // and by all workers
inline constexpr std::size_t kSets = 5;  // of keys that are inserted together, and that anybody may clear away
inline constexpr std::size_t kSetKeys = 300;

using Tick = std::atomic<std::uint64_t>;

enum class Doing : std::uint32_t { nothing, value, counter, addition, group, set };

/// A set as its owner left it. Times are those of Journals::clock.
struct KeySet {
  Tick version;   ///< that was stored last, 0 for never
  Tick begun_at;  ///< a clear that ended before can't have taken it away
  Tick done_at;   ///< a clear that began later and returned must have
};

/// One worker writes it while it lives; the test reads and settles it after its death.
struct Journal {
  // A state is the version or the number that is stored, 0 for none.
  std::array<Tick, kOwnValues> value;
  std::array<Tick, kOwnCounters> counter;
  std::array<Tick, kSharedCounters> added;  ///< how often this worker was told that it did
  Tick group;
  std::array<KeySet, kSets> set;

  // The operation in flight: what it is about, and the state when it has happened.
  std::atomic<Doing> doing;
  Tick index;
  Tick after;
  std::atomic<std::uint32_t> clearing;  ///< it is clearing, or has died while it was

  Tick last_version;  ///< never used again, in later lives either
  Tick operations;
  std::atomic<std::uint32_t> go;             ///< its last life is settled, so it may begin
  std::atomic<std::uint32_t> asked_to_hold;  ///< the test wants it to enter a callback and stay there
  std::atomic<std::uint32_t> holding;        ///< it is inside, with the lock
  std::atomic<std::uint32_t> paused;
  std::atomic<std::uint32_t> failed;  ///< it found something wrong, and says what when it ends
};

struct Journals {
  std::array<Journal, kWorkers> of;
  std::atomic<std::uint32_t> stop;
  std::atomic<std::uint32_t> pause;
  Tick clock;
  Tick last_clear_begun;  ///< when the latest of those that returned began
  Tick last_clear_ended;  ///< when the latest returned, or was found dead

  std::uint64_t now() { return clock.fetch_add(1) + 1; }

  static void raise(Tick& tick, std::uint64_t to) {
    std::uint64_t seen = tick.load();
    while (seen < to && !tick.compare_exchange_weak(seen, to)) {
    }
  }

  /// Whether something that was begun at `time` can have been cleared away. To be asked after it was found missing.
  bool may_be_cleared(std::uint64_t time) const {
    for (const Journal& journal : of) {
      if (journal.clearing.load() != 0) return true;
    }
    return last_clear_ended.load() > time;
  }
};

}  // namespace shared_dict::test
