// refused: an access that is not relaxed and has no tag of its own
inline void twice(Word& word) {
  // [S1] release, pairs with [S1]: one reason for two accesses.
  word.store(1, std::memory_order_release);
  word.store(2, std::memory_order_release);
}
