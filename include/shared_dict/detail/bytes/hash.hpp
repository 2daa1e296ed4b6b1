// The hash that decides where a key is stored: XXH3 (Yann Collet) with the segment's own seed. std::hash never does, as it
// differs between standard libraries that share a segment.
#pragma once

#include <cstddef>
#include <cstdint>

// Header-only use: every function is static and carries a prefix of its own.
#ifndef XXH_INLINE_ALL
#define XXH_INLINE_ALL
#define SHARED_DICT_DEFINED_XXH_INLINE_ALL
#endif
#include <xxhash.h>
#ifdef SHARED_DICT_DEFINED_XXH_INLINE_ALL
#undef SHARED_DICT_DEFINED_XXH_INLINE_ALL
#undef XXH_INLINE_ALL
#endif

namespace shared_dict::detail {

inline std::uint64_t hash_bytes(const void* bytes, std::size_t size, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes, size, seed);
}

// Which bits of the hash decide what: the top ones the shard, bits 16 and up the home bucket, the low 16 the tag in the slot
// word. So the tag still tells keys of one bucket apart.
inline std::uint32_t hash_tag(std::uint64_t hash) noexcept { return static_cast<std::uint32_t>(hash & 0xffff); }
inline std::uint64_t hash_home(std::uint64_t hash) noexcept { return (hash >> 16) & 0xffff'ffff; }
inline std::uint32_t hash_shard(std::uint64_t hash, std::uint32_t shard_count) noexcept {
  return static_cast<std::uint32_t>(hash >> 48) & (shard_count - 1);
}

}  // namespace shared_dict::detail
