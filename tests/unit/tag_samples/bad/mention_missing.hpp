// refused: [S7] does not exist
// The reader relies on [S7].
inline int nothing() { return 0; }
