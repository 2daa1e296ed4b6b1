inline void publish(Slot& slot, std::uint64_t word) {
  // [S1] release, pairs with [L1], [L2]: the entry is complete before its slot refers to it,
  // whatever the length of this comment,
  // which may be more than two lines.
  slot.word.store(word, std::memory_order_release);
}

inline bool find(Slot& slot) {
  const auto word = slot.word.load(std::memory_order_acquire);  // [L1] acquire, pairs with [S1]: the entry's bytes
  // relaxed: a hint, checked by [L1].
  if (slot.hint.load(std::memory_order_relaxed) == 0) return false;
  // [L2] acquire, pairs with
  // [S1]: the list of partners may wrap.
  return word != 0 && slot.word.load(std::memory_order::acquire) == word;
}
