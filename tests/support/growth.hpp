// Dictionaries that are about to grow.
#pragma once

#include <cstddef>
#include <string>

namespace shared_dict::test {

/// The slots of the first table that fills a page of 4096 bytes. Smaller ones have fewer buckets.
inline constexpr std::size_t kSlotsOfPage = 64 * 7;

/// Puts numbers under "0", "1" and so on until `left` more keys make the table grow, which has `slots` slots then, or more. Of a dictionary of one
/// shard, without erased slots.
template <class Dict>
void fill_until_growth(Dict& d, std::size_t left, std::size_t slots) {
  std::size_t there = 0;
  for (std::size_t i = 0; there < slots || (i + left) * 5 <= there * 4; ++i) {
    d[std::to_string(i)] = static_cast<long>(i);
    there = d.stats().slot_count;
  }
}

}  // namespace shared_dict::test
