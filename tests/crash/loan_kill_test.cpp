// kill -9 anywhere between taking a loan and having published or dropped it, with views held on the way: what was published is whole,
// what wasn't has never been, and not one block stays behind.

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/pages.hpp"
#include "support/pattern.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Values = SharedDict<std::uint64_t, std::string>;

constexpr std::size_t kWriters = 3;
constexpr std::uint64_t kOwnKeys = 20;

enum class Step : std::uint32_t { none, loaned, half_filled, filled, published, dropped };

/// One writer's, all its lives together.
struct Journal {
  std::array<std::atomic<std::uint64_t>, kOwnKeys> version;  ///< that is stored, 0 for none
  std::atomic<std::uint64_t> pending_key;                    ///< whose loan is being published, plus 1; 0: none
  std::atomic<std::uint64_t> last_version;
  std::atomic<std::uint64_t> loans;
  std::atomic<Step> hold_at;  ///< where the test wants it to stay
  std::atomic<Step> holding;
};

struct Journals {
  std::array<Journal, kWriters> of;
  std::atomic<int> stop;
};

std::uint64_t key_of(std::size_t writer, std::uint64_t key) { return writer * kOwnKeys + key; }

void write(Values& d, Journal& journal, std::size_t self, std::mt19937_64& random) {
  const auto came_to = [&](Step step) {
    if (journal.hold_at.load() != step) return;
    journal.holding = step;
    for (;;) ::pause();  // until the kill
  };
  std::string value;
  // What somebody else looks at, and may be replacing at this moment.
  const View<std::string> view = d.view(random() % (kWriters * kOwnKeys));
  const std::uint64_t key = random() % kOwnKeys;
  const std::uint64_t version = journal.last_version.fetch_add(1) + 1;
  make_pattern(key_of(self, key), version, version % 13 == 0 ? 140'000 : 32 + random() % 1500, value);
  auto loan = d.loan(key_of(self, key), value.size());
  journal.loans.fetch_add(1);
  came_to(Step::loaned);
  value.copy(loan.span().data(), value.size() / 2);
  came_to(Step::half_filled);
  value.copy(loan.span().data(), value.size());
  came_to(Step::filled);
  if (random() % 3 == 0) {
    loan = {};
    came_to(Step::dropped);
    if (random() % 4 == 0) {
      journal.pending_key = key + 1;
      d.erase(key_of(self, key));
      journal.version[key] = 0;
      journal.pending_key = 0;
    }
    return;
  }
  journal.pending_key = key + 1;
  loan.publish();
  journal.version[key] = version;
  journal.pending_key = 0;
  came_to(Step::published);
}

}  // namespace

TEST_CASE("kills between a loan and its end leave whole values and no block", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  const UniqueName name;
  Values d = Values::create(name.str(), {.heap_size = std::size_t{8} << 20});
  const SharedArea<Journals> journals;
  std::mt19937_64 random(test_seed());
  std::uint64_t lives = 0;
  const auto start = [&](std::size_t self) {
    return std::make_unique<Forked>([&d, &journals, self, seed = test_seed() + ++lives](auto) {
      std::mt19937_64 own(seed);
      while (journals->stop.load() == 0) write(d, journals->of[self], self, own);
      return 0;
    });
  };
  std::array<std::unique_ptr<Forked>, kWriters> writers;
  for (std::size_t i = 0; i < kWriters; ++i) writers[i] = start(i);

  const auto settle = [&](std::size_t writer) {
    Journal& journal = journals->of[writer];
    for (std::uint64_t key = 0; key < kOwnKeys; ++key) {
      INFO("writer " << writer << ", key " << key);
      const auto value = d.get(key_of(writer, key));
      const auto version = value ? version_in(*value, key_of(writer, key)) : std::optional<std::uint64_t>(0);
      REQUIRE(version.has_value());  // it is whole
      const std::uint64_t last = journal.version[key].load();
      const bool pending = journal.pending_key.load() == key + 1;
      const bool as_told = *version == last || (pending && (*version == journal.last_version.load() || *version == 0));
      REQUIRE(as_told);
      journal.version[key] = *version;
    }
    journal.pending_key = 0;
  };

  Effort effort(200);
  std::uint64_t held = 0;
  while (effort.more()) {
    const std::uint64_t kill = effort.done();
    INFO("kill " << kill);
    const std::size_t victim = random() % kWriters;
    Journal& journal = journals->of[victim];
    const std::uint64_t more = journal.loans.load() + 2;
    REQUIRE(eventually([&] { return journal.loans.load() >= more; }));
    if (kill % 4 == 0) {  // certainly there
      journal.hold_at = static_cast<Step>(1 + kill / 4 % 5);
      REQUIRE(eventually([&] { return journal.holding.load() != Step::none; }));
      ++held;
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(random() % 500));
    }
    writers[victim]->kill();
    REQUIRE(writers[victim]->wait().signal == SIGKILL);
    journal.hold_at = Step::none;
    journal.holding = Step::none;
    settle(victim);
    if (kill % 20 == 19) SHARED_DICT_REQUIRE_SOUND(d);  // while the others go on
    writers[victim] = start(victim);
  }
  journals->stop = 1;
  for (auto& writer : writers) SHARED_DICT_REQUIRE_ENDED_WELL(writer->wait());
  std::size_t items = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < kWriters; ++i) settle(i);
  for (const auto& [key, value] : d) {
    ++items;
    bytes += sizeof key + value.size();
  }
  // Nobody views or loans anything now.
  REQUIRE(eventually([&] { return d.gc_stats().retired_blocks == 0; }));
  SHARED_DICT_REQUIRE_SOUND(d);
  REQUIRE(d.size() == items);
  REQUIRE(d.stats().heap_used == bytes);
  report("kills between a loan and its end",
         {{"kills", effort.done()}, {"of them at a certain step", held}, {"recoveries", d.stats().recoveries}});

  // And all memory but that of the tables is free when nothing is stored.
  d.clear();
  const auto attachment = detail::Lifecycle(name.str(), {}, kHangDeadline)
                              .open(detail::OpenMode::attach, {}, detail::stored_types<std::uint64_t, std::string>());
  REQUIRE(only_tables_in_use(*attachment));
}
