// refused: names no partner
inline void publish(Word& word) {
  // [S1] release, pairs with the readers: all of them.
  word.store(1, std::memory_order_release);
}
