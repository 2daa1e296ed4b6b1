// cereal archives that write to and read from bytes in memory.
//
// The format: arithmetic types as their own bytes, a bool as one byte 0 or 1, size tags as 64 bits, blocks of binary data as
// they are, names not at all. It is read by the same kind of machine that wrote it, so that nothing is swapped.
//
// Invariants:
//   1. A size tag never claims more elements than bytes were given, all size tags together. So damaged bytes can't make a
//      container allocate more than a fixed multiple of their own length. Elements that take no bytes (empty classes) would
//      break this rule, so OutputArchive::finish pads with zeros to the number of claimed elements; readers ignore the rest.
//   2. Objects nest at most kMaxDepth deep, in both directions. So damaged bytes can't exhaust the stack, and what was
//      written can be read.
//   3. A shared pointer that refers to an earlier one has the same pointee type as that one.
//   4. Every byte written is determined by the value: the padding of a long double is zero.
//
// Thread safety: an archive belongs to one thread. Different archives may be used at the same time.
#pragma once

// cereal keeps versions of classes and polymorphic casts in global tables, and locks them only if it is told to. Where cereal
// was included before, the setting that was in force then stays.
#ifndef CEREAL_THREAD_SAFE
#define CEREAL_THREAD_SAFE 1
#endif

#include <algorithm>
#include <array>
#include <bitset>
#include <cereal/cereal.hpp>
#include <cereal/types/memory.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeindex>
#include <typeinfo>
#include <utility>
#include <vector>

#include "shared_dict/detail/mechanisms/decode_error.hpp"
#include "shared_dict/detail/platform/compiler.hpp"

namespace shared_dict::detail {

// Counted in cereal's own steps: a node of a linked list that owns the next one by unique_ptr takes five.
inline constexpr std::size_t kMaxDepth = 10'000;

// Of the bytes of a T, those that say its value; the others are padding. An 80-bit long double occupies 12 or 16 bytes.
template <class T>
inline constexpr std::size_t kValueBytes = std::is_same_v<T, long double>&& std::numeric_limits<T>::digits == 64
                                               ? 10
                                               : sizeof(T);

// The type of the elements in a block that was passed to cereal::binary_data as pointer or array.
template <class T>
using BlockElement = std::remove_cv_t<std::remove_all_extents_t<std::remove_pointer_t<std::remove_reference_t<T>>>>;

// Appends to a vector of bytes. Call it with the object, then finish().
template <class When>
class BasicOutputArchive : public cereal::OutputArchive<BasicOutputArchive<When>, cereal::AllowEmptyClassElision> {
 public:
  explicit BasicOutputArchive(std::vector<std::byte>& out)
      : cereal::OutputArchive<BasicOutputArchive, cereal::AllowEmptyClassElision>(this), out_(out), begin_(out.size()) {}

  void write(const void* from, std::size_t n) {
    if (n == 0) return;
    const std::size_t at = out_.size();
    out_.resize(at + n);
    std::memcpy(out_.data() + at, from, n);
  }

  template <class T>
  void write_value(const T& value) {
    std::array<std::byte, sizeof(T)> image{};
    std::memcpy(image.data(), &value, kValueBytes<T>);
    write(image.data(), image.size());
  }

  void write_size(std::uint64_t n) {
    write_value(n);
    claimed_ = n > std::numeric_limits<std::uint64_t>::max() - claimed_ ? std::numeric_limits<std::uint64_t>::max()
                                                                        : claimed_ + n;
  }

  void enter() {
    if (++depth_ > kMaxDepth) throw std::length_error("shared_dict: an object nests too deep to be stored");
  }
  void leave() noexcept { --depth_; }

  void finish() {
    this->serializeDeferments();
    if (claimed_ <= out_.size() - begin_) return;
    if (claimed_ > out_.max_size() - begin_)
      throw std::length_error("shared_dict: a size tag is too large to be stored");
    out_.resize(begin_ + static_cast<std::size_t>(claimed_));
  }

 private:
  std::vector<std::byte>& out_;
  std::size_t begin_;
  std::uint64_t claimed_ = 0;
  std::size_t depth_ = 0;
};

// Reads from bytes that may be damaged: throws DecodeError or cereal::Exception for what can't be. Call it with the object, then
// finish().
template <class When>
class BasicInputArchive : public cereal::InputArchive<BasicInputArchive<When>, cereal::AllowEmptyClassElision> {
 public:
  explicit BasicInputArchive(std::span<const std::byte> from)
      : cereal::InputArchive<BasicInputArchive, cereal::AllowEmptyClassElision>(this),
        size_(from.size()),
        rest_(from),
        claimable_(from.size()) {}

  std::span<const std::byte> take(std::uint64_t n) {
    if (n > rest_.size()) {
      throw DecodeError(std::to_string(n) + " bytes expected where " + std::to_string(rest_.size()) + " are left");
    }
    const auto taken = rest_.first(static_cast<std::size_t>(n));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

  void read(void* to, std::uint64_t n) {
    const auto from = take(n);
    if (!from.empty()) std::memcpy(to, from.data(), from.size());
  }

  template <class T>
  void read_value(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      read(&byte, sizeof(byte));
      if (byte > 1) throw DecodeError("a bool that is neither 0 nor 1");
      value = byte != 0;
    } else {
      read(&value, sizeof(T));
    }
  }

  std::uint64_t read_size() {
    std::uint64_t n = 0;
    read_value(n);
    if (n > claimable_)
      throw DecodeError("a container of " + std::to_string(n) + " elements, more than there are bytes");
    claimable_ -= n;
    return n;
  }

  void enter() {
    if (++depth_ > kMaxDepth) throw DecodeError("objects that nest too deep");
  }
  void leave() noexcept { --depth_; }

  // All that was written must have been read: more was written by a class with other members.
  void finish() {
    this->serializeDeferments();
    const std::size_t written = std::max(size_ - rest_.size(), size_ - static_cast<std::size_t>(claimable_));
    if (written < size_) throw DecodeError(std::to_string(size_ - written) + " bytes more than the object takes");
  }

  // The next shared pointer to be read points to a T.
  void expect_pointee(const std::type_info& type) noexcept { pointee_ = &type; }

  // These two stand before the functions of the same names in cereal::InputArchive, which cast what a damaged id refers to,
  // whatever its type is.
  // NOLINTBEGIN(readability-identifier-naming): cereal's names
  void registerSharedPointer(std::uint32_t id, std::shared_ptr<void> pointer) {
    const std::uint32_t plain_id = id & ~cereal::detail::msb_32bit;
    pointers_.insert_or_assign(plain_id, Pointer{std::type_index(*pointee_), std::move(pointer)});
  }

  std::shared_ptr<void> getSharedPointer(std::uint32_t id) const {
    if (id == 0) return nullptr;
    const auto found = pointers_.find(id);
    if (found == pointers_.end()) throw DecodeError("a shared pointer that refers to none before it");
    if (found->second.pointee != std::type_index(*pointee_)) {
      throw DecodeError("a shared pointer that refers to one of another type");
    }
    return found->second.pointer;
  }
  // NOLINTEND(readability-identifier-naming)

 private:
  struct Pointer {
    std::type_index pointee;
    std::shared_ptr<void> pointer;
  };

  std::size_t size_;
  std::span<const std::byte> rest_;
  std::uint64_t claimable_;
  std::size_t depth_ = 0;
  const std::type_info* pointee_ = &typeid(void);
  std::map<std::uint32_t, Pointer> pointers_;
};

// See Lazily: dictionaries of plain bytes have no use for them.
using OutputArchive = BasicOutputArchive<Lazily>;
using InputArchive = BasicInputArchive<Lazily>;

template <class Archive>
concept MemoryArchive = std::is_same_v<Archive, OutputArchive> || std::is_same_v<Archive, InputArchive>;

// What follows is found by cereal through argument-dependent lookup. cereal calls prologue and epilogue around each object.

template <MemoryArchive Archive, class T>
requires std::is_class_v<T>
void prologue(Archive& archive, const T&) { archive.enter(); }

template <MemoryArchive Archive, class T>
requires std::is_class_v<T>
void epilogue(Archive& archive, const T&) noexcept { archive.leave(); }

template <class T>
void prologue(InputArchive& archive, const cereal::memory_detail::PtrWrapper<std::shared_ptr<T>&>&) {
  archive.enter();
  archive.expect_pointee(typeid(T));
}

template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const T& value) { archive.write_value(value); }

template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, T& value) { archive.read_value(value); }

template <MemoryArchive Archive, class T>
void CEREAL_SERIALIZE_FUNCTION_NAME(Archive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::SizeTag<T>& tag) {
  archive.write_size(tag.size);
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::SizeTag<T>& tag) {
  tag.size = static_cast<std::remove_reference_t<T>>(archive.read_size());
}

template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::BinaryData<T>& block) {
  const auto size = static_cast<std::size_t>(block.size);
  if constexpr (std::is_same_v<BlockElement<T>, long double>) {
    const auto* values = static_cast<const long double*>(block.data);
    for (std::size_t i = 0; i < size / sizeof(long double); ++i) archive.write_value(values[i]);
  } else {
    archive.write(block.data, size);
  }
}

template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::BinaryData<T>& block) {
  if constexpr (std::is_same_v<BlockElement<T>, bool>) {
    auto* values = static_cast<bool*>(block.data);
    for (std::uint64_t i = 0; i < block.size; ++i) archive.read_value(values[i]);
  } else {
    archive.read(block.data, block.size);
  }
}

// cereal's own reader of a bitset lets damaged bytes choose among four formats, and one of them throws std::invalid_argument.
template <std::size_t N>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const std::bitset<N>& bits) {
  for (std::size_t begin = 0; begin < N; begin += 8) {
    unsigned byte = 0;
    for (std::size_t i = begin; i < N && i < begin + 8; ++i) byte |= static_cast<unsigned>(bits[i]) << (i - begin);
    archive.write_value(static_cast<std::uint8_t>(byte));
  }
}

template <std::size_t N>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, std::bitset<N>& bits) {
  for (std::size_t begin = 0; begin < N; begin += 8) {
    std::uint8_t byte = 0;
    archive.read_value(byte);
    for (std::size_t i = begin; i < N && i < begin + 8; ++i) bits[i] = ((byte >> (i - begin)) & 1U) != 0;
  }
}

// cereal's own readers of these put equal keys in front of each other, so that they come out in the reverse order: another value, and as a key
// other bytes.
template <class K, class V, class Less, class Allocator>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, std::multimap<K, V, Less, Allocator>& map) {
  map.clear();
  for (std::uint64_t left = archive.read_size(); left != 0; --left) {
    K key = K();  // whose constructor may be explicit
    V value = V();
    archive(key, value);
    map.emplace_hint(map.end(), std::move(key), std::move(value));
  }
}

template <class T, class Less, class Allocator>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, std::multiset<T, Less, Allocator>& set) {
  set.clear();
  for (std::uint64_t left = archive.read_size(); left != 0; --left) {
    T key = T();  // as above
    archive(key);
    set.emplace_hint(set.end(), std::move(key));
  }
}

}  // namespace shared_dict::detail

CEREAL_REGISTER_ARCHIVE(shared_dict::detail::OutputArchive)
CEREAL_REGISTER_ARCHIVE(shared_dict::detail::InputArchive)
CEREAL_SETUP_ARCHIVE_TRAITS(shared_dict::detail::InputArchive, shared_dict::detail::OutputArchive)
