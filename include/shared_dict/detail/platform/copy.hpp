// Copying long runs of bytes by the processor's own instruction for that, where it is known to have one.
#pragma once

#include <cstddef>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(SHARED_DICT_KILL_POINTS)
#define SHARED_DICT_HAS_STRING_COPY
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#undef SHARED_DICT_HAS_STRING_COPY
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#undef SHARED_DICT_HAS_STRING_COPY
#endif
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
#ifdef SHARED_DICT_HAS_STRING_COPY
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

}  // namespace shared_dict::detail
