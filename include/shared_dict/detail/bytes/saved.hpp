// A saved dictionary, byte by byte: what save() writes and load() reads. No behaviour but checksums and byte order.
//
//   0             SavedHeader     what it is, of which types, how much
//   2176          blocks          one behind the other, to the end of the file:
//     0             SavedBlock      sizes and checksum
//     24            items           each: EntrySizes, the key's bytes, the value's bytes, without gaps
//
// All numbers are 64 bits in little-endian order. Keys and values are the bytes that the segment has, so that saving and loading copy
// and never encode; these bytes are in the byte order of the machine, which is why a machine of another order refuses them. A
// change of what any type is stored as is a change of kSavedVersion.
//
// A checksum of a block begins with that of the header and the block's number: no block of another file, or of another place in this
// one, has it. The header knows the file's length and the number of items, so nothing can be missing at the end.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/layout.hpp>

namespace shared_dict::detail {

inline constexpr std::uint64_t kSavedMagic = 0x31766153'44726853;  // "ShrDSav1" as it lies in the file
inline constexpr std::uint64_t kSavedVersion = 1;
inline constexpr std::uint64_t kSavedByteOrder = std::endian::native == std::endian::little ? 1 : 2;

struct SavedHeader {
  std::uint64_t magic = kSavedMagic;
  std::uint64_t version = kSavedVersion;
  std::uint64_t byte_order = kSavedByteOrder;  // of keys and values
  std::uint64_t file_bytes = sizeof(SavedHeader);
  std::uint64_t items = 0;
  std::uint64_t content_bytes = 0;  // of all keys and values
  std::uint64_t heap_size = 0;      // what the dictionary was created with: for those who make one like it
  std::uint64_t max_items = 0;
  std::uint64_t key_fixed_bytes = 0;  // as in Identity, these and what follows
  std::uint64_t value_fixed_bytes = 0;
  std::uint64_t value_alignment = 0;
  std::uint64_t type_fingerprint = 0;
  std::uint64_t key_name_bytes = 0;
  std::uint64_t value_name_bytes = 0;
  std::uint64_t zero = 0;
  char key_name[kTypeNameBytes]{};
  char value_name[kTypeNameBytes]{};
  std::uint64_t checksum = 0;  // of all before
};

// A block is no longer than this, its head included, unless it has only one item.
inline constexpr std::size_t kSavedBlockBytes = std::size_t{1} << 20;

struct SavedBlock {
  std::uint64_t bytes = 0;  // of its items
  std::uint64_t items = 0;
  std::uint64_t checksum = 0;
};

static_assert(sizeof(SavedHeader) == 15 * 8 + 2 * kTypeNameBytes + 8 && sizeof(SavedBlock) == 24,
              "the file's layout has no gaps");

// A number as it lies in the file, or back.
constexpr std::uint64_t little_endian(std::uint64_t number) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    return number;
  } else {
    std::uint64_t turned = 0;
    for (int i = 0; i < 8; ++i) turned = turned << 8 | (number >> (8 * i) & 0xff);
    return turned;
  }
}

// The header as it lies in the file, or back.
inline SavedHeader little_endian(SavedHeader header) noexcept {
  SavedHeader& h = header;
  for (std::uint64_t* const number :
       {&h.magic, &h.version, &h.byte_order, &h.file_bytes, &h.items, &h.content_bytes, &h.heap_size, &h.max_items,
        &h.key_fixed_bytes, &h.value_fixed_bytes, &h.value_alignment, &h.type_fingerprint, &h.key_name_bytes,
        &h.value_name_bytes, &h.zero, &h.checksum}) {
    *number = little_endian(*number);
  }
  return header;
}

// Of the header as it lies in the file.
inline std::uint64_t checksum_of(const SavedHeader& in_file) noexcept {
  return hash_bytes(&in_file, offsetof(SavedHeader, checksum), 0);
}

// Of block `number` of the file whose header has the checksum `header`; `items` are its bytes.
inline std::uint64_t checksum_of(const SavedBlock& block, std::uint64_t header, std::uint64_t number,
                                 const void* items) noexcept {
  const std::array<std::uint64_t, 4> before{little_endian(header), little_endian(number), little_endian(block.bytes),
                                            little_endian(block.items)};
  return hash_bytes(items, static_cast<std::size_t>(block.bytes), hash_bytes(before.data(), sizeof before, 0));
}

}  // namespace shared_dict::detail
