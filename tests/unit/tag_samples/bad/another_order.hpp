// refused: says release, which the access does not
inline int read(Word& word) {
  // [S1] release, pairs with [S1]: the comment is older than the code.
  return word.load(std::memory_order_acquire);
}
