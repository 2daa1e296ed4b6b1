// save and load among processes: a saved file is one moment of a dictionary that others change all the while; a dictionary that is loaded as
// it is made is never seen without its items; and kill -9 in either leaves a whole file, and a whole dictionary or none.

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/pattern.hpp"
#include "support/place.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Accounts = SharedDict<std::uint64_t, std::int64_t>;
using Texts = SharedDict<std::string, std::string>;

constexpr std::uint64_t kAccounts = 300;  // of each process
constexpr std::int64_t kAmount = 1000;

struct Turns {
  std::atomic<std::uint64_t> moved;
  std::atomic<std::uint64_t> stop;
};

struct Steps {
  std::atomic<int> saving;
  std::atomic<int> forked;
  std::atomic<int> end;
};

std::string text_of(std::uint64_t i) { return pattern_of(i, 1, 100 + i % 500); }

void fill(Texts& d, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) d[std::to_string(i)] = text_of(i);
}

bool is_filled(const Texts& d, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) {
    if (d.get(std::to_string(i)) != text_of(i)) return false;
  }
  return d.size() == count;
}

void wait_a_little(std::mt19937_64& random, int most_us) {
  std::this_thread::sleep_for(std::chrono::microseconds(random() % static_cast<std::uint64_t>(most_us)));
}

std::size_t entries_in(const fs::path& place) {
  return static_cast<std::size_t>(std::distance(fs::directory_iterator(place), fs::directory_iterator{}));
}

}  // namespace

TEST_CASE("what is saved while others move amounts about always adds up") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  constexpr std::uint64_t kMovers = 3;
  constexpr std::int64_t kSum = static_cast<std::int64_t>(kMovers * kAccounts) * kAmount;
  const UniqueName name;
  const UniqueName copy_name;
  const Place place;
  const fs::path path = place.path() / "saved";
  Accounts d = Accounts::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (std::uint64_t i = 0; i < kMovers * kAccounts; ++i) d[i] = kAmount;
  SharedArea<Turns> turns;
  std::vector<std::unique_ptr<Forked>> movers;
  for (std::uint64_t mover = 0; mover < kMovers; ++mover) {
    movers.push_back(std::make_unique<Forked>([&, mover](auto) {
      std::mt19937_64 random(test_seed() + mover);
      while (turns->stop.load() == 0) {
        const std::uint64_t from = mover * kAccounts + random() % kAccounts;
        const std::uint64_t to = mover * kAccounts + random() % kAccounts;
        if (from == to) continue;
        const auto amount = static_cast<std::int64_t>(random() % 100);
        d.update({{from, d.at(from) - amount}, {to, d.at(to) + amount}});
        turns->moved.fetch_add(1);
      }
      return 0;
    }));
  }
  Accounts copy = Accounts::create(copy_name.str(), {.heap_size = std::size_t{4} << 20});
  Effort effort(kSanitized ? 50 : 200);
  std::uint64_t moved = 0;
  while (effort.more()) {
    const std::uint64_t before = turns->moved.load();
    REQUIRE(eventually([&] { return turns->moved.load() > before; }));
    d.save(path);
    copy.load(path);
    std::int64_t sum = 0;
    for (const std::int64_t amount : copy.values()) sum += amount;
    REQUIRE(copy.size() == kMovers * kAccounts);
    REQUIRE(sum == kSum);
    moved = turns->moved.load();
  }
  turns->stop = 1;
  for (auto& mover : movers) SHARED_DICT_REQUIRE_ENDED_WELL(mover->wait());
  SHARED_DICT_REQUIRE_SOUND(d);
  SHARED_DICT_REQUIRE_SOUND(copy);
  report("saved moments", {{"saves", effort.done()}, {"updates meanwhile", moved}});
}

TEST_CASE("a load is one step for those who write: they find all of the old items or all of the new ones") {
  const UniqueName name;
  const Place place;
  Accounts d = Accounts::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (const std::int64_t amount : {1, 2}) {
    for (std::uint64_t i = 0; i < kAccounts; ++i) d[i] = amount;
    d.save(place.path() / std::to_string(amount));
  }
  SharedArea<Turns> turns;
  Forked saver([&](auto say) {
    Accounts copy = Accounts::create(name.str() + ".copy", {.heap_size = std::size_t{4} << 20});
    while (turns->stop.load() == 0) {
      d.save(place.path() / "seen");
      copy.load(place.path() / "seen");
      const auto amounts = copy.values();
      for (const std::int64_t amount : amounts) {
        if (amount == amounts.front() && amounts.size() == kAccounts) continue;
        say("two amounts at one time");
        return 1;
      }
      turns->moved.fetch_add(1);
    }
    return 0;
  });
  for (int i = 0; i < 200 || turns->moved.load() < 20; ++i) d.load(place.path() / std::to_string(1 + i % 2));
  turns->stop = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(saver.wait());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("who reads while others load gets one of the values that were saved, and never a miss") {
  constexpr std::uint64_t kItems = 200;
  const UniqueName name;
  const Place place;
  Texts d = Texts::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (const std::uint64_t version : {1U, 2U}) {
    for (std::uint64_t i = 0; i < kItems; ++i) d[std::to_string(i)] = pattern_of(i, version, 50 + 40 * version + i);
    d.save(place.path() / std::to_string(version));
  }
  SharedArea<Turns> turns;
  std::vector<std::unique_ptr<Forked>> readers;
  for (std::uint64_t reader = 0; reader < 2; ++reader) {
    readers.push_back(std::make_unique<Forked>([&, reader](auto say) {
      for (std::uint64_t i = reader; turns->stop.load() == 0; i = (i + 7) % kItems) {
        const auto value = d.get(std::to_string(i));
        const auto version = value ? version_in(*value, i) : std::nullopt;
        if (!version || *version < 1 || *version > 2 || value->size() != 50 + 40 * *version + i) {
          say("key " + std::to_string(i) + (value ? " has no value that was saved" : " is missing"));
          return 1;
        }
        turns->moved.fetch_add(1);
      }
      return 0;
    }));
  }
  Effort effort(kSanitized ? 125 : 500);
  while (effort.more()) d.load(place.path() / std::to_string(1 + effort.done() % 2));
  turns->stop = 1;
  for (auto& reader : readers) SHARED_DICT_REQUIRE_ENDED_WELL(reader->wait());
  SHARED_DICT_REQUIRE_SOUND(d);
  report("reads beside loads", {{"loads", effort.done()}, {"reads", turns->moved.load()}});
}

TEST_CASE("processes that save to one file at once leave one of their files, whole") {
  constexpr int kSavers = 4;
  const Place place;
  const fs::path path = place.path() / "saved";
  std::vector<std::unique_ptr<Forked>> savers;
  for (int saver = 0; saver < kSavers; ++saver) {
    savers.push_back(std::make_unique<Forked>([&, saver](auto) {
      const UniqueName name;
      Texts d = Texts::create(name.str(), {.heap_size = std::size_t{1} << 20});
      fill(d, static_cast<std::uint64_t>(100 + saver));
      for (int i = 0; i < 50; ++i) {
        d.save(path);
        d.load(path);
        if (!is_filled(d, d.size())) return 1;
        fill(d, static_cast<std::uint64_t>(100 + saver));
      }
      return 0;
    }));
  }
  for (auto& saver : savers) SHARED_DICT_REQUIRE_ENDED_WELL(saver->wait());
  REQUIRE(entries_in(place.path()) == 1);
}

TEST_CASE("of processes that open a dictionary from a file at once, each finds all of its items") {
  constexpr std::uint64_t kItems = 400;
  constexpr unsigned kOpeners = 6;
  constexpr unsigned kRounds = 60;
  const UniqueName name;
  const Place place;
  const fs::path path = place.path() / "saved";
  {
    Texts d = Texts::create(name.str(), {.heap_size = std::size_t{1} << 20});
    fill(d, kItems);
    d.save(path);
  }
  SharedArea<std::atomic<unsigned>> arrived;
  std::vector<std::unique_ptr<Forked>> openers;
  for (unsigned opener = 0; opener < kOpeners; ++opener) {
    openers.push_back(std::make_unique<Forked>([&](auto say) {
      unsigned met = 0;
      const auto meet = [&] {
        arrived->fetch_add(1);
        met += kOpeners;
        return eventually([&] { return arrived->load() >= met; });
      };
      for (unsigned round = 0; round < kRounds; ++round) {
        if (!meet()) return 1;
        const Texts d = Texts::open_or_create(name.str(), {.heap_size = std::size_t{1} << 20, .load_from = path});
        if (!is_filled(d, kItems)) {
          say("round " + std::to_string(round) + ": " + std::to_string(d.size()) + " items");
          return 2;
        }
        if (!meet()) return 3;
      }
      return 0;
    }));
  }
  for (auto& opener : openers) SHARED_DICT_REQUIRE_ENDED_WELL(opener->wait());
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("kill -9 in saves leaves a whole file, and at most one beside it that the next save takes away") {
  constexpr std::uint64_t kItems = 3000;
  std::mt19937_64 random(test_seed());
  const UniqueName name;
  const Place place;
  const fs::path path = place.path() / "saved";
  Texts d = Texts::create(name.str(), {.heap_size = std::size_t{4} << 20});
  fill(d, kItems);
  d.save(path);
  Effort effort(kSanitized ? 25 : 100);
  std::uint64_t left = 0;
  while (effort.more()) {
    SharedArea<std::atomic<int>> begun;
    Forked saver([&](auto) {
      for (;;) {
        begun->fetch_add(1);
        d.save(path);
      }
      return Forked::kFailed;
    });
    REQUIRE(eventually([&] { return begun->load() > 1; }));
    wait_a_little(random, 5000);
    saver.kill();
    REQUIRE(saver.wait().signal == SIGKILL);
    const std::size_t files = entries_in(place.path());
    REQUIRE((files == 1 || files == 2));
    left += files - 1;
    d.load(path);
    REQUIRE(is_filled(d, kItems));
    if (effort.done() % 4 == 0) {
      d.save(path);
      REQUIRE(entries_in(place.path()) == 1);
    }
  }
  SHARED_DICT_REQUIRE_SOUND(d);
  report("kills in saves", {{"kills", effort.done()}, {"files left beside", left}});
  REQUIRE(left > 0);
}

TEST_CASE("who is killed in a save blocks no other one through a child that it has forked meanwhile") {
  const Place home;  // the child's child may live on for a moment, and then what was removed is for the next of the name to take away
  const UniqueName name(home.path());
  const Place place;
  const fs::path path = place.path() / "saved";
  Texts d = Texts::create(name.str(), {.heap_size = std::size_t{1} << 20, .directory = home.path()});
  fill(d, 10);
  const SharedArea<Steps> steps;
  Forked saver([&](auto) {
    std::thread saving([&] {
      d.save(path, [&](auto, auto) {
        steps->saving = 1;
        for (;;) ::pause();
      });
    });
    if (!eventually([&] { return steps->saving.load() != 0; })) return Forked::kFailed;
    if (::fork() == 0) {
      steps->forked = 1;
      eventually([&] { return steps->end.load() != 0; });
      steps->forked = 2;
      ::_exit(0);
    }
    for (;;) ::pause();
    return Forked::kFailed;
  });
  REQUIRE(eventually([&] { return steps->forked.load() == 1; }));
  saver.kill();
  REQUIRE(saver.wait().signal == SIGKILL);
  Texts impatient = Texts::attach(name.str(), {.lock_timeout = std::chrono::milliseconds(100), .directory = home.path()});
  impatient.save(path);
  REQUIRE(steps->forked.load() == 1);
  steps->end = 1;
  REQUIRE(eventually([&] { return steps->forked.load() == 2; }));
  REQUIRE(entries_in(place.path()) == 1);
}

TEST_CASE("kill -9 in the making of a dictionary from a file leaves none, and the next one makes it whole") {
  constexpr std::uint64_t kItems = 3000;
  std::mt19937_64 random(test_seed());
  const UniqueName name;
  const Place place;
  const fs::path path = place.path() / "saved";
  const Options options{.heap_size = std::size_t{4} << 20, .lifetime = Lifetime::persistent, .load_from = path};
  {
    Texts d = Texts::create(name.str(), options);
    fill(d, kItems);
    d.save(path);
  }
  Effort effort(kSanitized ? 37 : 150);
  std::uint64_t unfinished = 0;
  while (effort.more()) {
    shared_dict::remove(name.str());
    SharedArea<std::atomic<int>> begun;
    Forked maker([&](auto) {
      begun->store(1);
      const Texts d = Texts::open_or_create(name.str(), options);
      eventually([] { return false; }, kHangDeadline * 2);
      return Forked::kFailed;
    });
    REQUIRE(eventually([&] { return begun->load() != 0; }));
    wait_a_little(random, 4000);
    maker.kill();
    REQUIRE(maker.wait().signal == SIGKILL);
    const bool there = exists(name.str());
    unfinished += there ? 0 : 1;
    if (there) REQUIRE(is_filled(Texts::attach(name.str()), kItems));
    const Texts d = Texts::open_or_create(name.str(), options);
    REQUIRE(is_filled(d, kItems));
    if (effort.done() % 10 == 0) SHARED_DICT_REQUIRE_SOUND(d);
  }
  report("kills in the making from a file", {{"kills", effort.done()}, {"unfinished", unfinished}});
}
