// Reading all of a shard without a lock: the ground of iteration.
//
// Weakly consistent: what stays during the scan is met, exactly once; what comes or goes meanwhile may be. A scan copies the shard's
// items as it goes, each validated as in lookup.hpp, and starts over if the table was exchanged. A key that was erased and inserted
// again meanwhile may have been met at both places; the count of insertions tells, and then repeats are dropped.
//
// Entries lie in no order. So those of the buckets that follow are asked for while one is copied: several of them are on their way at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/arena.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

namespace shared_dict::detail {

enum class ScanFor { items, keys };

// The items of one shard after the other; the memory stays.
template <class When>
class BasicShardScan {
 public:
  explicit BasicShardScan(ScanFor what = ScanFor::items) noexcept : values_(what == ScanFor::items) {}

  // Collects the items of shard `index`, in place of those of the last one. If it throws there are none.
  void read(const Segment& segment, const std::string& name, std::uint32_t index) try {
    const Shard& shard = segment.shard(index);
    for (;;) {
      items_.clear();
      arena_.resize(0);
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
  } catch (...) {
    items_.clear();
    throw;
  }

  std::size_t size() const noexcept { return items_.size(); }
  Bytes key(std::size_t i) const noexcept { return {arena_.data() + items_[i].key_at, items_[i].key_bytes}; }
  // Empty if only the keys were asked for.
  Bytes value(std::size_t i) const noexcept { return {arena_.data() + items_[i].value_at, items_[i].value_bytes}; }

 private:
  struct Item {
    std::size_t key_at, key_bytes, value_at, value_bytes;
  };

  // False if something stored is impossible, or the epoch stepped.
  bool collect(const Segment& segment, const std::string& name, const ShardView& view) {
    if (!segment.holds_table(view.table)) return false;
    const Bucket* const buckets = segment.buckets(view.table);
    const std::uint64_t count = view.table.buckets();
    for (std::uint64_t at = 0; at < count; ++at) {
      if (at + kAhead < count) ask_for(segment, buckets[at + kAhead]);
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

  void ask_for(const Segment& segment, const Bucket& bucket) const noexcept {
    for (const auto& slot : bucket.slots) {
      prefetch_entry(segment, SlotWord(slot.load(std::memory_order_relaxed)), likely_bytes_);  // relaxed: a hint
    }
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
    const std::uint64_t value = values_ ? sizes.value() : 0;
    if (sizes.key() + value > kTrustedBytes && !still_valid(view, bucket, version)) return false;
    Item item{};
    item.key_at = arena_.size();
    item.key_bytes = static_cast<std::size_t>(sizes.key());
    item.value_at = item.key_at + static_cast<std::size_t>(round_up(sizes.key(), kAlign));
    item.value_bytes = static_cast<std::size_t>(value);
    arena_.resize(item.value_at + static_cast<std::size_t>(round_up(value, kAlign)));
    read_racing(arena_.data() + item.key_at, segment.at(word.offset() + kWord), item.key_bytes);
    read_racing(arena_.data() + item.value_at, segment.at(entry.value_at), item.value_bytes);
    if (!still_valid(view, bucket, version)) {
      arena_.resize(item.key_at);
      return false;
    }
    items_.push_back(item);
    likely_bytes_ = kWord + sizes.key() + value;
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

  static constexpr std::uint64_t kAhead = 3;  // buckets

  const bool values_;
  Arena arena_;
  std::vector<Item> items_;
  std::uint64_t likely_bytes_ = kCacheLine;
  bool impossible_ = false;
};

// See Lazily.
using ShardScan = BasicShardScan<Lazily>;

}  // namespace shared_dict::detail
