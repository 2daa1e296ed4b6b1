// refused: an order behind another name or as a default
// relaxed: callers count only.
inline int read(Word& word, std::memory_order order = std::memory_order_relaxed) { return word.load(order); }
