// Calling back into a dictionary from inside its own callbacks would wait for a lock that the caller holds itself. It has
// to be refused, whichever handle it goes through, and has to leave no mark.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Call = std::pair<std::string, std::function<void(Numbers&)>>;

std::vector<Call> writes() {
  return {{"insert", [](Numbers& d) { d.insert(5, 5); }},
          {"insert_or_assign", [](Numbers& d) { d.insert_or_assign(5, 5); }},
          {"assign", [](Numbers& d) { d.assign(1, 5); }},
          {"erase", [](Numbers& d) { d.erase(1); }},
          {"extract", [](Numbers& d) { d.extract(1); }},
          {"extract_any", [](Numbers& d) { d.extract_any(); }},
          {"clear", [](Numbers& d) { d.clear(); }},
          {"erase_if", [](Numbers& d) { d.erase_if([](auto, auto) { return true; }); }},
          {"modify", [](Numbers& d) { d.modify(1, [](auto& v) { v = 5; }); }},
          {"modify_or_insert", [](Numbers& d) { d.modify_or_insert(5, 5, [](auto&) {}); }},
          {"fetch_add", [](Numbers& d) { d.fetch_add(1, 5); }},
          {"compare_exchange",
           [](Numbers& d) {
             std::uint64_t expected = 10;
             d.compare_exchange(1, expected, 5);
           }},
          {"subscript", [](Numbers& d) { d[1] = 5; }}};
}

std::vector<Call> reads() {
  return {{"get", [](Numbers& d) { d.get(1); }},
          {"get with fallback", [](Numbers& d) { d.get(1, 0); }},
          {"try_get",
           [](Numbers& d) {
             std::uint64_t out = 0;
             d.try_get(1, out);
           }},
          {"at", [](Numbers& d) { d.at(1); }},
          {"contains", [](Numbers& d) { d.contains(1); }},
          {"items", [](Numbers& d) { d.items(); }}};
}

/// The codes of `call`, made from inside each kind of callback of `outer`.
std::vector<std::pair<std::string, std::error_code>> codes_inside(Numbers& outer, Numbers& inner,
                                                                  const std::function<void(Numbers&)>& call) {
  std::vector<std::pair<std::string, std::error_code>> codes;
  const auto note = [&](const char* where) { codes.emplace_back(where, error_of([&] { call(inner); })); };
  outer.modify(1, [&](std::uint64_t&) { note("modify"); });
  outer.modify_or_insert(1, 0, [&](std::uint64_t&) { note("modify_or_insert, present"); });
  outer.modify_or_insert(77, 0, [&](std::uint64_t&) { note("modify_or_insert, missing"); });
  outer.erase_if([&](const std::uint64_t& key, const std::uint64_t&) {
    if (key == 1) note("erase_if");
    return key == 77;
  });
  return codes;
}

}  // namespace

TEST_CASE("a write from inside a callback is refused and changes nothing") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  d.insert(2, 20);
  for (const auto& [what, call] : writes()) {
    for (const auto& [where, code] : codes_inside(d, d, call)) {
      INFO(what << " inside " << where);
      REQUIRE(code == errc::would_deadlock);
    }
    INFO(what);
    REQUIRE(d.at(1) == 10);
    REQUIRE(d.at(2) == 20);
    REQUIRE(d.size() == 2);
  }
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a write from inside a callback is refused through another handle too") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  Numbers other = Numbers::attach(name.str());
  d.insert(1, 10);
  for (const auto& [what, call] : writes()) {
    for (const auto& [where, code] : codes_inside(d, other, call)) {
      INFO(what << " inside " << where);
      REQUIRE(code == errc::would_deadlock);
    }
  }
  REQUIRE(other.at(1) == 10);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a read from inside a callback is refused as well") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  for (const auto& [what, call] : reads()) {
    for (const auto& [where, code] : codes_inside(d, d, call)) {
      INFO(what << " inside " << where);
      REQUIRE(code == errc::would_deadlock);
    }
  }
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a refusal that leaves the callback undoes it, one that is caught does not") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  const auto code = error_of([&] {
    d.modify(1, [&](std::uint64_t& value) {
      value = 11;
      d.insert(2, 2);
    });
  });
  REQUIRE(code == errc::would_deadlock);
  REQUIRE(d.at(1) == 10);
  d.modify(1, [&](std::uint64_t& value) {
    value = 11;
    REQUIRE(error_of([&] { d.insert(2, 2); }) == errc::would_deadlock);
  });
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.insert(2, 2));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a callback may use another dictionary, and come back from its callback only to be refused") {
  const UniqueName name;
  const UniqueName other_name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  Numbers other = Numbers::create(other_name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  other.insert(1, 100);
  d.modify(1, [&](std::uint64_t& value) {
    value += other.fetch_add(1, 1);
    other.modify(1, [&](std::uint64_t& inner) {
      ++inner;
      REQUIRE(error_of([&] { d.insert(2, 2); }) == errc::would_deadlock);
    });
    // The end of the inner callback does not end the mark of the outer one.
    REQUIRE(error_of([&] { d.insert(2, 2); }) == errc::would_deadlock);
    REQUIRE(other.insert(2, 2));
  });
  REQUIRE(d.at(1) == 110);
  REQUIRE(other.at(1) == 102);
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(other);
}

TEST_CASE("for_each holds nothing: its callback may write to the same dictionary") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 500; ++i) d.insert(i, i);
  std::size_t erased = 0;
  d.for_each([&](const std::uint64_t& key, const std::uint64_t&) { erased += d.erase(key) ? 1U : 0U; });
  REQUIRE(erased == 500);
  REQUIRE(d.empty());
  SHARED_DICT_REQUIRE_SOUND(d);
}
