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
#include <cstring>
#include <span>

#include <shared_dict/detail/bytes/geometry.hpp>
#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

using Bytes = std::span<const std::byte>;

// Of private bytes.
inline bool same_bytes(Bytes a, Bytes b) noexcept { return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0); }

// A key as it is looked for: its stored bytes and their hash in this segment.
struct KeyBytes {
  Bytes bytes;
  std::uint64_t hash;
};

SHARED_DICT_HOT KeyBytes hash_key(const Segment& segment, Bytes bytes) noexcept {
  return {bytes, hash_bytes(bytes.data(), bytes.size(), segment.identity().hash_seed)};
}

// As in geometry.hpp, with less to work out. What lies before the value is the same for all entries of a key, but for what aligns the value.
SHARED_DICT_HOT std::uint64_t entry_head(std::uint64_t key) noexcept { return kWord + round_up(key, kWord); }
SHARED_DICT_HOT std::uint64_t entry_bytes(const Segment& segment, std::uint64_t head, std::uint64_t value) noexcept {
  return head + (segment.value_mask() - (kWord - 1)) + round_up(value, kWord);
}
SHARED_DICT_HOT std::uint64_t entry_bytes(const Segment& segment, EntrySizes sizes) noexcept {
  return entry_bytes(segment, entry_head(sizes.key()), sizes.value());
}
SHARED_DICT_HOT std::uint64_t entry_value_at(const Segment& segment, std::uint64_t entry, std::uint64_t head) noexcept {
  return (entry + head + segment.value_mask()) & ~segment.value_mask();
}

// What an entry takes, worked out once.
struct EntryShape {
  EntrySizes sizes;
  std::uint64_t head;
  std::uint64_t bytes;
};

SHARED_DICT_HOT EntryShape shape_of(const Segment& segment, std::uint64_t key, std::uint64_t value) noexcept {
  const std::uint64_t head = entry_head(key);
  return {EntrySizes(key, value), head, entry_bytes(segment, head, value)};
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

// False if there can't be an entry: all of it lies in committed memory.
inline bool read_entry(const Segment& segment, std::uint64_t offset, Entry& entry) noexcept {
  if (!segment.holds_word(offset)) return false;
  entry.offset = offset;
  entry.sizes = EntrySizes(load_word(segment.at(offset)));
  entry.value_at = entry_value_at(segment, offset, entry_head(entry.sizes.key()));
  return segment.holds_rest(offset, entry_bytes(segment, entry.sizes));
}

SHARED_DICT_HOT bool has_key(const Segment& segment, const Entry& entry, const KeyBytes& key) noexcept {
  return entry.sizes.key() == key.bytes.size() && equal_racing(segment.at(entry.offset + kWord), key.bytes.data(), key.bytes.size());
}

// Whether a slot word refers to an entry with this key, which is then put into `entry`. For the search's first guess: what can't be an
// entry is left to those who tell of damage. (An erased slot's word leads to no word's place.)
SHARED_DICT_HOT bool holds_key(const Segment& segment, SlotWord word, const KeyBytes& key, Entry& entry) noexcept {
  const std::uint64_t offset = word.offset();
  if (word.is_empty() || !segment.holds_word(offset)) [[unlikely]] return false;
  entry.offset = offset;
  entry.sizes = EntrySizes(load_word(segment.at(offset)));
  if (entry.sizes.key() != key.bytes.size()) [[unlikely]] return false;
  entry.value_at = entry_value_at(segment, offset, entry_head(key.bytes.size()));
  // The key lies before the value.
  if (!segment.holds_rest(entry.value_at, round_up(entry.sizes.value(), kWord))) [[unlikely]] return false;
  return equal_racing(segment.at(offset + kWord), key.bytes.data(), key.bytes.size());
}

// The bytes themselves.
SHARED_DICT_APART inline void write_parts(std::byte* key_at, Bytes key, std::byte* value_at, Bytes value) noexcept {
  // [E1] release fence, pairs with [V1]: a reader that still copies the block's last contents, and gets a byte of the new ones,
  // then sees the version or the epoch that stepped before the block was freed.
  release_fence();
  write_racing(key_at, key.data(), key.size());
  write_racing(value_at, value.data(), value.size());
}

// All of an entry but its first word.
SHARED_DICT_HOT void write_contents(const Segment& segment, std::uint64_t offset, std::uint64_t head, Bytes key, Bytes value) noexcept {
  write_parts(segment.at(offset + kWord), key, segment.at(entry_value_at(segment, offset, head)), value);
}

SHARED_DICT_HOT void write_contents(const Segment& segment, std::uint64_t offset, Bytes key, Bytes value) noexcept {
  write_contents(segment, offset, entry_head(key.size()), key, value);
}

SHARED_DICT_HOT void write_sizes(const Segment& segment, std::uint64_t offset, EntrySizes sizes) noexcept {
  // [E11] release fence, pairs with [V1]: as [E1].
  release_fence();
  store_word(segment.at(offset), sizes.bits());
}

}  // namespace shared_dict::detail
