// Writers that are stopped at random moments, over and over: while one is, readers get through all keys, other writers get all locks that
// it doesn't hold, and their wait for one that it holds ends in time and names it. Nobody takes it away: what the stopped one was doing
// is done once when it goes on.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_words.hpp"
#include "support/pattern.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Dict = SharedDict<std::uint64_t, std::string>;
using Tick = std::atomic<std::uint64_t>;

constexpr std::size_t kWriters = 2;
constexpr std::size_t kReaders = 2;
constexpr std::uint64_t kOwnKeys = 60;
constexpr std::uint64_t kBatchKeys = 10;  // the first of a writer's own: they are all written together
constexpr auto kTimeout = 20ms;

/// One writer's.
struct Journal {
  std::array<Tick, kOwnKeys> version;  ///< that its last write returned for
  Tick begun;                          ///< writes
  Tick done;
  std::atomic<int> asked_to_hold;
  std::atomic<int> holding;
  std::atomic<int> release;
};

struct Shared {
  std::array<Journal, kWriters> writers;
  std::array<Tick, kReaders> passes;  ///< through all keys
  std::atomic<int> stop;
};

std::uint64_t key_of(std::size_t writer, std::uint64_t i) { return writer * 1000 + i; }

class Arena {
 public:
  Arena()
      : dict_(Dict::create(name_.str(), {.heap_size = std::size_t{1} << 20, .lock_timeout = kHangDeadline})),
        locks_(dict_),
        hasty_(Dict::attach(name_.str(), {.lock_timeout = kTimeout})),
        random_(test_seed()) {
    probes_ = locks_.a_key_of_each_shard([](std::uint32_t i) { return std::uint64_t{1'000'000} + i; });
    for (std::size_t w = 0; w < kWriters; ++w) {
      for (std::uint64_t i = 0; i < kOwnKeys; ++i) {
        dict_.insert(key_of(w, i), pattern_of(key_of(w, i), 1, 50));
        shared_->writers[w].version[i] = 1;
      }
    }
    for (std::size_t w = 0; w < kWriters; ++w) {
      writers_[w] = std::make_unique<Forked>([this, w, seed = test_seed() + w](auto) { return write(w, seed); });
    }
    for (std::size_t r = 0; r < kReaders; ++r) {
      readers_[r] = std::make_unique<Forked>([this, r](auto say) { return read(r, say); });
    }
  }

  void stop_one(bool inside) {
    const std::size_t victim = random_() % kWriters;
    Journal& journal = shared_->writers[victim];
    expect_progress(journal.done, 1);
    if (inside) {
      journal.asked_to_hold = 1;
      REQUIRE(eventually([&] { return journal.holding.load() != 0; }));
    }
    if (inside || random_() % 2 == 0) {
      linger(inside ? 0 : random_() % 500);
      REQUIRE(writers_[victim]->stop());
    } else {
      REQUIRE(
          writers_[victim]->stop_when([&] { return locks_.held_by(writers_[victim]->pid()).any(); }, kHangDeadline));
    }
    while_stopped(victim, inside);
    const std::uint64_t begun = journal.begun.load();
    writers_[victim]->go_on();
    journal.release = 1;
    // It ends what it had begun; what it says of it is checked when it is read again, and at the end.
    REQUIRE(eventually([&] { return journal.done.load() >= begun; }));
    journal.release = 0;
  }

  void finish() {
    shared_->stop = 1;
    for (auto& reader : readers_) SHARED_DICT_REQUIRE_ENDED_WELL(reader->wait());
    for (auto& writer : writers_) SHARED_DICT_REQUIRE_ENDED_WELL(writer->wait());
    for (std::size_t w = 0; w < kWriters; ++w) {
      for (std::uint64_t i = 0; i < kOwnKeys; ++i) {
        INFO("key " << key_of(w, i));
        REQUIRE(version_in(dict_.at(key_of(w, i)), key_of(w, i)) == shared_->writers[w].version[i].load());
      }
    }
    REQUIRE(dict_.stats().recoveries == 0);  // nobody was taken for dead
    SHARED_DICT_REQUIRE_SOUND(dict_);
  }

  std::uint64_t with_lock = 0;
  std::uint64_t timeouts = 0;
  std::chrono::microseconds latest{0};  ///< by which a wait ended after its time

  std::uint64_t writes() const {
    std::uint64_t sum = 0;
    for (const Journal& journal : shared_->writers) sum += journal.done.load();
    return sum;
  }
  std::uint64_t passes() const {
    std::uint64_t sum = 0;
    for (const Tick& passes : shared_->passes) sum += passes.load();
    return sum;
  }

 private:
  static void expect_progress(const Tick& tick, std::uint64_t more) {
    const std::uint64_t target = tick.load() + more;
    REQUIRE(eventually([&] { return tick.load() >= target; }));
  }

  static void linger(std::uint64_t microseconds) {
    if (microseconds != 0) std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
  }

  void while_stopped(std::size_t victim, bool inside) {
    const pid_t pid = writers_[victim]->pid();
    const LockWords::Held held = locks_.held_by(pid);
    INFO("writer " << victim << " stopped with the locks of " << held.shards.size() << " shards");
    REQUIRE((held.any() || !inside));
    with_lock += held.any() ? 1U : 0U;

    // Readers get through everything, those of this process too.
    for (const Tick& passes : shared_->passes) expect_progress(passes, 2);
    std::array<std::uint64_t, kOwnKeys> seen{};
    for (std::uint64_t i = 0; i < kOwnKeys; ++i) {
      const auto version = version_in(dict_.at(key_of(victim, i)), key_of(victim, i));
      REQUIRE(version.has_value());
      seen[i] = *version;
    }

    // Writers wait in vain for what it holds (two shards of a batch will do), and get what it doesn't.
    for (std::size_t i = 0; i < std::min<std::size_t>(held.shards.size(), 2); ++i) expect_timeout(held.shards[i], pid);
    if (!held.any()) {
      for (std::uint32_t n = 0; n < 4; ++n) dict_.insert_or_assign(probes_[random_() % probes_.size()], "probe");
    }

    // It has what it had, and nothing of what it was doing has moved.
    const LockWords::Held after = locks_.held_by(pid);
    REQUIRE(after.shards == held.shards);
    REQUIRE(after.others == held.others);
    for (std::uint64_t i = 0; i < kOwnKeys; ++i) {
      REQUIRE(version_in(dict_.at(key_of(victim, i)), key_of(victim, i)) == seen[i]);
    }
  }

  void expect_timeout(std::uint32_t shard, pid_t pid) {
    const auto begin = std::chrono::steady_clock::now();
    std::string message;
    try {
      hasty_.insert_or_assign(probes_[shard], "mine");
    } catch (const Error& error) {
      REQUIRE(error.code() == errc::lock_timeout);
      message = error.what();
    }
    const auto waited = std::chrono::steady_clock::now() - begin;
    REQUIRE_THAT(message, Catch::Contains("process " + std::to_string(pid) + " "));
    REQUIRE(waited >= kTimeout);
    REQUIRE(waited < kHangDeadline);
    ++timeouts;
    latest = std::max(latest, std::chrono::duration_cast<std::chrono::microseconds>(waited - kTimeout));
  }

  // ---- in the children

  /// So that not all wait for a processor.
  static void leave_some_air() { std::this_thread::sleep_for(50us); }

  int write(std::size_t self, std::uint64_t seed) {
    Journal& journal = shared_->writers[self];
    std::mt19937_64 random(seed);
    for (std::uint64_t version = 2; shared_->stop.load() == 0; ++version) {
      journal.begun.fetch_add(1);
      if (journal.asked_to_hold.exchange(0) != 0) {
        hold(journal, self, random() % kOwnKeys, version);
      } else if (random() % 4 == 0) {
        std::vector<std::pair<std::uint64_t, std::string>> items;
        for (std::uint64_t i = 0; i < kBatchKeys; ++i) items.emplace_back(key_of(self, i), value(self, i, version));
        dict_.update(items);
        for (std::uint64_t i = 0; i < kBatchKeys; ++i) journal.version[i] = version;
      } else {
        const std::uint64_t i = random() % kOwnKeys;
        const std::uint64_t key = key_of(self, i);
        // Each change starts from what the last one left: one that is lost, or done twice, is seen here.
        bool right = true;
        const auto change = [&](std::string& stored) {
          right = version_in(stored, key) == journal.version[i].load();
          stored = value(self, i, version);
        };
        switch (random() % 3) {
          case 0: right = dict_.modify(key, change) && right; break;
          case 1: {
            std::string expected = value(self, i, journal.version[i].load());
            right = dict_.compare_exchange(key, expected, value(self, i, version));
            break;
          }
          default: right = !dict_.insert_or_assign(key, value(self, i, version));
        }
        if (!right) return Forked::kFailed;
        journal.version[i] = version;
      }
      journal.done.fetch_add(1);
      if (random() % 16 == 0) leave_some_air();
    }
    return 0;
  }

  void hold(Journal& journal, std::size_t self, std::uint64_t i, std::uint64_t version) {
    dict_.modify(key_of(self, i), [&](std::string& stored) {
      journal.holding = 1;
      eventually([&] { return journal.release.load() != 0; });
      stored = value(self, i, version);
    });
    journal.holding = 0;
    journal.version[i] = version;
  }

  static std::string value(std::size_t writer, std::uint64_t i, std::uint64_t version) {
    return pattern_of(key_of(writer, i), version, version == 1 ? 50 : 40 + version * 37 % 900);
  }

  template <class Say>
  int read(std::size_t self, Say say) {
    std::array<std::array<std::uint64_t, kOwnKeys>, kWriters> last{};
    while (shared_->stop.load() == 0) {
      for (std::size_t w = 0; w < kWriters; ++w) {
        for (std::uint64_t i = 0; i < kOwnKeys; ++i) {
          const auto stored = dict_.get(key_of(w, i));
          const auto version = stored ? version_in(*stored, key_of(w, i)) : std::nullopt;
          if (!version || *version < last[w][i]) {
            say("key " + std::to_string(key_of(w, i)) + " is lost, torn, or older than before");
            return Forked::kFailed;
          }
          last[w][i] = *version;
        }
      }
      shared_->passes[self].fetch_add(1);
      leave_some_air();
    }
    return 0;
  }

  UniqueName name_;
  Dict dict_;
  LockWords locks_;
  Dict hasty_;
  SharedArea<Shared> shared_;
  std::vector<std::uint64_t> probes_;  // a key of each shard
  std::mt19937_64 random_;
  std::array<std::unique_ptr<Forked>, kWriters> writers_;
  std::array<std::unique_ptr<Forked>, kReaders> readers_;
};

}  // namespace

TEST_CASE("writers that are stopped at any moment stop no reader and lose no lock", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  Arena arena;
  constexpr std::uint64_t kWithLock = kSanitized ? 60 : 300;
  Effort effort(4 * kWithLock);  // at the most: a third of them hold none
  std::uint64_t inside = 0;
  while (effort.more_until(arena.with_lock >= kWithLock)) {
    INFO("round " << effort.done());
    const bool in_callback = effort.done() % 4 == 0;
    arena.stop_one(in_callback);
    inside += in_callback ? 1U : 0U;
  }
  arena.finish();
  report("stopped writers", {{"rounds", effort.done()},
                             {"with a lock", arena.with_lock},
                             {"of them inside a callback", inside},
                             {"waits that timed out", arena.timeouts},
                             {"latest by us", static_cast<std::uint64_t>(arena.latest.count())},
                             {"writes", arena.writes()},
                             {"reads of all keys", arena.passes()}});
  REQUIRE((effort.timed() || arena.with_lock >= kWithLock));
  REQUIRE(arena.with_lock > inside);
}
