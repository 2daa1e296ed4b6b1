// refused: [S1] has no access
inline void publish(Word& word) {
  // [S1] release, pairs with [S1]: the access is relaxed by now.
  word.store(1, std::memory_order_relaxed);
}
