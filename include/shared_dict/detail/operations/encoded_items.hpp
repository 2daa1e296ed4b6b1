// The items that `update` is given, as bytes.
#pragma once

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/mechanisms/arena.hpp>
#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict::detail {

// The bytes of many items, encoded one behind the other. Those that are plain are copied as well: the caller's range may make each of its elements
// where the one before was, or for as long as its parts have names.
template <class K, class V>
class EncodedItems {
 public:
  template <class Range>
  EncodedItems(const Writer& writer, Range& range) : segment_(writer.attachment.segment()) {
    for (const auto& [given_key, given_value] : range) {
      // Converted, if they have to be, for as long as their bytes are needed.
      const KeyArgument<K> key = given_key;
      const V& value = given_value;
      const EncodedKey<K> key_bytes(key);
      const Encoded<V, codec_traits<V>> value_bytes(value);
      require_storable(writer, key_bytes.bytes().size(), value_bytes.bytes().size());
      sizes_.emplace_back(key_bytes.bytes().size(), value_bytes.bytes().size());
      for (const Bytes bytes : {key_bytes.bytes(), value_bytes.bytes()}) append(bytes);
    }
  }

  // They refer to this.
  std::vector<BatchItem> items() const {
    std::vector<BatchItem> items;
    items.reserve(sizes_.size());
    Bytes rest(bytes_.data(), bytes_.size());
    const auto take = [&](std::size_t size) {
      const Bytes taken = rest.first(size);
      rest = rest.subspan(size);
      return taken;
    };
    for (const auto& [key, value] : sizes_) {
      const KeyBytes hashed = hash_key(segment_, take(key));
      items.push_back({hashed, take(value)});
    }
    return items;
  }

 private:
  void append(Bytes bytes) {
    if (bytes.empty()) return;
    const std::size_t at = bytes_.size();
    bytes_.resize(at + bytes.size());
    std::memcpy(bytes_.data() + at, bytes.data(), bytes.size());
  }

  const Segment& segment_;
  Arena bytes_;
  std::vector<std::pair<std::size_t, std::size_t>> sizes_;
};

}  // namespace shared_dict::detail
