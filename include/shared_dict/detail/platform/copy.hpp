// Copying shared bytes by the processor's own means, where it is known to have them.
#pragma once

#include <cstddef>
#include <cstring>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(SHARED_DICT_KILL_POINTS)
#define SHARED_DICT_HAS_SHARED_COPY
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#undef SHARED_DICT_HAS_SHARED_COPY
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#undef SHARED_DICT_HAS_SHARED_COPY
#endif
#endif

#ifdef SHARED_DICT_HAS_SHARED_COPY
#include <emmintrin.h>
#endif

#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

// Copies the whole words of something long and returns how many bytes these are; 0 if it isn't long, and nothing was copied.
//
// As atomic words one by one, for memory that others may change or look at meanwhile: the instruction is one for each word, in this order
// as far as anybody can tell who sees a store that comes behind it (Intel, Software Developer's Manual, volume 3, "Out-of-Order Stores For
// String Operations"; its stores may change places among themselves only, which relaxed ones may, too), and no compiler looks into
// it. It doesn't read the lines that it fills, and moves more than a word at a time.
SHARED_DICT_HOT std::size_t copy_long(std::byte* to, const std::byte* from, std::size_t size) noexcept {
#ifdef SHARED_DICT_HAS_SHARED_COPY
  constexpr std::size_t kLong = 2048;  // below, starting it takes longer than it saves
  if (size < kLong) [[likely]] return 0;
  std::size_t words = size / 8;
  asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
  return size & ~std::size_t{7};
#else
  static_cast<void>(to);
  static_cast<void>(from);
  static_cast<void>(size);
  return 0;
#endif
}

// The same address, of which no compiler knows that, nor what is there.
SHARED_DICT_HOT const std::byte* hidden(const std::byte* shared) noexcept {
#ifdef SHARED_DICT_HAS_SHARED_COPY
  asm volatile("" : "+r"(shared) : : "memory");
#endif
  return shared;
}

// Two words at once, for memory that others may change or look at meanwhile: by an instruction that no compiler looks into. Where its address isn't
// a multiple of 16 no manual promises that even a word comes in one piece; nothing that is read so is believed before it is validated.
#ifdef SHARED_DICT_HAS_SHARED_COPY
inline constexpr bool kCopiesPairs = true;
#ifdef __AVX__
#define SHARED_DICT_MOVUPS "vmovups"  // the other form costs a change of modes then
#else
#define SHARED_DICT_MOVUPS "movups"
#endif
SHARED_DICT_HOT void read_pair(std::byte* to, const std::byte* shared) noexcept {
  __m128i pair;
  asm volatile(SHARED_DICT_MOVUPS " {%1, %0|%0, %1}" : "=x"(pair) : "m"(*reinterpret_cast<const std::byte(*)[16]>(shared)));
  std::memcpy(to, &pair, sizeof pair);
}
SHARED_DICT_HOT void write_pair(std::byte* shared, const std::byte* from) noexcept {
  __m128i pair;
  std::memcpy(&pair, from, sizeof pair);
  asm volatile(SHARED_DICT_MOVUPS " {%1, %0|%0, %1}" : "=m"(*reinterpret_cast<std::byte(*)[16]>(shared)) : "x"(pair));
}
#undef SHARED_DICT_MOVUPS
#else
inline constexpr bool kCopiesPairs = false;
inline void read_pair(std::byte*, const std::byte*) noexcept {}
inline void write_pair(std::byte*, const std::byte*) noexcept {}
#endif

}  // namespace shared_dict::detail
