inline bool lock(Word& word, std::uint64_t& seen, std::uint64_t owner) {
  // [K1] acquire, pairs with [K2]: what the previous owner wrote is seen.
  // relaxed on failure: the value is only compared.
  return word.compare_exchange_strong(seen,
                                      owner,
                                      std::memory_order_acquire,
                                      std::memory_order_relaxed);
}
inline void unlock(Word& word, std::uint64_t owner) {
  word.compare_exchange_strong(owner, 0,
                               // [K2] release, pairs with [K1]: what this owner wrote is seen by the next.
                               std::memory_order_release,
                               // relaxed: it cannot fail.
                               std::memory_order_relaxed);
}
