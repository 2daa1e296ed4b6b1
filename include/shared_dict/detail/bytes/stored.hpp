// The types that the segment's structs are made of: words that several processes use at once, and plain numbers that only the owner of
// a lock touches. With SHARED_DICT_KILL_POINTS every store to them is a kill point, in the same layout; otherwise they are what
// their names say.
#pragma once

#include <atomic>
#include <cstdint>

#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/kill_point.hpp>

namespace shared_dict::detail {

#if defined(SHARED_DICT_KILL_POINTS)

// The orders are the callers'.
template <class T>
class KillableWord : public std::atomic<T> {
  using Base = std::atomic<T>;

 public:
  template <class... Orders>
  void store(T value, Orders... orders) noexcept {
    Base::store(value, orders...);
    kill_point();
  }
  template <class... Orders>
  T exchange(T value, Orders... orders) noexcept {
    return with_kill_point(Base::exchange(value, orders...));
  }
  template <class... Orders>
  T fetch_add(T value, Orders... orders) noexcept {
    return with_kill_point(Base::fetch_add(value, orders...));
  }
  template <class... Orders>
  T fetch_sub(T value, Orders... orders) noexcept {
    return with_kill_point(Base::fetch_sub(value, orders...));
  }
  template <class... Orders>
  T fetch_or(T value, Orders... orders) noexcept {
    return with_kill_point(Base::fetch_or(value, orders...));
  }
  template <class... Orders>
  T fetch_and(T value, Orders... orders) noexcept {
    return with_kill_point(Base::fetch_and(value, orders...));
  }
  template <class... Orders>
  bool compare_exchange_strong(T& expected, T desired, Orders... orders) noexcept {
    return with_kill_point(Base::compare_exchange_strong(expected, desired, orders...));
  }
  template <class... Orders>
  bool compare_exchange_weak(T& expected, T desired, Orders... orders) noexcept {
    return with_kill_point(Base::compare_exchange_weak(expected, desired, orders...));
  }

 private:
  template <class R>
  static R with_kill_point(R result) noexcept {
    kill_point();
    return result;
  }
};

template <class T>
class KillableNumber {
 public:
  operator T() const noexcept { return value_; }  // NOLINT(google-explicit-constructor): stands for a T
  KillableNumber& operator=(T value) noexcept {
    value_ = value;
    kill_point();
    return *this;
  }
  KillableNumber& operator+=(T value) noexcept { return *this = value_ + value; }
  KillableNumber& operator-=(T value) noexcept { return *this = value_ - value; }
  KillableNumber& operator|=(T value) noexcept { return *this = value_ | value; }
  KillableNumber& operator&=(T value) noexcept { return *this = value_ & value; }
  KillableNumber& operator++() noexcept { return *this += 1; }
  KillableNumber& operator--() noexcept { return *this -= 1; }
  T operator++(int) noexcept {
    const T old = value_;
    ++*this;
    return old;
  }

 private:
  T value_;
};

using Word32 = KillableWord<std::uint32_t>;
using Word64 = KillableWord<std::uint64_t>;
using Plain32 = KillableNumber<std::uint32_t>;
using Plain64 = KillableNumber<std::uint64_t>;

#else

using Word32 = std::atomic<std::uint32_t>;
using Word64 = std::atomic<std::uint64_t>;
using Plain32 = std::uint32_t;
using Plain64 = std::uint64_t;

#endif

static_assert(kLockFree<Word32> && sizeof(Word32) == 4,
              "words are shared between processes, so never behind a lock");
static_assert(kLockFree<Word64> && alignof(Word64) == 8 && sizeof(Word64) == 8,
              "words are shared between processes, so never behind a lock");

}  // namespace shared_dict::detail
