inline void pin(Pins& pins) {
  // [P1] seq_cst, pairs with [P1]: all pins have one order.
  pins.count.fetch_add(1, std::memory_order_seq_cst);
}
