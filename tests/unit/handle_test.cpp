// Handles: moving them, closing them, having several of them, and what a closed one says to each call.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;

static_assert(std::is_nothrow_move_constructible_v<Numbers>);
static_assert(std::is_nothrow_move_assignable_v<Numbers>);
static_assert(!std::is_copy_constructible_v<Numbers>);
static_assert(!std::is_copy_assignable_v<Numbers>);
static_assert(noexcept(std::declval<Numbers&>().close()));

/// Every public function that can fail, with the name that its errors give it.
std::vector<std::pair<std::string, std::function<void(Numbers&)>>> every_call() {
  return {{"get", [](Numbers& d) { d.get(1); }},
          {"get", [](Numbers& d) { d.get(1, 0); }},
          {"try_get",
           [](Numbers& d) {
             std::uint64_t out = 0;
             d.try_get(1, out);
           }},
          {"at", [](Numbers& d) { d.at(1); }},
          {"contains", [](Numbers& d) { d.contains(1); }},
          {"get_many",
           [](Numbers& d) { d.get_many(std::vector<std::uint64_t>{1}, [](std::size_t, const std::uint64_t*) {}); }},
          {"view", [](Numbers& d) { d.view(1); }},
          {"size", [](Numbers& d) { static_cast<void>(d.size()); }},
          {"empty", [](Numbers& d) { static_cast<void>(d.empty()); }},
          {"insert", [](Numbers& d) { d.insert(1, 1); }},
          {"insert_or_assign", [](Numbers& d) { d.insert_or_assign(1, 1); }},
          {"assign", [](Numbers& d) { d.assign(1, 1); }},
          {"erase", [](Numbers& d) { d.erase(1); }},
          {"extract", [](Numbers& d) { d.extract(1); }},
          {"extract_any", [](Numbers& d) { d.extract_any(); }},
          {"clear", [](Numbers& d) { d.clear(); }},
          {"update",
           [](Numbers& d) {
             d.update({{1, 1}});
           }},
          {"update",
           [](Numbers& d) {
             d.update(std::vector<std::pair<std::uint64_t, std::uint64_t>>{{1, 1}});
           }},
          {"erase_if", [](Numbers& d) { d.erase_if([](auto, auto) { return true; }); }},
          {"modify", [](Numbers& d) { d.modify(1, [](auto&) {}); }},
          {"modify_or_insert", [](Numbers& d) { d.modify_or_insert(1, 1, [](auto&) {}); }},
          {"fetch_add", [](Numbers& d) { d.fetch_add(1, 1); }},
          {"compare_exchange",
           [](Numbers& d) {
             std::uint64_t expected = 1;
             d.compare_exchange(1, expected, 2);
           }},
          {"insert_or_assign", [](Numbers& d) { d[1] = 1; }},
          {"at", [](Numbers& d) { static_cast<void>(static_cast<std::uint64_t>(d[1])); }},
          {"at", [](Numbers& d) { static_cast<void>(std::as_const(d)[1]); }},
          {"wait_change", [](Numbers& d) { d.wait_change(1, 0ns); }},
          {"wait_until",
           [](Numbers& d) {
             d.wait_until(
                 1, [](std::uint64_t) { return true; }, 0ns);
           }},
          {"for_each", [](Numbers& d) { d.for_each([](auto, auto) {}); }},
          {"keys", [](Numbers& d) { d.keys(); }},
          {"values", [](Numbers& d) { d.values(); }},
          {"items", [](Numbers& d) { d.items(); }},
          {"begin", [](Numbers& d) { d.begin(); }},
          {"save", [](Numbers& d) { d.save("never written"); }},
          {"load", [](Numbers& d) { d.load("never read"); }},
          {"stats", [](Numbers& d) { d.stats(); }},
          {"gc_stats", [](Numbers& d) { d.gc_stats(); }},
          {"audit", [](Numbers& d) { d.audit(); }}};
}

/// Every call of a handle that has nothing open ends in errc::closed, with a message that names the dictionary and the call.
void require_refused(Numbers& d) {
  for (const auto& [operation, call] : every_call()) {
    INFO(operation);
    const auto refused = [&, &call = call] { call(d); };
    REQUIRE(error_of(refused) == errc::closed);
    REQUIRE_THAT(message_of(refused), Catch::StartsWith("dictionary '" + d.name() + "': " + operation + ": "));
  }
}

}  // namespace

TEST_CASE("a closed handle refuses every call, by its name") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  const Numbers other = Numbers::attach(name.str());
  d.insert(1, 1);
  REQUIRE(d.is_open());
  d.close();
  REQUIRE_FALSE(d.is_open());
  d.close();  // once more does nothing
  require_refused(d);
  REQUIRE(other.at(1) == 1);
  SHARED_DICT_REQUIRE_SOUND(other);
}

TEST_CASE("a handle that was moved from refuses every call, by its name") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  Numbers moved = std::move(d);
  REQUIRE(moved.is_open());
  REQUIRE_FALSE(d.is_open());  // NOLINT(bugprone-use-after-move)
  REQUIRE(moved.name() == name.str());
  require_refused(d);
  REQUIRE(moved.insert(1, 1));
  d.close();
  REQUIRE(moved.at(1) == 1);
  SHARED_DICT_REQUIRE_SOUND(moved);
}

TEST_CASE("move assignment leaves the old dictionary and takes over the new one") {
  const UniqueName first_name;
  const UniqueName second_name;
  Numbers d = Numbers::create(first_name.str(), {.heap_size = 1 << 20});
  Numbers other = Numbers::create(second_name.str(), {.heap_size = 1 << 20});
  other.insert(2, 2);
  d = std::move(other);
  REQUIRE_FALSE(exists(first_name.str()));
  REQUIRE(exists(second_name.str()));
  REQUIRE(d.name() == second_name.str());
  REQUIRE(d.at(2) == 2);
  REQUIRE_FALSE(other.is_open());  // NOLINT(bugprone-use-after-move)

  // A closed handle can be given a new life.
  other = Numbers::create(first_name.str(), {.heap_size = 1 << 20});
  REQUIRE(other.insert(1, 1));
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(other);
}

TEST_CASE("a handle that was moved from keeps its name until it gets another one") {
  const UniqueName first_name;
  const UniqueName second_name;
  Numbers d = Numbers::create(first_name.str(), {.heap_size = 1 << 20});
  Numbers moved = std::move(d);
  REQUIRE(d.name() == first_name.str());  // NOLINT(bugprone-use-after-move)
  REQUIRE(moved.name() == first_name.str());

  d = Numbers::create(second_name.str(), {.heap_size = 1 << 20});
  REQUIRE(d.name() == second_name.str());
  moved = std::move(d);
  REQUIRE(moved.name() == second_name.str());
  REQUIRE(message_of([&] { d.insert(1, 1); }).find("'" + second_name.str() + "'") !=
          std::string::npos);  // NOLINT(bugprone-use-after-move)

  Numbers& same = moved;
  moved = std::move(same);
  REQUIRE(moved.is_open());
  REQUIRE(moved.name() == second_name.str());
  SHARED_DICT_REQUIRE_SOUND(moved);
}

TEST_CASE("handles live in containers") {
  std::vector<Numbers> handles;
  const UniqueName name;
  for (int i = 0; i < 20; ++i) handles.push_back(Numbers::open_or_create(name.str(), {.heap_size = 1 << 20}));
  for (Numbers& d : handles) d.fetch_add(1, 1);
  handles.erase(handles.begin(), handles.begin() + 10);
  for (Numbers& d : handles) d.fetch_add(1, 1);
  REQUIRE(handles.front().at(1) == 30);
  SHARED_DICT_REQUIRE_SOUND(handles.front());
}

TEST_CASE("several handles of one process are one dictionary and count as one process") {
  const UniqueName name;
  Words first = Words::create(name.str(), {.heap_size = 1 << 20, .max_processes = 1});
  Words second = Words::attach(name.str());
  Words third = Words::open_or_create(name.str());
  REQUIRE(first.stats().processes == 1);
  first.insert("k", "v");
  REQUIRE(second.at("k") == "v");
  first.close();
  second.insert_or_assign("k", "w");
  REQUIRE(third.at("k") == "w");
  second.close();
  REQUIRE(exists(name.str()));
  SHARED_DICT_REQUIRE_SOUND(third);
  third.close();
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("a handle knows its name, and keeps it when closed") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE(d.name() == name.str());
  static_assert(noexcept(d.name())&& noexcept(d.is_open()));
  d.close();
  REQUIRE(d.name() == name.str());
}

TEST_CASE("an iterator may outlive the handle that made it without touching what is gone") {
  const UniqueName name;
  std::optional<Numbers> d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 100; ++i) d->insert(i, i);
  auto it = d->begin();
  const std::uint64_t first = it->first;
  d->close();
  // The item at hand is private; going on may end the iteration or throw closed, but not crash.
  REQUIRE(it->first == first);
  const std::error_code code = error_of([&] { ++it; });
  REQUIRE((!code || code == errc::closed));
}
