// Several processes create, attach, remove, close and die at random on a few names. Whatever they meet of each other, every
// call ends in success or in one of the answers that the contract has for it, and in the end nothing is left: no directory,
// no descriptor, no mapping.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr unsigned kProcesses = 4;
constexpr int kTurns = 800;

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

std::size_t mappings_of_segments() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("shared_dict.") != std::string::npos ? 1U : 0U;
  return count;
}

struct Storm {
  std::string place;
  std::mt19937_64 random;
  std::vector<Numbers> open;

  std::string any_name() { return "storm" + std::to_string(random() % 3); }

  Options options() {
    return {.heap_size = 1 << 18,
            .lifetime = random() % 4 == 0 ? Lifetime::persistent : Lifetime::attached,
            .directory = place};
  }

  /// Does one thing at random. Throws an Error that was not among the answers that it may get.
  void step() {
    const auto only = [](std::initializer_list<errc> permitted, auto&& call) {
      try {
        call();
      } catch (const Error& error) {
        if (std::find(permitted.begin(), permitted.end(), error.code()) == permitted.end()) throw;
      }
    };
    switch (random() % 8) {
      case 0: return only({errc::already_exists}, [&] { open.push_back(Numbers::create(any_name(), options())); });
      case 1: return only({errc::not_found}, [&] { open.push_back(Numbers::attach(any_name(), options())); });
      case 2: return only({}, [&] { open.push_back(Numbers::open_or_create(any_name(), options())); });
      case 3: return only({}, [&] { shared_dict::remove(any_name(), place); });
      case 4: return only({}, [&] { exists(any_name(), place); });
      case 5: return only({}, [&] { list(place); });
      default: return only({}, [&] { use_one(); });
    }
  }

  void use_one() {
    if (open.empty()) return;
    const std::size_t which = random() % open.size();
    open[which].fetch_add(random() % 50, 1);
    if (random() % 10 == 0) open[which].clear();
    if (random() % 2 == 0 || open.size() > 6) open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
  }
};

/// args: place, number, seed
const RegisterChild kStorm("storm: member", [](std::vector<std::string> args) {
  const std::size_t descriptors = open_descriptors();
  Storm storm{args.at(0), std::mt19937_64(std::stoull(args.at(2)) + std::stoull(args.at(1))), {}};
  for (int turn = 0; turn < kTurns; ++turn) storm.step();
  storm.open.clear();
  if (open_descriptors() != descriptors || mappings_of_segments() != 0) {
    std::fprintf(stderr, "storm: %zu descriptors instead of %zu, %zu mappings\n", open_descriptors(), descriptors,
                 mappings_of_segments());
    return 2;
  }
  return 0;
});

void storm_with_kills(int kills) {
  const Place place;
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  unsigned number = 0;
  const auto start = [&] {
    return Child::start("storm: member",
                        {place.path().string(), std::to_string(number++), std::to_string(test_seed())});
  };
  std::vector<Child> children;
  for (unsigned i = 0; i < kProcesses; ++i) children.push_back(start());
  for (int i = 0; i < kills; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 12'000));
    Child& victim = children[random() % kProcesses];
    victim.kill();
    const int status = victim.wait();
    REQUIRE((status == -SIGKILL || status == 0));
    victim = start();
  }
  for (Child& child : children) REQUIRE(child.wait() == 0);

  // What is there now is what the members left as persistent ones, or what a killed one had open: the first is whole, the
  // second counts as gone, and each of the names is good for a new start.
  for (const std::string& name : list(place.path())) {
    REQUIRE(exists(name, place.path()));
    const Numbers d = Numbers::attach(name, {.directory = place.path()});
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  for (int i = 0; i < 3; ++i) {
    const std::string name = "storm" + std::to_string(i);
    shared_dict::remove(name, place.path());
    REQUIRE_FALSE(exists(name, place.path()));
    Numbers d = Numbers::create(name, {.heap_size = 1 << 18, .directory = place.path()});
    d.insert(1, 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(list(place.path()).empty());
  REQUIRE(fs::is_empty(place.path()));
}

}  // namespace

TEST_CASE("a storm of creating, attaching, removing and closing ends with nothing left") { storm_with_kills(0); }

TEST_CASE("a storm in which members are killed at random ends with nothing left") { storm_with_kills(60); }

TEST_CASE("a process that opens and closes many times keeps no descriptor and no mapping") {
  const Place place;
  const std::size_t descriptors = open_descriptors();
  const std::size_t mappings = mappings_of_segments();
  for (int i = 0; i < 300; ++i) {
    Numbers d = Numbers::open_or_create("name", {.heap_size = 1 << 18, .directory = place.path()});
    Numbers other = Numbers::attach("name", {.directory = place.path()});
    d.insert(1, 1);
    REQUIRE_THROWS(Numbers::create("name", {.heap_size = 1 << 18, .directory = place.path()}));
    REQUIRE_THROWS(SharedDict<int, int>::attach("name", {.directory = place.path()}));
    REQUIRE_THROWS(Numbers::attach("another", {.directory = place.path()}));
    REQUIRE(exists("name", place.path()));
  }
  REQUIRE(open_descriptors() == descriptors);
  REQUIRE(mappings_of_segments() == mappings);
  REQUIRE(fs::is_empty(place.path()));
}
