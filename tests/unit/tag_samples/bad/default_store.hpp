// refused: leaves its order to the default
// Writes the word.
inline void write(Word* word) { word->store(1); }
