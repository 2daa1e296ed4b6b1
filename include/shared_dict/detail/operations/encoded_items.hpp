// The items that `update` is given, as bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/typed.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

// Whether what a range's iterator refers to is there as long as the range.
template <class Range>
inline constexpr bool kElementsStay = [] {
  // Not std::begin, which doesn't find all that a loop does.
  if constexpr (requires(const Range& range) { { std::ranges::begin(range) } -> std::forward_iterator; }) {
    return std::is_lvalue_reference_v<decltype(*std::ranges::begin(std::declval<const Range&>()))>;
  }
  return false;
}();

// Whether it lies in the element. Otherwise it may be gone with the name that it was given: what `get` returned, or the copy of a bit field.
template <class Element, class Part>
bool is_part_of(const Element& element, const Part& part) noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(std::addressof(element));
  return reinterpret_cast<std::uintptr_t>(std::addressof(part)) - first < sizeof element;
}

// The bytes of many items: those of strings, vectors and plain objects that are parts of the range's elements, where they stay; all others
// copied or encoded, one behind the other.
template <class K, class V>
class EncodedItems {
 public:
  // The range outlives this.
  template <class Range>
  EncodedItems(const Writer& writer, const Range& range) : segment_(writer.attachment.segment()) {
    for (const auto& element : range) {
      const auto& [given_key, given_value] = element;
      // Converted, if they have to be, for as long as their bytes are needed.
      const KeyArgument<K> key = given_key;
      const V& value = given_value;
      const EncodedKey<K> key_bytes(key);
      const Encoded<V, codec_traits<V>> value_bytes(value);
      require_storable(writer, key_bytes.bytes().size(), value_bytes.bytes().size());
      constexpr bool kKeyMayStay = kElementsStay<Range> && kKeyStays<std::remove_cvref_t<decltype(given_key)>>;
      constexpr bool kValueMayStay = kElementsStay<Range> && codec_traits<V>::plain && std::is_same_v<std::remove_cvref_t<decltype(given_value)>, V>;
      add(key_bytes.bytes(), kKeyMayStay && is_part_of(element, given_key));
      add(value_bytes.bytes(), kValueMayStay && is_part_of(element, given_value));
    }
  }

  // They refer to this, and to the range.
  std::vector<BatchItem> items() const {
    std::vector<BatchItem> items;
    items.reserve(parts_.size() / 2);
    Bytes rest(copies_);
    const auto take = [&](Bytes part) {
      if (part.data() != nullptr) return part;
      const Bytes taken = rest.first(part.size());
      rest = rest.subspan(part.size());
      return taken;
    };
    for (std::size_t i = 0; i < parts_.size(); i += 2) {
      const KeyBytes hashed = hash_key(segment_, take(parts_[i]));
      items.push_back({hashed, take(parts_[i + 1])});
    }
    return items;
  }

 private:
  // Views and pointers refer to what stays as well.
  template <class Given>
  static constexpr bool kKeyStays = kIsStringKey<K> ? std::is_same_v<Given, K> || std::is_same_v<Given, std::string_view> || std::is_same_v<Given, const char*>
                                                    : key_codec_traits<K>::plain && std::is_same_v<Given, K>;

  SHARED_DICT_HOT void add(Bytes bytes, bool stay) {
    if (stay) {
      parts_.push_back(bytes);
    } else {
      copies_.insert(copies_.end(), bytes.begin(), bytes.end());
      parts_.emplace_back(static_cast<const std::byte*>(nullptr), bytes.size());
    }
  }

  const Segment& segment_;
  std::vector<std::byte> copies_;
  std::vector<Bytes> parts_;  // key, value, key, value, ...; those without an address are the next ones in copies_
};

}  // namespace shared_dict::detail
