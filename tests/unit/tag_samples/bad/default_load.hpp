// refused: leaves its order to the default
// Reads the word.
inline int read(Word& word) { return word.load(); }
