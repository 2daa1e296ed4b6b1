// What differs between compilers and processors: hints, fences that sanitizers understand, symbol visibility.
#pragma once

#include <atomic>

// The process registry must be one object in the whole process, also when several shared libraries were built with hidden
// visibility: then each would hold its own, and the second would drop the file locks of the first.
#if defined(__GNUC__) && !defined(_WIN32)
#define SHARED_DICT_VISIBLE __attribute__((visibility("default")))
#else
#define SHARED_DICT_VISIBLE
#endif

// For the few functions that are the whole of an operation: the calls would cost more than the code.
#if defined(__GNUC__)
#define SHARED_DICT_HOT __attribute__((always_inline)) inline
#define SHARED_DICT_HOT_LAMBDA __attribute__((always_inline))  // behind its parameters
#else
#define SHARED_DICT_HOT inline
#define SHARED_DICT_HOT_LAMBDA
#endif

// Keeps rare code out of its callers. Not __attribute__((cold)): where such a call returns, GCC 12 may take the code behind it for as rare,
// that of the most frequent case included, and then compiles half an operation for size and puts it elsewhere.
#if defined(__GNUC__)
#define SHARED_DICT_COLD __attribute__((noinline))
#else
#define SHARED_DICT_COLD
#endif

// The same of code that is as frequent as its callers, but would leave them no registers.
#define SHARED_DICT_APART SHARED_DICT_COLD

namespace shared_dict::detail {

// The only argument of templates that are templates so that a program that doesn't use them doesn't pay for compiling them: compilers
// instantiate all that an ordinary inline function uses, whether anybody calls it or not.
struct Lazily;

// Whether an atomic object of this type never takes a lock. Of 64 bits on 32-bit x86, clang's is_always_lock_free says no, since other
// integers of that size needn't be aligned.
#if defined(__GNUC__)
template <class Atomic>
inline constexpr bool kLockFree = __atomic_always_lock_free(sizeof(Atomic), nullptr);
#else
template <class Atomic>
inline constexpr bool kLockFree = Atomic::is_always_lock_free;
#endif

// Tells the processor that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

inline void prefetch(const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// As prefetch, for a line that is going to be written.
inline void prefetch_to_write(const void* address) noexcept {
#if defined(__GNUC__)
  __builtin_prefetch(address, 1);
#else
  (void)address;
#endif
}

// Fences stand in functions of their own because GCC warns about each under -fsanitize=thread, which doesn't model them.
// That loses nothing there: every byte that two processes may touch at once is accessed atomically (racing_bytes.hpp).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wtsan"
#endif

// The tag and the partner stand at each call.
inline void acquire_fence() noexcept { std::atomic_thread_fence(std::memory_order_acquire); }
inline void release_fence() noexcept { std::atomic_thread_fence(std::memory_order_release); }

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

}  // namespace shared_dict::detail
