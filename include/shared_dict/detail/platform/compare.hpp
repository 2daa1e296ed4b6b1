// Comparing several words at once, with the processor's own instructions where it is known to have them.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>

#if defined(__SSE2__) && !defined(__SANITIZE_THREAD__)
#define SHARED_DICT_HAS_SSE2
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#undef SHARED_DICT_HAS_SSE2
#endif
#endif
#ifdef SHARED_DICT_HAS_SSE2
#include <emmintrin.h>
#endif

#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

// The first word but word 0 of a 64-byte line whose highest 16 bits are `top`; 0 if there is none.
//
// A hint. The words may change meanwhile, and the vector instructions that look at them know nothing of atomics; whoever wants one of
// the words loads it anew. No branch depends on where the word is: nobody can predict that, and a branch that was predicted wrongly
// would keep the processor from beginning with anything else until the line has come from memory.
SHARED_DICT_HOT std::uint32_t first_with_top_16(const std::atomic<std::uint64_t>* line, std::uint32_t top) noexcept {
#ifdef SHARED_DICT_HAS_SSE2
  const auto* const pairs = reinterpret_cast<const __m128i*>(line);
  const __m128i wanted = _mm_set1_epi16(static_cast<short>(top));
  const __m128i first = _mm_cmpeq_epi16(_mm_load_si128(pairs), wanted);
  const __m128i second = _mm_cmpeq_epi16(_mm_load_si128(pairs + 1), wanted);
  const __m128i third = _mm_cmpeq_epi16(_mm_load_si128(pairs + 2), wanted);
  const __m128i fourth = _mm_cmpeq_epi16(_mm_load_si128(pairs + 3), wanted);
  // A bit for each 16 bits, of which the fourth are a word's highest.
  const auto low = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(first, second)));
  const auto high = static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(third, fourth)));
  std::uint32_t found = (low | high << 16) & 0x8888'8880U;
  asm("" : "+r"(found));  // one value from here on, whatever the words become: the compiler mustn't load them again
  return found == 0 ? 0 : static_cast<std::uint32_t>(std::countr_zero(found)) / 4;
#else
  std::uint32_t found = 0;
  for (std::uint32_t i = 8; i-- > 1;) {
    found = found * 2 + (line[i].load(std::memory_order_relaxed) >> 48 == top ? 1 : 0);  // relaxed: a hint
  }
  return found == 0 ? 0 : static_cast<std::uint32_t>(std::countr_zero(found)) + 1;
#endif
}

}  // namespace shared_dict::detail
