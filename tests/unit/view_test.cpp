// What a view has shown once must stay there, byte for byte, until it goes: whatever becomes of its key, its handle, its shard and the
// memory around it. And when it goes, nothing of it may stay.

#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_holder.hpp"
#include "support/pattern.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;
using Series = SharedDict<std::string, std::vector<double>>;

static_assert(std::is_nothrow_move_constructible_v<View<std::string>>);
static_assert(std::is_nothrow_move_assignable_v<View<std::string>>);
static_assert(!std::is_copy_constructible_v<View<std::string>>);
static_assert(!std::is_copy_assignable_v<View<std::string>>);
static_assert(std::is_same_v<decltype(*std::declval<View<std::string>&>()), std::string_view>);
static_assert(std::is_same_v<decltype(*std::declval<View<std::u16string>&>()), std::u16string_view>);
static_assert(std::is_same_v<decltype(*std::declval<View<std::vector<double>>&>()), std::span<const double>>);
static_assert(std::is_same_v<decltype(*std::declval<View<Padded>&>()), const Padded&>);
static_assert(std::is_same_v<decltype(*std::declval<View<std::uint64_t>&>()), const std::uint64_t&>);

constexpr std::size_t kOneShard = 127 * 1024;
constexpr std::size_t kRoomy = std::size_t{16} << 20;

template <class Dict>
std::size_t retired(const Dict& d) {
  return d.gc_stats().retired_blocks;
}

/// Writes enough of the same size to use any block again that is free by mistake.
void use_memory_again(Words& d, std::size_t size) {
  const std::string other(size, '#');
  for (int i = 0; i < 40; ++i) d.insert_or_assign("other " + std::to_string(i % 20), other);
  for (int i = 0; i < 20; ++i) d.erase("other " + std::to_string(i));
}

}  // namespace

TEST_CASE("a view shows a value of any type in place") {
  const auto stored = []<class V>(const V& value, auto check) {
    const UniqueName name;
    auto d = SharedDict<std::string, V>::create(name.str(), {.heap_size = 1 << 20});
    d.insert("key", value);
    {
      const View<V> view = d.view("key");
      REQUIRE(view);
      check(view);
    }
    REQUIRE(retired(d) == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  stored(Padded{1, 2.5, 3}, [](const View<Padded>& v) {
    CHECK(*v == Padded{1, 2.5, 3});
    CHECK(v->weight == 2.5);
    CHECK(v.bytes().size() == sizeof(Padded));
    CHECK(reinterpret_cast<std::uintptr_t>(v.bytes().data()) % alignof(Padded) == 0);
  });
  stored(Point{3, -4}, [](const View<Point>& v) { CHECK((*v == Point{3, -4} && v->y == -4)); });
  stored(std::uint64_t{77}, [](const View<std::uint64_t>& v) {
    CHECK(*v == 77);
    CHECK(v.bytes().size() == 8);
  });
  stored(true, [](const View<bool>& v) { CHECK((*v && v.bytes().size() == 1)); });
  stored(Colour::blue, [](const View<Colour>& v) { CHECK(*v == Colour::blue); });
  stored(std::string("some text"), [](const View<std::string>& v) {
    CHECK(*v == "some text");
    CHECK(v->size() == 9);
    CHECK(v.bytes().size() == 9);
  });
  stored(std::u16string(u"sixteen"), [](const View<std::u16string>& v) {
    CHECK((*v == u"sixteen"));
    CHECK(v.bytes().size() == 14);
  });
  stored(std::vector<double>{1.5, -2, 3}, [](const View<std::vector<double>>& v) {
    CHECK(std::vector<double>((*v).begin(), (*v).end()) == std::vector<double>{1.5, -2, 3});
    CHECK(v->size() == 3);
    CHECK(v->back() == 3);
    CHECK(reinterpret_cast<std::uintptr_t>(v->data()) % alignof(double) == 0);
  });
  const Person person{"Ada", 36, {"Countess"}, {{"notes", {1, 2}}}};
  stored(person, [&](const View<Person>& v) {
    const detail::Encoded<Person, detail::codec_traits<Person>> encoded(person);
    REQUIRE(v.bytes().size() == encoded.bytes().size());
    CHECK(std::memcmp(v.bytes().data(), encoded.bytes().data(), encoded.bytes().size()) == 0);
  });
}

TEST_CASE("a view of a missing key is none, a view of an empty value is one") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE_FALSE(d.view("key"));
  d.insert("key", "");
  d.insert("other", "value");
  REQUIRE_FALSE(d.view("missing"));
  REQUIRE(d.view("missing").bytes().empty());
  const View<std::string> empty = d.view("key");
  REQUIRE(empty);
  REQUIRE((*empty).empty());
  REQUIRE(empty.bytes().empty());
  d.erase("key");
  REQUIRE_FALSE(d.view("key"));
  REQUIRE(empty);
  REQUIRE_FALSE(View<std::string>());
  REQUIRE_FALSE(View<std::uint64_t>());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a view can be moved and assigned, and takes its pin along") {
  const auto with = []<class V>(const V& first_value, const V& second_value) {
    const UniqueName name;
    auto d = SharedDict<std::string, V>::create(name.str(), {.heap_size = 1 << 20});
    constexpr bool kPinned = sizeof(V) > 8;
    d.insert("first", first_value);
    d.insert("second", second_value);
    View<V> view = d.view("first");
    View<V> other = std::move(view);
    REQUIRE_FALSE(view);  // NOLINT(bugprone-use-after-move)
    REQUIRE(view.bytes().empty());
    view = d.view("second");
    REQUIRE(*other == first_value);
    view = {};
    d.erase("first");
    REQUIRE(retired(d) == (kPinned ? 1 : 0));
    REQUIRE(*other == first_value);

    View<V>& self = other;
    other = std::move(self);
    REQUIRE(other);
    REQUIRE(*other == first_value);
    REQUIRE(retired(d) == (kPinned ? 1 : 0));

    view = d.view("second");
    d.erase("second");
    REQUIRE(retired(d) == (kPinned ? 2 : 0));
    other = std::move(view);  // lets the first value go
    REQUIRE_FALSE(view);      // NOLINT(bugprone-use-after-move)
    REQUIRE(*other == second_value);
    REQUIRE(retired(d) == (kPinned ? 1 : 0));

    std::vector<View<V>> several;
    several.push_back(std::move(other));
    for (int i = 0; i < 20; ++i) several.emplace_back();
    REQUIRE(*several.front() == second_value);
    REQUIRE_FALSE(several.back());
    several.clear();
    REQUIRE(retired(d) == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  with(std::string("first"), std::string(100, 's'));
  with(std::uint64_t{1}, std::uint64_t{2});
  with(Padded{1, 2, 3}, Padded{4, 5, 6});
}

TEST_CASE("no byte changes under a view, whatever becomes of its key") {
  const std::vector<std::pair<std::string, std::function<void(Words&)>>> changes{
      {"assign", [](Words& d) { d.assign("key", std::string(d.at("key").size(), '!')); }},
      {"a longer value", [](Words& d) { d.assign("key", d.at("key") + "!"); }},
      {"a shorter value", [](Words& d) { d.assign("key", "!"); }},
      {"modify", [](Words& d) { d.modify("key", [](std::string& value) { value.assign(value.size(), '!'); }); }},
      {"erase", [](Words& d) { d.erase("key"); }},
      {"extract", [](Words& d) { d.extract("key"); }},
      {"erase_if", [](Words& d) { d.erase_if([](const auto& key, const auto&) { return key == "key"; }); }},
      {"update",
       [](Words& d) {
         d.update({{"key", std::string(d.at("key").size(), '!')}, {"more", "value"}});
       }},
      {"loan", [](Words& d) { d.loan("key", d.at("key").size()).publish(); }},
      {"clear", [](Words& d) { d.clear(); }},
      {"erase and insert", [](Words& d) {
         const std::string other(d.at("key").size(), '!');
         d.erase("key");
         d.insert("key", other);
       }}};
  for (const auto& [what, change] : changes) {
    for (const std::size_t size : {std::size_t{40}, std::size_t{1000}, std::size_t{5000}, std::size_t{200'000}}) {
      INFO(what << ", " << size << " bytes");
      const UniqueName name;
      Words d = Words::create(name.str(), {.heap_size = kRoomy});
      const std::string value = pattern_of(1, 2, size);
      d.insert("key", value);
      View<std::string> view = d.view("key");
      change(d);
      use_memory_again(d, size);
      REQUIRE(*view == value);
      REQUIRE(retired(d) == 1);
      SHARED_DICT_REQUIRE_SOUND(d);
      view = {};
      REQUIRE(retired(d) == 0);
      SHARED_DICT_REQUIRE_SOUND(d);
    }
  }
}

TEST_CASE("a view of a value that is replaced in place has its own copy") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  const View<std::uint64_t> view = d.view(1);
  d.assign(1, 11);
  REQUIRE(*view == 10);
  REQUIRE(*d.view(1) == 11);
  d.clear();
  REQUIRE(*view == 10);
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("several views of one value keep it until the last of them goes") {
  const UniqueName name;
  Series d = Series::create(name.str(), {.heap_size = 1 << 20});
  const std::vector<double> value(50, 1.5);
  d.insert("key", value);
  std::vector<View<std::vector<double>>> views;
  for (int i = 0; i < 10; ++i) views.push_back(d.view("key"));
  d.assign("key", std::vector<double>(50, 2.5));
  while (!views.empty()) {
    REQUIRE(retired(d) == 1);
    REQUIRE(std::vector<double>(views.back()->begin(), views.back()->end()) == value);
    views.pop_back();
  }
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

// Each replacement retires one more block: the list has to be walked and cut at every place.
TEST_CASE("views that go in any order free just their own values") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  std::vector<std::pair<std::uint64_t, View<std::string>>> views;
  for (std::uint64_t version = 0; version < 60; ++version) {
    d.insert_or_assign("key", pattern_of(1, version, 200));
    views.emplace_back(version, d.view("key"));
  }
  d.erase("key");
  for (std::size_t left = views.size(); left > 0; --left) {
    REQUIRE(retired(d) == left);
    const std::size_t victim = left * 7 % views.size();
    views.erase(views.begin() + static_cast<std::ptrdiff_t>(victim));
    use_memory_again(d, 200);
    for (const auto& [version, view] : views) REQUIRE(version_in(*view, 1) == version);
  }
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a view outlasts the growth of its table") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kRoomy});
  d.insert("key", pattern_of(1, 1, 300));
  const View<std::string> view = d.view("key");
  const std::size_t slots = d.stats().slot_count;
  for (int i = 0; i < 20'000; ++i) d.insert("grow " + std::to_string(i), "value");
  REQUIRE(d.stats().slot_count > 4 * slots);
  REQUIRE(version_in(*view, 1) == 1);
  d.erase("key");
  use_memory_again(d, 300);
  REQUIRE(version_in(*view, 1) == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a view outlasts the repair of its shard, whether its value is still the key's or not") {
  for (const std::size_t size : {std::size_t{300}, std::size_t{70'000}}) {
    for (const bool erased : {false, true}) {
      INFO(size << " bytes, " << (erased ? "erased" : "there"));
      const UniqueName name;
      Words d = Words::create(name.str(), {.heap_size = kOneShard});
      REQUIRE(d.stats().shards == 1);
      d.insert("key", pattern_of(1, 1, size));
      d.insert("lock", "value");
      View<std::string> view = d.view("key");
      if (erased) d.erase("key");
      LockHolder holder(d, "lock");
      holder.die();
      d.assign("lock", "repaired");
      REQUIRE(d.stats().recoveries == 1);
      REQUIRE(retired(d) == (erased ? 1 : 0));
      if (size < 1000) use_memory_again(d, size);
      REQUIRE(version_in(*view, 1) == 1);
      if (!erased) d.erase("key");
      SHARED_DICT_REQUIRE_SOUND(d);
      REQUIRE(version_in(*view, 1) == 1);
      REQUIRE(retired(d) == 1);
      view = {};
      REQUIRE(retired(d) == 0);
      SHARED_DICT_REQUIRE_SOUND(d);
    }
  }
}

TEST_CASE("a view keeps the dictionary when its handle is closed") {
  const UniqueName name;
  std::optional<View<std::string>> view;
  {
    Words d = Words::create(name.str(), {.heap_size = 1 << 20});
    d.insert("key", pattern_of(1, 1, 500));
    view = d.view("key");
    d.close();
    REQUIRE(error_of([&] { d.view("key"); }) == errc::closed);
  }
  REQUIRE(version_in(**view, 1) == 1);
  REQUIRE(exists(name.str()));
  {
    Words again = Words::attach(name.str());
    again.erase("key");
    use_memory_again(again, 500);
    REQUIRE(version_in(**view, 1) == 1);
    REQUIRE(retired(again) == 1);
    SHARED_DICT_REQUIRE_SOUND(again);
  }
  view.reset();
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("a view is refused inside a callback of the same dictionary, one that was there stays readable") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.insert("key", "a value that is longer than eight bytes");
  const View<std::string> view = d.view("key");
  d.modify("key", [&](std::string& value) {
    CHECK(error_of([&] { d.view("key"); }) == errc::would_deadlock);
    CHECK(*view == value);
    value = "another";
  });
  REQUIRE(*view == "a value that is longer than eight bytes");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("the view after the 4096th is refused by number, copies go on, and one that goes makes room") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (int i = 0; i < 64; ++i) d.insert(std::to_string(i), "a value that needs a pin " + std::to_string(i));
  std::vector<View<std::string>> views;
  for (int i = 0; i < 4096; ++i) views.push_back(d.view(std::to_string(i % 64)));
  const auto one_more = [&] { d.view("7"); };
  REQUIRE(error_of(one_more) == errc::too_many_views);
  REQUIRE_THAT(message_of(one_more), Catch::Contains("4096") && Catch::Contains(name.str()));
  REQUIRE(error_of([&] { d.loan("7", 10); }) == errc::too_many_views);
  REQUIRE_FALSE(d.view("missing"));
  REQUIRE(d.at("7") == "a value that needs a pin 7");
  d.assign("7", "another");
  REQUIRE(d.at("7") == "another");
  REQUIRE(retired(d) == 1);

  for (const std::size_t gone : {std::size_t{4095}, std::size_t{0}, std::size_t{2222}}) {
    views[gone] = {};
    views[gone] = d.view("7");
    REQUIRE(*views[gone] == "another");
    REQUIRE(error_of(one_more) == errc::too_many_views);
  }
  for (std::size_t i = 0; i < views.size(); ++i) {
    if (*views[i] == "another") continue;
    if (*views[i] != "a value that needs a pin " + std::to_string(i % 64)) FAIL("view " << i << ": " << *views[i]);
  }
  // Another dictionary has its own.
  const UniqueName other_name;
  Words other = Words::create(other_name.str(), {.heap_size = 1 << 20});
  other.insert("key", "value");
  REQUIRE(other.view("key"));
  views.clear();
  REQUIRE(retired(d) == 0);
  REQUIRE(d.view("7"));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("views of several threads stay as they are while others write") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = std::size_t{4} << 20});
  constexpr std::uint64_t kKeys = 6;
  for (std::uint64_t key = 0; key < kKeys; ++key) d.insert(std::to_string(key), pattern_of(key, 0, 100));
  std::atomic<int> wrong{0};
  std::atomic<int> viewing{3};
  std::vector<std::thread> threads;
  for (std::uint64_t self = 0; self < 3; ++self) {
    threads.emplace_back([&, self] {
      std::vector<View<std::string>> held(8);
      std::vector<std::uint64_t> versions(8);
      for (std::uint64_t turn = 0; turn < 6000; ++turn) {
        const std::size_t at = turn % 8;
        // What it held is from eight turns ago.
        const std::uint64_t old_key = (turn - 8 + self) % kKeys;
        if (held[at] && version_in(*held[at], old_key) != versions[at]) ++wrong;
        const std::uint64_t key = (turn + self) % kKeys;
        held[at] = d.view(std::to_string(key));
        const auto version = held[at] ? version_in(*held[at], key) : std::nullopt;
        if (!version) ++wrong;
        versions[at] = version.value_or(0);
      }
      --viewing;
    });
  }
  std::string value;
  for (std::uint64_t turn = 1; viewing.load() != 0; ++turn) {
    const std::uint64_t key = turn % kKeys;
    make_pattern(key, turn, 50 + turn % 7 * 100, value);
    d.assign(std::to_string(key), value);
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong.load() == 0);
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a view waits for nobody, neither for a writer that is stopped nor for one that is dead") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard, .lock_timeout = std::chrono::milliseconds(50)});
  const std::string value(100, 'v');
  d.insert("key", value);
  LockHolder holder(d, "key");
  holder.stop();
  std::vector<View<std::string>> views;
  for (int i = 0; i < 1000; ++i) views.push_back(d.view("key"));
  REQUIRE(error_of([&] { d.erase("key"); }) == errc::lock_timeout);
  views.erase(views.begin(), views.begin() + 500);
  holder.die();
  for (int i = 0; i < 500; ++i) views.push_back(d.view("key"));
  for (const View<std::string>& view : views) REQUIRE(*view == value);
  d.erase("key");
  for (const View<std::string>& view : views) REQUIRE(*view == value);
  views.clear();
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a forked child that lets an inherited view go doesn't let the parent's go") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  const std::string value = pattern_of(1, 1, 400);
  d.insert("key", value);
  View<std::string> view = d.view("key");
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    view = {};
    View<std::string> own = d.view("key");
    if (*own != value) return 10;
    d.assign("key", pattern_of(1, 2, 400));
    own = {};
    use_memory_again(d, 400);
    return retired(d) == 1 ? 0 : 11;
  }));
  REQUIRE(*view == value);
  REQUIRE(retired(d) == 1);
  use_memory_again(d, 400);
  REQUIRE(*view == value);
  view = {};
  REQUIRE(retired(d) == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
