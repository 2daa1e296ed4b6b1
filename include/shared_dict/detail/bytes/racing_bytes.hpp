// Bytes that one process reads while another may be writing them.
//
// Everything that readers look at without a lock goes through here: as relaxed atomic 64-bit words, the tail included, or by instructions that no
// compiler looks into (copy.hpp), so that a race yields old or new bytes, never undefined behaviour. Whether they belong together is decided
// afterwards, by validation (lookup.hpp); only eight bytes and less, which may be replaced in place, are always one access to a word. The shared side
// is always 8-aligned and its last word lies inside the block; the private side may be anything.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/copy.hpp>
#include <shared_dict/detail/platform/kill_point.hpp>
#include <shared_dict/detail/platform/word_ref.hpp>

namespace shared_dict::detail {

inline constexpr std::size_t kWord = 8;

constexpr std::uint64_t round_up(std::uint64_t size, std::uint64_t multiple) noexcept {
  return (size + multiple - 1) & ~(multiple - 1);
}

SHARED_DICT_HOT std::uint64_t load_word(const std::byte* shared) noexcept {
  // relaxed: the caller validates, behind an acquire fence, before it believes what it read.
  return WordRef(*reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(shared))).load(std::memory_order_relaxed);
}

SHARED_DICT_HOT void store_word(std::byte* shared, std::uint64_t word) noexcept {
  // relaxed: a release fence stands before the first such store, a release store of a slot word behind the last; or the lock's release, where the
  // entry was given up before a slot referred to it (inserting.hpp).
  WordRef(*reinterpret_cast<std::uint64_t*>(shared)).store(word, std::memory_order_relaxed);
  kill_point();
}

template <class T>
SHARED_DICT_HOT T load_private(const std::byte* from) noexcept {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// The last 1 to 7 bytes of something private, as a word with zeros behind them (in memory order). Put together in a register, from loads
// that may overlap: through memory the whole word would have to wait for its parts.
SHARED_DICT_HOT std::uint64_t load_tail(const std::byte* from, std::size_t size) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    if (size >= 4) {
      return load_private<std::uint32_t>(from) | std::uint64_t{load_private<std::uint32_t>(from + size - 4)} << (8 * (size - 4));
    }
    if (size >= 2) {
      return load_private<std::uint16_t>(from) | std::uint64_t{load_private<std::uint16_t>(from + size - 2)} << (8 * (size - 2));
    }
    return load_private<std::uint8_t>(from);
  } else {
    std::uint64_t value = 0;
    std::memcpy(&value, from, size);
    return value;
  }
}

// The same of bytes that a whole word ends with: one load.
SHARED_DICT_HOT std::uint64_t load_end(const std::byte* end, std::size_t size) noexcept {
  if constexpr (std::endian::native == std::endian::little) return load_private<std::uint64_t>(end - kWord) >> (8 * (kWord - size));
  return load_tail(end - size, size);
}

SHARED_DICT_HOT void store_tail(std::byte* to, std::uint64_t value, std::size_t size) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    const auto store_part = [&](auto part, std::size_t at) { std::memcpy(to + at, &part, sizeof part); };
    if (size >= 4) {
      store_part(static_cast<std::uint32_t>(value), 0);
      store_part(static_cast<std::uint32_t>(value >> (8 * (size - 4))), size - 4);
    } else if (size >= 2) {
      store_part(static_cast<std::uint16_t>(value), 0);
      store_part(static_cast<std::uint16_t>(value >> (8 * (size - 2))), size - 2);
    } else {
      store_part(static_cast<std::uint8_t>(value), 0);
    }
  } else {
    std::memcpy(to, &value, size);
  }
}

// One word, or two. Words are copied one by one, not through an array: compilers take that for a vector in memory, and loading it as a whole has
// to wait until its parts have been stored.
SHARED_DICT_HOT void read_word_racing(std::byte* to, const std::byte* shared) noexcept {
  const std::uint64_t word = load_word(shared);
  std::memcpy(to, &word, kWord);
}
SHARED_DICT_HOT void write_word_racing(std::byte* shared, const std::byte* from) noexcept {
  store_word(shared, load_private<std::uint64_t>(from));
}
SHARED_DICT_HOT void read_pair_racing(std::byte* to, const std::byte* shared) noexcept {
  if constexpr (kCopiesPairs) return read_pair(to, shared);
  read_word_racing(to, shared);
  read_word_racing(to + kWord, shared + kWord);
}
SHARED_DICT_HOT void write_pair_racing(std::byte* shared, const std::byte* from) noexcept {
  if constexpr (kCopiesPairs) return write_pair(shared, from);
  write_word_racing(shared, from);
  write_word_racing(shared + kWord, from + kWord);
}

// pair(at) for pairs of words that together cover `size` bytes, at least two words: the last ones end where the bytes do, and may cover some of them a
// second time. So all lengths up to sixteen words take two or three jumps and no loop, and none has a rest.
template <class Pair>
SHARED_DICT_HOT void cover_with_pairs(std::size_t size, Pair pair) noexcept {
  constexpr std::size_t kPair = 2 * kWord;
  if (size <= 2 * kPair) {
    pair(0);
    return pair(size - kPair);
  }
  if (size <= 4 * kPair) {
    pair(0);
    pair(kPair);
  } else {
    std::size_t at = 0;
    do {
      pair(at);
      pair(at + kPair);
      pair(at + 2 * kPair);
      pair(at + 3 * kPair);
      at += 4 * kPair;
    } while (size - at > 4 * kPair);
    pair(size - 4 * kPair);
    pair(size - 3 * kPair);
  }
  pair(size - 2 * kPair);
  pair(size - kPair);
}

// Copies `size` bytes out of the segment. Pairs may begin anywhere, words may not: then what is left behind whole words goes by itself.
SHARED_DICT_HOT void read_racing_here(std::byte* to, const std::byte* shared, std::size_t size) noexcept {
  const std::size_t tail = size % kWord;
  const std::size_t whole = size - tail;
  if (size >= 2 * kWord) [[likely]] {
    const std::size_t copied = copy_long(to, shared, size);
    if (copied == 0) cover_with_pairs(kCopiesPairs ? size : whole, [&](std::size_t at) { read_pair_racing(to + at, shared + at); });
    if (kCopiesPairs && copied == 0) return;
  } else if (whole != 0) {
    read_word_racing(to, shared);
  }
  if (tail != 0) store_tail(to + whole, load_word(shared + whole), tail);
}

// The same where a call costs less than the code in two places.
inline void read_racing(std::byte* to, const std::byte* shared, std::size_t size) noexcept { read_racing_here(to, shared, size); }

// Copies `size` bytes into the segment and fills the last word with zeros.
SHARED_DICT_HOT void write_racing(std::byte* shared, const std::byte* from, std::size_t size) noexcept {
  const std::size_t tail = size % kWord;
  const std::size_t whole = size - tail;
  if (whole >= 2 * kWord) [[likely]] {
    if (copy_long(shared, from, size) == 0) cover_with_pairs(whole, [&](std::size_t at) { write_pair_racing(shared + at, from + at); });
  } else if (whole != 0) {
    write_word_racing(shared, from);
  }
  if (tail != 0) store_word(shared + whole, whole != 0 ? load_end(from + size, tail) : load_tail(from, tail));
}

SHARED_DICT_HOT std::uint64_t word_difference(const std::byte* shared, const std::byte* bytes) noexcept {
  return load_word(shared) ^ load_private<std::uint64_t>(bytes);
}

// Whether `size` bytes in the segment, zeros behind them, are the private ones.
SHARED_DICT_HOT bool equal_racing(const std::byte* shared, const std::byte* bytes, std::size_t size) noexcept {
  std::size_t left = size;
  for (; left >= 2 * kWord; left -= 2 * kWord, shared += 2 * kWord, bytes += 2 * kWord) {
    if ((word_difference(shared, bytes) | word_difference(shared + kWord, bytes + kWord)) != 0) return false;
  }
  if (left >= kWord) {
    if (word_difference(shared, bytes) != 0) return false;
    left -= kWord;
    shared += kWord;
    bytes += kWord;
  }
  return left == 0 || load_word(shared) == load_tail(bytes, left);
}

}  // namespace shared_dict::detail
