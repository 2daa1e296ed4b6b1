// A writer that is stopped while it holds a lock: readers go on, other writers wait no longer than they said, and nobody
// takes the lock away from it, since it lives.

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Words = SharedDict<std::string, std::string>;

struct Flags {
  std::atomic<int> inside;   ///< the child is inside its callback and holds the lock of its shard
  std::atomic<int> release;  ///< it may leave
  std::atomic<int> done;
};

/// Enters a callback and stays there until it is released. args: name, flags
const RegisterChild kHolder("stopped writer: holder", [](std::vector<std::string> args) {
  Words d = Words::attach(args.at(0));
  const auto flags = SharedArea<Flags>::from_token(args.at(1));
  const bool modified = d.modify("key", [&](std::string& value) {
    flags->inside = 1;
    if (eventually([&] { return flags->release.load() != 0; })) value += " and new";
  });
  flags->done = 1;
  return modified ? 0 : 1;
});

}  // namespace

TEST_CASE("readers go on past a stopped writer, and a writer's wait ends with the stopped one's number") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20, .lock_timeout = 200ms});
  d.insert("key", "old");
  for (int i = 0; i < 100; ++i) d.insert("other " + std::to_string(i), "value");
  const SharedArea<Flags> flags;
  Child holder = Child::start("stopped writer: holder", {name.str(), flags.token()});
  REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
  holder.kill(SIGSTOP);

  // Reading waits for nobody.
  for (int i = 0; i < 100; ++i) {
    REQUIRE(d.at("key") == "old");
    REQUIRE(d.at("other " + std::to_string(i)) == "value");
  }
  REQUIRE(d.size() == 101);
  REQUIRE(d.items().size() == 101);
  REQUIRE(exists(name.str()));

  // Every write that needs the lock gives up after its time and says who is in the way.
  const std::vector<std::pair<std::string, std::function<void()>>> writes{
      {"assign", [&] { d.assign("key", "mine"); }},
      {"insert_or_assign", [&] { d.insert_or_assign("key", "mine"); }},
      {"erase", [&] { d.erase("key"); }},
      {"extract", [&] { d.extract("key"); }},
      {"modify", [&] { d.modify("key", [](std::string& value) { value = "mine"; }); }},
      {"compare_exchange",
       [&] {
         std::string expected = "old";
         d.compare_exchange("key", expected, "mine");
       }},
      {"clear", [&] { d.clear(); }},
      {"erase_if", [&] { d.erase_if([](const auto& key, const auto&) { return key == "key"; }); }}};
  for (const auto& [what, write] : writes) {
    INFO(what);
    const auto begin = std::chrono::steady_clock::now();
    const std::error_code code = error_of(write);
    const auto waited = std::chrono::steady_clock::now() - begin;
    REQUIRE(code == errc::lock_timeout);
    REQUIRE(waited >= 190ms);
    REQUIRE(waited < kHangDeadline);
    REQUIRE(d.at("key") == "old");
  }
  REQUIRE_THAT(message_of(writes.front().second), Catch::Contains(std::to_string(holder.pid())));

  // A newcomer can attach and read; its own lock_timeout is the one that counts for it.
  {
    const Words late = Words::attach(name.str(), {.lock_timeout = 50ms});
    REQUIRE(late.at("key") == "old");
  }

  // Nothing was taken from it: it wakes up, stores its value, and its lock is free again.
  holder.kill(SIGCONT);
  flags->release = 1;
  REQUIRE(holder.wait() == 0);
  REQUIRE(d.at("key") == "old and new");
  d["key"] = "mine";
  REQUIRE(d.at("key") == "mine");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a full dictionary says that it is full, whoever is stopped with the lock of another shard") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20, .lock_timeout = 100ms});
  const std::string value(500, 'v');
  d.insert("key", value);
  const auto fill = [&] {
    for (int i = 0;; ++i) d.insert(std::to_string(i), value);
  };
  REQUIRE(error_of(fill) == errc::heap_full);
  d["key"] = value;  // leaves memory in its shard that the others would like to have
  const SharedArea<Flags> flags;
  Child holder = Child::start("stopped writer: holder", {name.str(), flags.token()});
  REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
  holder.kill(SIGSTOP);
  int told = 0;
  for (int i = 0; i < 20; ++i) {
    const std::string key = "new " + std::to_string(i);
    if (error_of([&] { d.erase(key); })) continue;  // of the shard whose lock is taken
    REQUIRE(error_of([&] { d.insert(key, value); }) == errc::heap_full);
    ++told;
  }
  REQUIRE(told > 0);
  holder.kill(SIGCONT);
  flags->release = 1;
  REQUIRE(holder.wait() == 0);
}

TEST_CASE("a waiting writer goes on as soon as the slow owner is done") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.insert("key", "old");
  const SharedArea<Flags> flags;
  Child holder = Child::start("stopped writer: holder", {name.str(), flags.token()});
  REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
  std::atomic<bool> written{false};
  std::thread writer([&] {
    d.modify("key", [](std::string& value) { value += " and mine"; });
    written = true;
  });
  std::this_thread::sleep_for(100ms);  // long enough for the writer to be in its longest kind of sleep
  const bool early = written.load();
  flags->release = 1;
  const bool in_time = eventually([&] { return written.load(); }, 5s);
  writer.join();
  REQUIRE_FALSE(early);
  REQUIRE(in_time);
  REQUIRE(holder.wait() == 0);
  REQUIRE(d.at("key") == "old and new and mine");
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a writer that waits for one that is then killed goes on with the old value") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d.insert("key", "old");
  const SharedArea<Flags> flags;
  Child holder = Child::start("stopped writer: holder", {name.str(), flags.token()});
  REQUIRE(eventually([&] { return flags->inside.load() == 1; }));
  holder.kill(SIGSTOP);
  std::atomic<bool> written{false};
  std::thread writer([&] {
    d.modify("key", [](std::string& value) { value += " and mine"; });
    written = true;
  });
  std::this_thread::sleep_for(50ms);  // the owner is asked for, found alive, and only then dies
  holder.kill(SIGKILL);
  const bool in_time = eventually([&] { return written.load(); }, 5s);
  writer.join();
  REQUIRE(in_time);
  REQUIRE(holder.wait() == -SIGKILL);
  REQUIRE(d.at("key") == "old and mine");
  REQUIRE(d.stats().recoveries >= 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}
