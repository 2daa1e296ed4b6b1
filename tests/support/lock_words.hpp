// Which locks of a dictionary name a process, looked at from outside and through the layers below: how a test knows what the
// process that it has stopped or killed holds. Nobody but its owner, and whoever recovers from its owner's death, changes a
// word that names an owner; so what is still there after a death was held in that moment.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/eventually.hpp"

namespace shared_dict::test {

class LockWords {
 public:
  template <class K, class V>
  explicit LockWords(const SharedDict<K, V>& dict)
      : attachment_(detail::Lifecycle(dict.name(), {}, kHangDeadline)
                        .open(detail::OpenMode::attach, {}, detail::stored_types<K, V>())) {}

  struct Held {
    std::vector<std::uint32_t> shards;
    bool others = false;   ///< the pool's, or the one for the limits
    bool storing = false;  ///< the items of a batch, which has happened but isn't through

    bool any() const noexcept { return !shards.empty() || others; }
  };

  /// Nothing if the process has no record, any more or yet.
  Held held_by(pid_t pid) const {
    Held held;
    for_each_word_of(pid, [&](detail::LockWord owner) {
      for (std::uint32_t i = 0; i < shards(); ++i) {
        const detail::Shard& shard = segment().shard(i);
        if (!names(shard.lock, owner)) continue;
        held.shards.push_back(i);
        held.storing = held.storing || shard.intent.load() != 0;
      }
      const detail::Header& header = segment().header();
      held.others = held.others || names(header.pool.lock, owner) || names(header.limit_lock, owner);
    });
    return held;
  }

  /// A batch has happened that isn't through, of whichever process.
  bool any_storing() const noexcept {
    for (std::uint32_t i = 0; i < shards(); ++i) {
      if (segment().shard(i).intent.load() != 0) return true;
    }
    return false;
  }

  /// Which lock guards a key.
  template <class K>
  std::uint32_t shard_of(const K& key) const {
    const detail::EncodedKey<K> encoded(key);
    return detail::hash_shard(detail::hash_key(segment(), encoded.bytes()).hash, shards());
  }

  /// make(i) for an i from 0 on whose key belongs to each of the shards.
  template <class MakeKey>
  auto a_key_of_each_shard(MakeKey make) const {
    std::vector<decltype(make(0))> keys(shards());
    std::vector<bool> found(shards());
    for (std::uint32_t i = 0, left = shards(); left != 0; ++i) {
      auto key = make(i);
      const std::uint32_t shard = shard_of(key);
      if (found[shard]) continue;
      found[shard] = true;
      keys[shard] = std::move(key);
      --left;
    }
    return keys;
  }

  std::uint32_t shards() const noexcept { return segment().identity().shard_count; }
  detail::Segment& segment() const noexcept { return attachment_->segment(); }
  detail::Attachment& attachment() const noexcept { return *attachment_; }

 private:
  static bool names(const detail::Word32& lock, detail::LockWord owner) noexcept {
    return detail::LockWord(lock.load()) == owner;
  }

  template <class F>
  void for_each_word_of(pid_t pid, F f) const {
    for (std::uint32_t i = 0; i < segment().identity().max_processes; ++i) {
      const detail::ProcessRecord& record = segment().record(i);
      const detail::RecordState state(record.state.load());
      if (state.used() && record.pid.load() == static_cast<std::uint32_t>(pid))
        f(detail::LockWord(i, state.generation()));
    }
  }

  std::shared_ptr<detail::Attachment> attachment_;
};

}  // namespace shared_dict::test
