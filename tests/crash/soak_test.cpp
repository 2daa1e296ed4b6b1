// A death a second, for as long as one likes: nothing may grow by any of them, in the dictionaries, in the file system, or in
// those that live on, and all work all the while.

#include <unistd.h>

#include <chrono>
#include <cstdint>

#include "crash/kill_arena.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict::test;

// Worker 0 lives through all of it. After each death everything is taken away, so that the memory that is left in use is exactly
// what a new dictionary has, and the next round begins with that.
TEST_CASE("deaths over and over make nothing grow", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  constexpr std::uint64_t kFirstRounds = 10;
  KillArena arena;
  arena.let_all_work(100);
  const std::size_t descriptors = open_descriptors(::getpid());
  const std::size_t survivors = open_descriptors(arena.pid_of(0));
  std::size_t committed = 0;
  Effort effort(kSanitized ? 15 : 60);
  const auto begin = std::chrono::steady_clock::now();
  while (effort.more()) {
    INFO("round " << effort.done());
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(1);
    const auto moment = static_cast<Moment>(arena.random() % (static_cast<std::uint64_t>(Moment::beginning) + 1));
    arena.kill_one(1 + arena.random() % (kWorkers - 1), moment);
    do {
      arena.let_all_work(100);
    } while (std::chrono::steady_clock::now() < end);
    // The records are counted in there, and all that is stored.
    arena.while_paused([&] {
      REQUIRE(open_descriptors(::getpid()) == descriptors);
      REQUIRE(open_descriptors(arena.pid_of(0)) == survivors);
      REQUIRE(arena.files() <= KillArena::kMostFiles);
      arena.empty_all();
      // How much is used at once depends on who does what when; but not on how many have died.
      if (effort.done() <= kFirstRounds) committed = arena.committed();
      REQUIRE(arena.committed() <= 2 * committed);
    });
  }
  arena.stop();
  const auto lasted = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin);
  report("soak", {{"seconds", static_cast<std::uint64_t>(lasted.count())},
                  {"kills", arena.counts().kills},
                  {"while a lock was held", arena.counts().with_lock},
                  {"operations", arena.operations()},
                  {"descriptors", survivors},
                  {"bytes at first", committed},
                  {"bytes at the end", arena.committed()}});
}
