// Linearizable, per key: whatever several processes do to a few keys at once, there is an order of it all, each operation between its
// call and its return, in which every answer is right. Some of the processes are killed in the middle: their last operation may have
// happened, at any time since, or not, but nothing in between.
//
// Processes record what they do (support/recorder.hpp), the judge looks for the order (support/linearizability.hpp). Dictionaries that
// are broken on purpose show that it would be noticed.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/linearizability.hpp"
#include "support/recorder.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Strings = SharedDict<std::uint64_t, std::string>;

struct Game {
  std::size_t players;
  std::size_t calls;  ///< of each player
  std::size_t keys;
  std::size_t heap_size;
  ClockKind clock;
  bool inherit;       ///< players use the handle that they were forked with, else they attach
  std::size_t kills;  ///< as many players die in the middle
};

Game random_game(std::mt19937_64& random) {
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  return {.players = 2 + below(5),
          .calls = 2000,
          .keys = 1 + below(kHotKeys),
          // With one shard, or several.
          .heap_size = random() % 2 == 0 ? std::size_t{127} * 1024 : std::size_t{4} << 20,
          .clock = random() % 4 == 0 ? ClockKind::counter : ClockKind::time,
          .inherit = random() % 2 == 0,
          .kills = below(3)};
}

struct Totals {
  std::uint64_t kills = 0;
  std::uint64_t recoveries = 0;
  std::uint64_t by_counter = 0;  ///< operations that a counter has ordered
  Verdict verdict;
};

/// `Dict` is `Base`, or something that pretends to be.
template <class Dict, class Base>
void play(const SharedArea<Logs>& logs, const Game& game, std::mt19937_64& random, Totals& totals) {
  INFO(game.players << " players, " << game.keys << " keys, heap_size " << game.heap_size << ", clock "
                    << static_cast<int>(game.clock) << (game.inherit ? ", inherited" : "") << ", " << game.kills
                    << " kills");
  const UniqueName name;
  Base base = Base::create(name.str(), {.heap_size = game.heap_size});
  for (Log& log : logs->of) log.begun = 0;
  std::vector<KeyState> initial(game.keys);
  for (std::uint64_t key = 0; key < game.keys; key += 2) {
    initial[key] = 100 + key;
    base.insert(key, Numbered<typename Base::mapped_type>::make(key, 100 + key));
  }

  const StartBarrier barrier;
  std::vector<std::unique_ptr<Forked>> children;
  for (std::size_t i = 0; i < game.players; ++i) {
    const std::uint64_t seed = random();
    children.push_back(std::make_unique<Forked>([&, i, seed](const auto&) {
      Dict dict(game.inherit ? std::move(base) : Base::attach(name.str()));
      Player<Dict> player(dict, Recorder(*logs, i, game.clock), i, game.keys, seed);
      barrier.arrive_and_wait();
      player.play(game.calls);
      return 0;
    }));
  }
  barrier.open_for(static_cast<unsigned>(game.players));
  for (std::size_t i = 0; i < game.kills; ++i) {
    const std::uint64_t moment = random() % (game.calls / 2);
    REQUIRE(eventually([&] { return logs->of[i].begun.load() >= moment; }));
    children[i]->kill();
  }
  for (std::size_t i = 0; i < game.players; ++i) {
    const Ending ending = children[i]->wait();
    const bool killed = i < game.kills && ending.signal == SIGKILL;
    totals.kills += killed ? 1U : 0U;
    if (!killed) SHARED_DICT_REQUIRE_ENDED_WELL(ending);
  }
  // Before and after what a dead process left has been put in order.
  Player<Base> last(base, Recorder(*logs, kRecorders - 1, game.clock), kRecorders - 1, game.keys, random());
  last.read_all();
  last.write_all();
  last.read_all();
  SHARED_DICT_REQUIRE_SOUND(base);
  last.read_all();
  totals.recoveries += base.stats().recoveries;

  std::vector<Operation> history;
  for (const Log& log : logs->of) history.insert(history.end(), log.operations, log.operations + log.begun.load());
  const Verdict verdict = judge(history, initial);
  if (game.clock == ClockKind::counter) totals.by_counter += verdict.operations;
  totals.verdict.add(verdict);
}

}  // namespace

TEST_CASE("what several processes do to a few keys is linearizable, also when some are killed", "[long]") {
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  const SharedArea<Logs> logs;
  Totals totals;
  Effort effort(kSanitized ? 30 : 200);
  while (effort.more()) {
    INFO("round " << effort.done());
    const Game game = random_game(random);
    if (effort.done() % 2 == 0) {
      play<Numbers, Numbers>(logs, game, random, totals);
    } else {
      play<Strings, Strings>(logs, game, random, totals);
    }
    INFO(totals.verdict.why);
    REQUIRE(totals.verdict.linearizable);
  }
  REQUIRE(totals.verdict.overlapping > totals.verdict.operations / 10);
  report("linearizable histories", {{"rounds", effort.done()},
                                    {"operations", totals.verdict.operations},
                                    {"overlapping pairs", totals.verdict.overlapping},
                                    {"ordered by a counter", totals.by_counter},
                                    {"kills", totals.kills},
                                    {"recoveries", totals.recoveries},
                                    {"changes cut short by them", totals.verdict.undecided},
                                    {"of these seen to have happened", totals.verdict.undecided_seen}});
}

namespace {

/// Looks a key up that it has seen before, and now and then tells what it was then.
struct Stale : Numbers {
  explicit Stale(Numbers&& base) : Numbers(std::move(base)) {}
  std::optional<std::uint64_t> get(std::uint64_t key) {
    std::optional<std::uint64_t>& known = cache[key];
    if (++calls % 50 != 0) known = Numbers::get(key);
    return known;
  }
  std::uint64_t calls = 0;
  std::optional<std::uint64_t> cache[kHotKeys];
};

/// Adds in two steps.
struct TwoSteps : Numbers {
  explicit TwoSteps(Numbers&& base) : Numbers(std::move(base)) {}
  std::uint64_t fetch_add(std::uint64_t key, std::uint64_t delta) {
    const std::uint64_t before = Numbers::get(key, 0);
    Numbers::insert_or_assign(key, before + delta);
    return before;
  }
};

/// Takes out in two steps.
struct Taken : Numbers {
  explicit Taken(Numbers&& base) : Numbers(std::move(base)) {}
  std::optional<std::uint64_t> extract(std::uint64_t key) {
    const auto value = Numbers::get(key);
    Numbers::erase(key);
    return value;
  }
};

/// Returns before its store can be seen by others, as a processor does: it comes with the next operation. Itself it sees it.
struct Late : Numbers {
  explicit Late(Numbers&& base) : Numbers(std::move(base)) {}
  ~Late() { flush(); }
  bool assign(std::uint64_t key, std::uint64_t value) {
    flush();
    const bool found = Numbers::contains(key);
    if (found) pending.emplace(key, value);
    return found;
  }
  std::optional<std::uint64_t> get(std::uint64_t key) {
    if (pending && pending->first == key) flush();
    const auto value = Numbers::get(key);
    flush();
    return value;
  }
  void flush() {
    if (pending) Numbers::assign(pending->first, pending->second);
    pending.reset();
  }
  std::optional<std::pair<std::uint64_t, std::uint64_t>> pending;
};

/// Games until the judge has noticed; it must within some.
template <class Broken>
void is_caught() {
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  const SharedArea<Logs> logs;
  Totals totals;
  for (int round = 0; round < 100 && totals.verdict.linearizable; ++round) {
    Game game = random_game(random);
    game.kills = 0;  // whoever dies here in two steps has done neither
    play<Broken, Numbers>(logs, game, random, totals);
  }
  REQUIRE_FALSE(totals.verdict.linearizable);
  REQUIRE_FALSE(totals.verdict.why.empty());
}

}  // namespace

TEST_CASE("a dictionary that answers from a cache is caught") { is_caught<Stale>(); }

TEST_CASE("a dictionary that adds in two steps is caught") { is_caught<TwoSteps>(); }

TEST_CASE("a dictionary that takes out in two steps is caught") { is_caught<Taken>(); }

TEST_CASE("a dictionary that returns before others can see its store is caught") { is_caught<Late>(); }
