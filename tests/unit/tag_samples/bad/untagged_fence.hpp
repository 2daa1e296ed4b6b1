// refused: an access that is not relaxed and has no tag of its own
inline void write() {
  std::atomic_thread_fence(std::memory_order_release);
}
