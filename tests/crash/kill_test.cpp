// kill -9 in the middle of everything: whatever moment it hits, each operation that had returned is still there, the one that was in
// flight is either wholly there or not at all, and the survivors go on without anybody's help.

#include <unistd.h>

#include "crash/kill_arena.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict::test;

TEST_CASE("kills in the middle of everything lose nothing that was acknowledged and lock nobody out", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  KillArena arena;
  arena.let_all_work(20);
  const std::size_t descriptors = open_descriptors(::getpid());
  Effort effort(kSanitized ? 300 : 2000);
  while (effort.more()) {
    INFO("after " << arena.counts().kills << " kills");
    const std::uint64_t dice = arena.random() % 20;
    const Moment moment = dice < 5    ? Moment::inside
                          : dice < 9  ? Moment::stopped
                          : dice < 10 ? Moment::storing
                          : dice < 14 ? Moment::seen
                          : dice < 19 ? Moment::any
                                      : Moment::beginning;
    arena.kill_one(arena.random() % kWorkers, moment);
    if (effort.done() % 16 == 0) arena.let_all_work(1);
    if (effort.done() % 64 == 0) arena.while_paused([&] { REQUIRE(open_descriptors(::getpid()) == descriptors); });
    if (effort.done() % 1024 == 0) arena.while_paused([&] { arena.empty_all(); });
  }
  arena.let_all_work(20);
  arena.while_paused([&] { arena.empty_all(); });
  arena.stop();
  const KillCounts& counts = arena.counts();
  report("live kills", {{"kills", counts.kills},
                        {"while a lock was held", counts.with_lock},
                        {"of them inside a callback", counts.inside},
                        {"with a batch stored in part", counts.storing},
                        {"operations", arena.operations()},
                        {"recoveries", arena.recoveries()},
                        {"slowest recovery us", static_cast<std::uint64_t>(counts.slowest_recovery.count())},
                        {"in flight that happened", arena.happened()},
                        {"in flight that did not", arena.undone()}});
  REQUIRE(counts.with_lock * 3 >= counts.kills);
}
