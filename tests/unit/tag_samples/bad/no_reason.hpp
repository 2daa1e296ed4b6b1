// refused: does not say why
inline void publish(Word& word) {
  // [S1] release, pairs with [S1]
  word.store(1, std::memory_order_release);
}
