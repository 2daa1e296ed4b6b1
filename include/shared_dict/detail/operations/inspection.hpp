// The figures of stats() and gc_stats().
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include <shared_dict/detail/operations/mutation.hpp>
#include <shared_dict/stats.hpp>

namespace shared_dict::detail {

// Memory that was put behind the areas of processes.
inline std::uint64_t area_bytes(const Segment& segment) noexcept {
  std::uint64_t pages = 0;
  for (std::uint32_t i = 0; i < segment.identity().max_processes; ++i) {
    // relaxed: a figure for people.
    pages += static_cast<std::uint32_t>(std::popcount(segment.record(i).area_committed.load(std::memory_order_relaxed)));
  }
  return pages * 4096;
}

inline Stats collect_stats(const Attachment& attachment) noexcept {
  const Segment& segment = attachment.segment();
  const Identity& identity = segment.identity();
  Stats stats;
  stats.heap_size = static_cast<std::size_t>(identity.heap_size);
  stats.shards = identity.shard_count;
  stats.processes = attachment.process_count();
  // relaxed, all that follow: figures for people.
  stats.recoveries = segment.header().recoveries.load(std::memory_order_relaxed);
  const std::uint64_t pages = segment.committed_pages().value_or(0);
  stats.heap_committed = static_cast<std::size_t>(identity.areas_at + pages * (identity.page_bytes + sizeof(Page)) + area_bytes(segment));
  const std::uint64_t generation = segment.header().clear_generation.load(std::memory_order_relaxed);
  // relaxed, all: as above
  for (std::uint32_t i = 0; i < identity.shard_count; ++i) {
    const Shard& shard = segment.shard(i);
    stats.lock_waits += shard.lock_waits.load(std::memory_order_relaxed);
    if (shard.generation.load(std::memory_order_relaxed) != generation) continue;  // relaxed
    const TableWord table(shard.table.load(std::memory_order_relaxed));
    const std::uint64_t items = shard.items.load(std::memory_order_relaxed);  // relaxed
    stats.items += static_cast<std::size_t>(items);
    stats.used_slots += static_cast<std::size_t>(items + shard.tombstones.load(std::memory_order_relaxed));
    stats.heap_used += static_cast<std::size_t>(shard.stored_bytes.load(std::memory_order_relaxed));  // relaxed
    if (!table.none() && table.log2_buckets() < 40) {
      stats.slot_count += static_cast<std::size_t>(table.buckets() * kSlotsPerBucket);
    }
  }
  if (stats.slot_count != 0) stats.load_factor = static_cast<double>(stats.used_slots) / static_cast<double>(stats.slot_count);
  return stats;
}

inline GcStats collect_gc_stats(const Writer& writer) {
  const Segment& segment = writer.attachment.segment();
  writer.attachment.reap_dead_area_users();
  GcStats stats;
  const auto add = [&](std::uint64_t blocks, std::uint64_t bytes) {
    if (blocks == 0) return;
    stats.total_free_blocks += static_cast<std::size_t>(blocks);
    stats.total_free_space += static_cast<std::size_t>(blocks * bytes);
    stats.largest_free_block = std::max(stats.largest_free_block, static_cast<std::size_t>(bytes));
  };
  for (std::uint32_t i = 0; i < segment.identity().shard_count; ++i) {
    LockedShard shard(writer, i);
    if (shard.heap().retired() != 0) shard.heap().sweep();
    shard.heap().for_each_retired([&](std::uint64_t, bool) { ++stats.retired_blocks; });
    for (std::uint32_t c = 0; c < segment.classes().count(); ++c) {
      const SizeClass& shape = segment.classes()[c];
      std::uint32_t link = shard.fields().partial[c];
      for (std::uint32_t n = 0; link != 0; ++n) {
        if (!segment.has_page(link - 1) || n > segment.identity().page_count) {
          shard.damaged("a list of spans leads outside the segment");
        }
        const Page& span = segment.page(link - 1);
        add(shape.span_blocks - std::min<std::uint32_t>(span.live, shape.span_blocks), shape.block_bytes);
        link = span.next;
      }
    }
  }
  const PagePool pool(writer);
  pool.for_each_run([&](std::uint32_t, PageWord word) {
    if (word.kind() == PageKind::free) add(1, std::uint64_t{word.pages()} * segment.identity().page_bytes);
  });
  return stats;
}

}  // namespace shared_dict::detail
