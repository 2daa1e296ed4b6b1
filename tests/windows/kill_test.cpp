// TerminateProcess in the middle of everything, Windows's kill -9: the workers, journals and books of tests/crash/kill_test.cpp, with
// children that start the program anew instead of being forked, and no stopping them at a chosen store.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/kill_books.hpp"
#include "crash/kill_worker.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

/// args: journals, worker, seed, the names of the dictionaries
const RegisterChild kWorker("windows kill: worker", [](std::vector<std::string> args) {
  const auto journals = SharedArea<Journals>::from_token(args.at(0));
  const Options options{.lock_timeout = kHangDeadline};
  Texts texts = Texts::attach(args.at(3), options);
  Numbers numbers = Numbers::attach(args.at(4), options);
  Sets sets = Sets::attach(args.at(5), options);
  return Worker(texts, numbers, sets, *journals, std::stoull(args.at(1)), std::stoull(args.at(2))).run();
});

/// Who sees to all the dead. args: the names of the dictionaries
const RegisterChild kNewcomer("windows kill: newcomer", [](std::vector<std::string> args) {
  Texts::attach(args.at(0));
  Numbers::attach(args.at(1));
  Sets::attach(args.at(2));
  return 0;
});

class Arena {
 public:
  Arena() : random_(test_seed()) {
    for (std::size_t i = 0; i < kWorkers; ++i) start(i);
    for (Journal& journal : books_.journals->of) journal.go = 1;
  }

  void let_work(std::size_t worker, std::uint64_t operations) {
    const std::uint64_t target = books_.journals->of[worker].operations.load() + operations;
    wait_for(worker, [&] { return books_.journals->of[worker].operations.load() >= target; });
  }

  /// In a callback, with the lock of a key, or wherever it is.
  void kill_one(std::size_t victim, bool in_callback) {
    Journal& journal = books_.journals->of[victim];
    let_work(victim, 3);
    if (in_callback) {
      journal.asked_to_hold = 1;
      wait_for(victim, [&] { return journal.holding.load() != 0; });
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 3000));
    }
    Child& worker = *workers_[victim];
    worker.kill();
    REQUIRE(worker.wait() == -SIGKILL);
    ++kills;
    inside += in_callback ? 1U : 0U;
    journal.go = 0;
    journal.asked_to_hold = 0;
    journal.holding = 0;
    const auto pid = worker.pid();
    start(victim);  // which recovers what the dead one held
    REQUIRE(eventually([&] {
      books_.for_each_stage([](auto& stage) { stage.write_probes(); });
      return !books_.holds_lock(pid);
    }));
    books_.settle(victim, in_callback);
    journal.go = 1;
  }

  /// All workers are between two operations, and nothing but what is acknowledged is there.
  void check() {
    books_.journals->pause = 1;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return books_.journals->of[i].paused.load() != 0; });
    REQUIRE(Child::start("windows kill: newcomer", names()).wait() == 0);
    books_.check_all();
    books_.journals->pause = 0;
    for (std::size_t i = 0; i < kWorkers; ++i) wait_for(i, [&] { return books_.journals->of[i].paused.load() == 0; });
  }

  void stop() {
    books_.journals->stop = 1;
    for (auto& worker : workers_) REQUIRE(worker->wait() == 0);
  }

  std::uint64_t random() { return random_(); }
  std::uint64_t operations() const {
    std::uint64_t sum = 0;
    for (const Journal& journal : books_.journals->of) sum += journal.operations.load();
    return sum;
  }

  std::uint64_t kills = 0;
  std::uint64_t inside = 0;

 private:
  std::vector<std::string> names() {
    std::vector<std::string> all;
    books_.for_each_stage([&](auto& stage) { all.emplace_back(stage.dict.name()); });
    return all;
  }
  void start(std::size_t worker) {
    std::vector<std::string> args{books_.journals.token(), std::to_string(worker), std::to_string(test_seed() + ++lives_)};
    for (std::string& name : names()) args.push_back(std::move(name));
    workers_[worker].emplace(Child::start("windows kill: worker", args));
  }

  template <class Condition>
  void wait_for(std::size_t worker, Condition condition) {
    Journal& journal = books_.journals->of[worker];
    const bool reached = eventually([&] { return condition() || journal.failed.load() != 0; });
    INFO("worker " << worker);
    REQUIRE(journal.failed.load() == 0);  // it says what it found on standard error
    REQUIRE(reached);
  }

  Books books_;
  std::mt19937_64 random_;
  std::uint64_t lives_ = 0;
  std::array<std::optional<Child>, kWorkers> workers_;
};

}  // namespace

TEST_CASE("terminated processes lose nothing that was acknowledged and lock nobody out") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  Arena arena;
  Effort effort(100);
  while (effort.more()) {
    INFO("after " << arena.kills << " kills");
    arena.kill_one(arena.random() % kWorkers, arena.random() % 3 == 0);
    if (effort.done() % 25 == 0) arena.check();
  }
  for (std::size_t i = 0; i < kWorkers; ++i) arena.let_work(i, 5);
  arena.check();
  arena.stop();
  report("terminated on Windows",
         {{"kills", arena.kills}, {"of them inside a callback", arena.inside}, {"operations", arena.operations()}});
}
