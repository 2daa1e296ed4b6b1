// Everything that a dictionary holds, replaced in one step (load).
//
//   lock all shards | beside what is there, for each shard a table with entries, and the intent | counts that rise | publish it |
//   the table words | the intent ends | epochs, counts that fall, the old entries | unlock
//
// The change is one store of a table word for each shard, written down as an intent like a batch's (intent.hpp): a process that dies
// before it is published leaves blocks and runs that no slot and no table word refers to, which repairs give back; one that dies
// after it has the other words stored by whoever finds it dead, before the first lock comes free. So afterwards everything is as it was, or
// all of it is new. Other writers see one or the other; readers, who take no locks, can see some shards sooner than others.
//
// The price is memory for both at once.
#pragma once

#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

class Replacement {
 public:
  // How many items each shard is going to have.
  Replacement(const Writer& writer, const std::vector<std::uint64_t>& items)
      : writer_(writer), segment_(writer.attachment.segment()), items_(items), shards_(lock_all(writer)) {}

  // fill() calls add() for each item. All of them, or an exception and nothing has changed.
  template <class F>
  void run(F fill) {
    try {
      for (LockedShard& shard : shards_) {
        const std::uint64_t items = items_[shard.index()];
        require_table(writer_, shard.index(), shard.table_word());  // it is gone through when all has happened, and nothing may fail
        parts_.push_back({shard.table_word(), {}, 0, 0});
        if (items != 0) parts_.back().table = make_table(segment_, shard.heap(), shard.index(), shard.fitting_log2(items));
      }
      fill();
      require_still_owner(writer_, shards_.front());
      write_intent();
    } catch (...) {
      give_up();
      throw;
    }
    for (LockedShard& shard : shards_) shard.count_at_least(parts_[shard.index()].items, parts_[shard.index()].bytes);
    Shard& first = shards_.front().fields();
    publish_intent(first, intent_);
    carry_out_stores(segment_, stores_.data(), stores_.size());
    end_intent(first);
    for (LockedShard& shard : shards_) finish(shard, parts_[shard.index()]);
    shards_.front().heap().free(intent_, intent_bytes(stores_.size()));
  }

  // False if its key was added before, or is one too many for its shard: then nothing of this can be.
  bool add(const KeyBytes& key, Bytes value) {
    const std::uint32_t index = hash_shard(key.hash, segment_.shard_count());
    LockedShard& shard = shards_[index];
    Part& part = parts_[index];
    if (part.items == items_[index]) return false;
    SlotTable slots(segment_.buckets(part.table), part.table.buckets());
    const SlotTable::Found found =
        slots.find(segment_, key, [&] { shard.damaged("a slot refers to something that is no entry"); });
    if (found.found) return false;
    const std::uint64_t block = shard.allocate(key, value);
    slots.store(found.at, SlotWord(block, hash_tag(key.hash)));
    ++part.items;
    part.bytes += key.bytes.size() + value.size();
    return true;
  }

  // For user code that is called in between.
  void require_owner() const { require_still_owner(writer_, shards_.front()); }

 private:
  struct Part {
    TableWord before;
    TableWord table;
    std::uint64_t items;
    std::uint64_t bytes;
  };

  void write_intent() {
    for (const LockedShard& shard : shards_) {
      const Word64& word = segment_.shard(shard.index()).table;
      stores_.push_back({segment_.offset_of(&word), parts_[shard.index()].table.bits()});
    }
    intent_ = make_intent(segment_, shards_.front(), stores_);
  }

  // What was taken is given back by a repair, which this process does itself if it can.
  void give_up() noexcept {
    for (LockedShard& shard : shards_) {
      if (!shard.mine()) return;                                 // forked in between: all this is the parent's
      shard.fields().dirty.store(1, std::memory_order_relaxed);  // relaxed: read under the lock
      try {
        shard.make_current();
      } catch (const std::exception&) {  // then whoever has the lock next does it
      }
    }
  }

  // Never fails: what can't be freed now is found by the shard's next repair.
  void finish(LockedShard& shard, const Part& part) noexcept {
    Shard& fields = shard.fields();
    step_epoch(fields);
    shard.count_insertions(part.items);
    // relaxed, all: hints for others, released with the lock.
    fields.items.store(part.items, std::memory_order_relaxed);
    fields.tombstones.store(0, std::memory_order_relaxed);
    fields.stored_bytes.store(part.bytes, std::memory_order_relaxed);
    fields.scan_hint = 0;
    try {
      if (!part.before.none()) {
        const SlotTable old(segment_.buckets(part.before), part.before.buckets());
        shard.for_each_in(old, [&](const SlotTable::Found& found) {
          shard.heap().free_entry(found.entry.offset, entry_bytes(segment_, found.entry.sizes));
        });
        shard.heap().give_run(segment_.page_of(part.before.offset()));
      }
    } catch (const std::exception&) {
      fields.dirty.store(1, std::memory_order_relaxed);  // relaxed: as above
    }
    if (part.items == 0) shard.heap().free_spares();
    if (shard.watched()) tell_of_differences(segment_, fields, shard.index());
  }

  const Writer& writer_;
  Segment& segment_;
  const std::vector<std::uint64_t>& items_;
  std::vector<LockedShard> shards_;
  std::vector<Part> parts_;
  std::vector<Intent::Store> stores_;
  std::uint64_t intent_ = 0;
};

}  // namespace shared_dict::detail
