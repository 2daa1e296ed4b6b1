// refused: leaves its order to the default
// relaxed: the first one only.
inline int sum(Word& a, Word& b) { return a.load(std::memory_order_relaxed) + b.load(); }
