// refused: has no tag of its own
inline void publish(Word& word) {
  // [S1] release, pairs with [S1]: too far away.
  int a = 0;
  int b = 0;
  word.store(a + b, std::memory_order_release);
}
