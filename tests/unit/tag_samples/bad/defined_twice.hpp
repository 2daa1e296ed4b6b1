// refused: is defined a second time
inline void publish(Word& word) {
  // [S1] release, pairs with [S1]: once.
  word.store(1, std::memory_order_release);
  // [S1] release, pairs with [S1]: twice.
  word.store(2, std::memory_order_release);
}
