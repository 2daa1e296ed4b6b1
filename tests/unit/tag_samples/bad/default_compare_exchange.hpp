// refused: leaves its order to the default
inline bool take(Word& word, int& seen) {
  return word.compare_exchange_strong(seen,
                                      1);
}
