// refused: does not say what it pairs with
inline void publish(Word& word) {
  // [S1] release: for good measure.
  word.store(1, std::memory_order_release);
}
