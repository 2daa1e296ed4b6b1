// A view against a writer in another process that overwrites, erases and moves what is viewed, as fast as it can: no byte may change
// under a view, and no block may stay behind when the views are gone, also when they went with their process.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Values = SharedDict<std::uint64_t, std::string>;

constexpr std::uint64_t kKeys = 6;

struct Rounds {
  std::atomic<std::uint64_t> turns;  ///< of the writer
  std::atomic<int> stop;
  std::atomic<int> viewing;
};

/// Changes all keys, again and again, in every way that frees a value's memory. args: name, area, seed
const RegisterChild kWriter("view rounds: writer", [](std::vector<std::string> args) {
  Values d = Values::attach(args.at(0));
  const auto rounds = SharedArea<Rounds>::from_token(args.at(1));
  std::mt19937_64 random(std::stoull(args.at(2)));
  std::string value;
  std::string other;
  for (std::uint64_t version = 1; rounds->stop.load() == 0; ++version) {
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      make_pattern(key, version, random() % 50 == 0 ? 150'000 : 40 + random() % 400, value);
      switch (random() % 6) {
        case 0:
          d.erase(key);
          d.insert(key, value);
          break;
        case 1: d.modify(key, [&](std::string& stored) { stored = value; }); break;
        case 2:
          make_pattern(key + 1, version, 100, other);
          d.update({{key, value}, {(key + 1) % kKeys, key + 1 < kKeys ? other : pattern_of(0, version, 100)}});
          break;
        case 3: {
          auto loan = d.loan(key, value.size());
          value.copy(loan.span().data(), value.size());
          loan.publish();
          break;
        }
        default: d.insert_or_assign(key, value);
      }
    }
    if (version % 200 == 0) d.clear();
    rounds->turns.fetch_add(1);
  }
  return 0;
});

/// Views 100 values and stays so. args: name, area
const RegisterChild kViewer("view rounds: viewer", [](std::vector<std::string> args) {
  const Values d = Values::attach(args.at(0));
  const auto rounds = SharedArea<Rounds>::from_token(args.at(1));
  std::vector<View<std::string>> views;
  for (std::uint64_t key = 0; key < 100; ++key) views.push_back(d.view(key));
  rounds->viewing = 1;
  return eventually([] { return false; }) ? 0 : 1;  // until the kill
});

/// More than is replaced in place, and small, so that its block is soon written again.
struct Same {
  std::array<std::uint64_t, 8> words;

  static Same of(std::uint64_t word) {
    Same same{};
    same.words.fill(word);
    return same;
  }
};

using Sames = SharedDict<std::uint64_t, Same>;

/// Overwrites one value. args: name, area
const RegisterChild kOverwriter("view rounds: overwriter", [](std::vector<std::string> args) {
  Sames d = Sames::attach(args.at(0));
  const auto rounds = SharedArea<Rounds>::from_token(args.at(1));
  for (std::uint64_t n = 1; rounds->stop.load() == 0; ++n) {
    d.insert_or_assign(0, Same::of(n));
    rounds->turns.store(n);
  }
  return 0;
});

}  // namespace

// Whether the writer sees the pin, or the viewer the write, is decided within the time that a store needs to get out of a processor.
TEST_CASE("no word changes under short views of a value that is overwritten all the time") {
  constexpr int kViews = kSanitized ? 400'000 : 4'000'000;
  const UniqueName name;
  Sames d = Sames::create(name.str(), {.heap_size = 1 << 20});
  d.insert(0, Same::of(0));
  const SharedArea<Rounds> rounds;
  Child writer = Child::start("view rounds: overwriter", {name.str(), rounds.token()});
  REQUIRE(eventually([&] { return rounds->turns.load() != 0; }));
  int changed = 0;
  for (int i = 0; i < kViews && changed == 0; ++i) {
    const auto view = d.view(0);
    const volatile std::uint64_t& first = view->words.front();  // each look is one
    const volatile std::uint64_t& last = view->words.back();
    const std::uint64_t word = first;
    for (int looks = 0; looks < 20; ++looks) changed += last != word ? 1 : 0;
  }
  rounds->stop = 1;
  REQUIRE(writer.wait() == 0);
  REQUIRE(changed == 0);
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("no byte changes under ten thousand views that are overwritten, and nothing stays when they are gone") {
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = std::size_t{16} << 20});
  const SharedArea<Rounds> rounds;
  Child writer = Child::start("view rounds: writer", {name.str(), rounds.token(), std::to_string(test_seed())});
  INFO("SHARED_DICT_SEED=" << test_seed());
  REQUIRE(eventually([&] { return rounds->turns.load() != 0; }));
  std::mt19937_64 random(test_seed() + 1);
  struct Seen {
    std::uint64_t key = 0;
    View<std::string> view{};
    std::string copy{};
  };
  std::vector<Seen> seen(100);
  for (int round = 0; round < 100; ++round) {
    for (Seen& at : seen) {
      at.key = random() % kKeys;
      do {
        at.view = d.view(at.key);
      } while (!at.view);  // it was just erased
      at.copy = *at.view;
      if (!version_in(at.copy, at.key)) FAIL("round " << round << ": key " << at.key << " isn't whole");
    }
    // From its next turn on the writer has been through all keys.
    const std::uint64_t turns = rounds->turns.load() + 2;
    REQUIRE(eventually([&] { return rounds->turns.load() >= turns; }));
    std::shuffle(seen.begin(), seen.end(), random);
    for (Seen& at : seen) {
      if (*at.view != at.copy) FAIL("round " << round << ": key " << at.key << " has changed under its view");
      if (random() % 2 == 0) at.view = {};  // the others go when they are replaced
    }
  }
  rounds->stop = 1;
  REQUIRE(writer.wait() == 0);
  for (const Seen& at : seen) REQUIRE((!at.view || *at.view == at.copy));
  SHARED_DICT_REQUIRE_SOUND(d);
  seen.clear();
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a viewer that is stopped holds its values, one that is killed holds no memory") {
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (std::uint64_t key = 0; key < 100; ++key) d.insert(key, pattern_of(key, 1, 1000));
  const SharedArea<Rounds> rounds;
  Child viewer = Child::start("view rounds: viewer", {name.str(), rounds.token()});
  REQUIRE(eventually([&] { return rounds->viewing.load() != 0; }));
  viewer.kill(SIGSTOP);
  for (std::uint64_t key = 0; key < 100; ++key) d.assign(key, pattern_of(key, 2, 1000));
  REQUIRE(d.gc_stats().retired_blocks == 100);
  SHARED_DICT_REQUIRE_SOUND(d);
  const std::uint64_t recoveries = d.stats().recoveries;
  viewer.kill();
  REQUIRE(viewer.wait() == -SIGKILL);
  REQUIRE(eventually([&] { return d.gc_stats().retired_blocks == 0; }));
  REQUIRE(d.stats().recoveries == recoveries + 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("memory that only killed viewers held is there for the writer that needs it") {
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = 127 * 1024});
  // More than fits beside what is viewed if that were never freed: the segment has a bounded number of pages.
  const std::size_t size = 100'000;
  for (int round = 0; round < 30; ++round) {
    d.insert_or_assign(1, pattern_of(1, static_cast<std::uint64_t>(round), size));
    const SharedArea<Rounds> rounds;
    Child viewer = Child::start("view rounds: viewer", {name.str(), rounds.token()});
    REQUIRE(eventually([&] { return rounds->viewing.load() != 0; }));
    viewer.kill();
    REQUIRE(viewer.wait() == -SIGKILL);
    d.erase(1);
  }
  REQUIRE(d.insert(1, pattern_of(1, 1, size)));
  REQUIRE(eventually([&] { return d.gc_stats().retired_blocks == 0; }));
  SHARED_DICT_REQUIRE_SOUND(d);
}
