// The page words are what every recovery starts from: after each single store they must tile the pages, so that a death between any
// two leaves a pool that can be rebuilt. And the pool must hand out each page once, merge what comes back, and give all of it again.

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <shared_dict/detail/mechanisms/page_pool.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment;

  explicit Dictionary(std::size_t heap_size = 1 << 24)
      : attachment(Lifecycle("name", place.path(), test::kHangDeadline)
                       .open(OpenMode::create, {.heap_size = heap_size}, {"K", "V", {8, 8, 8}})) {}
  Segment& segment() const { return attachment->segment(); }
  Pool& pool() const { return segment().header().pool; }
  Writer writer() const { return {*attachment, test::kHangDeadline}; }
};

PageWord large(std::uint32_t pages) { return {PageKind::large, pages, 0}; }

/// What the words say, if they tile the pages; throws corrupted if they don't.
std::map<std::uint32_t, PageWord> runs_of(const PagePool& pool) {
  std::map<std::uint32_t, PageWord> runs;
  pool.for_each_run([&](std::uint32_t page, PageWord word) { runs.emplace(page, word); });
  return runs;
}

/// Everything that can be derived, against what is there; empty if all is right.
std::string check(const Dictionary& dictionary, const PagePool& pool) {
  const Pool& fields = pool.fields();
  std::uint64_t free_pages = 0;
  std::uint64_t block_pages = 0;
  std::map<std::uint32_t, std::vector<std::uint32_t>> bins;
  bool before_free = false;
  for (const auto& [page, word] : runs_of(pool)) {
    const bool free = word.kind() == PageKind::free;
    if (free && before_free) return "two free runs touch";
    before_free = free;
    if (dictionary.segment().page(page + word.pages() - 1).head != page) return "a run's end has another head";
    block_pages += PagePool::block_pages(word);
    if (free) bins[PagePool::bin_of(word.pages())].push_back(page);
    if (free) free_pages += word.pages();
  }
  if (fields.free_pages != free_pages) return "free_pages";
  if (fields.block_pages.load() != block_pages) return "block_pages";
  for (std::uint32_t bin = 0; bin < kRunBins; ++bin) {
    std::vector<std::uint32_t> listed;
    std::uint32_t previous = 0;
    for (std::uint32_t link = fields.bins[bin]; link != 0; link = dictionary.segment().page(link - 1).next) {
      if (dictionary.segment().page(link - 1).previous != previous) return "a list doesn't lead back";
      listed.push_back(link - 1);
      previous = link;
    }
    std::sort(listed.begin(), listed.end());
    if (listed != bins[bin]) return "a list isn't what the words say";
    if (((fields.bin_bits >> bin) & 1) != (listed.empty() ? 0U : 1U)) return "bin_bits";
  }
  return {};
}

struct Taken {
  std::uint32_t page;
  std::uint32_t pages;
};

/// Random takes and gives; calls each() after every one.
template <class Each>
void churn(const Dictionary& dictionary, std::mt19937_64& random, int rounds, std::vector<Taken>& taken, Each each) {
  for (int i = 0; i < rounds; ++i) {
    PagePool pool(dictionary.writer());
    if (taken.empty() || random() % 100 < 55) {
      const auto pages = static_cast<std::uint32_t>(random() % 10 == 0 ? 1 + random() % 150 : 1 + random() % 9);
      const std::uint32_t page = pool.take(large(pages));
      for (const Taken& other : taken) REQUIRE((page + pages <= other.page || other.page + other.pages <= page));
      taken.push_back({page, pages});
    } else {
      const std::size_t which = random() % taken.size();
      pool.give(taken[which].page);
      taken.erase(taken.begin() + static_cast<std::ptrdiff_t>(which));
    }
    each(pool);
  }
}

void give_all(const Dictionary& dictionary, std::vector<Taken>& taken) {
  PagePool pool(dictionary.writer());
  for (const Taken& run : taken) pool.give(run.page);
  taken.clear();
}

}  // namespace

TEST_CASE("free runs of each length have a bin, and longer ones never a lower one") {
  REQUIRE(PagePool::bin_of(1) == 0);
  REQUIRE(PagePool::bin_of(31) == 30);
  REQUIRE(PagePool::bin_of(32) == 31);
  REQUIRE(PagePool::bin_of(63) == 31);
  REQUIRE(PagePool::bin_of(64) == 32);
  REQUIRE(PagePool::bin_of(0xffff'ffff) < kRunBins);
  for (std::uint32_t length = 1; length < 100'000; ++length) {
    const std::uint32_t step = PagePool::bin_of(length + 1) - PagePool::bin_of(length);
    if (step > 1) FAIL("length " << length);
  }
}

TEST_CASE("runs that are taken and given at random never overlap, always tile the pages and all come back") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary dictionary;
  std::vector<Taken> taken;
  churn(dictionary, random, 3000, taken, [&](const PagePool& pool) { REQUIRE(check(dictionary, pool).empty()); });
  give_all(dictionary, taken);
  const PagePool pool(dictionary.writer());
  REQUIRE(check(dictionary, pool).empty());
  REQUIRE(runs_of(pool).size() == 1);
  REQUIRE(pool.fields().free_pages == pool.frontier());
}

TEST_CASE("neighbours that are free become one run, in whatever order they come back") {
  for (const std::vector<int>& order :
       std::vector<std::vector<int>>{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}}) {
    const Dictionary dictionary;
    PagePool pool(dictionary.writer());
    std::uint32_t pages[3];
    for (std::uint32_t i = 0; i < 3; ++i) pages[i] = pool.take(large(i + 1));
    const std::uint32_t guard = pool.take(large(1));
    for (const int i : order) pool.give(pages[i]);
    REQUIRE(check(dictionary, pool).empty());
    REQUIRE(pool.take(large(6)) == pages[0]);
    pool.give(pages[0]);
    pool.give(guard);
    REQUIRE(check(dictionary, pool).empty());
  }
}

TEST_CASE("a free run at the frontier is extended, not left behind") {
  const Dictionary dictionary;
  PagePool pool(dictionary.writer());
  const std::uint32_t page = pool.take(large(5));
  pool.give(page);
  REQUIRE(pool.take(large(12)) == page);
  REQUIRE(pool.frontier() == 12);
  REQUIRE(check(dictionary, pool).empty());
}

// take() looks at eight runs of a bin only; a long enough one that ends at the frontier behind those is then taken for damage.
TEST_CASE("a fitting run behind eight that are too short is no damage") {
  const Dictionary dictionary;
  PagePool pool(dictionary.writer());
  std::vector<std::uint32_t> shorter;
  for (int i = 0; i < 8; ++i) {
    shorter.push_back(pool.take(large(33)));
    pool.take(large(1));
  }
  pool.give(pool.take(large(60)));
  for (const std::uint32_t page : shorter) pool.give(page);
  REQUIRE(check(dictionary, pool).empty());
  REQUIRE_FALSE(test::error_of([&] { pool.take(large(40)); }));
}

TEST_CASE("the run that fits is found in a pool that is used up, however many of its bin are too short") {
  const Dictionary dictionary(1 << 20);
  PagePool pool(dictionary.writer());
  std::vector<std::uint32_t> freed;
  for (const std::uint32_t pages : {60U, 33U, 33U, 33U, 33U, 33U, 33U, 33U, 33U, 33U}) {
    freed.push_back(pool.take(large(pages)));
    pool.take(large(1));
  }
  REQUIRE(test::error_of([&] {
            for (;;) pool.take(large(1));
          }) == errc::heap_full);
  for (const std::uint32_t page : freed) pool.give(page);
  REQUIRE(pool.take(large(40)) == freed.front());
  REQUIRE(test::error_of([&] { pool.take(large(40)); }) == errc::heap_full);
  REQUIRE(check(dictionary, pool).empty());
}

TEST_CASE("a pool that is used up says so, stays right and serves again") {
  const Dictionary dictionary(1);
  PagePool pool(dictionary.writer());
  std::vector<Taken> taken;
  const std::error_code code = test::error_of([&] {
    for (;;) taken.push_back({pool.take(large(3)), 3});
  });
  REQUIRE(code == errc::heap_full);
  REQUIRE(taken.size() == dictionary.segment().identity().page_count / 3);
  REQUIRE(test::error_of([&] { pool.take(large(0x7fff'ffff)); }) == errc::heap_full);
  REQUIRE(check(dictionary, pool).empty());
  pool.give(taken[1].page);
  REQUIRE(pool.take(large(3)) == taken[1].page);
}

TEST_CASE("whatever a dead owner left of the derived fields, the next one rebuilds the same pool") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary dictionary;
  std::vector<Taken> taken;
  churn(dictionary, random, 300, taken, [](const PagePool&) {});
  for (int round = 0; round < 30; ++round) {
    const auto before = runs_of(PagePool(dictionary.writer()));
    Pool& fields = dictionary.pool();
    fields.free_pages = random();
    fields.block_pages.store(random());
    fields.bin_bits = random();
    for (std::uint32_t& bin : fields.bins) bin = static_cast<std::uint32_t>(random());
    for (const auto& [page, word] : before) {
      dictionary.segment().page(page).next = static_cast<std::uint32_t>(random());
      dictionary.segment().page(page).previous = static_cast<std::uint32_t>(random());
      dictionary.segment().page(page + word.pages() - 1).head = static_cast<std::uint32_t>(random());
      for (std::uint32_t i = 1; i < word.pages(); ++i) dictionary.segment().page(page + i).word.store(random());
    }
    fields.dirty.store(1);
    const PagePool pool(dictionary.writer());
    REQUIRE(check(dictionary, pool).empty());
    REQUIRE(fields.dirty.load() == 0);
    REQUIRE(runs_of(pool) == before);
  }
  churn(dictionary, random, 300, taken, [&](const PagePool& pool) { REQUIRE(check(dictionary, pool).empty()); });
}

TEST_CASE("free runs that a dead owner left side by side are merged by the repair") {
  const Dictionary dictionary;
  {
    PagePool pool(dictionary.writer());
    for (int i = 0; i < 6; ++i) pool.take(large(4));
  }
  for (const std::uint32_t page : {4U, 8U, 16U})
    dictionary.segment().page(page).word.store(PageWord(PageKind::free, 4).bits());
  dictionary.pool().dirty.store(1);
  const PagePool pool(dictionary.writer());
  REQUIRE(check(dictionary, pool).empty());
  REQUIRE(runs_of(pool).at(4) == PageWord(PageKind::free, 8));
  REQUIRE(runs_of(pool).at(16) == PageWord(PageKind::free, 4));
}

TEST_CASE(
    "a death after any single store of a page word or of the frontier leaves pages that tile and can be repaired") {
  const std::uint64_t seed = test::test_seed();
  INFO("seed " << seed);
  std::mt19937_64 random(seed);
  const Dictionary dictionary;
  std::vector<Taken> taken;
  // Each operation stores words one at a time. Its intermediate states are made by putting back, from the new state, each subset of
  // changed words that can exist: the words that lie inside runs first, then the heads; and with or without the frontier's step.
  for (int i = 0; i < 400; ++i) {
    std::vector<std::uint64_t> before;
    const std::uint32_t old_frontier = dictionary.pool().frontier.load();
    for (std::uint32_t page = 0; page < old_frontier; ++page)
      before.push_back(dictionary.segment().page(page).word.load());
    churn(dictionary, random, 1, taken, [](const PagePool&) {});
    const std::uint32_t new_frontier = dictionary.pool().frontier.load();
    std::vector<std::uint64_t> after;
    std::vector<std::uint32_t> changed;
    for (std::uint32_t page = 0; page < new_frontier; ++page) {
      after.push_back(dictionary.segment().page(page).word.load());
      if (page < old_frontier && after[page] != before[page]) changed.push_back(page);
    }
    const auto tiles = [&] {
      dictionary.pool().dirty.store(1);
      return !test::error_of([&] { REQUIRE(check(dictionary, PagePool(dictionary.writer())).empty()); });
    };
    // From the highest page down is the order of the stores: the rest of a cut before its head, a merged head last, and only then the word of
    // what is inside a run now goes.
    std::reverse(changed.begin(), changed.end());
    std::stable_partition(changed.begin(), changed.end(), [&](std::uint32_t page) { return after[page] != 0; });
    for (std::size_t stored = 0; stored <= changed.size(); ++stored) {
      for (std::uint32_t page = 0; page < old_frontier; ++page)
        dictionary.segment().page(page).word.store(before[page]);
      for (std::size_t k = 0; k < stored; ++k) {
        const std::uint32_t page = changed[k];
        dictionary.segment().page(page).word.store(after[page]);
      }
      if (new_frontier == old_frontier || stored == 0) {
        dictionary.pool().frontier.store(old_frontier);
        REQUIRE(tiles());
      }
    }
    dictionary.pool().frontier.store(new_frontier);
    if (new_frontier != old_frontier) {  // the step of the frontier comes before the new owner's word
      for (std::uint32_t page = 0; page < old_frontier; ++page)
        dictionary.segment().page(page).word.store(before[page]);
      REQUIRE(tiles());
    }
    for (std::uint32_t page = 0; page < new_frontier; ++page) dictionary.segment().page(page).word.store(after[page]);
    REQUIRE(tiles());
  }
}

TEST_CASE("page words and lists that are damaged are refused, not followed") {
  const auto damaged = [](auto damage, auto use) {
    const Dictionary dictionary;
    {
      PagePool pool(dictionary.writer());
      for (int i = 0; i < 6; ++i) pool.take(large(4));
      pool.give(4);
      pool.give(12);
    }
    damage(dictionary.segment());
    PagePool pool(dictionary.writer());
    return test::error_of([&] { use(pool); }) == errc::corrupted;
  };
  const auto walk = [](PagePool& pool) { runs_of(pool); };
  const auto take = [](PagePool& pool) { pool.take(large(3)); };
  CHECK(damaged([](Segment& s) { s.page(4).word.store(0); }, walk));
  CHECK(damaged([](Segment& s) { s.page(4).word.store(PageWord(PageKind::free, 100).bits()); }, walk));
  CHECK(damaged([](Segment& s) { s.page(4).word.store(PageWord(static_cast<PageKind>(77), 4).bits()); }, walk));
  CHECK(damaged([](Segment& s) { s.page(4).word.store(PageWord(PageKind::none, 4).bits()); }, walk));
  CHECK(damaged([](Segment& s) { s.header().pool.bins[3] = 0x7fff'ffff; }, take));
  CHECK(damaged([](Segment& s) { s.header().pool.bins[3] = 1; }, take));
  CHECK(damaged([](Segment& s) { s.header().pool.bins[3] = 0; }, take));
  CHECK(damaged([](Segment& s) { s.page(12).next = 0x7fff'ffff; }, take));
  CHECK(damaged([](Segment& s) { s.page(7).head = 6; }, [](PagePool& pool) { pool.give(8); }));
  CHECK(damaged([](Segment& s) { s.page(8).word.store(PageWord(PageKind::large, 100).bits()); },
                [](PagePool& pool) { pool.give(8); }));
}
