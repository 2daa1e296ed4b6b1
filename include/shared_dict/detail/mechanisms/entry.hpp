// An entry: the sizes, the key's bytes, the value's bytes. Immutable once a slot refers to it, except that a value whose type takes
// at most eight bytes may be replaced in place by one store.
//
//   0        8                     round_up(8 + key, max(8, alignment))
//  +--------+------------+--------+-------------+--------+
//  | sizes  | key        | zeros  | value       | zeros  |
//  +--------+------------+--------+-------------+--------+
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <shared_dict/detail/bytes/geometry.hpp>
#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

using Bytes = std::span<const std::byte>;

// A key as it is looked for: its stored bytes and their hash in this segment.
struct KeyBytes {
  Bytes bytes;
  std::uint64_t hash;
};

SHARED_DICT_HOT KeyBytes hash_key(const Segment& segment, Bytes bytes) noexcept {
  return {bytes, hash_bytes(bytes.data(), bytes.size(), segment.identity().hash_seed)};
}

inline std::uint64_t entry_bytes(const Segment& segment, EntrySizes sizes) noexcept {
  return entry_bytes(sizes.key(), sizes.value(), segment.shape().value_alignment);
}

// Where an entry's value is, if all of it lies in committed memory; 0 if it can't be an entry.
SHARED_DICT_HOT std::uint64_t checked_value_at(const Segment& segment, std::uint64_t entry, EntrySizes sizes) noexcept {
  if (!segment.holds(entry, entry_bytes(segment, sizes))) return 0;
  return entry_value_at(entry, sizes.key(), segment.shape().value_alignment);
}

// What an entry takes, worked out once.
struct EntryShape {
  std::uint64_t bytes;
  std::uint32_t size_class;
  bool large;
};

inline EntryShape shape_of(const Segment& segment, EntrySizes sizes) noexcept {
  const std::uint64_t bytes = entry_bytes(segment, sizes);
  if (bytes > segment.classes().largest_block()) return {bytes, 0, true};
  return {bytes, class_of(bytes), false};
}

// Whether values are replaced by one store where they are.
inline bool replaced_in_place(const Segment& segment) noexcept {
  return segment.shape().value_fixed_bytes - 1 < kWord;  // 0 wraps around: they vary in size
}

// An entry as its first word tells it. With its shard's lock held it can't change; without, it is validated before it is believed.
struct Entry {
  std::uint64_t offset = 0;
  EntrySizes sizes{0, 0};
  std::uint64_t value_at = 0;

  Bytes key(const Segment& segment) const noexcept { return {segment.at(offset + kWord), static_cast<std::size_t>(sizes.key())}; }
  Bytes value(const Segment& segment) const noexcept { return {segment.at(value_at), static_cast<std::size_t>(sizes.value())}; }
};

// False if there can't be an entry.
inline bool read_entry(const Segment& segment, std::uint64_t offset, Entry& entry) noexcept {
  if (offset % kWord != 0 || !segment.holds(offset, kWord)) return false;
  entry.offset = offset;
  entry.sizes = EntrySizes(load_word(segment.at(offset)));
  entry.value_at = checked_value_at(segment, offset, entry.sizes);
  return entry.value_at != 0;
}

SHARED_DICT_HOT bool has_key(const Segment& segment, const Entry& entry, const KeyBytes& key) noexcept {
  return entry.sizes.key() == key.bytes.size() && equal_racing(segment.at(entry.offset + kWord), key.bytes.data(), key.bytes.size());
}

// Whether a slot word refers to an entry with this key, which is then put into `entry`. For the search's first guess: what can't be an
// entry is left to those who tell of damage.
SHARED_DICT_HOT bool holds_key(const Segment& segment, SlotWord word, const KeyBytes& key, Entry& entry) noexcept {
  const std::uint64_t offset = word.offset();
  const std::uint64_t head = kWord + round_up(key.bytes.size(), kWord);
  if (!word.is_entry() || offset % kWord != 0 || !segment.holds(offset, head)) [[unlikely]] return false;
  entry.offset = offset;
  entry.sizes = EntrySizes(load_word(segment.at(offset)));
  if (!has_key(segment, entry, key)) [[unlikely]] return false;
  entry.value_at = entry_value_at(offset, key.bytes.size(), segment.shape().value_alignment);
  return segment.holds(entry.value_at, round_up(entry.sizes.value(), kWord));
}

// All of an entry but its first word.
inline void write_contents(const Segment& segment, std::uint64_t offset, Bytes key, Bytes value) noexcept {
  // [E1] release fence, pairs with [V1]: a reader that still copies the block's last contents, and gets a byte of the new ones,
  // then sees the version or the epoch that stepped before the block was freed.
  release_fence();
  write_racing(segment.at(offset + kWord), key.data(), key.size());
  write_racing(segment.at(entry_value_at(offset, key.size(), segment.shape().value_alignment)), value.data(), value.size());
}

inline void write_sizes(const Segment& segment, std::uint64_t offset, EntrySizes sizes) noexcept {
  // [E11] release fence, pairs with [V1]: as [E1].
  release_fence();
  store_word(segment.at(offset), sizes.bits());
}

}  // namespace shared_dict::detail
