// What a dictionary tells about itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace shared_dict {

/// A momentary picture for people and monitors. The figures are read one after the other while others write, so they
/// may be off by the operations in flight.
struct Stats {
  std::size_t items = 0;           ///< keys that are stored
  std::size_t slot_count = 0;      ///< slots of all tables
  std::size_t used_slots = 0;      ///< slots that a search can't stop at: items and tombstones
  double load_factor = 0;          ///< used_slots / slot_count
  std::size_t heap_size = 0;       ///< bytes: Options::heap_size of the creator
  std::size_t heap_committed = 0;  ///< bytes of memory that the whole segment occupies, tables and bookkeeping included
  std::size_t heap_used = 0;       ///< bytes of keys and values, as they are stored; at most heap_size and what writes in flight add
  std::size_t processes = 0;       ///< attached processes, dead ones that nobody has noticed yet included
  std::size_t shards = 0;          ///< independent locks
  std::uint64_t recoveries = 0;    ///< dead processes that were cleaned up after, since creation
  std::uint64_t lock_waits = 0;    ///< times that a writer found a lock taken, since creation
};

/// The free side of the heap. Collected under each shard's lock in turn.
struct GcStats {
  std::size_t total_free_blocks = 0;   ///< free blocks of committed memory, free runs of pages included; a few small ones that writers keep for their next entries aren't counted
  std::size_t total_free_space = 0;    ///< bytes in them
  std::size_t largest_free_block = 0;  ///< bytes of the largest one
  std::size_t retired_blocks = 0;      ///< replaced or erased, but still looked at by a view
};

/// The result of SharedDict::audit().
struct AuditReport {
  std::vector<std::string> problems;  ///< one sentence for each broken invariant, at most 100

  /// Whether there are none.
  bool ok() const noexcept { return problems.empty(); }
};

}  // namespace shared_dict
