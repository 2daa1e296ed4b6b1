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

#ifdef SHARED_DICT_HAS_SHARED_COPY
#ifdef __AVX__
#define SHARED_DICT_MOVUPS "vmovups"  // the other form costs a change of modes then
#else
#define SHARED_DICT_MOVUPS "movups"
#endif

// Two words at once, for memory that others may change or look at meanwhile: an instruction that no compiler looks into. Where its address isn't
// a multiple of 16 no manual promises that even a word comes in one piece; nothing that is read so is believed before it is validated.
SHARED_DICT_HOT __m128i load_pair(const std::byte* shared) noexcept {
  __m128i pair;
  asm volatile(SHARED_DICT_MOVUPS " {%1, %0|%0, %1}" : "=x"(pair) : "m"(*reinterpret_cast<const std::byte(*)[16]>(shared)));
  return pair;
}
SHARED_DICT_HOT void store_pair(std::byte* shared, __m128i pair) noexcept {
  asm volatile(SHARED_DICT_MOVUPS " {%1, %0|%0, %1}" : "=m"(*reinterpret_cast<std::byte(*)[16]>(shared)) : "x"(pair));
}
#undef SHARED_DICT_MOVUPS
#endif

// Whether there is nothing left to copy but a word and less.
inline constexpr bool kCopiesPairs =
#ifdef SHARED_DICT_HAS_SHARED_COPY
    true;
#else
    false;
#endif

// Copies pairs of words out of the segment, from byte `at` of `size`, and returns how far it came: not at all, or up to the last word.
SHARED_DICT_HOT std::size_t read_pairs(std::byte* to, const std::byte* shared, std::size_t at, std::size_t size) noexcept {
#ifdef SHARED_DICT_HAS_SHARED_COPY
  const auto read = [&](std::size_t from) {
    const __m128i pair = load_pair(shared + from);
    std::memcpy(to + from, &pair, sizeof pair);
  };
  for (; at + 64 <= size; at += 64) {
    read(at);
    read(at + 16);
    read(at + 32);
    read(at + 48);
  }
  for (; at + 16 <= size; at += 16) read(at);
#else
  static_cast<void>(to);
  static_cast<void>(shared);
  static_cast<void>(size);
#endif
  return at;
}

// The same into the segment.
SHARED_DICT_HOT std::size_t write_pairs(std::byte* shared, const std::byte* from, std::size_t at, std::size_t size) noexcept {
#ifdef SHARED_DICT_HAS_SHARED_COPY
  const auto write = [&](std::size_t to) {
    __m128i pair;
    std::memcpy(&pair, from + to, sizeof pair);
    store_pair(shared + to, pair);
  };
  for (; at + 64 <= size; at += 64) {
    write(at);
    write(at + 16);
    write(at + 32);
    write(at + 48);
  }
  for (; at + 16 <= size; at += 16) write(at);
#else
  static_cast<void>(shared);
  static_cast<void>(from);
  static_cast<void>(size);
#endif
  return at;
}

}  // namespace shared_dict::detail
