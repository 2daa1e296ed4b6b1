// kill -9 in the middle of batches: several processes write the same fifty keys in one update each, all with one stamp. Whatever moment
// the kills hit, nobody who takes locks ever finds two stamps; and of a dead process's last update there is all or nothing.

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
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/mutation.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/all_locked.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/pages.hpp"
#include "support/pattern.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

constexpr std::uint64_t kKeys = 50;
constexpr std::size_t kWriters = 4;

struct Progress {
  std::array<std::atomic<std::uint64_t>, kWriters> begun;         ///< updates of each writer, all its lives together
  std::array<std::atomic<std::uint64_t>, kWriters> acknowledged;  ///< those that returned
  std::atomic<std::uint64_t> stop;
};

/// A stamp names its writer, and which of its updates it is.
std::uint64_t stamp_of(std::size_t writer, std::uint64_t update) { return update * kWriters + writer + 1; }

/// Values that move at each update, or stay in their place; and what stands in them.
struct Moving {
  using Value = std::string;
  static Value value(std::uint64_t key, std::uint64_t stamp) {
    return pattern_of(key, stamp, 40 + (stamp * 31 + key * 17) % 300 + (stamp % 16 == 0 && key == 3 ? 150'000 : 0));
  }
  static std::optional<std::uint64_t> stamp(const Value& value, std::uint64_t key) { return version_in(value, key); }
};
struct Staying {
  using Value = std::uint64_t;
  static Value value(std::uint64_t, std::uint64_t stamp) { return stamp; }
  static std::optional<std::uint64_t> stamp(const Value& value, std::uint64_t) { return value; }
};

/// Keys from kKeys on are a writer's own, one of them in each of its updates: it says how many there were.
template <class Kind>
class Arena {
 public:
  using Dict = SharedDict<std::uint64_t, typename Kind::Value>;

  Arena() : dict_(Dict::create(name_.str(), {.heap_size = std::size_t{4} << 20})), random_(test_seed()) {
    attachment_ = detail::Lifecycle(name_.str(), {}, kHangDeadline)
                      .open(detail::OpenMode::attach, {}, detail::stored_types<std::uint64_t, typename Kind::Value>());
    update(0, 0);
    for (std::uint64_t i = 0; i < kWriters; ++i) dict_.insert(kKeys + i, Kind::value(kKeys + i, 0));
    for (std::size_t i = 0; i < kWriters; ++i) writers_[i] = start(i);
  }

  void run(std::uint64_t least, const std::string& what) {
    std::uint64_t kills = 0;
    Effort effort(least);
    while (effort.more_until(kills >= least)) {
      INFO("after " << kills << " kills");
      // One or more at once: then one of those who wait for a dead one's lock dies too.
      std::vector<std::size_t> victims;
      for (std::size_t i = 0; i < kWriters; ++i) {
        if (random_() % 4 != 0) victims.push_back(i);
      }
      for (const std::size_t victim : victims) {
        const std::uint64_t more = progress_->acknowledged[victim].load() + 1;
        REQUIRE(eventually([&] { return progress_->acknowledged[victim].load() >= more; }));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(random_() % 200));
      for (const std::size_t victim : victims) writers_[victim]->kill();
      for (const std::size_t victim : victims) REQUIRE(writers_[victim]->wait().signal == SIGKILL);
      look(victims);
      for (const std::size_t victim : victims) writers_[victim] = start(victim);
      kills += victims.size();
    }
    progress_->stop = 1;
    for (auto& writer : writers_) SHARED_DICT_REQUIRE_ENDED_WELL(writer->wait());
    look({0, 1, 2, 3});
    REQUIRE(dict_.size() == kKeys + kWriters);
    REQUIRE(eventually([&] { return dict_.gc_stats().retired_blocks == 0; }));
    SHARED_DICT_REQUIRE_SOUND(dict_);
    report("kills in batches: " + what, {{"kills", kills},
                                         {"recoveries", dict_.stats().recoveries},
                                         {"in flight that happened", done_},
                                         {"in flight that did not", undone_}});
    REQUIRE((effort.timed() || kills >= least));
    dict_.clear();
    REQUIRE(only_tables_in_use(*attachment_));  // no page is lost
  }

 private:
  void update(std::size_t writer, std::uint64_t number) {
    std::vector<std::pair<std::uint64_t, typename Kind::Value>> items;
    const std::uint64_t stamp = stamp_of(writer, number);
    for (std::uint64_t key = 0; key < kKeys; ++key) items.emplace_back(key, Kind::value(key, stamp));
    if (number != 0) items.emplace_back(kKeys + writer, Kind::value(kKeys + writer, number));
    dict_.update(items);
  }

  std::unique_ptr<Forked> start(std::size_t writer) {
    return std::make_unique<Forked>([this, writer](auto) {
      while (progress_->stop.load() == 0) {
        const std::uint64_t number = progress_->begun[writer].fetch_add(1) + 1;
        update(writer, number);
        progress_->acknowledged[writer] = number;
      }
      return 0;
    });
  }

  /// With all locks, as another writer would see it. The writers named are dead or through.
  void look(const std::vector<std::size_t>& ended) {
    const AllLocked<std::uint64_t, typename Kind::Value> locked(*attachment_);
    const auto stamp_at = [&](std::uint64_t key) {
      const auto value = locked.get(key);
      return value ? Kind::stamp(*value, key) : std::nullopt;
    };
    const auto first = stamp_at(0);
    REQUIRE(first.has_value());
    for (std::uint64_t key = 1; key < kKeys; ++key) {
      const auto stamp = stamp_at(key);
      if (stamp != first) FAIL("key " << key << " has stamp " << stamp.value_or(0) << ", key 0 has " << *first);
    }
    for (const std::size_t writer : ended) {
      INFO("writer " << writer);
      const auto number = stamp_at(kKeys + writer);
      REQUIRE(number.has_value());
      const std::uint64_t acknowledged = progress_->acknowledged[writer].load();
      const std::uint64_t begun = progress_->begun[writer].load();
      const bool either = *number == acknowledged || *number == begun;
      REQUIRE(either);
      if (acknowledged != begun) ++(*number == begun ? done_ : undone_);
      // Its next life goes on from there.
      progress_->acknowledged[writer] = *number;
      progress_->begun[writer] = *number;
    }
  }

  UniqueName name_;
  Dict dict_;
  std::shared_ptr<detail::Attachment> attachment_;
  SharedArea<Progress> progress_;
  std::mt19937_64 random_;
  std::array<std::unique_ptr<Forked>, kWriters> writers_;
  std::uint64_t done_ = 0;
  std::uint64_t undone_ = 0;
};

}  // namespace

TEST_CASE("kills in the middle of updates leave each of them whole or undone", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  Arena<Moving>().run(kSanitized ? 100 : 500, "values that move");
}

TEST_CASE("kills in the middle of updates in place leave each of them whole or undone", "[long]") {
  INFO("SHARED_DICT_SEED=" << test_seed());
  Arena<Staying>().run(150, "values that stay in their place");
}

// The kills above mostly hit the long parts before and after. This one waits for the moment and has made it long: so many items that
// the process is dead before it has stored all.
TEST_CASE("kills while a batch stores its items leave it whole", "[long]") {
  using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = std::size_t{4} << 20});
  const auto attachment = detail::Lifecycle(name.str(), {}, kHangDeadline)
                              .open(detail::OpenMode::attach, {}, detail::stored_types<std::uint64_t, std::uint64_t>());
  const detail::Word64& intent = attachment->segment().shard(0).intent;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> items(20'000);
  for (std::uint64_t key = 0; key < items.size(); ++key) items[key] = {key, 0};
  d.update(items);
  constexpr std::uint64_t kInside = 10;
  std::uint64_t inside = 0;
  Effort effort(100);
  while (effort.more_until(inside >= kInside)) {
    const std::uint64_t kill = effort.done();
    Forked writer([&](auto) {
      for (;;) {
        for (auto& item : items) item.second += kill;
        d.update(items);
      }
      return Forked::kFailed;
    });
    const auto end = std::chrono::steady_clock::now() + kHangDeadline;
    while (intent.load() == 0) {
      if (std::chrono::steady_clock::now() >= end) FAIL("no batch was seen in time");
    }
    writer.kill();
    REQUIRE(writer.wait().signal == SIGKILL);
    inside += intent.load() != 0 ? 1U : 0U;
    const std::uint64_t first = d.fetch_add(0, 0);  // takes a lock, so the rest is done first
    REQUIRE(intent.load() == 0);
    for (const auto& item : items) {
      if (d.at(item.first) != first) FAIL("kill " << kill << ": key " << item.first << " has another stamp");
    }
  }
  report("kills in batches: while items are stored", {{"kills", effort.done()}, {"with items stored in part", inside}});
  REQUIRE(inside > 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}
