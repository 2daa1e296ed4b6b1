// The judge of recorded histories (support/linearizability.hpp) is a part of a proof, so it is proved itself: it accepts what an atomic
// dictionary may do, however the operations overlap, and finds each kind of error that was planted.

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "support/catch.hpp"
#include "support/linearizability.hpp"
#include "support/seed.hpp"

using namespace shared_dict::test;

namespace {

/// Made by hand, for key 0: found(get, 1, 2, 7) is a get from time 1 to 2 that found 7.
Operation found(Call call, std::uint64_t invoked, std::uint64_t returned, std::uint64_t value = 0) {
  return {.call = call, .found = true, .value = value, .invoked = invoked, .returned = returned};
}
Operation missed(Call call, std::uint64_t invoked, std::uint64_t returned) {
  return {.call = call, .invoked = invoked, .returned = returned};
}
/// The same with something to store or to add.
Operation with(std::uint64_t operand, Operation operation, std::uint64_t other = 0) {
  operation.operand = operand;
  operation.other = other;
  return operation;
}
Operation killed(Call call, std::uint64_t invoked, std::uint64_t operand = 0, std::uint64_t other = 0) {
  return with(operand, missed(call, invoked, kNever), other);
}

bool linearizable(const std::vector<Operation>& history, const KeyState& initial = std::nullopt) {
  return judge(history, {initial}).linearizable;
}

constexpr auto kGet = Call::get;
constexpr auto kPut = Call::insert_or_assign;

}  // namespace

TEST_CASE("a read of what was written before is accepted, a stale one is not") {
  CHECK(linearizable({with(7, missed(kPut, 1, 2)), found(kGet, 3, 4, 7)}));
  CHECK_FALSE(linearizable({with(7, missed(kPut, 1, 2)), missed(kGet, 3, 4)}));
  CHECK_FALSE(linearizable({with(7, found(kPut, 1, 2)), found(kGet, 3, 4, 5)}, 5));
  CHECK_FALSE(linearizable({found(kGet, 1, 2, 6)}, 5));
}

TEST_CASE("a read beside a write may see either, but nobody sees the old value after the new one") {
  const Operation write = with(7, found(kPut, 10, 20));
  CHECK(linearizable({write, found(kGet, 11, 12, 5), found(kGet, 13, 14, 7)}, 5));
  CHECK(linearizable({write, found(kGet, 11, 12, 7), found(kGet, 13, 14, 7)}, 5));
  CHECK(linearizable({write, found(kGet, 11, 15, 7), found(kGet, 13, 16, 5)}, 5));
  CHECK_FALSE(linearizable({write, found(kGet, 11, 12, 7), found(kGet, 13, 14, 5)}, 5));
}

TEST_CASE("a return and a call at the same time overlap") {
  CHECK(linearizable({with(7, found(kPut, 10, 20)), found(kGet, 20, 25, 5)}, 5));
  CHECK_FALSE(linearizable({with(7, found(kPut, 10, 20)), found(kGet, 21, 25, 5)}, 5));
}

TEST_CASE("two who write one key and read before the other returned can't both miss") {
  CHECK_FALSE(linearizable({with(1, missed(kPut, 1, 2)), with(2, found(kPut, 1, 2)), missed(kGet, 3, 4)}));
  CHECK(linearizable({with(1, missed(kPut, 1, 2)), with(2, found(kPut, 1, 2)), found(kGet, 3, 4, 2)}));
  CHECK_FALSE(linearizable({with(1, missed(kPut, 1, 2)), with(2, found(kPut, 1, 2)), found(kGet, 3, 4, 1)}));
  CHECK_FALSE(linearizable({with(1, missed(kPut, 1, 2)), with(2, missed(kPut, 1, 2))}));
}

TEST_CASE("an addition that is lost is found") {
  const auto add = [](std::uint64_t before, std::uint64_t invoked, std::uint64_t returned) {
    return with(1, found(Call::fetch_add, invoked, returned, before));
  };
  CHECK(linearizable({add(0, 1, 5), add(1, 2, 6), found(kGet, 7, 8, 2)}));
  CHECK(linearizable({add(1, 1, 5), add(0, 2, 6), found(kGet, 7, 8, 2)}));
  CHECK_FALSE(linearizable({add(0, 1, 5), add(0, 2, 6)}));
  CHECK_FALSE(linearizable({add(0, 1, 5), add(1, 2, 6), found(kGet, 7, 8, 1)}));
  CHECK_FALSE(linearizable({add(1, 1, 2), add(0, 3, 4)}));
}

TEST_CASE("an erase that only some see is found") {
  const Operation erase = found(Call::erase, 10, 20);
  CHECK(linearizable({erase, found(kGet, 11, 12, 5), missed(kGet, 13, 14)}, 5));
  CHECK_FALSE(linearizable({erase, missed(Call::contains, 11, 12), found(kGet, 13, 14, 5)}, 5));
  CHECK_FALSE(linearizable({erase, found(Call::contains, 21, 22)}, 5));
}

TEST_CASE("an item that two take out, or two insert, is found") {
  CHECK(linearizable({found(Call::extract, 1, 4, 5), missed(Call::extract, 2, 5)}, 5));
  CHECK_FALSE(linearizable({found(Call::extract, 1, 4, 5), found(Call::extract, 2, 5, 5)}, 5));
  CHECK_FALSE(linearizable({found(Call::extract, 1, 4, 6)}, 5));
  CHECK(linearizable({with(1, missed(Call::insert, 1, 4)), with(2, found(Call::insert, 2, 5))}));
  CHECK_FALSE(linearizable({with(1, missed(Call::insert, 1, 4)), with(2, missed(Call::insert, 2, 5))}));
  CHECK_FALSE(linearizable({with(1, found(Call::insert, 1, 2)), found(kGet, 3, 4, 1)}, 5));
}

TEST_CASE("what modify and compare_exchange tell and leave must fit") {
  CHECK(linearizable({with(2, found(Call::modify, 1, 2, 5)), found(kGet, 3, 4, 7)}, 5));
  CHECK_FALSE(linearizable({with(2, missed(Call::modify, 1, 2))}, 5));
  CHECK(linearizable({with(2, missed(Call::modify_or_insert, 1, 2), 10), found(kGet, 3, 4, 12)}));
  CHECK_FALSE(linearizable({with(2, missed(Call::modify_or_insert, 1, 2), 10), found(kGet, 3, 4, 10)}));
  CHECK(linearizable({with(9, found(Call::compare_exchange, 1, 2, 5), 5), found(kGet, 3, 4, 9)}, 5));
  CHECK(linearizable({with(9, found(Call::compare_exchange, 1, 2, 5), 6), found(kGet, 3, 4, 5)}, 5));
  CHECK_FALSE(linearizable({with(9, found(Call::compare_exchange, 1, 2, 5), 6), found(kGet, 3, 4, 9)}, 5));
  CHECK_FALSE(linearizable({with(9, found(Call::compare_exchange, 1, 4, 5), 5),  //
                            with(8, found(Call::compare_exchange, 2, 5, 5), 5)},
                           5));
}

TEST_CASE("clear, erase_if and update count as changes of each key") {
  CHECK(linearizable({missed(Call::clear, 1, 2), missed(kGet, 3, 4)}, 5));
  CHECK_FALSE(linearizable({missed(Call::clear, 1, 2), found(kGet, 3, 4, 5)}, 5));
  CHECK(linearizable({found(Call::erase_if, 1, 2, 5), missed(kGet, 3, 4)}, 5));
  CHECK(linearizable({found(Call::erase_if, 1, 2, 6), found(kGet, 3, 4, 6)}, 6));
  CHECK_FALSE(linearizable({found(Call::erase_if, 1, 2, 6), missed(kGet, 3, 4)}, 6));
  CHECK_FALSE(linearizable({with(7, missed(Call::update, 1, 2)), found(kGet, 3, 4, 5)}, 5));
}

TEST_CASE("an undecided operation may never happen, happen at once, or long after its process died") {
  const Operation dead = killed(kPut, 10, 7);
  CHECK(linearizable({dead, found(kGet, 100, 101, 5), found(kGet, 200, 201, 5)}, 5));
  CHECK(linearizable({dead, found(kGet, 11, 12, 7), found(kGet, 200, 201, 7)}, 5));
  CHECK(linearizable({dead, found(kGet, 100, 101, 5), found(kGet, 200, 201, 7)}, 5));
  CHECK(linearizable({dead, with(6, found(kPut, 100, 101)), found(kGet, 200, 201, 7)}, 5));
}

TEST_CASE("an undecided operation doesn't happen before its call, nor twice, nor half") {
  const Operation dead = killed(kPut, 10, 7);
  CHECK_FALSE(linearizable({dead, found(kGet, 1, 9, 7)}, 5));
  CHECK(linearizable({dead, found(kGet, 1, 11, 7)}, 5));
  CHECK_FALSE(linearizable({dead, found(kGet, 11, 12, 7), found(kGet, 13, 14, 5)}, 5));
  CHECK_FALSE(linearizable({dead, found(kGet, 11, 12, 7), with(6, found(kPut, 13, 14)), found(kGet, 15, 16, 7)}, 5));
  CHECK_FALSE(linearizable({killed(Call::fetch_add, 10, 3), found(kGet, 20, 21, 11)}, 5));
  CHECK(linearizable({killed(Call::fetch_add, 10, 3), found(kGet, 20, 21, 8)}, 5));
  CHECK_FALSE(linearizable({killed(Call::erase, 10), missed(kGet, 20, 21), found(kGet, 22, 23, 5)}, 5));
}

TEST_CASE("an undecided operation does only what its call can do") {
  CHECK_FALSE(linearizable({killed(Call::insert, 10, 7), found(kGet, 20, 21, 7)}, 5));
  CHECK(linearizable({killed(Call::insert, 10, 7), found(Call::erase, 15, 16), found(kGet, 20, 21, 7)}, 5));
  CHECK_FALSE(linearizable({killed(Call::assign, 10, 7), found(kGet, 20, 21, 7)}));
  CHECK_FALSE(linearizable({killed(Call::compare_exchange, 10, 7, 6), found(kGet, 20, 21, 7)}, 5));
  CHECK(linearizable({killed(Call::compare_exchange, 10, 7, 5), found(kGet, 20, 21, 7)}, 5));
  CHECK_FALSE(linearizable({killed(Call::erase_if, 10), missed(kGet, 20, 21)}, 6));
}

TEST_CASE("several undecided operations happen in any order, each once") {
  const std::vector<Operation> dead = {killed(Call::fetch_add, 1, 1), killed(Call::fetch_add, 1, 10),
                                       killed(Call::fetch_add, 1, 100)};
  for (std::uint64_t sum = 0; sum < 130; ++sum) {
    std::vector<Operation> history = dead;
    history.push_back(found(kGet, 20, 21, 1000 + sum));
    const bool possible = sum % 10 <= 1 && sum / 10 % 10 <= 1 && sum / 100 <= 1;
    CHECK(linearizable(history, 1000) == possible);
  }
  const Verdict verdict = judge({dead[0], dead[1], dead[2], found(kGet, 20, 21, 1010)}, {1000});
  CHECK(verdict.undecided == 3);
  CHECK(verdict.undecided_seen == 1);
}

TEST_CASE("keys are judged each alone, and the pairs that overlap are counted") {
  Operation other = with(7, missed(kPut, 1, 4));
  other.key = 1;
  Operation stale = missed(kGet, 5, 6);
  stale.key = 1;
  CHECK(judge({with(7, missed(kPut, 1, 4)), other, stale}, {std::nullopt, std::nullopt}).linearizable == false);
  stale.key = 2;
  CHECK(judge({with(7, missed(kPut, 1, 4)), other, stale}, {std::nullopt, std::nullopt, std::nullopt}).linearizable);
  CHECK(judge({found(kGet, 1, 4, 5), found(kGet, 2, 3, 5), found(kGet, 4, 6, 5), found(kGet, 7, 8, 5)}, {5})
            .overlapping == 2);
}

namespace {

/// A history that an atomic register could have told: each operation happens at one moment, and lasts for some time around it.
std::vector<Operation> true_history(std::mt19937_64& random, std::size_t operations, std::uint64_t spread,
                                    std::size_t processes, std::uint64_t die_once_in) {
  std::vector<Operation> history;
  std::vector<std::uint64_t> free_at(processes, 0);
  KeyState state;
  for (std::uint64_t moment = spread; history.size() < operations; moment += 2) {
    const std::size_t process = random() % processes;
    if (free_at[process] >= moment) continue;
    Operation made{.call = static_cast<Call>(random() % 18), .process = static_cast<std::uint8_t>(process)};
    made.operand = 1 + random() % 4;
    made.other = random() % 4;
    if (made.call == Call::fetch_add) made.other = 0;
    made.found = state.has_value();
    made.value = state.value_or(0);
    state = after(made, state);
    made.invoked = std::max(free_at[process] + 1, moment - random() % spread);
    made.returned = moment + random() % spread;
    free_at[process] = made.returned;
    if (random() % die_once_in == 0) {  // its process dies behind the moment
      made.returned = kNever;
      free_at[process] = moment + spread;
    }
    history.push_back(made);
  }
  std::shuffle(history.begin(), history.end(), random);
  return history;
}

/// All orders, one after the other: slow, and simple enough to be believed. For a few operations.
bool some_order_explains(const std::vector<Operation>& history, std::vector<bool>& done, const KeyState& state) {
  std::uint64_t first_return = kNever;
  bool all = true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (done[i]) continue;
    first_return = std::min(first_return, history[i].returned);
    all = all && history[i].undecided();
  }
  if (all) return true;
  for (std::size_t i = 0; i < history.size(); ++i) {
    if (done[i] || history[i].invoked > first_return) continue;
    if (!history[i].undecided() && !agrees(history[i], state)) continue;
    done[i] = true;
    const bool explained = some_order_explains(history, done, after(history[i], state));
    done[i] = false;
    if (explained) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("long histories that are true are accepted") {
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (int round = 0; round < 40; ++round) {
    // Few die: what they left undecided stays possible for ever.
    const auto history = true_history(random, 2000, 1 + random() % 40, 2 + random() % 7, 1000);
    const Verdict verdict = judge(history, {std::nullopt});
    INFO(verdict.why);
    REQUIRE(verdict.linearizable);
  }
}

TEST_CASE("short histories are judged as by trying all orders") {
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (int round = 0; round < 40'000; ++round) {
    std::vector<Operation> history = true_history(random, 2 + random() % 7, 1 + random() % 12, 2 + random() % 4, 30);
    // Half of them with a lie.
    if (round % 2 == 0) {
      Operation& liar = history[random() % history.size()];
      switch (random() % 4) {
        case 0: liar.found = !liar.found; break;
        case 1: liar.value = random() % 4; break;
        case 2: liar.operand = random() % 4; break;
        default: liar.returned = random() % 8 == 0 ? kNever : liar.returned;
      }
    }
    std::vector<bool> done(history.size());
    const bool expected = some_order_explains(history, done, std::nullopt);
    const Verdict verdict = judge(history, {std::nullopt});
    if (verdict.linearizable != expected) {
      std::string all;
      for (const Operation& operation : history) all += text_of(operation) + "\n";
      INFO(all << verdict.why);
      REQUIRE(verdict.linearizable == expected);
    }
    ++(expected ? accepted : refused);
  }
  REQUIRE(accepted > 1000);
  REQUIRE(refused > 1000);
}
