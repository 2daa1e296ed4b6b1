// Between types and stored bytes: what the dictionary's member functions share.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

template <class K>
inline constexpr bool kIsStringKey = false;
template <class A>
inline constexpr bool kIsStringKey<std::basic_string<char, std::char_traits<char>, A>> =
    !kHasUserCodec<std::basic_string<char, std::char_traits<char>, A>>;

// What can be gone through, but not when it is const.
template <class Range>
concept MutableRange = requires(std::remove_reference_t<Range>& range) { std::begin(range); } &&
                       !requires(const std::remove_reference_t<Range>& range) { std::begin(range); };

// How a key is passed: string keys as anything that converts to std::string_view.
template <class K>
using KeyArgument = std::conditional_t<kIsStringKey<K>, std::string_view, const K&>;

// The stored bytes of an object that outlives this: its own if it is plain, otherwise encoded ones.
template <class T, class Traits>
class Encoded {
 public:
  explicit Encoded(const T& object) {
    if constexpr (Traits::plain) {
      bytes_ = Traits::bytes(object);
    } else {
      Traits::encode(object, buffer_);
      bytes_ = buffer_;
    }
  }
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;

  Bytes bytes() const noexcept { return bytes_; }

 private:
  struct Nothing {};
  [[no_unique_address]] std::conditional_t<Traits::plain, Nothing, std::vector<std::byte>> buffer_;
  Bytes bytes_;
};

template <class K>
class EncodedKey : public Encoded<K, key_codec_traits<K>> {
 public:
  using Encoded<K, key_codec_traits<K>>::Encoded;
};

template <class K>
  requires kIsStringKey<K>
class EncodedKey<K> {
 public:
  explicit EncodedKey(std::string_view key) noexcept : bytes_(std::as_bytes(std::span(key.data(), key.size()))) {}
  Bytes bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

// A key whose bytes stay as they are whatever becomes of the caller's: for those who run the caller's code meanwhile.
template <class K>
class KeptKey {
  // Other keys are encoded, which is a copy.
  static constexpr bool kCopied = kIsStringKey<K> || key_codec_traits<K>::plain;

 public:
  explicit KeptKey(KeyArgument<K> key) : key_(key), encoded_(key_) {}
  KeptKey(const KeptKey&) = delete;
  KeptKey& operator=(const KeptKey&) = delete;

  KeyArgument<K> key() const noexcept { return key_; }
  const EncodedKey<K>& encoded() const noexcept { return encoded_; }

 private:
  std::conditional_t<kIsStringKey<K>, std::string, std::conditional_t<kCopied, K, const K&>> key_;
  EncodedKey<K> encoded_;
};

// Whether a key, which is searched by its own bytes, may be part of a value that these are copied into.
template <class K, class V>
inline constexpr bool kMayAlias = codec_traits<V>::plain && codec_traits<V>::fixed_size == 0 && key_codec_traits<K>::plain;

// Whether it may be. Where a type with a codec of its user's has its bytes isn't known.
template <class V>
bool may_lie_in(Bytes key, const V& out) noexcept {
  if constexpr (kHasUserCodec<V>) {
    return true;
  } else {
    return reinterpret_cast<std::uintptr_t>(key.data()) - reinterpret_cast<std::uintptr_t>(out.data()) < out.size() * sizeof(*out.data());
  }
}

// The only plain type whose bytes may be none of its objects, as far as can be seen from here.
template <class T>
bool valid_object(const std::byte* bytes) noexcept {
  return !std::is_same_v<T, bool> || std::to_integer<unsigned>(*bytes) <= 1;
}

// Types are known by name and size alone, so bytes that are no object needn't be damaged.
[[noreturn]] SHARED_DICT_COLD inline void fail_undecodable(std::string_view name, const DecodeError& error) {
  fail(errc::corrupted, name,
       std::string(error.what()) + "; either a type has other members here than in the program that wrote this (build all with the same ones, and use "
                                   "another name for what they store), or the stored contents are damaged (audit() tells): nothing was changed");
}

// Whether it is a string or vector, stored as its elements are. Not what a user's codec says to be one: that may not be able to fill an object
// that was moved from, nor one that has been used.
template <class T, class Traits>
inline constexpr bool kIsSequence = Traits::plain && Traits::fixed_size == 0 && !kHasUserCodec<T>;

// Fills a string or vector, which keeps its memory, with these bytes.
template <class T, class Traits>
void decode_sequence(T& object, Bytes bytes) {
  std::byte* const to = Traits::prepare(object, bytes.size());
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

// The object that these bytes are. The bytes don't change.
template <class T, class Traits>
T decode(Bytes bytes, const std::string& name) {
  try {
    if constexpr (Traits::plain && Traits::fixed_size != 0) {
      if (bytes.size() != sizeof(T)) throw DecodeError("a value has the wrong size");
      if (!valid_object<T>(bytes.data())) throw DecodeError("a bool is neither true nor false");
      std::array<std::byte, sizeof(T)> copy;
      std::memcpy(copy.data(), bytes.data(), sizeof(T));
      return std::bit_cast<T>(copy);
    } else {
      T object{};
      if constexpr (Traits::plain) {
        decode_sequence<T, Traits>(object, bytes);
      } else {
        Traits::decode(bytes, object);
      }
      return object;
    }
  } catch (const DecodeError& error) {
    fail_undecodable(name, error);
  }
}

template <class K>
K decode_key(Bytes bytes, const std::string& name) {
  return decode<K, key_codec_traits<K>>(bytes, name);
}
template <class V>
V decode_value(Bytes bytes, const std::string& name) {
  return decode<V, codec_traits<V>>(bytes, name);
}

// Makes an object, which may have been moved from, the one that these bytes are: a string or vector keeps its memory.
template <class T, class Traits>
void decode_over(T& object, Bytes bytes, const std::string& name) {
  if constexpr (kIsSequence<T, Traits>) {
    try {
      decode_sequence<T, Traits>(object, bytes);
    } catch (const DecodeError& error) {
      fail_undecodable(name, error);
    }
  } else {
    object = decode<T, Traits>(bytes, name);
  }
}

// Decodes one object after the other, each to be moved from or looked at before the next: strings and vectors into one place.
template <class T, class Traits>
class Decoder {
  static constexpr bool kOnePlace = kIsSequence<T, Traits>;
  struct Nothing {};

 public:
  std::conditional_t<kOnePlace, T&&, T> operator()(Bytes bytes, const std::string& name) {
    if constexpr (kOnePlace) {
      if (place_) {
        decode_over<T, Traits>(*place_, bytes, name);
      } else {
        place_.emplace(decode<T, Traits>(bytes, name));
      }
      return std::move(*place_);
    } else {
      return decode<T, Traits>(bytes, name);
    }
  }

 private:
  [[no_unique_address]] std::conditional_t<kOnePlace, std::optional<T>, Nothing> place_;
};

// Whether values are replaced by one store where they are (replaced_in_place() is the same, of a segment).
template <class V>
inline constexpr bool kReplacedInPlace = codec_traits<V>::fixed_size - 1 < kWord;

// Whether what replaces them can be made of the object's own bytes, too.
template <class V>
inline constexpr bool kInPlace = codec_traits<V>::plain && kReplacedInPlace<V>;

// The bytes of a value that takes at most a word.
using ValueWord = std::array<std::byte, kWord>;

// The word that stands for such a value in the segment.
template <class V>
std::uint64_t word_of(const V& value) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}

// What integers are added as, so that it wraps around.
template <class V>
using Wrapping = std::common_type_t<std::make_unsigned_t<V>, unsigned>;

template <class V>
V wrapping_add(V a, V b) noexcept {
  if constexpr (std::is_same_v<V, bool>) {
    return a != b;
  } else if constexpr (std::is_integral_v<V>) {
    return static_cast<V>(static_cast<Wrapping<V>>(a) + static_cast<Wrapping<V>>(b));
  } else {
    return static_cast<V>(a + b);
  }
}

template <class V>
V wrapping_negate(V a) noexcept {
  if constexpr (std::is_same_v<V, bool>) {
    return a;
  } else if constexpr (std::is_integral_v<V>) {
    return static_cast<V>(0U - static_cast<Wrapping<V>>(a));
  } else {
    return -a;
  }
}

template <class K, class V>
StoredTypes stored_types() {
  using Key = key_codec_traits<K>;
  using Value = codec_traits<V>;
  static_assert(Value::alignment <= 4096, "shared_dict: values aligned to more than a page can't be stored");
  StoredTypes types{Key::type_name(), Value::type_name(), {}};
  types.shape.key_fixed_bytes = static_cast<std::uint32_t>(Key::fixed_size);
  types.shape.value_fixed_bytes = Value::fixed_size;
  // Integers of 64 bits are 4-aligned for 32-bit x86, and 8-aligned elsewhere. All values lie 8-aligned, so it is all the same: structs
  // that are equally long then have no gaps that depend on it. That isn't so where another member asks for more.
  struct Number {
    std::uint64_t bits;
  };
  types.shape.value_alignment = std::max(static_cast<std::uint32_t>(Value::alignment), static_cast<std::uint32_t>(kWord));
  if (types.shape.value_alignment > kWord && alignof(Number) < kWord) types.value_name += " (4-aligned integers of 64 bits)";
  return types;
}

}  // namespace shared_dict::detail
