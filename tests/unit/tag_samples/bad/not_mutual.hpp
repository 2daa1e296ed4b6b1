// refused: which does not name it
inline void publish(Word& word) {
  // [S1] release, pairs with [L1]: read by L1.
  word.store(1, std::memory_order_release);
  // [S2] release, pairs with [L1]: read by L1.
  word.store(2, std::memory_order_release);
}
inline int read(Word& word) {
  // [L1] acquire, pairs with [S1]: forgets the other one.
  return word.load(std::memory_order_acquire);
}
