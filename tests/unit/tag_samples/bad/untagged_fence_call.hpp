// refused: an access that is not relaxed and has no tag of its own
inline void write() {
  release_fence();
}
