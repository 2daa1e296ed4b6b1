// refused: leaves its order to the default
// Counts.
inline void count(Word& word) { word.fetch_add(sizes[at(1, 2)]); }
