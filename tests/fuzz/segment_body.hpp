// The input is damage: words of a stored dictionary that are changed before it is attached and used. Whatever they are, everything ends in an
// Error, or the audit says no, or all answers agree with each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "fuzz/feed.hpp"
#include "support/exercise.hpp"
#include "support/families.hpp"
#include "support/made_dictionary.hpp"

namespace shared_dict::test {

/// Changes one word of the file, aimed at what means something.
template <class Family>
void damage_word(const StoredImage<Family>& image, Feed& feed) {
  const auto& regions = image.regions();
  const auto place = [&] {
    // Headers, records and shards come first, and one of them is meant half of the time.
    const std::uint64_t which = feed.number(1);
    const Region& region = regions[which < 128 ? which % 6 : which % regions.size()];
    const std::uint64_t word = feed.number(2) % (region.bytes / 4);
    return region.begin + word * 4;
  };
  const auto load = [&](std::uint64_t at, std::size_t bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, &image[at], bytes);
    return value;
  };
  const std::uint64_t how = feed.number(1);
  const std::size_t bytes = (how & 0x80) != 0 ? 8 : 4;
  const std::uint64_t at = place() / bytes * bytes;
  std::uint64_t value = load(at, bytes);
  switch (how % 8) {
    case 0: value ^= std::uint64_t{1} << feed.number(1) % (bytes * 8); break;
    case 1: value = feed.number(1); break;
    case 2: value += feed.number(1) - 128; break;
    case 3: value = feed.number(8); break;
    case 4: value = place(); break;                                               // an offset that leads somewhere
    case 5: value = (value & ~std::uint64_t{0xffff'ffff'ffff}) | place(); break;  // the same behind a tag
    case 6: value = load(place() / bytes * bytes, bytes); break;                  // what stands elsewhere
    default: value = ~value;
  }
  std::memcpy(&image[at], &value, bytes);
}

template <class Family>
void use_damaged(StoredImage<Family>& image, Feed feed) {
  image.put_back();
  const std::uint64_t seed = feed.number(1);
  const std::uint64_t cut = feed.number(1);
  for (int n = 0; n < 40 && !feed.empty(); ++n) damage_word(image, feed);
  if (cut < 4) image.truncate(image.size() * cut / 4 + cut);
  Exercise<Family>(kMadeKeys, seed + 1).run([&] { return image.attach(); }, nullptr);
}

template <class Family>
void use_damaged(std::uint64_t which, Feed feed) {
  static MadeDictionary<Family> closed(Left::closed);
  static MadeDictionary<Family> dead(Left::dead, 2);
  static MadeDictionary<Family> bounded(Left::closed, 3, 45);
  use_damaged(which % 3 == 0 ? closed : which % 3 == 1 ? dead : bounded, feed);
}

inline void segment_body(FuzzInput input) {
  Feed feed(input);
  const std::uint64_t which = feed.number(1);
  switch (which / 3 % 4) {
    case 0: return use_damaged<Words>(which, feed);
    case 1: return use_damaged<Integers>(which, feed);
    case 2: return use_damaged<Lists>(which, feed);
    default: return use_damaged<Pairs>(which, feed);
  }
}

}  // namespace shared_dict::test
