// The tag and the partner stand at each call.
inline void acquire_fence() noexcept { std::atomic_thread_fence(std::memory_order_acquire); }
inline void release_fence() noexcept { std::atomic_thread_fence(std::memory_order_release); }

inline void write() {
  release_fence();  // [F1] release, pairs with [F2]: a reader that sees a new byte sees the new version.
}
inline void read() {
  acquire_fence();  // [F2] acquire, pairs with [F1]: the version is read after the bytes.
}
