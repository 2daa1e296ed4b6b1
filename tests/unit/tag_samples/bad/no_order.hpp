// refused: does not begin with its order
inline void publish(Word& word) {
  // [S1] pairs with [S1]: which order?
  word.store(1, std::memory_order_release);
}
