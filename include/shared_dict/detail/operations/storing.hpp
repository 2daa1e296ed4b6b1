// Storing a value under a key: which of the ways to do it.
#pragma once

#include <cstdint>

#include <shared_dict/detail/operations/inserting.hpp>
#include <shared_dict/detail/operations/overwriting.hpp>

namespace shared_dict::detail {

// When a value is stored.
struct StoreIf {
  bool present;
  bool missing;
};

enum class Stored { inserted, replaced, as_decided };

// Stores a value under a key that is there, or isn't, as `when` says. `decide` says the same, for `change`; if it was asked it knows what came
// of it. Throws as `change`.
template <class Decide>
SHARED_DICT_HOT Stored store_value(const Writer& writer, const KeyBytes& key, Bytes value, StoreIf when, Decide decide) {
  const Segment& segment = writer.attachment.segment();
  const EntryShape shape = shape_of(segment, key.bytes.size(), value.size());
  if (!shape.large) [[likely]] {
    const std::uint32_t index = hash_shard(key.hash, segment.shard_count());
    Shard& shard = segment.shard(index);
    prefetch_to_write(&shard.lock);
    // Who may replace a value looks at the bucket first, so that the entry is on its way, too, when the lock is taken. Who only inserts needs none,
    // and takes the lock while the bucket is on its way.
    Glimpse seen;
    if (when.present) {
      seen = glimpse(segment, shard, key);
    } else {
      prefetch_home(segment, shard, key);
    }
    const bool looks_new = seen.candidate.word.is_empty();
    if (looks_new ? when.missing : !replaced_in_place(segment)) [[likely]] {
      OwnerLock lock(writer, shard.lock, shard.sleepers, &shard.lock_waits);
      if (looks_new) {
        if (insert_new(writer, index, key, value, shape)) [[likely]] return Stored::inserted;
      } else if (overwrite(writer, index, seen, key, value, shape)) [[likely]] {
        return Stored::replaced;
      }
      change(writer, key, decide, &lock);
      return Stored::as_decided;
    }
  }
  change(writer, key, decide);
  return Stored::as_decided;
}

}  // namespace shared_dict::detail
