// refused: a relaxed access without a comment

inline int read(Word& word) {
  int sum = 0;
  sum += 1;
  return sum + word.load(std::memory_order_relaxed);
}
