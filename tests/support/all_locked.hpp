// A dictionary with all its locks held: what is seen is what every other writer sees, all keys at one time.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/eventually.hpp"

namespace shared_dict::test {

template <class K, class V>
class AllLocked {
 public:
  explicit AllLocked(detail::Attachment& attachment)
      : writer_(attachment, kHangDeadline), shards_(detail::lock_all(writer_)) {}

  std::optional<V> get(const K& key) const {
    const detail::Segment& segment = writer_.attachment.segment();
    const detail::EncodedKey<K> encoded(key);
    const detail::KeyBytes bytes = detail::hash_key(segment, encoded.bytes());
    const auto found = shards_[detail::hash_shard(bytes.hash, segment.identity().shard_count)].find(bytes);
    if (!found.found) return std::nullopt;
    return detail::decode_value<V>(found.entry.value(segment), writer_.attachment.name());
  }

 private:
  detail::Writer writer_;
  std::vector<detail::LockedShard> shards_;
};

}  // namespace shared_dict::test
