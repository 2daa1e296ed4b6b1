// The input is a sequence of operations: the dictionary and a std::unordered_map must say the same.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <tuple>

#include "fuzz/feed.hpp"
#include "support/families.hpp"
#include "support/model.hpp"
#include "support/stored_image.hpp"

namespace shared_dict::test {

/// Empty, with these bounds. Made once: to put one back is cheaper than to create it.
template <class Family>
StoredImage<Family>& empty_dictionary(std::size_t heap_size, std::size_t max_items) {
  static std::map<std::tuple<std::size_t, std::size_t>, std::unique_ptr<StoredImage<Family>>> made;
  auto& image = made[{heap_size, max_items}];
  if (!image) {
    const Options options{.heap_size = heap_size, .max_items = max_items, .max_processes = 2};
    image = std::make_unique<StoredImage<Family>>(options, Left::closed, 1, [](auto&) {});
  }
  return *image;
}

template <class Family>
void follow_operations(Feed feed, std::size_t heap_size, std::size_t max_items, std::size_t keys) {
  auto& image = empty_dictionary<Family>(heap_size, max_items);
  image.put_back();
  auto dict = image.attach();
  const ModelRun run{
      .operations = SIZE_MAX, .keys = keys, .check_every = 1000, .processes = 1, .most_items = max_items};
  Model<Family, Feed>(dict, image.attach(), run, feed).run();
}

inline void operations_body(FuzzInput input) {
  constexpr std::array<std::size_t, 4> kHeapSizes{8'000, 16'000, 80'000, 400'000};
  constexpr std::array<std::size_t, 4> kMaxItems{0, 0, 10, 100};
  constexpr std::array<std::size_t, 4> kKeys{4, 16, 60, 250};
  Feed feed(input);
  const std::uint64_t family = feed.number(1);
  const std::uint64_t bounds = feed.number(1);
  const std::size_t heap_size = kHeapSizes[bounds & 3];
  const std::size_t max_items = kMaxItems[(bounds >> 2) & 3];
  const std::size_t keys = kKeys[(bounds >> 4) & 3];
  switch (family % 6) {
    case 0: return follow_operations<Words>(feed, heap_size, max_items, keys);
    case 1: return follow_operations<Integers>(feed, heap_size, max_items, keys);
    case 2: return follow_operations<Records>(feed, heap_size, max_items, keys);
    case 3: return follow_operations<Lists>(feed, heap_size, max_items, keys);
    case 4: return follow_operations<Series>(feed, heap_size, max_items, keys);
    default: return follow_operations<Pairs>(feed, heap_size, max_items, keys);
  }
}

}  // namespace shared_dict::test
