// refused: an access that is not relaxed and has no tag of its own
inline int read(Word& word) { return word.load(std::memory_order::seq_cst); }
