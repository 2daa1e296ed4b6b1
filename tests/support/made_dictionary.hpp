// Small stored dictionaries with one of everything: tables, spans of several classes, a large block, free runs, tombstones, spares.
#pragma once

#include <chrono>
#include <cstddef>
#include <random>
#include <stdexcept>

#include "support/families.hpp"
#include "support/growth.hpp"
#include "support/stored_image.hpp"

namespace shared_dict::test {

inline constexpr std::size_t kMadeKeys = 40;  ///< keys that the operations are about; most of them are there

/// How large its tables are: as its items need, or a page each, as after many more items.
enum class Tables { small, page };

template <class Family>
class MadeDictionary : public StoredImage<Family> {
 public:
  explicit MadeDictionary(Left left, std::uint64_t seed = 1, std::size_t max_items = 0, Tables tables = Tables::small)
      : StoredImage<Family>({.heap_size = 160 * 1024,
                             .max_items = max_items,
                             .lock_timeout = std::chrono::milliseconds(1),
                             .max_processes = 3},
                            left, seed, [tables](auto& dict) {
                              if (tables == Tables::page) grow_tables(dict);
                              fill(dict);
                            }) {}

 private:
  using Dict = typename StoredImage<Family>::Dict;

  static void grow_tables(Dict& dict) {
    const std::size_t shards = dict.stats().shards;
    std::size_t key = kMadeKeys + 2;
    for (; dict.stats().slot_count < shards * kSlotsOfPage; ++key) dict.insert(Family::key(key), typename Family::Value());
    while (--key >= kMadeKeys + 2) dict.erase(Family::key(key));
    if (dict.stats().slot_count != shards * kSlotsOfPage) throw std::logic_error("other tables than expected");
  }

  static void fill(Dict& dict) {
    std::minstd_rand random(1);
    for (std::size_t i = 0; i < kMadeKeys; ++i) dict.insert(Family::key(i), Family::value(random));
    if constexpr (requires(typename Family::Value value) { value.resize(40'000 / sizeof(value[0])); }) {
      typename Family::Value large;
      for (const std::size_t key : {kMadeKeys, kMadeKeys + 1}) {
        large.resize(36'000 / sizeof(large[0]));
        dict.insert(Family::key(key), large);  // runs that are free afterwards, before others
      }
      dict.insert_or_assign(Family::key(1), large);
      dict.erase(Family::key(kMadeKeys));
      dict.erase(Family::key(kMadeKeys + 1));
    }
    for (std::size_t i = 2; i < kMadeKeys; i += 7) dict.erase(Family::key(i));
    for (std::size_t i = 0; i < kMadeKeys; i += 3) dict.assign(Family::key(i), Family::value(random));
  }
};

}  // namespace shared_dict::test
