// Memory in the segment that a caller fills and then makes a key's value (loan).
//
// A loan begins as a retired block: taken from the heap of the key's shard, put on the list of retired blocks and pinned, under the
// lock. From then on it is a block that somebody looks at and no slot refers to, like any other: if its pin goes, dropped or with its
// dead process, the next sweep frees it; a repair keeps it as long as it is pinned. Publishing takes it off the list and makes it the key's
// entry like any other.
#pragma once

#include <cstdint>
#include <exception>

#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

struct LoanedBlock {
  Pin pin;
  std::uint64_t entry = 0;
  std::uint64_t value_at = 0;
  std::size_t key_bytes = 0;
  std::size_t value_bytes = 0;
  std::uint64_t hash = 0;

  KeyBytes key(const Segment& segment) const noexcept { return {Bytes(segment.at(entry + kWord), key_bytes), hash}; }
};

// Throws heap_full, too_many_views.
inline LoanedBlock begin_loan(const Writer& writer, const KeyBytes& key, std::size_t value_bytes) {
  Segment& segment = writer.attachment.segment();
  const std::uint64_t size = entry_bytes(segment, EntrySizes(key.bytes.size(), value_bytes));
  LoanedBlock loan;
  loan.key_bytes = key.bytes.size();
  loan.value_bytes = value_bytes;
  loan.hash = key.hash;
  loan.pin = Pin(writer.attachment, kNoBlock);
  with_leftovers(writer, [&] {
    LockedShard shard(writer, hash_shard(key.hash, segment.identity().shard_count));
    // Told now, while nothing has been filled yet; publishing asks again.
    require_bytes(writer, growth_of(shard.find(key), key, value_bytes).bytes);
    loan.entry = shard.heap().allocate(size);
    shard.heap().retire(loan.entry, size > segment.classes().largest_block());
    loan.pin.move_to(loan.entry);
  });
  loan.value_at = entry_value_at(segment, loan.entry, entry_head(key.bytes.size()));
  // [E9] release fence, pairs with [V1]: as [E1], for all that the caller writes, too.
  release_fence();
  write_racing(segment.at(loan.entry + kWord), key.bytes.data(), key.bytes.size());
  if (value_bytes != 0) store_word(segment.at(loan.value_at + round_up(value_bytes, kWord) - kWord), 0);
  return loan;
}

// Makes it the value of its key; true if the key is new. If it throws the loan is as before.
inline bool publish_loan(const Writer& writer, LoanedBlock& loan) {
  const Segment& segment = writer.attachment.segment();
  const KeyBytes key = loan.key(segment);
  bool inserted = false;
  with_leftovers(writer, [&] {
    LockedShard shard(writer, hash_shard(key.hash, segment.identity().shard_count));
    SlotTable::Found found = shard.find(key);
    store_within_limits(writer, shard.fields().pending, growth_of(found, key, loan.value_bytes), [&] {
      if (!found.found) found = shard.make_room(found, key);
      if (!shard.heap().reclaim(loan.entry)) shard.damaged("a loaned block isn't on its list");
      write_sizes(segment, loan.entry, EntrySizes(loan.key_bytes, loan.value_bytes));
      inserted = !found.found;
      if (inserted) {
        shard.insert_block(found, key, loan.entry, loan.value_bytes);
      } else {
        shard.replace_block(found, key, loan.entry, loan.value_bytes);
        shard.tell(key.hash);
      }
    });
  });
  loan.pin.release();
  return inserted;
}

// The memory goes back at once if nobody else has the shard; otherwise the next to look for some finds it.
inline void drop_loan(Attachment& attachment, LoanedBlock& loan) noexcept {
  if (!loan.pin.held()) return;
  const bool mine = loan.pin.mine();
  loan.pin.release();
  if (!mine) return;
  try {
    const Writer writer(attachment, std::chrono::milliseconds(0));
    LockedShard shard(writer, hash_shard(loan.hash, attachment.segment().identity().shard_count));
    shard.heap().sweep();
  } catch (const std::exception&) {
  }
}

}  // namespace shared_dict::detail
