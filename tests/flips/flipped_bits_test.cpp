// A dictionary of which any bit was flipped is attached and used. It must refuse, or show by its audit that something is wrong, or answer
// all questions right: no access outside its mapping, no endless loop, no wrong answer that nobody can notice. (A flipped bit of a value
// is a value like any other.)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/flips.hpp"
#include "support/made_dictionary.hpp"
#include "support/place.hpp"
#include "support/sanitized.hpp"
#include "support/small_place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Candidates = std::vector<Flip>;

bool is_metadata(const Region& region) {
  return region.name == "header" || region.name == "records" || region.name == "shards" ||
         region.name == "page table" || region.name == "slot table";
}

/// All bits of the regions that are wanted.
template <class Family, class Wanted>
Candidates bits_of(const StoredImage<Family>& image, Wanted wanted) {
  Candidates all;
  for (const Region& region : image.regions()) {
    if (!wanted(region)) continue;
    for (std::uint64_t bit = 0; bit < region.bytes * 8; ++bit) {
      all.push_back({region.begin + bit / 8, static_cast<std::uint32_t>(bit % 8)});
    }
  }
  return all;
}

constexpr std::size_t kAll = SIZE_MAX;

/// `count` random ones of them. Under a sanitizer as many as altogether fit a minute, in a long run without one ten times as many: there are
/// millions of bits in heaps, and in what is unused.
Candidates sample(Candidates all, std::size_t count, std::uint64_t salt) {
  const bool in_long_run = Effort(0).timed();
  if (kSanitized && !in_long_run) count = std::min<std::size_t>(count, 20'000) / 8;
  if (!kSanitized && in_long_run && count != kAll) count *= 10;
  if (all.size() <= count) return all;
  std::mt19937_64 random(test_seed() ^ salt);
  std::shuffle(all.begin(), all.end(), random);
  all.resize(count);
  return all;
}

void require_no_harm(const FlipResults& results, const char* what) {
  for (const std::string& harm : results.harm) UNSCOPED_INFO(harm);
  REQUIRE(results.harm.empty());
  report(what, {{"flips", results.flips},
                {"refused", results.refused},
                {"noticed", results.noticed},
                {"verified", results.verified}});
}

template <class Family>
void flip_each(StoredImage<Family>& image, const Candidates& candidates, const char* what) {
  Flips<Family> flips(image, kMadeKeys);
  require_no_harm(flips.run(candidates.size(), [&](std::uint64_t i) { return Candidates{candidates[i]}; }), what);
}

bool is_table(const Region& region) { return region.name == "slot table"; }
bool is_short(const Region& region) { return is_metadata(region) && !is_table(region); }
bool is_heap(const Region& region) { return region.name == "heap"; }
bool is_else(const Region& region) { return !is_heap(region) && !is_metadata(region); }

}  // namespace

// Integers are replaced in place.
TEST_CASE("any flipped bit of what leads to integers is refused, noticed, or does no harm") {
  MadeDictionary<Integers> image(Left::closed);
  flip_each(image, sample(bits_of(image, is_metadata), kAll, 1),
            "one bit of header, records, shards, pages, tables; integers");
}

TEST_CASE("any flipped bit of what leads to texts is refused, noticed, or does no harm") {
  MadeDictionary<Words> image(Left::closed);
  flip_each(image, sample(bits_of(image, is_short), kAll, 2), "one bit of header, records, shards, pages; texts");
}

TEST_CASE("any flipped bit of a table is refused, noticed, or does no harm") {
  MadeDictionary<Words> texts(Left::closed);
  flip_each(texts, sample(bits_of(texts, is_table), kAll, 8), "one bit of tables; texts");
  MadeDictionary<Words> texts_in_page(Left::closed, 1, 0, Tables::page);
  flip_each(texts_in_page, sample(bits_of(texts_in_page, is_table), 10'000, 10), "one bit of tables that fill a page; texts");
  MadeDictionary<Integers> integers_in_page(Left::dead, 1, 0, Tables::page);
  flip_each(integers_in_page, sample(bits_of(integers_in_page, is_table), kAll, 11), "one bit of tables that fill a page; integers");
}

TEST_CASE("any flipped bit of what a dead process left is refused, noticed, or does no harm") {
  MadeDictionary<Integers> integers(Left::dead);
  flip_each(integers, sample(bits_of(integers, is_metadata), 10'000, 3),
            "one bit after a death; integers");
  MadeDictionary<Words> texts(Left::dead);
  flip_each(texts, sample(bits_of(texts, is_metadata), 10'000, 4),
            "one bit after a death; texts");
}

TEST_CASE("any flipped bit of the items themselves is refused, noticed, or does no harm") {
  MadeDictionary<Words> texts(Left::closed);
  flip_each(texts, sample(bits_of(texts, is_heap), 10'000, 5),
            "one bit of the heap; texts");
  MadeDictionary<Integers> integers(Left::dead);
  flip_each(integers, sample(bits_of(integers, is_heap), 10'000, 6),
            "one bit of the heap; integers");
}

#if defined(__linux__)
TEST_CASE("no flipped bit leads to memory that isn't there") {
  constexpr auto kPatience = std::chrono::minutes(10);
  in_small_place(
      [](const std::filesystem::path& place, const Say& say) {
        const Environment here("SHARED_DICT_DIR", place.string());
        MadeDictionary<Words> image(Left::dead);
        write_ballast(place / "ballast");
        const Candidates candidates = sample(bits_of(image, is_short), 20'000, 9);
        const FlipResults results = Flips<Words>(image, kMadeKeys).run(candidates.size(), [&](std::uint64_t i) {
          return Candidates{candidates[i]};
        });
        std::string harm;
        for (const std::string& one : results.harm) harm += one + '\n';
        say(harm);
        report("one bit where no memory is left; texts", {{"flips", results.flips}, {"verified", results.verified}});
        return harm.empty() ? 0 : Forked::kFailed;
      },
      kPatience);
}
#endif

TEST_CASE("a flipped bit where nothing is stored does no harm") {
  MadeDictionary<Words> image(Left::dead);
  flip_each(image, sample(bits_of(image, is_else), 5'000, 7),
            "one bit of areas and unused pages");
}

TEST_CASE("several flipped bits at once are refused, noticed, or do no harm", "[long]") {
  MadeDictionary<Words> texts(Left::dead);
  MadeDictionary<Integers> integers(Left::closed);
  std::mt19937_64 random(test_seed());
  Effort effort(kSanitized ? 5 : 20);
  std::uint64_t rounds = 0;
  const auto flip_some = [&](auto& image) {
    const Candidates candidates =
        bits_of(image, [](const Region& region) { return is_heap(region) || is_metadata(region); });
    std::vector<Candidates> chosen(100);
    for (Candidates& flips : chosen) {
      for (std::uint64_t n = 2 + random() % 3; n > 0; --n) flips.push_back(candidates[random() % candidates.size()]);
    }
    Flips flips(image, kMadeKeys);
    const FlipResults results = flips.run(chosen.size(), [&](std::uint64_t i) { return chosen[i]; });
    for (const std::string& harm : results.harm) UNSCOPED_INFO(harm);
    REQUIRE(results.harm.empty());
    rounds += results.flips;
  };
  while (effort.more()) {
    flip_some(texts);
    flip_some(integers);
  }
  report("two to four bits at once", {{"rounds", rounds}});
}
