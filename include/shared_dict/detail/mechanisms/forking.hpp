// What a process record says of its process's children: how many were forked that have no record of their own yet, and, once the process is
// dead, that it was found so, and when.
//
// One word, generation << 32 | found dead << 31 | when << 16 | children, so that a late child doesn't count in a record that has
// another owner by now. When is a time that all processes of the machine share; it may come round, and then a child is expected for a while more.
#pragma once

#include <chrono>
#include <cstdint>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/guard.hpp>

namespace shared_dict::detail {

// How long a forked child is waited for that isn't registered yet.
inline constexpr std::chrono::seconds kForkPatience{1};

class Forking {
 public:
  explicit Forking(ProcessRecord& record) noexcept : word_(record.forking) {}

  // Of a new owner: no children. Before the record counts.
  void begin(std::uint32_t generation) noexcept {
    word_.store(static_cast<std::uint64_t>(generation) << kGenerationAt, std::memory_order_relaxed);  // relaxed: [R1] publishes it
  }

  // One child more, or less, of the owner of that generation. (A fork that fails leaves one too many, as nothing tells; more than the word has
  // room for aren't counted.)
  void count(std::uint32_t generation, int change) noexcept {
    std::uint64_t seen = word_.load(std::memory_order_relaxed);  // relaxed: only where to begin
    do {
      if ((static_cast<std::uint32_t>(seen >> kGenerationAt) & LockWord::kGenerationMask) != generation) return;
      if ((seen & kChildren) == (change > 0 ? kChildren : 0)) return;
      // [R4] release, pairs with [R5]: who sees a child counted no more sees the record that it has taken. relaxed on failure: as above
    } while (!word_.compare_exchange_weak(seen, seen + static_cast<std::uint64_t>(std::int64_t{change}), std::memory_order_release,
                                          std::memory_order_relaxed));
  }

  // Whether a child may still come: after its parent's death it is waited for as long as kForkPatience.
  bool child_pending() const noexcept {
    const std::uint64_t word = bits();
    if ((word & kChildren) == 0) return false;
    const std::uint64_t passed = (now() - (word >> kWhenAt)) & kWhenMask;
    return (word & kDead) == 0 || passed <= static_cast<std::uint64_t>(kForkPatience / kWhenUnit);
  }

  // Whether its process was found dead.
  bool dead() const noexcept { return (bits() & kDead) != 0; }

  // Once, with the guard held.
  void set_dead() noexcept {
    word_.fetch_or(kDead | now() << kWhenAt, std::memory_order_relaxed);  // relaxed: with the guard held
  }

 private:
  static constexpr unsigned kGenerationAt = 32;
  static constexpr std::uint64_t kDead = std::uint64_t{1} << 31;
  static constexpr unsigned kWhenAt = 16;
  static constexpr std::uint64_t kWhenMask = 0x7fff;
  static constexpr std::uint64_t kChildren = 0xffff;
  static constexpr std::chrono::milliseconds kWhenUnit{50};

  static std::uint64_t now() noexcept {
    return static_cast<std::uint64_t>(Clock::now().time_since_epoch() / kWhenUnit) & kWhenMask;
  }

  std::uint64_t bits() const noexcept {
    // [R5] acquire, pairs with [R4]: see count().
    return word_.load(std::memory_order_acquire);
  }

  Word64& word_;
};

}  // namespace shared_dict::detail
