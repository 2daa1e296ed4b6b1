inline void copy(Archive& archive, Table& table, int at, int value) {
  archive.store(value);  // not an atomic
  table.store(at, value);
  const char* text = "x.load() // [Z9]";
  const int word = words[W0];
}
