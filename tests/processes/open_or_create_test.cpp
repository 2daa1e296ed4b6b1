// Starting together and leaving together: processes that open the same name at the same instant are always in one
// dictionary, and the next ones to come never find half of a dictionary that is just going.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr unsigned kProcesses = 6;
#if defined(_WIN32)
constexpr unsigned kRounds = 20;  // of a twentieth of a second each under wine
constexpr unsigned kVisits = 20;
#else
constexpr unsigned kRounds = 200;
constexpr unsigned kVisits = 2000;
#endif

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

struct Steps {
  std::atomic<unsigned> arrived;
};

/// All processes meet here again and again.
void meet(const SharedArea<Steps>& steps, unsigned& met) {
  steps->arrived.fetch_add(1);
  met += kProcesses;
  if (!eventually([&] { return steps->arrived.load() >= met; })) throw std::runtime_error("the others did not come");
}

Options options_in(const std::string& place, Lifetime lifetime = Lifetime::attached) {
  return {.heap_size = 1 << 20, .lifetime = lifetime, .directory = place};
}

/// Comes and goes without waiting for anybody. args: place, area
const RegisterChild kImpatient("open_or_create: impatient", [](std::vector<std::string> args) {
  const auto steps = SharedArea<Steps>::from_token(args.at(1));
  unsigned met = 0;
  meet(steps, met);
  Options options = options_in(args.at(0));
  options.lock_timeout = std::chrono::milliseconds(0);
  for (unsigned i = 0; i < kVisits; ++i) {
    const std::error_code code = error_of([&] { Numbers::open_or_create("name", options).fetch_add(1, 1); });
    if (code && code != errc::lock_timeout) throw std::system_error(code);
  }
  return 0;
});

/// args: place, area
const RegisterChild kOpener("open_or_create: opener", [](std::vector<std::string> args) {
  const auto steps = SharedArea<Steps>::from_token(args.at(1));
  unsigned met = 0;
  for (unsigned round = 0; round < kRounds; ++round) {
    meet(steps, met);
    Numbers d = Numbers::open_or_create("name", options_in(args.at(0)));
    d.fetch_add(1, 1);
    meet(steps, met);
    if (d.at(1) != kProcesses || d.size() != 1) {
      std::fprintf(stderr, "round %u: %llu instead of %u\n", round, static_cast<unsigned long long>(d.at(1)),
                   kProcesses);
      return 1;
    }
    if (round % 20 == 0 && !d.audit().ok()) return 2;
    meet(steps, met);
    // All leave at once; the last one removes it.
  }
  return 0;
});

struct Visits {
  static constexpr unsigned kEach = 400;
  struct Visit {
    std::uint64_t dictionary;  ///< which one it was: the number that the first visitor left
    std::uint64_t turn;        ///< how many were there before
  };
  Visit visits[kProcesses][kEach];
};

/// Opens and leaves as fast as it can. args: place, area, number
const RegisterChild kVisitor("open_or_create: visitor", [](std::vector<std::string> args) {
  const auto area = SharedArea<Visits>::from_token(args.at(1));
  const std::uint64_t self = std::stoull(args.at(2));
  for (std::uint64_t i = 0; i < Visits::kEach; ++i) {
    Numbers d = Numbers::open_or_create("name", options_in(args.at(0)));
    d.insert(0, (self + 1) * 1'000'000 + i);
    area->visits[self][i] = {d.at(0), d.fetch_add(1, 1)};
    if (d.stats().processes < 1 || d.stats().processes > kProcesses) return 1;
  }
  return 0;
});

/// create only: of all that try at once, one succeeds. args: place, area, wins
const RegisterChild kCreator("open_or_create: creator", [](std::vector<std::string> args) {
  const auto steps = SharedArea<Steps>::from_token(args.at(1));
  const auto wins = SharedArea<std::atomic<unsigned>>::from_token(args.at(2));
  unsigned met = 0;
  for (unsigned round = 0; round < kRounds / 2; ++round) {
    meet(steps, met);
    std::optional<Numbers> d;
    const auto code = error_of([&] { d.emplace(Numbers::create("name", options_in(args.at(0)))); });
    if (code && code != errc::already_exists) {
      std::fprintf(stderr, "create: %s\n", code.message().c_str());
      return 1;
    }
    if (!code) wins->fetch_add(1);
    meet(steps, met);
    // attach finds the whole dictionary or, never, half of one.
    if (!d) d.emplace(Numbers::attach("name", options_in(args.at(0))));
    d->fetch_add(1, 1);
    meet(steps, met);
    if (d->at(1) != kProcesses) return 2;
    meet(steps, met);
  }
  return 0;
});

}  // namespace

TEST_CASE("six processes that open the same name at the same instant are in one dictionary, two hundred times") {
  const Place place;
  const SharedArea<Steps> steps;
  std::vector<Child> children;
  for (unsigned i = 0; i < kProcesses; ++i) {
    children.push_back(Child::start("open_or_create: opener", {place.path().string(), steps.token()}));
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);
  REQUIRE(steps->arrived.load() == kProcesses * kRounds * 3);
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("processes that come and go at random never share a turn in one dictionary") {
  const Place place;
  const SharedArea<Visits> area;
  std::vector<Child> children;
  for (unsigned i = 0; i < kProcesses; ++i) {
    children.push_back(
        Child::start("open_or_create: visitor", {place.path().string(), area.token(), std::to_string(i)}));
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);

  // Within each dictionary the turns are 0, 1, 2, … without a gap and without a double.
  std::map<std::uint64_t, std::set<std::uint64_t>> turns;
  for (const auto& visits : area->visits) {
    for (const auto& [dictionary, turn] : visits) {
      REQUIRE(dictionary != 0);
      INFO("dictionary " << dictionary << ", turn " << turn);
      REQUIRE(turns[dictionary].insert(turn).second);
    }
  }
  for (const auto& [dictionary, seen] : turns) {
    INFO("dictionary " << dictionary);
    REQUIRE(*seen.rbegin() == seen.size() - 1);
  }
  REQUIRE(std::filesystem::is_empty(place.path()));
}

// Between finding a guard's file there and opening it, the other one may have removed it.
TEST_CASE("open_or_create never says that there is no such dictionary, however little it may wait") {
  const Place place;
  const SharedArea<Steps> steps;
  std::vector<Child> children;
  for (unsigned i = 0; i < kProcesses; ++i) {
    children.push_back(Child::start("open_or_create: impatient", {place.path().string(), steps.token()}));
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);
  Numbers::open_or_create("name", options_in(place.path().string())).close();
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("of six processes that create the same name at the same instant one succeeds, and the others can attach") {
  const Place place;
  const SharedArea<Steps> steps;
  const SharedArea<std::atomic<unsigned>> wins;
  std::vector<Child> children;
  for (unsigned i = 0; i < kProcesses; ++i) {
    children.push_back(Child::start("open_or_create: creator", {place.path().string(), steps.token(), wins.token()}));
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);
  REQUIRE(wins->load() == kRounds / 2);
  REQUIRE(std::filesystem::is_empty(place.path()));
}
