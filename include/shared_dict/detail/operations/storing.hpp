// Storing a value under a key: which of the ways to do it.
#pragma once

#include <cstdint>
#include <utility>

#include <shared_dict/detail/operations/inserting.hpp>
#include <shared_dict/detail/operations/overwriting.hpp>

namespace shared_dict::detail {

// When a value is stored.
struct StoreIf {
  bool present;
  bool missing;
};

enum class Stored { nothing, inserted, replaced };

// By `change`, whatever it takes. `held` is the shard's lock if it was taken already.
SHARED_DICT_COLD inline Stored store_by_change(const Writer& writer, const KeyBytes key, Bytes value, StoreIf when, OwnerLock* held) {
  Stored stored = Stored::nothing;
  const auto decide = [&](const Bytes* current) {
    stored = Stored::nothing;
    if (current != nullptr ? !when.present : !when.missing) return Decision::keep();
    stored = current != nullptr ? Stored::replaced : Stored::inserted;
    return Decision::store(value);
  };
  change(writer, key, decide, held);
  return stored;
}
SHARED_DICT_COLD inline Stored store_locked(const Writer& writer, const KeyBytes key, Bytes value, StoreIf when, OwnerLock held) {
  return store_by_change(writer, key, value, when, &held);
}
SHARED_DICT_COLD inline Stored store_any(const Writer& writer, const KeyBytes key, Bytes value, StoreIf when) {
  require_storable(writer, key.bytes.size(), value.size());
  return store_by_change(writer, key, value, when, nullptr);
}

// Stores a value under a key that is there, or isn't, as `when` says; `in_place` is what replaced_in_place() says. Throws as `change`, and
// value_too_large. What is rare is given copies, so that nothing has to be in memory for it.
SHARED_DICT_HOT Stored store_value(const Writer& writer, const KeyBytes& key, Bytes value, StoreIf when, bool in_place) {
  const Segment& segment = writer.attachment.segment();
  EntryShape shape = shape_of(segment, key.bytes.size(), value.size());
  if (shape.bytes <= segment.small_bytes()) [[likely]] {
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
    if (looks_new ? when.missing : !in_place) [[likely]] {
      OwnerLock lock(writer, shard.lock, shard.sleepers, &shard.lock_waits);
      if (looks_new) {
        if (insert_new(writer, index, key, value, shape)) [[likely]] return Stored::inserted;
      } else if (overwrite(writer, shard, index, seen, key, value, shape)) [[likely]] {
        return Stored::replaced;
      }
      return store_locked(writer, key, value, when, std::move(lock));
    }
  }
  return store_any(writer, key, value, when);
}

}  // namespace shared_dict::detail
