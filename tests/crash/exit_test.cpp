// A program that ends in an orderly way while threads of it still write: the destructor of its handle, which has static
// storage, says goodbye for a process that has a lock in hand. Nobody else may be locked out by that.

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

// What the program does is wrong, and a sanitizer would rightly stop it before it comes to the point.
#ifndef SHARED_DICT_TEST_SANITIZED

namespace {

using Dict = SharedDict<std::uint64_t, std::string>;

constexpr std::uint64_t kKeys = 20;

Dict& static_handle(const std::string& name) {
  static Dict d = Dict::attach(name);
  return d;
}

/// args: name, seed
const RegisterChild kLeaver("exit: leaver", [](std::vector<std::string> args) -> int {
  static const std::string name = args.at(0);
  ::alarm(5);  // if its own end hangs on what the thread does meanwhile
  std::mt19937_64 random(std::stoull(args.at(1)));
  static_handle(name);
  std::thread([] {
    for (std::uint64_t turn = 1;; ++turn) {
      const std::uint64_t key = turn % kKeys;
      // Once the handle is gone, anything may come of it but a lock that stays.
      static_cast<void>(error_of([&] { static_handle(name).insert_or_assign(key, pattern_of(key, turn, 2000)); }));
    }
  }).detach();
  std::this_thread::sleep_for(std::chrono::microseconds(300 + random() % 2000));
  std::exit(0);
});

}  // namespace

TEST_CASE("a program that ends while a thread of it writes locks nobody out") {
  const UniqueName name;
  // One shard, so that the next writer wants the very lock.
  Dict d = Dict::create(name.str(), {.heap_size = 128 * 1024, .lock_timeout = std::chrono::seconds(5)});
  for (std::uint64_t key = 0; key < kKeys; ++key) d.insert(key, pattern_of(key, 0, 2000));
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (int round = 0; round < 50; ++round) {
    INFO("round " << round);
    // How it ends is its own affair: a signal is possible.
    Child::start("exit: leaver", {name.str(), std::to_string(random())}).wait();
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const auto value = d.get(key);
      REQUIRE(value.has_value());
      REQUIRE(version_in(*value, key).has_value());
      REQUIRE(error_of([&] { d.assign(key, pattern_of(key, 0, 2000)); }) == std::error_code());
    }
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

#endif
