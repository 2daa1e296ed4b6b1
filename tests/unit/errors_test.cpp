// Refusals: each errc where it is promised, with a message that helps, at the exact limit, and with nothing changed.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>
#include <system_error>
#include <thread>
#include <type_traits>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = kKiB * 1024;

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;

/// Attaches to args[0], says so in the area args[1], stays until it is killed.
const RegisterChild kGuest("errors: guest", [](std::vector<std::string> args) {
  const auto attached = SharedArea<std::atomic<int>>::from_token(args.at(1));
  const Numbers d = Numbers::attach(args.at(0));
  attached->fetch_add(1);
  eventually([] { return false; }, kHangDeadline * 2);
  return 0;
});

std::string text_of(std::size_t size, char fill) { return std::string(size, fill); }

}  // namespace

TEST_CASE("an Error is a system_error with a code of the library's own category") {
  static_assert(std::is_base_of_v<std::system_error, Error>);
  static_assert(std::is_error_code_enum_v<errc>);
  const UniqueName name;
  try {
    Numbers::attach(name.str());
    FAIL("attached to nothing");
  } catch (const std::system_error& error) {
    REQUIRE(error.code() == errc::not_found);
    REQUIRE(error.code().category() == shared_dict_category());
    REQUIRE(std::string(error.code().category().name()) == "shared_dict");
    REQUIRE_THAT(error.what(), Catch::Contains(name.str()));
  }
}

TEST_CASE("types that differ are refused, and the message names both") {
  const UniqueName name;
  auto d = SharedDict<std::uint64_t, Point>::create(name.str(), {.heap_size = kMiB});
  d.insert(1, {1, 2});
  const auto open = [&] { SharedDict<std::uint64_t, Padded>::attach(name.str()); };
  REQUIRE(error_of(open) == errc::type_mismatch);
  REQUIRE_THAT(message_of(open), Catch::Contains("Point") && Catch::Contains("Padded") && Catch::Contains(name.str()));
  REQUIRE(error_of([&] { SharedDict<Point, Point>::attach(name.str()); }) == errc::type_mismatch);
  REQUIRE(error_of([&] { SharedDict<Point, std::uint64_t>::attach(name.str()); }) == errc::type_mismatch);
  REQUIRE(error_of([&] { SharedDict<std::int64_t, Point>::attach(name.str()); }) == errc::type_mismatch);
  REQUIRE(error_of([&] { SharedDict<std::uint64_t, std::vector<Point>>::open_or_create(name.str()); }) ==
          errc::type_mismatch);
  REQUIRE(error_of([&] { SharedDict<std::uint64_t, Padded>::create(name.str()); }) == errc::already_exists);
  REQUIRE(d.at(1) == Point{1, 2});
  REQUIRE(d.stats().processes == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("types that differ are refused by a dictionary that nobody has open, too") {
  const UniqueName name;
  { SharedDict<int, Point>::create(name.str(), {.heap_size = kMiB, .lifetime = Lifetime::persistent}); }
  REQUIRE(error_of([&] { SharedDict<int, Padded>::attach(name.str()); }) == errc::type_mismatch);
  REQUIRE(exists(name.str()));
  auto d = SharedDict<int, Point>::attach(name.str());
  REQUIRE(d.stats().processes == 1);
  REQUIRE(d.insert(1, {}));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("options out of range are refused, and nothing is created") {
  const Place place;
  const Options good{.heap_size = kMiB, .directory = place.path()};
  const auto with = [&](auto change) {
    Options options = good;
    change(options);
    return options;
  };
  std::vector<std::pair<std::string, Options>> cases{
      {"heap_size", with([](Options& o) { o.heap_size = 0; })},
      {"max_processes", with([](Options& o) { o.max_processes = 0; })},
      {"max_processes", with([](Options& o) { o.max_processes = 1001; })},
      {"max_processes", with([](Options& o) { o.max_processes = std::numeric_limits<unsigned>::max(); })},
      {"lock_timeout", with([](Options& o) { o.lock_timeout = -1ms; })},
      {"permissions", with([](Options& o) { o.permissions = 010000; })},
      {"lifetime", with([](Options& o) { o.lifetime = static_cast<Lifetime>(7); })}};
  constexpr std::size_t kMost = std::numeric_limits<std::size_t>::max();
  // No number of 32 bits is out of range: that a process has no room for it is another error.
  for (const std::size_t most : {kMost, kMost / 4 + 1}) {
    if (sizeof most > 4) cases.emplace_back("heap_size", with([most](Options& o) { o.heap_size = most; }));
  }
  for (const auto& [field, options] : cases) {
    INFO(field);
    for (const auto open : {&Numbers::create, &Numbers::open_or_create}) {
      const auto call = [&, &o = options] { open("name", o); };
      REQUIRE(error_of(call) == errc::invalid_option);
      REQUIRE_THAT(message_of(call), Catch::Contains(field));
    }
    REQUIRE(std::filesystem::is_empty(place.path()));
  }
  for (const unsigned processes : {1U, 1000U}) {
    Options options = good;
    options.max_processes = processes;
    Numbers d = Numbers::create("name", options);
    REQUIRE(d.insert(1, 1));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("attach reads only directory and lock_timeout") {
  const UniqueName name;
  const Numbers d = Numbers::create(name.str(), {.heap_size = kMiB, .max_items = 5});
  Numbers other =
      Numbers::attach(name.str(), {.heap_size = 0, .max_items = 1, .permissions = 0777, .max_processes = 0});
  for (std::uint64_t i = 0; i < 5; ++i) REQUIRE(other.insert(i, i));
  REQUIRE(has_mode(name.directory(), 0700));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("the shortest and the longest lock_timeout are what they say") {
  for (const auto timeout :
       {0ms, std::chrono::milliseconds(std::chrono::hours(24 * 365 * 100)), std::chrono::milliseconds::max()}) {
    INFO(timeout.count() << " ms");
    const UniqueName name;
    Numbers d = Numbers::create(name.str(), {.heap_size = kMiB, .lock_timeout = timeout});
    Numbers other = Numbers::attach(name.str(), {.lock_timeout = timeout});
    REQUIRE(d.insert(1, 1));
    // Somebody else holds the lock for a moment: only who has time gets it.
    std::atomic<bool> inside{false};
    std::atomic<bool> tried{false};
    std::thread holder([&] {
      d.modify(1, [&](std::uint64_t& value) {
        inside = true;
        eventually([&] { return tried.load(); }, 50ms);
        ++value;
      });
    });
    while (!inside.load()) std::this_thread::yield();
    const auto code = error_of([&] { other.fetch_add(1, 1); });
    tried = true;
    holder.join();
    REQUIRE((timeout == 0ms ? code == errc::lock_timeout : !code));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("max_items is exact, and counts what is stored now") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB, .max_items = 1000});
  for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(d.insert(i, i));
  for (int round = 0; round < 3; ++round) {
    REQUIRE(error_of([&] { d.insert(5000, 1); }) == errc::too_many_items);
    REQUIRE(error_of([&] { d.insert_or_assign(5000, 1); }) == errc::too_many_items);
    REQUIRE(error_of([&] { d.modify_or_insert(5000, 1, [](auto&) {}); }) == errc::too_many_items);
    REQUIRE(error_of([&] { d.fetch_add(5000, 1); }) == errc::too_many_items);
    REQUIRE_FALSE(d.contains(5000));
    REQUIRE(d.size() == 1000);

    // What needs no new item still works.
    REQUIRE_FALSE(d.insert(7, 1));
    REQUIRE_FALSE(d.insert_or_assign(7, 8));
    REQUIRE(d.assign(7, 7));
    REQUIRE(d.fetch_add(7, 0) == 7);
    REQUIRE_FALSE(d.modify_or_insert(7, 1, [](auto&) {}));
    REQUIRE(d.modify(7, [](auto&) {}));

    REQUIRE(d.erase(13));
    REQUIRE(d.insert(5000, 1));
    REQUIRE(error_of([&] { d.insert(13, 13); }) == errc::too_many_items);
    REQUIRE(d.extract(5000).has_value());
    REQUIRE(d.insert(13, 13));
  }
  REQUIRE(d.erase_if([](const auto& key, const auto&) { return key < 500; }) == 500);
  for (std::uint64_t i = 10'000; i < 10'500; ++i) REQUIRE(d.insert(i, i));
  REQUIRE(error_of([&] { d.insert(5000, 1); }) == errc::too_many_items);
  d.clear();
  for (std::uint64_t i = 0; i < 1000; ++i) REQUIRE(d.insert(i, i));
  REQUIRE(error_of([&] { d.insert(5000, 1); }) == errc::too_many_items);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an insert that fails gives back its share of max_items") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 64 * kKiB, .max_items = 2});
  for (int i = 0; i < 50; ++i) {
    REQUIRE(error_of([&] { d.insert("big", text_of(10 * kMiB, 'b')); }) == errc::value_too_large);
    REQUIRE_THROWS(d.modify_or_insert("k", "", [](auto&) { throw 1; }));
  }
  REQUIRE(d.insert("one", "1"));
  REQUIRE(d.insert("two", "2"));
  REQUIRE(error_of([&] { d.insert("three", "3"); }) == errc::too_many_items);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a full heap refuses, loses nothing, and goes on after an erase") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 256 * kKiB});
  int stored = 0;
  std::error_code code;
  while (!code && stored < 1'000'000) {
    code = error_of(
        [&] { d.insert("key " + std::to_string(stored), text_of(200, static_cast<char>('a' + stored % 26))); });
    if (!code) ++stored;
  }
  REQUIRE(code == errc::heap_full);
  REQUIRE(stored >= 500);
  for (int round = 0; round < 5; ++round) {
    REQUIRE(error_of([&] { d.insert("new", text_of(5000, 'n')); }) == errc::heap_full);
    REQUIRE_FALSE(d.contains("new"));
    REQUIRE(d.size() == static_cast<std::size_t>(stored));
    for (int i = 0; i < stored; ++i) {
      REQUIRE(d.at("key " + std::to_string(i)) == text_of(200, static_cast<char>('a' + i % 26)));
    }
    SHARED_DICT_REQUIRE_SOUND(d);
    for (int i = round; i < stored; i += 5) REQUIRE(d.erase("key " + std::to_string(i)));
    for (int i = round; i < stored; i += 5) {
      REQUIRE(d.insert("key " + std::to_string(i), text_of(200, static_cast<char>('a' + i % 26))));
    }
  }
  d.clear();
  REQUIRE(d.insert("large", text_of(100 * kKiB, 'l')));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a full heap leaves the old value where a longer one does not fit") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 128 * kKiB});
  REQUIRE(d.insert("k", "small"));
  int fill = 0;
  while (!error_of([&] { d.insert("fill " + std::to_string(fill), text_of(100, 'f')); })) ++fill;
  const std::string longer = text_of(40 * kKiB, 'x');
  REQUIRE(error_of([&] { d.insert_or_assign("k", longer); }) == errc::heap_full);
  REQUIRE(error_of([&] { d.assign("k", longer); }) == errc::heap_full);
  REQUIRE(error_of([&] { d.modify("k", [&](std::string& v) { v = longer; }); }) == errc::heap_full);
  std::string expected = "small";
  REQUIRE(error_of([&] { d.compare_exchange("k", expected, longer); }) == errc::heap_full);
  REQUIRE(d.at("k") == "small");
  REQUIRE(d.size() == static_cast<std::size_t>(fill) + 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("what could not be stored even in an empty dictionary is value_too_large") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 256 * kKiB});
  for (const std::size_t size : {std::size_t{10 * kMiB}, std::size_t{1 * kMiB}}) {
    REQUIRE(error_of([&] { d.insert("k", text_of(size, 'v')); }) == errc::value_too_large);
    REQUIRE(error_of([&] { d.insert_or_assign("k", text_of(size, 'v')); }) == errc::value_too_large);
    REQUIRE(error_of([&] { d.insert(text_of(size, 'k'), "v"); }) == errc::value_too_large);
  }
  d.insert("k", "v");
  REQUIRE(error_of([&] { d.assign("k", text_of(10 * kMiB, 'v')); }) == errc::value_too_large);
  REQUIRE(d.at("k") == "v");

  // Reading such a key is simply a miss.
  const std::string long_key = text_of(10 * kMiB, 'k');
  REQUIRE_FALSE(d.contains(long_key));
  REQUIRE(d.get(long_key) == std::nullopt);
  REQUIRE_FALSE(d.erase(long_key));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("the error at each size is consistent: what is refused in an empty dictionary is too large") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 256 * kKiB});
  std::size_t largest = 0;
  for (std::size_t size = 1000; size < 600 * kKiB; size += 1777) {
    INFO("size " << size);
    const std::error_code code = error_of([&] { d.insert("k", text_of(size, 'v')); });
    if (!code) {
      REQUIRE(largest + 1777 >= size);  // no gap below the largest
      largest = size;
      REQUIRE(d.at("k").size() == size);
      REQUIRE(d.erase("k"));
    } else {
      REQUIRE(code == errc::value_too_large);
    }
    REQUIRE(d.empty());
  }
  REQUIRE(largest >= 128 * kKiB);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("max_processes is exact, and a dead process makes room") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB, .max_processes = 3});
  const SharedArea<std::atomic<int>> attached;
  std::vector<Child> guests;
  for (int i = 1; i <= 2; ++i) {
    guests.push_back(Child::start("errors: guest", {name.str(), attached.token()}));
    REQUIRE(eventually([&] { return attached->load() == i; }));
  }
  REQUIRE(d.stats().processes == 3);
  Child refused = Child::start("errors: guest", {name.str(), attached.token()});
  REQUIRE(refused.wait() == kChildThrew);
  REQUIRE(attached->load() == 2);
  REQUIRE_NOTHROW(Numbers::attach(name.str()));  // this process is attached already

  for (int i = 3; i < 8; ++i) {
    Child& victim = guests[static_cast<std::size_t>(i) % 2];
    victim.kill();
    victim.wait();
    victim = Child::start("errors: guest", {name.str(), attached.token()});
    REQUIRE(eventually([&] { return attached->load() == i; }));
  }
  d.insert(1, 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("too many processes is an Error with that code") {
  const UniqueName name;
  const SharedArea<std::atomic<int>> attached;
  Numbers d = Numbers::create(name.str(), {.heap_size = kMiB, .lifetime = Lifetime::persistent, .max_processes = 1});
  d.close();
  Child guest = Child::start("errors: guest", {name.str(), attached.token()});
  REQUIRE(eventually([&] { return attached->load() == 1; }));
  REQUIRE(error_of([&] { Numbers::attach(name.str()); }) == errc::too_many_processes);
  REQUIRE(error_of([&] { Numbers::open_or_create(name.str()); }) == errc::too_many_processes);
  REQUIRE(error_of([&] { Numbers::create(name.str()); }) == errc::already_exists);
  guest.kill();
  guest.wait();
  d = Numbers::attach(name.str());
  d.insert(1, 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}
