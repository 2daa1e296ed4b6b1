// Reading all of a shard without a lock: the ground of iteration.
//
// Weakly consistent: what stays during the scan is met, exactly once; what comes or goes meanwhile may be. A scan copies the shard's
// items as it goes, each validated as in lookup.hpp, and starts over if the table was exchanged. A key that was erased and inserted
// again meanwhile may have been met at both places; the count of insertions tells, and then repeats are dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/lookup.hpp>

namespace shared_dict::detail {

class ShardScan {
 public:
  // Collects the items of shard `index`.
  ShardScan(const Segment& segment, const std::string& name, std::uint32_t index) {
    const Shard& shard = segment.shard(index);
    for (;;) {
      items_.clear();
      arena_.clear();
      // [I1] acquire, pairs with [S1], [S4]: read before all slots; an insertion that is met later is seen in the second look, as its
      // slot word was read with acquire.
      const std::uint64_t insertions = shard.insertions.load(std::memory_order_acquire);
      const ShardView view = view_shard(segment, index);
      if (view.table.none()) {
        require_generations(segment, shard, name);
        return;
      }
      const bool complete = collect(segment, name, view);
      if (!same_epoch(view)) {
        cpu_relax();
        continue;
      }
      if (!complete) fail_corrupted(name, "a slot refers to something that is no entry");
      if (shard.insertions.load(std::memory_order_relaxed) != insertions) drop_repeats();  // relaxed: as above
      return;
    }
  }

  std::size_t size() const noexcept { return items_.size(); }
  Bytes key(std::size_t i) const noexcept { return {arena_.data() + items_[i].key_at, items_[i].key_bytes}; }
  Bytes value(std::size_t i) const noexcept { return {arena_.data() + items_[i].value_at, items_[i].value_bytes}; }

 private:
  struct Item {
    std::size_t key_at, key_bytes, value_at, value_bytes;
  };

  // False if something stored is impossible, or the epoch stepped.
  bool collect(const Segment& segment, const std::string& name, const ShardView& view) {
    if (!segment.holds_table(view.table)) return false;
    const Bucket* const buckets = segment.buckets(view.table);
    for (std::uint64_t at = 0; at < view.table.buckets(); ++at) {
      for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
        while (!take(segment, view, buckets[at], slot)) {
          if (!same_epoch(view)) return false;
          if (impossible_) fail_corrupted(name, "a slot refers to something that is no entry");
          cpu_relax();
        }
      }
    }
    return true;
  }

  // Copies the entry of one slot, if it has one. False if it changed meanwhile, or if it is `impossible_`.
  bool take(const Segment& segment, const ShardView& view, const Bucket& bucket, std::uint32_t slot) {
    impossible_ = false;
    const std::uint64_t version = load_version(bucket);
    const SlotWord word = load_slot(bucket, slot);
    if (!word.is_entry()) return true;
    Entry entry;
    if (!read_entry(segment, word.offset(), entry)) {
      impossible_ = still_valid(view, bucket, version);
      return false;
    }
    const EntrySizes sizes = entry.sizes;
    if (sizes.key() + sizes.value() > kTrustedBytes && !still_valid(view, bucket, version)) return false;
    Item item{};
    item.key_at = arena_.size();
    item.key_bytes = static_cast<std::size_t>(sizes.key());
    item.value_at = item.key_at + static_cast<std::size_t>(round_up(sizes.key(), kAlign));
    item.value_bytes = static_cast<std::size_t>(sizes.value());
    arena_.resize(item.value_at + static_cast<std::size_t>(round_up(sizes.value(), kAlign)));
    read_racing(arena_.data() + item.key_at, segment.at(word.offset() + kWord), item.key_bytes);
    read_racing(arena_.data() + item.value_at, segment.at(entry.value_at), item.value_bytes);
    if (!still_valid(view, bucket, version)) {
      arena_.resize(item.key_at);
      return false;
    }
    items_.push_back(item);
    return true;
  }

  void drop_repeats() {
    std::unordered_set<std::string_view> seen;
    std::vector<Item> kept;
    for (std::size_t i = 0; i < items_.size(); ++i) {
      const Bytes bytes = key(i);
      if (seen.emplace(reinterpret_cast<const char*>(bytes.data()), bytes.size()).second) kept.push_back(items_[i]);
    }
    items_ = std::move(kept);
  }

  static constexpr std::uint64_t kAlign = 16;  // copies of plain values begin where any ordinary type may

  std::vector<std::byte> arena_;
  std::vector<Item> items_;
  bool impossible_ = false;
};

}  // namespace shared_dict::detail
