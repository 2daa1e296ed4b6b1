// Every test that writes ends with an audit, so the audit must be able to fail: each field that can be derived is made wrong here, one at
// a time, and the audit has to say so.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/place.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

/// One shard with partial and full spans, a large block, tombstones, free runs, and a table.
struct Varied : Dictionary {
  Varied() : Dictionary({.heap_size = 130'000}) {
    for (int i = 0; i < 300; ++i) put(name(i), std::string(20, 'v'));
    put("larger", std::string(200, 'v'));
    put("before", std::string(36'000, 'v'));  // pages that are free afterwards, between others
    put("large", std::string(34'000, 'v'));
    put("last", std::string(300, 'v'));
    for (int i = 0; i < 300; i += 7) erase(name(i));
    erase("before");
  }
  static std::string name(int i) { return "key" + std::to_string(i); }
  Shard& shard() const { return segment().shard(0); }
  Pool& pool() const { return segment().header().pool; }
  TableWord table() const { return TableWord(shard().table.load()); }
  Bucket* buckets() const { return segment().buckets(table()); }
  SlotTable::Found find(const std::string& text) const {
    const auto found = SlotTable(buckets(), table().buckets()).find(segment(), key(text), [] {});
    if (!found.found) throw std::runtime_error(text);
    return found;
  }
  Word64& slot(const std::string& text) const {
    const auto at = find(text).at;
    return buckets()[at.bucket].slots[at.slot];
  }
  std::uint32_t page_of(const std::string& text) const { return segment().page_of(find(text).entry.offset); }
  /// The first page of a run for which wanted(word) is true.
  template <class F>
  std::uint32_t run(F wanted) const {
    std::optional<std::uint32_t> found;
    const PagePool now(writer());
    now.for_each_run([&](std::uint32_t page, PageWord word) {
      if (!found && wanted(page, word)) found = page;
    });
    if (!found) throw std::runtime_error("there is no such run");
    return *found;
  }
  std::uint32_t span_with_list() const {
    return run([&](std::uint32_t page, PageWord word) {
      return word.kind() == PageKind::span && segment().page(page).first_free != 0;
    });
  }
  std::uint32_t free_run() const {
    return run([](std::uint32_t, PageWord word) { return word.kind() == PageKind::free; });
  }
};

template <class Damage>
bool noticed(Damage damage) {
  const Varied d;
  if (!d.problems().empty()) throw std::runtime_error("not sound before: " + d.problems());
  damage(d);
  return !d.problems().empty();
}

}  // namespace

TEST_CASE("the audit of what is sound has nothing to say") {
  const Varied d;
  REQUIRE(d.problems().empty());
  REQUIRE(d.shard().tombstones.load() > 0);
  REQUIRE(d.free_run() < d.pool().frontier.load());
  REQUIRE(d.span_with_list() < d.pool().frontier.load());
}

TEST_CASE("the audit notices each wrong figure of a shard") {
  CHECK(noticed([](const Varied& d) { d.shard().items.fetch_add(1); }));
  CHECK(noticed([](const Varied& d) { d.shard().tombstones.fetch_add(1); }));
  CHECK(noticed([](const Varied& d) { d.shard().stored_bytes.fetch_sub(1); }));
}

TEST_CASE("the audit notices each wrong field of the pool") {
  CHECK(noticed([](const Varied& d) { ++d.pool().free_pages; }));
  CHECK(noticed([](const Varied& d) { d.pool().block_pages.fetch_add(1); }));
  const Varied one;
  for (std::uint32_t bin = 0; bin < kRunBins; ++bin) {
    INFO("bin " << bin);
    one.pool().bin_bits ^= std::uint64_t{1} << bin;
    CHECK_FALSE(one.problems().empty());
    one.pool().bin_bits ^= std::uint64_t{1} << bin;
    const std::uint32_t first = std::exchange(one.pool().bins[bin], one.pool().bins[bin] == 0 ? 1U : 0U);
    CHECK_FALSE(one.problems().empty());
    one.pool().bins[bin] = first;
  }
  CHECK(one.problems().empty());
  CHECK(noticed([](const Varied& d) { d.pool().frontier.fetch_add(1); }));
  CHECK(noticed([](const Varied& d) { d.pool().frontier.fetch_sub(1); }));
  CHECK(noticed([](const Varied& d) { d.segment().header().committed.store(CheckedCount::of(d.pool().frontier.load() - 1).bits()); }));
  CHECK(noticed([](const Varied& d) { d.segment().page(d.free_run()).next = 1; }));
}

// A free run that leads back to the wrong one is taken out of its list by changing somebody else's page.
TEST_CASE("the audit notices a list of free runs that doesn't lead back") {
  CHECK(noticed([](const Varied& d) { d.segment().page(d.free_run()).previous = 1; }));
}

TEST_CASE("the audit notices each wrong page word") {
  for (const auto change : std::vector<PageWord (*)(PageWord)>{
           [](PageWord w) { return PageWord(PageKind::free, w.pages(), w.shard(), w.size_class()); },
           [](PageWord w) {
             return PageWord(w.kind() == PageKind::large ? PageKind::table : PageKind::large, w.pages(), w.shard(),
                             w.size_class());
           },
           [](PageWord w) { return PageWord(w.kind(), w.pages() + 1, w.shard(), w.size_class()); },
           [](PageWord w) { return PageWord(w.kind(), w.pages(), w.shard() + 1, w.size_class()); },
           [](PageWord w) { return PageWord(w.kind(), w.pages(), w.shard(), w.size_class() ^ 1); },
           [](PageWord) { return PageWord(); }}) {
    for (const PageKind kind : {PageKind::span, PageKind::large, PageKind::table}) {
      INFO("kind " << static_cast<int>(kind));
      CHECK(noticed([&](const Varied& d) {
        Word64& word = d.segment().page(d.run([&](std::uint32_t, PageWord w) { return w.kind() == kind; })).word;
        word.store(change(PageWord(word.load())).bits());
      }));
    }
  }
  CHECK(noticed([](const Varied& d) {
    Word64& word = d.segment().page(d.span_with_list()).word;
    const PageWord w(word.load());
    word.store(PageWord(w.kind(), w.pages(), w.shard(), 95).bits());
  }));
  CHECK(noticed([](const Varied& d) {  // two free runs that touch
    const std::uint32_t page = d.free_run();
    Word64& word = d.segment().page(page).word;
    const PageWord w(word.load());
    if (w.pages() < 2) throw std::runtime_error("too short");
    d.segment().page(page + 1).word.store(PageWord(PageKind::free, w.pages() - 1).bits());
    word.store(PageWord(PageKind::free, 1).bits());
  }));
}

TEST_CASE("the audit notices each wrong field of a span") {
  CHECK(noticed([](const Varied& d) { ++d.segment().page(d.span_with_list()).live; }));
  CHECK(noticed([](const Varied& d) { ++d.segment().page(d.span_with_list()).carved; }));
  CHECK(noticed([](const Varied& d) { --d.segment().page(d.span_with_list()).carved; }));
  CHECK(noticed([](const Varied& d) { d.segment().page(d.span_with_list()).first_free = 0; }));
  CHECK(noticed([](const Varied& d) { d.segment().page(d.span_with_list()).first_free = 100'000; }));
  CHECK(noticed([](const Varied& d) { ++d.segment().page(d.span_with_list()).head; }));
  CHECK(noticed([](const Varied& d) { d.segment().page(d.span_with_list()).previous += 1; }));
  CHECK(noticed([](const Varied& d) { d.segment().page(d.span_with_list()).next = 1; }));
  CHECK(noticed([](const Varied& d) {  // a list of free blocks that leads to itself
    const std::uint32_t page = d.span_with_list();
    const SizeClass& shape = d.segment().classes()[PageWord(d.segment().page(page).word.load()).size_class()];
    const std::uint32_t first = d.segment().page(page).first_free;
    store_word(d.segment().at(d.segment().page_offset(page) + std::uint64_t{first - 1} * shape.block_bytes), first);
  }));
  CHECK(noticed([](const Varied& d) {  // a block in use that is listed as free
    const std::uint32_t page = d.page_of(Varied::name(1));
    d.segment().page(page).first_free =
        1 + static_cast<std::uint32_t>((d.find(Varied::name(1)).entry.offset - d.segment().page_offset(page)) /
                                       class_bytes(class_of(entry_bytes(4, 20, 1))));
  }));
  const Varied one;
  for (std::uint32_t c = 0; c < one.segment().classes().count(); ++c) {
    INFO("class " << c);
    const std::uint32_t first = one.shard().partial[c];
    one.shard().partial[c] = first == 0 ? one.span_with_list() + 1 : 0;
    CHECK_FALSE(one.problems().empty());
    one.shard().partial[c] = first;
  }
  CHECK(one.problems().empty());
}

TEST_CASE("the audit notices the last page of a run that leads to another head") {
  for (const PageKind kind : {PageKind::span, PageKind::large, PageKind::table, PageKind::free}) {
    INFO("kind " << static_cast<int>(kind));
    CHECK(noticed([&](const Varied& d) {
      const std::uint32_t page = d.run([&](std::uint32_t, PageWord w) { return w.kind() == kind; });
      d.segment().page(page + PageWord(d.segment().page(page).word.load()).pages() - 1).head += 1;
    }));
  }
}

TEST_CASE("the audit notices each wrong slot and table") {
  CHECK(noticed([](const Varied& d) { d.slot(Varied::name(1)).store(0); }));
  CHECK(noticed([](const Varied& d) { d.slot(Varied::name(1)).store(SlotWord::erased().bits()); }));
  CHECK(noticed([](const Varied& d) { d.slot(Varied::name(1)).fetch_add(std::uint64_t{1} << 48); }));
  CHECK(noticed([](const Varied& d) { d.slot(Varied::name(1)).fetch_add(8); }));
  CHECK(noticed([](const Varied& d) { d.slot(Varied::name(1)).store(d.slot(Varied::name(2)).load()); }));
  CHECK(noticed([](const Varied& d) { d.shard().table.store(0); }));
  CHECK(noticed([](const Varied& d) {
    d.shard().table.store(TableWord(d.table().offset(), d.table().log2_buckets() - 1).bits());
  }));
  CHECK(noticed([](const Varied& d) {
    d.shard().table.store(TableWord(d.table().offset(), d.table().log2_buckets() + 1).bits());
  }));
  CHECK(noticed([](const Varied& d) {
    d.shard().table.store(TableWord(d.segment().page_offset(d.page_of("large")), 6).bits());
  }));
  for (int bit = 0; bit < 64; ++bit) {  // nor is it missed when nothing is in it
    CAPTURE(bit);
    const test::StoredDictionary empty;
    empty.put("a", "1");
    Word64& table = empty.shard_of("a").table;
    empty.erase("a");
    table.store(table.load() ^ std::uint64_t{1} << bit);
    CHECK_FALSE(empty.problems().empty());
  }
  CHECK(noticed([](const Varied& d) {  // a key where no search finds it
    const std::uint64_t word = d.slot(Varied::name(1)).exchange(SlotWord::erased().bits());
    const std::uint64_t home = hash_home(d.key(Varied::name(1)).hash);
    for (std::uint64_t n = 0; n < d.table().buckets() / 4; ++n) {
      Bucket& opposite = d.buckets()[(home + d.table().buckets() / 2 + n) & (d.table().buckets() - 1)];
      for (Word64& slot : opposite.slots) {
        if (SlotWord(slot.load()).is_entry()) continue;
        slot.store(word);
        return;
      }
    }
    throw std::runtime_error("no room");
  }));
  CHECK(noticed([](const Varied& d) {  // a value that was changed is no damage, a key that was is
    *d.segment().at(d.find(Varied::name(1)).entry.offset + kWord) ^= std::byte{1};
  }));
}

TEST_CASE("the audit notices sizes that don't fit the block") {
  CHECK(noticed([](const Varied& d) {
    store_word(d.segment().at(d.find(Varied::name(1)).entry.offset), EntrySizes(4, 2000).bits());
  }));
  CHECK(noticed(
      [](const Varied& d) { store_word(d.segment().at(d.find("large").entry.offset), EntrySizes(5, 10).bits()); }));
  CHECK(noticed(
      [](const Varied& d) { store_word(d.segment().at(d.find("large").entry.offset), EntrySizes(5, 39'000).bits()); }));
}

TEST_CASE("the audit notices a run of its own for an entry that fits a span") {
  const Dictionary d;
  d.put("large", std::string(34'000, 'v'));
  REQUIRE(d.problems().empty());
  store_word(d.segment().at(SlotWord(d.slot_of("large").load()).offset()), EntrySizes(5, 32'000).bits());
  REQUIRE(d.problems().find("too small") != std::string::npos);
}

TEST_CASE("the audit notices a spare block that isn't one") {
  const auto is_spare = [](std::uint64_t (*offset_in)(const Varied&)) {
    return noticed([&](const Varied& d) { d.shard().spare[class_of(36) % kSpares] = SpareWord(offset_in(d), class_of(36)).bits(); });
  };
  CHECK(is_spare([](const Varied& d) { return d.find(Varied::name(1)).entry.offset; }));
  CHECK(is_spare([](const Varied& d) { return d.find("last").entry.offset; }));
  CHECK(is_spare([](const Varied& d) { return d.segment().identity().segment_bytes; }));
  CHECK(is_spare([](const Varied& d) { return d.table().offset(); }));
  CHECK(noticed([](const Varied& d) {  // lost: neither spare, nor listed, nor an entry's
    d.put("last", std::string(300, 'w'));
    Word64& spare = d.shard().spare[class_of(entry_bytes(4, 300, 1)) % kSpares];
    if (spare == 0) throw std::runtime_error("no spare block");
    spare = 0;
  }));
}

TEST_CASE("the audit notices a run that nothing refers to") {
  for (const PageKind kind : {PageKind::table, PageKind::large, PageKind::span}) {
    CHECK(noticed([&](const Varied& d) { PagePool(d.writer()).take(PageWord(kind, 1, 0)); }));
  }
}
