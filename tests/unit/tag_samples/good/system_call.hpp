inline void finish(Header& header) {
  // [M1] release, pairs with [M2]: complete before it counts.
  header.magic.store(kMagic, std::memory_order_release);
}
// [M2] read by system call, pairs with [M1]: a look only.
inline bool finished(const File& file) { return read_at(file, 0) == kMagic; }
