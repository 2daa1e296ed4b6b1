// Stored words that contradict each other are refused before they are followed: no access outside the mapping, no endless loop, and
// no other key lost. Each of these once crashed, hung, or lost what was beside the damage.

#include <shared_dict/shared_dict.hpp>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;
namespace inside = shared_dict::detail;

namespace {

using Texts = SharedDict<std::uint32_t, std::string>;

/// A dictionary and a way to its stored words.
struct Damaged {
  Place place;
  Texts dict;
  std::shared_ptr<inside::Attachment> attachment;

  explicit Damaged(Options options = {.heap_size = 1 << 20, .lock_timeout = 200ms})
      : dict(Texts::create("name", in_place(options))),
        attachment(inside::Lifecycle("name", place.path(), 1s)
                       .open(inside::OpenMode::attach, options, inside::stored_types<std::uint32_t, std::string>())) {}

  Options in_place(Options& options) {
    options.directory = place.path();
    return options;
  }
  const inside::Segment& segment() const { return attachment->segment(); }

  template <class F>
  void for_each_shard(F f) const {
    for (std::uint32_t i = 0; i < segment().identity().shard_count; ++i) f(segment().shard(i));
  }
  /// The first run of a kind.
  std::uint32_t run(inside::PageKind kind) const {
    const inside::Writer writer(*attachment, 1s);
    std::uint32_t found = UINT32_MAX;
    inside::PagePool(writer).for_each_run([&](std::uint32_t page, inside::PageWord word) {
      if (word.kind() == kind && found == UINT32_MAX) found = page;
    });
    return found;
  }
  std::uint32_t right_ones(std::uint32_t count, const std::string& value) const {
    std::uint32_t right = 0;
    for (std::uint32_t i = 0; i < count; ++i) error_of([&] { right += dict.get(i) == value ? 1U : 0U; });
    return right;
  }
};

}  // namespace

TEST_CASE("a lock word that names nobody ends in lock_timeout") {
  Damaged d;
  d.dict.insert(1, "x");
  d.for_each_shard([](inside::Shard& shard) { shard.lock = 4; });
  REQUIRE(error_of([&] { d.dict.insert(2, "y"); }) == errc::lock_timeout);
  REQUIRE(d.dict.at(1) == "x");
  d.for_each_shard([](inside::Shard& shard) { shard.lock = 0; });
  SHARED_DICT_REQUIRE_SOUND(d.dict);
}

TEST_CASE("a list of spans that leads elsewhere is refused") {
  Damaged d;
  d.dict.insert(1, "x");
  const std::uint32_t last = d.segment().identity().page_count;
  d.for_each_shard([&](inside::Shard& shard) {
    for (std::uint32_t& link : shard.partial) link = last;
  });
  REQUIRE(error_of([&] { d.dict.insert(2, std::string(20'000, 'y')); }) == errc::corrupted);
  REQUIRE(d.dict.at(1) == "x");
}

// Its page is inside another run since then: its blocks would be somebody's bytes.
TEST_CASE("a list of spans that leads to where a span was is refused") {
  Damaged d({.heap_size = 1 << 16, .lock_timeout = 200ms});
  REQUIRE(d.segment().identity().shard_count == 1);
  inside::Shard& shard = d.segment().shard(0);
  const auto for_each_run = [&](auto f) {
    const inside::Writer writer(*d.attachment, 1s);
    inside::PagePool(writer).for_each_run(f);
  };
  const std::string value(200, 'v');
  std::uint32_t count = 0;
  std::vector<std::uint32_t> spans;
  while (spans.size() < 4) {
    d.dict.insert(count++, value);
    spans.clear();
    for_each_run([&](std::uint32_t page, inside::PageWord word) {
      if (word.kind() == inside::PageKind::span) spans.push_back(page);
    });
  }
  for (std::uint32_t i = 0; i < count; ++i) d.dict.erase(i);
  // One run instead of all of them.
  std::uint32_t begin = 0;
  std::uint32_t pages = 0;
  for_each_run([&](std::uint32_t page, inside::PageWord word) {
    if (word.kind() != inside::PageKind::free || word.pages() <= pages) return;
    begin = page;
    pages = word.pages();
  });
  const std::string large(std::size_t{pages} * d.segment().identity().page_bytes - 64, '\0');
  d.dict.insert(1000, large);
  std::erase_if(spans, [&](std::uint32_t page) { return page <= begin || page >= begin + pages; });
  REQUIRE(spans.size() >= 2);
  for (const std::uint32_t page : spans) {
    INFO("page " << page);
    for (auto& link : shard.partial) link = page + 1;
    REQUIRE(error_of([&] { d.dict.insert(1, value); }) == errc::corrupted);
    REQUIRE(d.dict.at(1000) == large);
    SHARED_DICT_REQUIRE_SOUND(d.dict);  // repaired
  }
}

// The next block is written to before it is known whether its key is there: it must not be one in use.
TEST_CASE("a span whose counts are wrong costs one error, no item, and is repaired") {
  const std::string value(40, 'v');
  const std::string other(40, 'w');
  for (const bool list : {false, true}) {
    for (const std::uint32_t bit : {4U, 1U << 30}) {
      Damaged d({.heap_size = 1 << 16, .lock_timeout = 200ms});
      REQUIRE(d.segment().identity().shard_count == 1);
      for (std::uint32_t i = 0; i < 13; ++i) d.dict.insert(i, value);
      inside::Page& span = d.segment().page(d.run(inside::PageKind::span));
      std::uint32_t& word = list ? span.first_free : span.carved;
      word ^= bit;
      REQUIRE(error_of([&] { d.dict.insert(0, other); }) == errc::corrupted);
      for (std::uint32_t i = 0; i < 13; ++i) REQUIRE_FALSE(d.dict.insert(i, other));
      REQUIRE(d.right_ones(13, value) == 13);
      d.dict.insert(13, value);
      SHARED_DICT_REQUIRE_SOUND(d.dict);
    }
  }
}

// What a death leaves looks like this. Each way to write has to look for it before it believes anything that is derived.
TEST_CASE("every change repairs its shard first, if an owner died in it") {
  Damaged d({.heap_size = 1 << 16, .lock_timeout = 200ms});
  REQUIRE(d.segment().identity().shard_count == 1);
  inside::Shard& shard = d.segment().shard(0);
  const std::string value(40, 'v');
  const std::string other(40, 'w');
  for (std::uint32_t i = 0; i < 20; ++i) d.dict.insert(i, value);
  std::size_t items = 20;
  const auto repairs = [&](int grown, auto change) {
    shard.items = 7;
    shard.stored_bytes = 7;
    for (auto& link : shard.partial) link = 7;
    shard.dirty = 1;
    change();
    items += static_cast<std::size_t>(grown);
    return shard.dirty == 0 && d.dict.size() == items;
  };
  CHECK(repairs(1, [&] { d.dict.insert(100, value); }));
  CHECK(repairs(0, [&] { d.dict.insert(1, other); }));
  CHECK(repairs(1, [&] { d.dict.insert_or_assign(101, value); }));
  CHECK(repairs(0, [&] { d.dict.insert_or_assign(2, other); }));
  CHECK(repairs(0, [&] { d.dict.assign(3, other); }));
  CHECK(repairs(0, [&] { d.dict.modify(4, [&](std::string& text) { text = other; }); }));
  CHECK(repairs(1, [&] { d.dict.modify_or_insert(102, value, [](std::string&) {}); }));
  CHECK(repairs(0, [&] {
    std::string expected = value;
    d.dict.compare_exchange(5, expected, other);
  }));
  CHECK(repairs(-1, [&] { d.dict.erase(6); }));
  CHECK(repairs(-1, [&] { d.dict.extract(7); }));
  CHECK(repairs(-1, [&] { d.dict.erase_if([](std::uint32_t key, const std::string&) { return key == 100; }); }));
  CHECK(repairs(-1, [&] { d.dict.extract_any(); }));
  CHECK(repairs(2, [&] { d.dict.update({{103, value}, {104, value}}); }));
  CHECK(repairs(1, [&] { d.dict.loan(105, 40).publish(); }));
  SHARED_DICT_REQUIRE_SOUND(d.dict);
}

TEST_CASE("a free run of impossible length is refused") {
  for (const std::uint32_t length : {0U, 0x8000'0019U, 0xffff'ffffU}) {
    Damaged d({.heap_size = 1 << 22, .lock_timeout = 200ms});
    const std::string value(100'000, 'v');
    for (std::uint32_t i = 0; i < 10; ++i) d.dict.insert(i, value);
    for (const std::uint32_t i : {3U, 5U, 7U}) d.dict.erase(i);
    const std::uint32_t page = d.run(inside::PageKind::free);
    REQUIRE(page != UINT32_MAX);
    d.segment().page(page).word = inside::PageWord(inside::PageKind::free, length).bits();
    for (std::uint32_t i = 20; i < 26; ++i) {
      const std::error_code code = error_of([&] { d.dict.insert(i, value); });
      REQUIRE((!code || code == errc::corrupted));
    }
    for (const std::uint32_t i : {0U, 1U, 2U, 4U, 6U, 8U, 9U}) REQUIRE(d.dict.at(i) == value);
    for (const std::uint32_t i : {2U, 4U, 6U}) error_of([&] { d.dict.erase(i); });
    REQUIRE_FALSE(d.dict.audit().ok());
  }
}

TEST_CASE("an entry with a wrong size takes no other with it") {
  for (const unsigned bit : {24U, 30U, 36U, 40U}) {
    Damaged d({.heap_size = 1 << 20, .max_items = 60, .lock_timeout = 200ms});
    const std::string value(40, 'v');
    for (std::uint32_t i = 0; i < 30; ++i) d.dict.insert(i, value);
    const std::uint64_t entry = d.segment().page_offset(d.run(inside::PageKind::span));
    std::uint32_t key = 0;
    std::memcpy(&key, d.segment().at(entry + 8), sizeof key);
    inside::store_word(d.segment().at(entry), inside::load_word(d.segment().at(entry)) ^ (std::uint64_t{1} << bit));
    error_of([&] { d.dict.get(key); });
    error_of([&] { d.dict.erase(key); });
    for (std::uint32_t i = 100; i < 103; ++i) error_of([&] { d.dict.insert(i, std::string(6000, 'z')); });
    REQUIRE(d.right_ones(30, value) >= 29);
  }
}

TEST_CASE("a table word that leads to another run is refused, not repaired around") {
  Damaged d({.heap_size = 1 << 20, .max_items = 60, .lock_timeout = 200ms});
  const std::string value(40, 'v');
  for (std::uint32_t i = 0; i < 30; ++i) d.dict.insert(i, value);
  inside::Shard& shard = d.segment().shard(0);
  const std::uint64_t right = shard.table;
  for (const unsigned bit : {0U, 1U, 12U, 13U, 30U}) {
    shard.table = right ^ (std::uint64_t{1} << bit);
    shard.dirty = 1;
    REQUIRE(error_of([&] { d.dict.insert(99, "x"); }) == errc::corrupted);
  }
  shard.table = right;
  REQUIRE(d.right_ones(30, value) == 30);
  d.dict.insert(99, "x");  // the mark is still there: now the repair goes through
  SHARED_DICT_REQUIRE_SOUND(d.dict);
}
