// The search for a tag among a bucket's words: it has a way of its own where the processor offers one, and must find what a loop finds.

#include <atomic>
#include <cstdint>
#include <random>

#include <shared_dict/detail/platform/compare.hpp>

#include "support/catch.hpp"
#include "support/seed.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

struct alignas(64) Line {
  std::atomic<std::uint64_t> words[8] = {};
};

std::uint32_t first_by_loop(const Line& line, std::uint32_t top) {
  for (std::uint32_t i = 1; i < 8; ++i) {
    if (line.words[i].load() >> 48 == top) return i;
  }
  return 0;
}

}  // namespace

TEST_CASE("the first word with a tag is found wherever it is, and whatever stands before and behind it") {
  std::mt19937_64 random(test_seed());
  // Tags that differ in one bit or byte only, and those whose bytes are all alike.
  const std::uint32_t tags[] = {0, 1, 0x7f, 0x80, 0xff, 0x100, 0x8000, 0x80ff, 0xff00, 0x7fff, 0xfffe, 0xffff};
  for (int round = 0; round < 20'000; ++round) {
    Line line;
    for (auto& word : line.words) {
      const std::uint64_t tag = tags[random() % std::size(tags)];
      // Below the tag there may stand its own bits, at every place where they could be taken for it.
      const std::uint64_t other = tags[random() % std::size(tags)];
      word = tag << 48 | (random() % 2 == 0 ? other << 32 | tag << 16 | other : random() >> 16);
    }
    for (const std::uint32_t tag : tags) REQUIRE(detail::first_with_top_16(line.words, tag) == first_by_loop(line, tag));
  }
}

TEST_CASE("the line's own first word is never what is found") {
  Line line;
  line.words[0] = std::uint64_t{0xabcd} << 48;
  REQUIRE(detail::first_with_top_16(line.words, 0xabcd) == 0);
  line.words[7] = std::uint64_t{0xabcd} << 48;
  REQUIRE(detail::first_with_top_16(line.words, 0xabcd) == 7);
}
