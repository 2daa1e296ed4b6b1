// How long a dictionary exists, seen by several processes: until the last one leaves, however it leaves, or until it is
// removed.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/types.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

struct Flags {
  std::atomic<int> attached;
  std::atomic<int> leave;
  std::atomic<int> inside;
};

Options options_in(const std::string& place, Lifetime lifetime = Lifetime::attached) {
  return {.heap_size = 1 << 20, .lifetime = lifetime, .directory = place};
}

/// Opens or creates, adds one, and closes when told to. args: place, flags, lifetime ("persistent" or not)
const RegisterChild kMember("lifetime: member", [](std::vector<std::string> args) {
  const auto flags = SharedArea<Flags>::from_token(args.at(1));
  Numbers d = Numbers::open_or_create(
      "name", options_in(args.at(0), args.at(2) == "persistent" ? Lifetime::persistent : Lifetime::attached));
  d.fetch_add(1, 1);
  flags->attached.fetch_add(1);
  return eventually([&] { return flags->leave.load() != 0; }, 2 * kHangDeadline) ? 0 : 1;
});

/// Is inside a callback when it is killed. args: as above
const RegisterChild kDoomed("lifetime: doomed", [](std::vector<std::string> args) {
  const auto flags = SharedArea<Flags>::from_token(args.at(1));
  Numbers d = Numbers::open_or_create("name", options_in(args.at(0), Lifetime::persistent));
  d.fetch_add(1, 1);
  d.modify(1, [&](std::uint64_t& value) {
    value = 666;
    flags->inside = 1;
    eventually([] { return false; }, 2 * kHangDeadline);
  });
  return 1;
});

const RegisterChild kTyped("lifetime: typed", [](std::vector<std::string> args) {
  auto d = SharedDict<Point, Person>::attach("typed", options_in(args.at(0)));
  const Person ada = d.at({1, 2});
  if (ada.name != "Ada" || ada.scores.at("x") != std::vector<double>{1.0, 2.5}) return 1;
  d.modify({1, 2}, [](Person& person) { person.nicknames.push_back("from another process"); });
  // Another value type is refused here, too, and the refusal does no harm to the handle that is open.
  const auto code = error_of([&] { SharedDict<Point, Padded>::attach("typed", options_in(args.at(0))); });
  return code == errc::type_mismatch && d.contains({1, 2}) ? 0 : 2;
});

/// A Person is something else here: the same name would be a lie, so it is a type of its own. args: place
const RegisterChild kMistyped("lifetime: mistyped", [](std::vector<std::string> args) {
  const auto attach = [&] { SharedDict<Point, Padded>::attach("typed", options_in(args.at(0))); };
  if (error_of(attach) != errc::type_mismatch) return 1;
  const std::string message = message_of(attach);
  return message.find("Person") != std::string::npos && message.find("Padded") != std::string::npos ? 0 : 2;
});

struct Members {
  Place place;
  SharedArea<Flags> flags;
  std::vector<Child> children;

  void start(const char* lifetime = "attached") {
    const int before = flags->attached.load();
    children.push_back(Child::start("lifetime: member", {place.path().string(), flags.token(), lifetime}));
    REQUIRE(eventually([&] { return flags->attached.load() == before + 1; }));
  }
  void kill_all() {
    for (Child& child : children) child.kill();
    for (Child& child : children) child.wait();
    children.clear();
  }
  bool there() const { return exists("name", place.path()); }
};

}  // namespace

TEST_CASE("the last process to leave removes the dictionary") {
  Members members;
  for (int i = 0; i < 3; ++i) members.start();
  REQUIRE(members.there());
  members.children[0].kill();  // one that dies is no longer there, without having left
  members.children[0].wait();
  REQUIRE(members.there());
  {
    const Numbers d = Numbers::attach("name", options_in(members.place.path().string()));
    REQUIRE(d.at(1) == 3);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(members.there());
  members.flags->leave = 1;
  for (std::size_t i = 1; i < 3; ++i) REQUIRE(members.children[i].wait() == 0);
  REQUIRE_FALSE(members.there());
  REQUIRE(std::filesystem::is_empty(members.place.path()));
}

TEST_CASE("a dictionary whose processes were all killed counts as gone") {
  Members members;
  for (int round = 0; round < 5; ++round) {
    INFO("round " << round);
    for (int i = 0; i < 3; ++i) members.start();
    members.kill_all();
    const std::string place = members.place.path().string();
    switch (round) {
      case 0: REQUIRE_FALSE(members.there()); break;
      case 1: REQUIRE(error_of([&] { Numbers::attach("name", options_in(place)); }) == errc::not_found); break;
      case 2: REQUIRE(list(place).empty()); break;
      case 3: REQUIRE_FALSE(shared_dict::remove("name", place)); break;
      default: break;
    }
    Numbers d = round % 2 == 0 ? Numbers::create("name", options_in(place))
                               : Numbers::open_or_create("name", options_in(place));
    REQUIRE(d.empty());
    REQUIRE(d.insert(7, 7));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(std::filesystem::is_empty(members.place.path()));
}

TEST_CASE("a persistent dictionary outlives all its processes, however they end") {
  Members members;
  for (int i = 0; i < 3; ++i) members.start("persistent");
  members.kill_all();
  REQUIRE(members.there());
  REQUIRE(list(members.place.path()) == std::vector<std::string>{"name"});
  for (std::uint64_t i = 0; i < 3; ++i) {
    Numbers d = Numbers::attach("name", options_in(members.place.path().string()));
    REQUIRE(d.fetch_add(1, 1) == 3 + i);
    REQUIRE(d.stats().processes <= 4);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(shared_dict::remove("name", members.place.path()));
  REQUIRE(std::filesystem::is_empty(members.place.path()));
}

TEST_CASE("a persistent dictionary whose only process died inside a write is repaired by the next one") {
  const Place place;
  for (std::uint64_t round = 0; round < 5; ++round) {
    const SharedArea<Flags> flags;
    Child doomed = Child::start("lifetime: doomed", {place.path().string(), flags.token()});
    REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
    doomed.kill();
    REQUIRE(doomed.wait() == -SIGKILL);
    Numbers d = Numbers::attach("name", options_in(place.path().string()));
    REQUIRE(d.at(1) == round * 2 + 1);
    REQUIRE(d.fetch_add(1, 1) == round * 2 + 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(shared_dict::remove("name", place.path()));
}

TEST_CASE("processes that hold a removed dictionary still see each other's deaths in it") {
  const Place place;
  Options options = options_in(place.path().string(), Lifetime::persistent);
  options.lock_timeout = std::chrono::seconds(1);
  const SharedArea<Flags> flags;
  Child doomed = Child::start("lifetime: doomed", {place.path().string(), flags.token()});
  REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
  Numbers old = Numbers::attach("name", options);
  REQUIRE(shared_dict::remove("name", place.path()));
  // The name leads to another dictionary now, whose files have nothing to do with the old one's.
  Numbers fresh = Numbers::create("name", options);
  fresh.insert(1, 5);

  SECTION("a live one keeps its lock") {
    REQUIRE(error_of([&] { old.fetch_add(1, 1); }) == errc::lock_timeout);
    REQUIRE(old.at(1) == 1);
  }
  SECTION("a dead one is repaired") {
    doomed.kill();
    REQUIRE(doomed.wait() == -SIGKILL);
    REQUIRE(old.fetch_add(1, 1) == 1);
    SHARED_DICT_REQUIRE_SOUND(old);
  }
  REQUIRE(fresh.at(1) == 5);
  SHARED_DICT_REQUIRE_SOUND(fresh);
  fresh.close();
  REQUIRE(shared_dict::remove("name", place.path()));
}

TEST_CASE("what the killed members of a removed dictionary leave goes with the next use of its name") {
  Members members;
  for (const char* const next_use : {"create", "open_or_create", "remove"}) {
    INFO("then " << next_use);
    members.start();
    members.start();
    REQUIRE(shared_dict::remove("name", members.place.path()));
    members.kill_all();
    REQUIRE_FALSE(members.there());
    REQUIRE(list(members.place.path()).empty());
    const std::string how = next_use;
    const Options options = options_in(members.place.path().string());
    if (how == "create") Numbers::create("name", options);
    if (how == "open_or_create") Numbers::open_or_create("name", options);
    if (how == "remove") REQUIRE_FALSE(shared_dict::remove("name", members.place.path()));
    REQUIRE(std::filesystem::is_empty(members.place.path()));
  }
}

TEST_CASE("another process finds typed items and is refused other types") {
  const Place place;
  auto d = SharedDict<Point, Person>::create("typed", options_in(place.path().string()));
  d.insert({1, 2}, {"Ada", 36, {}, {{"x", {1.0, 2.5}}}});
  REQUIRE(Child::start("lifetime: typed", {place.path().string()}).wait() == 0);
  REQUIRE(Child::start("lifetime: mistyped", {place.path().string()}).wait() == 0);
  REQUIRE(d.at({1, 2}).nicknames == std::vector<std::string>{"from another process"});
  SHARED_DICT_REQUIRE_SOUND(d);
}
