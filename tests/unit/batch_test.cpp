// A batch is one change: all of its items or none, also where it meets a limit half-way, and also where its process dies between any two
// of its steps. What a dead process leaves is made here by hand, up to a certain step.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/made_range.hpp"
#include "support/forked.hpp"
#include "support/pattern.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {
struct MadePair;
}
template <>
struct std::tuple_size<MadePair> : std::integral_constant<std::size_t, 2> {};
template <std::size_t index>
struct std::tuple_element<index, MadePair> : std::type_identity<std::string> {};

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;
using Contents = std::map<std::string, std::string>;

constexpr std::size_t kOneShard = 127 * 1024;

Contents contents_of(const Words& d) {
  Contents contents;
  for (const auto& [key, value] : d) contents.emplace(key, value);
  return contents;
}

/// A range that loops find by its namespace's functions only.
struct FreeRange {
  std::vector<std::pair<std::string, std::string>> items;
};
auto begin(const FreeRange& range) { return range.items.begin(); }
auto end(const FreeRange& range) { return range.items.end(); }

/// A pair whose parts are made when they are asked for.
struct MadePair {
  int number;
  template <std::size_t index>
  std::string get() const {
    return (index == 0 ? "a key that is longer than what a string holds itself " : "a value that is longer than that ") + std::to_string(number);
  }
};

struct BitFields {
  std::uint32_t key : 20;
  std::uint32_t value : 12;
};

/// `update` is refused with `code`, and nothing of it has happened.
template <class Update>
void refused(Words& d, errc code, Update update) {
  const Contents before = contents_of(d);
  const std::size_t used = d.stats().heap_used;
  REQUIRE(error_of(update) == code);
  REQUIRE(contents_of(d) == before);
  REQUIRE(d.size() == before.size());
  REQUIRE(d.stats().heap_used == used);
  SHARED_DICT_REQUIRE_SOUND(d);
}

}  // namespace

TEST_CASE("an update stores all its items, new and old ones, and the last of those with one key") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.insert("replaced", "old");
  d.insert("same size", "old");
  d.insert("left alone", "old");
  d.update({{"new", "1"},
            {"replaced", "a longer value than before"},
            {"twice", "first"},
            {"same size", "new"},
            {"twice", "second, which counts"},
            {"replaced", "the last value"},
            {"", "the empty key"},
            {"empty", ""}});
  REQUIRE(contents_of(d) == Contents{{"new", "1"},
                                     {"replaced", "the last value"},
                                     {"twice", "second, which counts"},
                                     {"same size", "new"},
                                     {"left alone", "old"},
                                     {"", "the empty key"},
                                     {"empty", ""}});
  REQUIRE(d.size() == 7);
  std::size_t bytes = 0;
  for (const auto& [key, value] : d) bytes += key.size() + value.size();
  REQUIRE(d.stats().heap_used == bytes);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an update replaces values in place, keeps others' views and frees what it replaced") {
  const UniqueName numbers_name;
  Numbers numbers = Numbers::create(numbers_name.str(), {.heap_size = 1 << 20});
  std::map<std::uint64_t, std::uint64_t> items;
  for (std::uint64_t i = 0; i < 500; ++i) items[i] = i;
  numbers.update(items);
  const std::size_t free_space = numbers.gc_stats().total_free_space;
  for (auto& [key, value] : items) value *= 7;
  numbers.update(items);
  REQUIRE(numbers.gc_stats().total_free_space == free_space);  // no block was changed, and the intent's is free again
  REQUIRE(numbers.size() == 500);
  for (std::uint64_t i = 0; i < 500; ++i) REQUIRE(numbers.at(i) == i * 7);
  SHARED_DICT_REQUIRE_SOUND(numbers);

  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.update({{"a", std::string(50, 'a')}, {"b", std::string(50, 'b')}});
  View<std::string> view = d.view("a");
  d.update({{"a", std::string(50, '1')}, {"b", std::string(50, '2')}});
  REQUIRE(*view == std::string(50, 'a'));
  REQUIRE(d.gc_stats().retired_blocks == 1);
  view = {};
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("anything to iterate over that has pairs can be an update") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  Contents expected;
  const auto with = [&](const auto& items) {
    d.update(items);
    for (const auto& [key, value] : items) expected.insert_or_assign(std::string(key), std::string(value));
    REQUIRE(contents_of(d) == expected);
  };
  with(std::map<std::string, std::string>{{"a", "1"}, {"b", "2"}});
  with(std::unordered_map<std::string, std::string>{{"b", "3"}, {"c", "4"}});
  with(std::vector<std::pair<std::string, std::string>>{{"d", "5"}, {"a", "6"}});
  with(std::list<std::pair<const std::string, std::string>>{{"e", "7"}});
  with(std::array<std::pair<std::string, std::string>, 2>{{{"f", "8"}, {"g", "9"}}});
  with(std::vector<std::pair<std::string_view, std::string>>{{"h", "10"}});
  with(std::initializer_list<std::pair<std::string, std::string>>{{"i", "11"}});
  with(MadeRange(50, [](int i) { return std::pair("made " + std::to_string(i), std::to_string(i * i)); }));
  with(std::vector<std::tuple<std::string_view, std::string>>{{std::string_view(), ""}});
  with(FreeRange{{{"j", "12"}}});
  with(std::vector<MadePair>{{1}, {2}, {3}});
  std::pair<std::string, std::string> scratch;
  with(MadeRange(3, [&](int i) -> const std::pair<std::string, std::string>& {
    return scratch = {"a key that is made where the last one was " + std::to_string(i), std::to_string(i)};
  }));
  with(d.items());
  const std::map<std::string, std::string> more{{"k", "13"}, {"l", "14"}};
  MutableOnly changing(more);
  d.update(changing);
  REQUIRE(changing.begun == 1);
  d.update(MutableOnly(more));
  expected.insert(more.begin(), more.end());
  // Its own items, read while it is changed.
  const UniqueName other_name;
  Words other = Words::create(other_name.str(), {.heap_size = 1 << 20});
  other.update(d);
  REQUIRE(contents_of(other) == expected);
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(other);
}

TEST_CASE("an update takes bit fields as keys and values") {
  const UniqueName name;
  auto d = SharedDict<std::uint32_t, std::uint32_t>::create(name.str(), {.heap_size = 1 << 20});
  d.update(std::vector<BitFields>{{1, 11}, {2, 22}, {3, 33}});
  REQUIRE(d.size() == 3);
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.at(2) == 22);
  REQUIRE(d.at(3) == 33);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an update takes keys and values of any type") {
  const UniqueName name;
  auto d = SharedDict<Point, Person>::create(name.str(), {.heap_size = 1 << 20});
  std::vector<std::pair<Point, Person>> items;
  for (std::int32_t i = 0; i < 200; ++i) {
    items.push_back({{i % 150, 7}, {"name " + std::to_string(i), i, {"a", "b"}, {{"s", {1.5, double(i)}}}}});
  }
  d.update(items);
  REQUIRE(d.size() == 150);
  for (std::int32_t i = 50; i < 200; ++i) REQUIRE(d.at({i % 150, 7}) == items[static_cast<std::size_t>(i)].second);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an update of nothing does nothing") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.update(Contents{});
  d.update(std::initializer_list<std::pair<std::string, std::string>>{});
  REQUIRE(d.empty());
  REQUIRE(d.stats().slot_count == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
  d.close();
  REQUIRE(error_of([&] { d.update(Contents{}); }) == errc::closed);
}

TEST_CASE("the tables of all shards grow for an update, tombstones or not") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = std::size_t{16} << 20});
  REQUIRE(d.stats().shards > 8);
  const auto all_there = [&](std::uint64_t begin, std::uint64_t end) {
    for (std::uint64_t i = begin; i < end; ++i) {
      if (d.get(i) != i * 3) FAIL("key " << i);
    }
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  const auto items = [](std::uint64_t begin, std::uint64_t end) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> made;
    for (std::uint64_t i = begin; i < end; ++i) made.emplace_back(i, i * 3);
    return made;
  };
  d.update(items(0, 10'000));
  REQUIRE(d.size() == 10'000);
  all_there(0, 10'000);
  d.erase_if([](std::uint64_t key, std::uint64_t) { return key % 3 != 0; });
  d.update(items(0, 10'000));  // fills the gaps
  REQUIRE(d.size() == 10'000);
  all_there(0, 10'000);
  d.update(items(7'000, 40'000));
  REQUIRE(d.size() == 40'000);
  all_there(0, 40'000);
}

// Batches of all sizes, so that a table is filled up to its last free slot in every way, from a clean state and from tombstones.
TEST_CASE("keys of one update that meet in a bucket find their places") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  REQUIRE(d.stats().shards == 1);
  std::uint64_t next = 0;
  Contents model;
  for (int round = 0; round < 60; ++round) {
    Contents items;
    for (int i = 0; i < 1 + round * 7 % 40; ++i) {
      items["key " + std::to_string(next * 7919 % 400)] = "value " + std::to_string(next);
      ++next;
    }
    d.update(items);
    for (const auto& [key, value] : items) model.insert_or_assign(key, value);
    REQUIRE(contents_of(d) == model);
    d.erase_if([&](const std::string& key, const std::string&) {
      return key.size() % 2 == static_cast<std::size_t>(round % 2);
    });
    std::erase_if(model,
                  [&](const auto& item) { return item.first.size() % 2 == static_cast<std::size_t>(round % 2); });
    REQUIRE(contents_of(d) == model);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("keys of one update that have the same hash are different keys, and the last value of each counts") {
  const StoredDictionary d;
  const auto text = [](const std::string& word) { return StoredDictionary::bytes(word); };
  const std::string a = "a", b = "b", another = "another key", first = "first", second = "second", third = "third";
  const auto hash = d.key(a).hash;
  const detail::KeyBytes key_a{text(a), hash};
  const detail::KeyBytes key_b{text(b), hash};
  const detail::KeyBytes other = d.key(another);
  detail::Batch(d.writer(), {{key_a, text(first)}, {key_b, text(first)}, {other, text(a)}, {key_a, text(second)}, {key_b, text(third)}, {key_a, text(third)}})
      .run();
  const auto value_of = [&](const detail::KeyBytes& key) {
    std::string value;
    REQUIRE(detail::lookup(d.segment(), "name", key, [&](std::size_t size) {
      value.resize(size);
      return reinterpret_cast<std::byte*>(value.data());
    }));
    return value;
  };
  REQUIRE(value_of(key_a) == third);
  REQUIRE(value_of(key_b) == third);
  REQUIRE(value_of(other) == a);
  REQUIRE(d.shard_of(a).items == (d.shard_index(a) == d.shard_index(another) ? 3U : 2U));
}

TEST_CASE("an update that is refused has changed nothing") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 18});
  d.update({{"a", std::string(1000, 'a')}, {"b", "b"}, {"c", ""}});
  // Larger than all that there can be; alone larger; too many together, though each would do.
  refused(d, errc::value_too_large, [&] { d.update({{"a", "1"}, {"new", std::string(1 << 18, 'x')}}); });
  refused(d, errc::value_too_large, [&] { d.update({{"a", "1"}, {std::string(std::size_t{17} << 20, 'k'), "x"}}); });
  refused(d, errc::heap_full, [&] {
    Contents items{{"a", "1"}};
    for (int i = 0; i < 300; ++i) items["new " + std::to_string(i)] = std::string(1000, 'n');
    d.update(items);
  });
  refused(d, errc::heap_full, [&] {
    d.update({{"a", std::string(100'000, 'x')}, {"b", std::string(100'000, 'y')}, {"c", std::string(100'000, 'z')}});
  });
  // What goes counts against what comes.
  d.update({{"a", std::string(250'000, 'a')}});
  d.update({{"a", ""}, {"b", std::string(250'000, 'b')}});
  REQUIRE(d.at("b").size() == 250'000);
  SHARED_DICT_REQUIRE_SOUND(d);
  REQUIRE(d.modify("b", [&](std::string&) {
    CHECK(error_of([&] { d.update({{"a", "1"}}); }) == errc::would_deadlock);
  }));

  const UniqueName fragile_name;
  auto fragile = SharedDict<std::string, Fragile>::create(fragile_name.str(), {.heap_size = 1 << 20});
  fragile.insert("a", {"old"});
  Fragile::save_throws = true;
  REQUIRE_THROWS_AS(fragile.update({{"a", Fragile{"new"}}, {"b", Fragile{"new"}}}), std::runtime_error);
  Fragile::save_throws = false;
  REQUIRE(fragile.at("a").text == "old");
  REQUIRE(fragile.size() == 1);
  SHARED_DICT_REQUIRE_SOUND(fragile);
}

TEST_CASE("max_items is exact for updates") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20, .max_items = 1000});
  const auto items = [](int begin, int end) {
    Contents made;
    for (int i = begin; i < end; ++i) made["key " + std::to_string(i)] = "value";
    return made;
  };
  d.update(items(0, 900));
  refused(d, errc::too_many_items, [&] { d.update(items(500, 1001)); });
  d.update(items(500, 1000));
  REQUIRE(d.size() == 1000);
  refused(d, errc::too_many_items, [&] { d.update({{"key 0", "new"}, {"one more", "value"}}); });
  d.update(items(0, 1000));
  d.erase("key 0");
  d.update({{"key 1", "new"}, {"one more", "value"}});
  REQUIRE(d.size() == 1000);
  SHARED_DICT_REQUIRE_SOUND(d);
}

// ---- below the types

namespace {

using detail::Intent;
using detail::LockedShard;
using detail::Writer;

constexpr int kKeys = 40;

std::string key_of(int i) { return "key " + std::to_string(i); }

struct Prepared : StoredDictionary {
  explicit Prepared(const Options& options = {.heap_size = 1 << 20}) : StoredDictionary(options) {
    for (int i = 0; i < kKeys; i += 2) put(key_of(i), "old");
    const Writer w = writer();
    for (detail::LockedShard& shard : detail::lock_all(w)) shard.reserve(kKeys);  // also where no key is yet
  }

  /// A batch that has `keys` texts, run as update() does.
  void run(const Contents& items) const {
    std::vector<detail::BatchItem> batch;
    for (const auto& [k, v] : items) batch.push_back({key(k), bytes(v)});
    const Writer w = writer();
    detail::Batch(w, batch).run();
  }
};

/// How far a batch of the values "new" for all keys came before its process died.
struct Stage {
  bool published = false;
  bool ended = false;
  int stored = 0;
  std::function<void(const Prepared&, std::uint64_t)> damage = nullptr;
};

struct Said {
  std::atomic<int> there;
};

/// Dies there, with all locks in hand, as batch.hpp says.
void die_in_batch(const Prepared& d, const Stage& stage) {
  const SharedArea<Said> said;
  Forked child([&](auto) {
    const Writer writer = d.writer();
    std::vector<LockedShard> shards = detail::lock_all(writer);
    std::vector<Intent::Store> stores;
    for (int i = 0; i < kKeys; ++i) {
      const std::string text = key_of(i);
      LockedShard& shard = shards[d.shard_index(text)];
      const detail::KeyBytes key = d.key(text);
      detail::SlotTable::Found found = shard.find(key);
      if (!found.found && !found.free_slot) return 1;
      // Of two new keys with one free slot in common the second would need another one; put them one after the other.
      const auto slot_of = [&] { return d.segment().offset_of(&shard.table().at(found.at)); };
      while (!found.found &&
             std::any_of(stores.begin(), stores.end(), [&](const auto& s) { return s.offset == slot_of(); })) {
        found.at = shard.table().next(found.at);
        while (shard.table().word(found.at).is_entry()) found.at = shard.table().next(found.at);
      }
      const std::uint64_t block = shard.allocate(key, StoredDictionary::bytes("new"));
      stores.push_back({slot_of(), detail::SlotWord(block, detail::hash_tag(key.hash)).bits()});
    }
    const std::uint64_t at = shards.front().heap().allocate(detail::intent_bytes(stores.size()));
    Intent& intent = detail::intent_at(d.segment(), at);
    intent.count = stores.size();
    std::copy(stores.begin(), stores.end(), detail::intent_stores(intent));
    intent.checksum = detail::checksum_of(intent);
    if (stage.damage) stage.damage(d, at);
    if (stage.published) detail::publish_intent(shards.front().fields(), at);
    for (int i = 0; i < stage.stored; ++i) {
      detail::word_at(d.segment(), stores[static_cast<std::size_t>(i)].offset)
          .store(stores[static_cast<std::size_t>(i)].word);
    }
    if (stage.ended) detail::end_intent(shards.front().fields());
    said->there = 1;
    for (;;) ::pause();
    return 1;
  });
  REQUIRE(eventually([&] { return said->there.load() != 0; }));
  child.kill();
  REQUIRE(child.wait().signal == SIGKILL);
}

void require_all_new(const Prepared& d) {
  for (int i = 0; i < kKeys; ++i) REQUIRE(d.get(key_of(i)) == "new");
  REQUIRE(d.problems().empty());
  REQUIRE(detail::count_items(d.segment()) == kKeys);
}

void require_all_old(const Prepared& d) {
  for (int i = 0; i < kKeys; ++i)
    REQUIRE(d.get(key_of(i)) == (i % 2 == 0 ? std::optional<std::string>("old") : std::nullopt));
  REQUIRE(d.problems().empty());
  REQUIRE(detail::count_items(d.segment()) == kKeys / 2);
}

}  // namespace

TEST_CASE("a batch whose process died after its moment is carried out before anybody gets one of its locks") {
  for (const int stored : {0, 1, kKeys / 2, kKeys}) {
    INFO(stored << " of its stores were made");
    const Prepared d;
    die_in_batch(d, {.published = true, .stored = stored});
    {
      // Whichever shard comes first, and before any other has had a new owner.
      const Writer writer = d.writer();
      const LockedShard last(writer, d.segment().identity().shard_count - 1);
      for (std::uint32_t i = 0; i < d.segment().identity().shard_count; ++i)
        REQUIRE(d.segment().shard(i).intent.load() == 0);
      for (int i = 0; i < kKeys; ++i) REQUIRE(d.get(key_of(i)) == "new");
    }
    require_all_new(d);
  }
}

TEST_CASE("a batch whose process died when it was through stays as it is") {
  const Prepared d;
  die_in_batch(d, {.published = true, .ended = true, .stored = kKeys});
  require_all_new(d);
}

TEST_CASE("a batch whose process died before its moment has never been, and its blocks are free") {
  const Prepared d;
  const std::uint64_t before = d.pages_in_use();
  die_in_batch(d, {});
  require_all_old(d);
  REQUIRE(d.pages_in_use() == before);
  for (int i = 0; i < kKeys; ++i) d.erase(key_of(i));
  REQUIRE(d.problems().empty());
  // Only tables are left.
  REQUIRE(d.segment().header().pool.block_pages.load() == 0);
}

TEST_CASE("a dead process's batch that was damaged is refused, again and again, and nothing of it is stored") {
  const auto refuses = [](auto damage) {
    const Prepared d;
    die_in_batch(d, {.published = true, .damage = damage});
    for (int i = 0; i < 2; ++i) {
      REQUIRE(error_of([&] { d.put(key_of(0), "mine"); }) == errc::corrupted);
      for (int k = 0; k < kKeys; ++k)
        REQUIRE(d.get(key_of(k)) == (k % 2 == 0 ? std::optional<std::string>("old") : std::nullopt));
    }
  };
  refuses([](const Prepared& d, std::uint64_t at) { detail::intent_at(d.segment(), at).checksum ^= 1; });
  refuses([](const Prepared& d, std::uint64_t at) {
    detail::intent_stores(detail::intent_at(d.segment(), at))[kKeys - 1].word ^= 8;
  });
  refuses([](const Prepared& d, std::uint64_t at) {
    Intent& intent = detail::intent_at(d.segment(), at);
    detail::intent_stores(intent)[kKeys - 1].offset = d.segment().identity().segment_bytes;
    intent.checksum = detail::checksum_of(intent);
  });
}

TEST_CASE("a process that dies in the middle of a real update leaves all or nothing to the next") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  Contents items;
  for (int i = 0; i < 100; ++i) items["key " + std::to_string(i)] = std::string(100, 'o');
  d.update(items);
  for (int round = 0; round < 20; ++round) {
    const SharedArea<Said> said;
    Forked child([&](auto) {
      for (char c = 'a';; c = c == 'z' ? 'a' : static_cast<char>(c + 1)) {
        Contents next;
        for (const auto& [key, value] : items) next[key] = std::string(50 + static_cast<std::size_t>(c), c);
        d.update(next);
        said->there = said->there.load() + 1;
      }
      return 1;
    });
    REQUIRE(eventually([&] { return said->there.load() > round; }));
    child.kill();
    REQUIRE(child.wait().signal == SIGKILL);
    d.modify("key 0", [](std::string&) {});
    const std::string first = d.at("key 0");
    for (const auto& [key, value] : items) REQUIRE(d.at(key) == first);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("a batch that finds no memory half-way gives back what it took") {
  const Prepared d({.heap_size = 1 << 20});
  const Writer writer = d.writer();
  detail::Heap other(writer, 0);
  std::vector<std::uint32_t> taken;
  const auto take_all = [&] {
    static_cast<void>(error_of([&] {
      for (;;) taken.push_back(other.take_run({detail::PageKind::table, 1, 0}));
    }));
  };
  take_all();
  const auto give = [&](std::size_t pages) {
    for (; pages > 0; --pages, taken.pop_back()) other.give_run(taken.back());
  };
  Contents items;
  for (int i = 0; i < kKeys; ++i) items[key_of(i)] = std::string(i % 5 == 0 ? 12'000 : 3000, 'n');
  std::size_t refusals = 0;
  for (;; ++refusals) {
    const std::uint64_t pages = d.pages_in_use();
    const std::uint64_t blocks = d.segment().header().pool.block_pages.load();
    if (const std::error_code code = error_of([&] { d.run(items); }); !code) break;
    REQUIRE(d.pages_in_use() == pages);
    REQUIRE(d.segment().header().pool.block_pages.load() == blocks);
    for (int i = 0; i < kKeys; ++i) {
      if (d.get(key_of(i)) != (i % 2 == 0 ? std::optional<std::string>("old") : std::nullopt)) FAIL(key_of(i));
    }
    if (taken.empty()) FAIL("refused with all its memory back");
    give(1);  // the next attempt comes further
  }
  REQUIRE(refusals > 20);
  give(taken.size());
  for (const auto& [k, v] : items) REQUIRE(d.get(k) == v);
  REQUIRE(detail::count_items(d.segment()) == kKeys);
  REQUIRE(d.problems().empty());
}
