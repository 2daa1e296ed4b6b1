// refused: a relaxed access without a comment
inline void reset(Shard& shard) {
  // relaxed, all: hints, released with the lock.
  shard.items.store(0, std::memory_order_relaxed);
  shard.tombstones.store(0, std::memory_order_relaxed);

  shard.scan_hint = 0;
  shard.dirty.store(0, std::memory_order_relaxed);
}
