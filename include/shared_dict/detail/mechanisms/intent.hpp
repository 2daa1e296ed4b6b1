// The intent of a batch, or of a load: the stores that make it happen, written down before the first of them, so that whoever finds the
// process dead can do the rest.
//
// It is an ordinary block of a shard that the batch has locked, and that shard's `intent` refers to it: publishing this word is the
// moment of the batch. It goes back to 0 when all is stored, before the first lock is released; so as long as it stands nobody else
// has changed anything that it speaks of, and carrying it out once more does no harm. A block whose word was never published, or is
// gone, is one that no slot refers to: the shard's repair frees it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>

namespace shared_dict::detail {

inline std::uint64_t intent_bytes(std::uint64_t count) noexcept { return sizeof(Intent) + count * sizeof(Intent::Store); }

inline Intent& intent_at(const Segment& segment, std::uint64_t offset) noexcept {
  return *reinterpret_cast<Intent*>(segment.at(offset));
}
inline Intent::Store* intent_stores(Intent& intent) noexcept { return reinterpret_cast<Intent::Store*>(&intent + 1); }

inline std::uint64_t checksum_of(const Intent& intent) noexcept {
  return hash_bytes(&intent.count, static_cast<std::size_t>(intent_bytes(intent.count) - sizeof intent.checksum), 0);
}

inline Word64& word_at(const Segment& segment, std::uint64_t offset) noexcept {
  return *reinterpret_cast<Word64*>(segment.at(offset));
}

// With the locks of all shards that it concerns held.
inline void publish_intent(Shard& shard, std::uint64_t offset) noexcept {
  // [B1] release, pairs with [B2]: complete before it counts.
  shard.intent.store(offset, std::memory_order_release);
}

inline void end_intent(Shard& shard) noexcept {
  // [B3] seq_cst, pairs with [B2]: all is stored before it counts no more. An exchange for the same reason as [S4].
  shard.intent.exchange(0, std::memory_order_seq_cst);
}

// What an intent stands for: slot words and values that are replaced in place, or table words.
inline void carry_out_stores(const Segment& segment, const Intent::Store* stores, std::uint64_t count) noexcept {
  for (std::uint64_t i = 0; i < count; ++i) {
    // [B4] release, pairs with [S2], [V1], [T3], [T4]: as [S1], [S3], [T2].
    word_at(segment, stores[i].offset).store(stores[i].word, std::memory_order_release);
  }
}

// Whether a shard's table word lies at this offset.
inline bool is_table_word(const Segment& segment, std::uint64_t offset) noexcept {
  const std::uint64_t at = offset - segment.identity().shards_at - offsetof(Shard, table);  // wraps around to something huge before it
  return at % sizeof(Shard) == 0 && at / sizeof(Shard) < segment.shard_count();
}

// For the dead owner of the shard's lock, while the lock word names it. Can be repeated. Throws corrupted.
inline void carry_out(const Segment& segment, Shard& shard, const std::string& name) {
  // [B2] acquire, pairs with [B1], [B3]: the intent is complete.
  const std::uint64_t offset = shard.intent.load(std::memory_order_acquire);
  if (offset == 0) return;
  const auto check = [&](bool good) {
    if (!good) fail_corrupted(name, "a batch that a dead process had begun is damaged");
  };
  check(offset % kWord == 0 && segment.holds(offset, sizeof(Intent)));
  Intent& intent = intent_at(segment, offset);
  check(intent.count <= segment.identity().segment_bytes / sizeof(Intent::Store) &&
        segment.holds(offset, intent_bytes(intent.count)) && checksum_of(intent) == intent.checksum);
  const Intent::Store* const stores = intent_stores(intent);
  for (std::uint64_t i = 0; i < intent.count; ++i) {
    check(stores[i].offset % kWord == 0 && (segment.holds(stores[i].offset, kWord) || is_table_word(segment, stores[i].offset)));
  }
  carry_out_stores(segment, stores, intent.count);
  end_intent(shard);
}

}  // namespace shared_dict::detail
