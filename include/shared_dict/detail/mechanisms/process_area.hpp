// The areas of processes, for those who look at other processes' ones: which blocks are pinned, who waits.
//
// A process has a bit in the header from its first view, loan or wait until it leaves, so that writers know whose areas to look
// at, and that mostly there are none. Pins and waiters in use lie at the front; how far is in the record and only grows; and so is
// whether there is a pin at all at the moment.
//
// Everything here is seq_cst, together with the steps of versions and epochs: a viewer stores its pin, then validates; a writer
// steps, then looks at the pins. In the one order of all of these either the viewer sees the step, and knows that it has no
// view, or the writer sees the pin, and doesn't free the block.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>

namespace shared_dict::detail {

// Bit for bit the words of area_users that have ever had one.
inline std::uint32_t area_words_used(const Segment& segment) noexcept {
  // [A17] seq_cst, pairs with [A18]: see above.
  return segment.header().areas_used.load(std::memory_order_seq_cst);
}

// f(i) for each bit of a word.
template <class F>
SHARED_DICT_HOT void for_each_bit(std::uint64_t bits, F f) {
  for (; bits != 0; bits &= bits - 1) f(static_cast<std::uint32_t>(std::countr_zero(bits)));
}

// f(record) for each record whose process has an area in use.
template <class F>
SHARED_DICT_HOT void for_each_area_user(const Segment& segment, F f) {
  for_each_bit(area_words_used(segment) & ((std::uint32_t{1} << kUserWords) - 1), [&](std::uint32_t word) {
    // [A1] seq_cst, pairs with [A2]: see above.
    for_each_bit(segment.header().area_users[word].load(std::memory_order_seq_cst), [&](std::uint32_t bit) {
      const std::uint32_t record = word * 64 + bit;
      if (record < segment.identity().max_processes) f(record);
    });
  });
}

// How many elements of an array in an area that has `pages` pages, from page `first` on, have memory behind them: a count with a
// flipped bit must not lead to where there is none, as touching that can end the process.
inline std::uint32_t area_capacity(const ProcessRecord& record, std::uint32_t first, std::uint32_t pages, std::uint32_t per_page) noexcept {
  // relaxed: stored before the counts that it is compared with.
  const std::uint32_t committed = record.area_committed.load(std::memory_order_relaxed) >> first;
  return std::min(static_cast<std::uint32_t>(std::countr_one(committed)), pages) * per_page;
}

inline std::uint32_t pins_in_use(const ProcessRecord& record) noexcept {
  // [A3] seq_cst, pairs with [A4], [A9]: as [A1].
  return std::min(record.pins_used.load(std::memory_order_seq_cst), area_capacity(record, 1, 8, kPins / 8));
}
inline std::uint32_t waiters_in_use(const ProcessRecord& record) noexcept {
  // [A10] seq_cst, pairs with [A4], [A11]: as [A1].
  return std::min(record.waiters_used.load(std::memory_order_seq_cst), area_capacity(record, 0, 1, kWaiters));
}

// f(offset) for each pinned block.
template <class F>
SHARED_DICT_HOT void for_each_pin(const Segment& segment, F f) {
  for_each_area_user(segment, [&](std::uint32_t index) {
    const ProcessRecord& record = segment.record(index);
    // [A12] seq_cst, pairs with [A13], [A15]: as [A1].
    if (record.pins_live.load(std::memory_order_seq_cst) == 0) return;
    const std::uint32_t used = pins_in_use(record);
    const Word64* const pins = segment.area(index).pins;
    for (std::uint32_t i = 0; i < used; ++i) {
      // [A5] seq_cst, pairs with [A6], [A7], [A8]: as [A1]; and what a viewer read comes before its pin is gone.
      if (const std::uint64_t offset = pins[i].load(std::memory_order_seq_cst); offset != 0) f(offset);
    }
  });
}

SHARED_DICT_COLD inline bool search_pins(const Segment& segment, std::uint64_t offset) noexcept {
  bool pinned = false;
  for_each_pin(segment, [&](std::uint64_t pin) { pinned = pinned || pin == offset; });
  return pinned;
}

// Whether somebody views or loans the block. After a step of its version or its shard's epoch.
SHARED_DICT_HOT bool is_pinned(const Segment& segment, std::uint64_t offset) noexcept {
  return area_words_used(segment) != 0 && search_pins(segment, offset);
}

// All pinned blocks, sorted.
inline std::vector<std::uint64_t> pinned_blocks(const Segment& segment) {
  std::vector<std::uint64_t> blocks;
  for_each_pin(segment, [&](std::uint64_t pin) { blocks.push_back(pin); });
  std::sort(blocks.begin(), blocks.end());
  return blocks;
}

// As if nothing of the area had ever been used. With the guard held.
inline void forget_area(const Segment& segment, std::uint32_t index) noexcept {
  ProcessRecord& record = segment.record(index);
  record.pins_live.store(0, std::memory_order_relaxed);  // relaxed: nobody has a pin
  // [A9] release, pairs with [A3]: who sees the counts gone sees the pins gone.
  record.pins_used.store(0, std::memory_order_release);
  // [A11] release, pairs with [A10]: likewise the waiters.
  record.waiters_used.store(0, std::memory_order_release);
  // relaxed: a bit too many costs writers a look.
  segment.header().area_users[index / 64].fetch_and(~(std::uint64_t{1} << (index % 64)), std::memory_order_relaxed);
}

// Empties the area of a process that is gone. With the guard held.
inline void clear_area(const Segment& segment, std::uint32_t index) noexcept {
  ProcessRecord& record = segment.record(index);
  ProcessArea& area = segment.area(index);
  // relaxed, all: nobody writes them but the owner of the guard. What a dead process read, it reads no more.
  const std::uint32_t pins = pins_in_use(record);
  for (std::uint32_t i = 0; i < pins; ++i) area.pins[i].store(0, std::memory_order_relaxed);
  const std::uint32_t waiters = waiters_in_use(record);
  for (std::uint32_t i = 0; i < waiters; ++i) area.waiters[i].shard.store(0, std::memory_order_relaxed);  // relaxed: as above
  // The counts after what they count: a death in between leaves nothing behind them.
  forget_area(segment, index);
}

}  // namespace shared_dict::detail
