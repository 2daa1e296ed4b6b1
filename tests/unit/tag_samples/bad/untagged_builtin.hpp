// refused: an access that is not relaxed and has no tag of its own
inline int read(int& word) { return __atomic_load_n(&word, __ATOMIC_ACQUIRE); }
