// A death after the other, for as long as one likes: nothing may grow by any of them, in the dictionaries, in the file system, or in
// those that live on.

#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "crash/kill_arena.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"

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
  Effort effort(60);
  while (effort.more()) {
    INFO("round " << effort.done());
    const auto moment = static_cast<Moment>(arena.random() % (static_cast<std::uint64_t>(Moment::beginning) + 1));
    arena.kill_one(1 + arena.random() % (kWorkers - 1), moment);
    arena.let_all_work(100);
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
  report("soak", {{"kills", arena.counts().kills},
                  {"while a lock was held", arena.counts().with_lock},
                  {"operations", arena.operations()},
                  {"descriptors", survivors},
                  {"bytes at first", committed},
                  {"bytes at the end", arena.committed()}});
}
