// Many items in one step (update).
//
//   lock the shards, ascending | room in the tables, entries for all items, the intent | counts that rise | publish it |
//   the stores, one for each item | the intent ends | versions, counts that fall, old blocks | unlock
//
// What happens is one store of one word for each item: a slot word, or a value word where the value is replaced in place. They are
// written down as an intent (intent.hpp) and its publication is the moment: a process that dies before leaves blocks that no slot
// refers to, and perhaps larger tables; one that dies after it has the rest stored by whoever finds it dead, while all its shards are still
// locked. Between publication and the end of the intent nothing is freed and nothing else is changed, so its stores can be repeated.
//
// What is added is counted before it happens: if this process dies, its shards are repaired one after the other, and until the last of them
// is, nobody may take the others to hold less than they do (max_items, heap_size).
//
// Other writers see none or all, as the shards stay locked. Readers, who take no locks, can see the items come one after the other.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/intent.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

struct BatchItem {
  KeyBytes key;
  Bytes value;
};

// A block of the shard's with these stores, which aren't published yet. Throws heap_full.
inline std::uint64_t make_intent(const Segment& segment, LockedShard& shard, const std::vector<Intent::Store>& stores) {
  const std::uint64_t offset = shard.heap().allocate(intent_bytes(stores.size()));
  if (!segment.holds(offset, intent_bytes(stores.size()))) shard.damaged("a block lies outside the segment");
  const std::size_t bytes = stores.size() * sizeof(Intent::Store);
  const std::uint64_t count = stores.size();
  // [E8] release fence, pairs with [V1]: as [E1].
  release_fence();
  store_word(segment.at(offset + offsetof(Intent, count)), count);
  write_racing(segment.at(offset + sizeof(Intent)), reinterpret_cast<const std::byte*>(stores.data()), bytes);
  store_word(segment.at(offset + offsetof(Intent, checksum)), checksum_of(intent_at(segment, offset)));
  return offset;
}

template <class>
class BasicBatch {
 public:
  // The bytes of the items outlive this.
  BasicBatch(const Writer& writer, std::vector<BatchItem> items)
      : writer_(writer), segment_(writer.attachment.segment()), items_(std::move(items)) {}

  // All items, or an exception and none.
  void run() {
    if (items_.empty()) return;
    with_leftovers(writer_, [&] {
      const Unlock unlock{*this};
      lock_shards();
      plan();
      store_within_limits(writer_, shards_.front().fields().pending, growth_, [&] { carry_through(); });
    });
  }

 private:
  struct Unlock {
    BasicBatch& batch;
    ~Unlock() {
      batch.steps_.clear();
      batch.shards_.clear();
    }
  };

  struct Step {
    LockedShard* shard;
    const BatchItem* item;
    SlotTable::Found found;
    std::uint64_t block = 0;  // 0: in place
    bool reused = false;      // a tombstone's slot
  };

  // By shard, so that the locks come in order; equal keys in the order in which they were given. The rank does for that what the whole
  // hash would, and what is sorted is short.
  struct Rank {
    std::uint64_t rank;  // the shard's bits of the hash, and those below
    const BatchItem* item;

    std::uint32_t shard() const noexcept { return static_cast<std::uint32_t>(rank >> 48); }
    friend bool operator<(const Rank& a, const Rank& b) noexcept { return a.rank != b.rank ? a.rank < b.rank : a.item < b.item; }
  };

  // Of equal keys the last one counts.
  static bool is_overtaken(typename std::vector<Rank>::const_iterator at, typename std::vector<Rank>::const_iterator end) noexcept {
    const KeyBytes& key = at->item->key;
    for (auto later = std::next(at); later != end && later->rank == at->rank; ++later) {
      if (later->item->key.hash == key.hash && same_bytes(later->item->key.bytes, key.bytes)) return true;
    }
    return false;
  }

  void lock_shards() {
    std::vector<Rank> ranks;
    ranks.reserve(items_.size());
    constexpr std::uint64_t kBelow = (std::uint64_t{1} << 48) - 1;
    for (const BatchItem& item : items_) {
      const std::uint64_t shard = hash_shard(item.key.hash, segment_.shard_count());
      ranks.push_back({shard << 48 | (item.key.hash & kBelow), &item});
    }
    std::sort(ranks.begin(), ranks.end());
    shards_.reserve(std::min<std::size_t>(items_.size(), segment_.shard_count()));  // steps refer to them
    steps_.reserve(items_.size());
    for (auto at = ranks.cbegin(); at != ranks.cend(); ++at) {
      if (shards_.empty() || shards_.back().index() != at->shard()) shards_.emplace_back(writer_, at->shard());
      if (!is_overtaken(at, ranks.cend())) steps_.push_back({&shards_.back(), at->item, {}});
    }
  }

  // Items lie in no order: their buckets are asked for kAhead items before they are looked for, their entries half as many before, so that
  // several of them are on their way at a time.
  void look_ahead(std::size_t step) const noexcept {
    const auto at = [&](std::size_t i, auto f) {
      if (i < steps_.size()) f(segment_.shard(steps_[i].shard->index()), steps_[i].item->key);
    };
    at(step + kAhead, [&](const Shard& shard, const KeyBytes& key) { prefetch_home(segment_, shard, key); });
    at(step + kAhead / 2, [&](const Shard& shard, const KeyBytes& key) { glimpse(segment_, shard, key); });
  }

  // Which slot each item gets, and what that adds. Tables grow first, as slots move then.
  void plan() {
    for (std::size_t i = 0; i < kAhead; ++i) look_ahead(i - kAhead);
    std::uint64_t bytes_added = 0;
    std::uint64_t bytes_gone = 0;
    growth_ = {};
    for (auto first = steps_.begin(); first != steps_.end();) {
      LockedShard& shard = *first->shard;
      auto last = first;
      std::uint64_t added = 0;
      for (; last != steps_.end() && last->shard == &shard; ++last) {
        look_ahead(static_cast<std::size_t>(last - steps_.begin()));
        last->found = shard.find(last->item->key);
        added += last->found.found ? 0 : 1;
      }
      if (added != 0 && shard.reserve(added)) {
        for (auto step = first; step != last; ++step) step->found = shard.find(step->item->key);
      }
      const SlotTable slots = shard.table();
      std::unordered_set<std::uint64_t> taken;  // slots that a key of this batch gets
      for (; first != last; ++first) {
        if (first->found.found) {
          bytes_gone += first->found.entry.sizes.value();
          bytes_added += first->item->value.size();
          continue;
        }
        // The slots before it are taken or will be when the batch is through, in this order: the search for it finds it.
        SlotTable::Position& at = first->found.at;
        const auto number = [&] { return at.bucket * kSlotsPerBucket + at.slot; };
        for (std::uint64_t n = 0; slots.word(at).is_entry() || taken.contains(number()); ++n) {
          if (n == slots.slot_count()) fail(errc::heap_full, writer_.attachment.name(), "its table is full and can't grow");
          at = slots.next(at);
        }
        taken.insert(number());
        first->reused = slots.word(at).is_erased();
        ++growth_.items;
        bytes_added += first->item->key.bytes.size() + first->item->value.size();
      }
    }
    if (bytes_added > bytes_gone) growth_.bytes = bytes_added - bytes_gone;
  }

  void carry_through() {
    std::vector<SlotTable> tables;
    tables.reserve(steps_.size());
    std::vector<Intent::Store> stores;
    stores.reserve(steps_.size());
    Heap& heap = shards_.front().heap();
    std::uint64_t intent = 0;
    try {
      for (Step& step : steps_) {
        tables.push_back(step.shard->table());
        stores.push_back(prepare(step, tables.back()));
      }
      intent = make_intent(segment_, shards_.front(), stores);
    } catch (...) {
      for (const Step& step : steps_) {
        if (step.block != 0) step.shard->heap().free(step.block, entry_size(step));
      }
      throw;
    }
    for (const Step& step : steps_) announce(step);
    Shard& first = shards_.front().fields();
    publish_intent(first, intent);
    carry_out_stores(segment_, stores.data(), stores.size());
    end_intent(first);
    for (std::size_t i = 0; i < steps_.size(); ++i) finish(steps_[i], tables[i]);
    heap.free(intent, intent_bytes(stores.size()));
  }

  std::uint64_t entry_size(const Step& step) const noexcept {
    return entry_bytes(segment_, EntrySizes(step.item->key.bytes.size(), step.item->value.size()));
  }

  Intent::Store prepare(Step& step, const SlotTable& slots) {
    const BatchItem& item = *step.item;
    if (step.found.found && step.shard->in_place(step.found.entry, item.value.size())) {
      return {step.found.entry.value_at, LockedShard::value_word(item.value)};
    }
    step.block = step.shard->allocate(item.key, item.value);
    return {segment_.offset_of(&slots.at(step.found.at)), SlotWord(step.block, hash_tag(item.key.hash)).bits()};
  }

  void announce(const Step& step) noexcept {
    const BatchItem& item = *step.item;
    if (!step.found.found) {
      step.shard->count_insertions(1);
      step.shard->count_item(item.key.bytes.size() + item.value.size());
    } else if (const std::uint64_t before = step.found.entry.sizes.value(); item.value.size() > before) {
      step.shard->count_bytes(item.value.size() - before);
    }
  }

  // Never fails: what can't be freed now is found by the shard's next repair.
  void finish(const Step& step, SlotTable& slots) noexcept {
    const BatchItem& item = *step.item;
    if (!step.found.found) {
      if (step.reused) step.shard->count_reused_tombstone();
    } else if (step.block != 0) {
      step.shard->finish_replacement(slots, step.found, item.value.size());
    }
    step.shard->tell(item.key.hash);
  }

  static constexpr std::size_t kAhead = 16;

  const Writer& writer_;
  const Segment& segment_;
  const std::vector<BatchItem> items_;
  std::vector<LockedShard> shards_;
  std::vector<Step> steps_;
  Growth growth_;
};

// See Lazily.
using Batch = BasicBatch<Lazily>;

}  // namespace shared_dict::detail
