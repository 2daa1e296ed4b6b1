// refused: an access that is not relaxed and has no tag of its own
// Publishes the word.
inline void publish(Word& word) { word.store(1, std::memory_order_release); }
