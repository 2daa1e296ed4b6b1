// refused: [L1] does not exist
inline void publish(Word& word) {
  // [S1] release, pairs with [L1]: nobody reads it.
  word.store(1, std::memory_order_release);
}
