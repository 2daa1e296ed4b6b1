// extract_any as a queue between processes: each item that producers put in goes to exactly one consumer, whole.

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/pattern.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Queue = SharedDict<std::uint64_t, std::string>;

constexpr unsigned kProducers = 2;
constexpr unsigned kConsumers = 3;
constexpr std::uint64_t kEach = 20'000;

struct Deliveries {
  std::atomic<unsigned> producers_done;
  std::array<std::atomic<std::uint8_t>, kProducers * kEach> of;
};

/// args: name, number, barrier, deliveries
const RegisterChild kProducer("queue: producer", [](std::vector<std::string> args) {
  Queue queue = Queue::attach(args.at(0));
  const std::uint64_t first = std::stoull(args.at(1)) * kEach;
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto deliveries = SharedArea<Deliveries>::from_token(args.at(3));
  barrier.arrive_and_wait();
  for (std::uint64_t item = first; item < first + kEach; ++item) {
    // A full heap is the consumers' cue, not an error.
    const bool stored = eventually([&] {
      const auto code = error_of([&] { queue.insert(item, pattern_of(item, item, 32 + item % 400)); });
      if (code && code != errc::heap_full) throw Error(code, "insert");
      return !code;
    });
    if (!stored) return 1;
  }
  deliveries->producers_done.fetch_add(1);
  return 0;
});

const RegisterChild kConsumer("queue: consumer", [](std::vector<std::string> args) {
  Queue queue = Queue::attach(args.at(0));
  const StartBarrier barrier = StartBarrier::from_token(args.at(2));
  const auto deliveries = SharedArea<Deliveries>::from_token(args.at(3));
  barrier.arrive_and_wait();
  for (;;) {
    const bool last_look = deliveries->producers_done.load() == kProducers;
    const auto item = queue.extract_any();
    if (item) {
      if (item->first >= kProducers * kEach || version_in(item->second, item->first) != item->first) return 1;
      deliveries->of[item->first].fetch_add(1);
    } else if (last_look) {
      return 0;
    }
  }
});

}  // namespace

TEST_CASE("each item that producers put in goes to exactly one consumer") {
  const UniqueName name;
  // Small enough to be full at times, so that producers and consumers drive each other.
  Queue queue = Queue::create(name.str(), {.heap_size = 256 * 1024});
  const StartBarrier barrier;
  const SharedArea<Deliveries> deliveries;
  std::vector<Child> children;
  const auto start = [&](const char* role, unsigned number) {
    children.push_back(Child::start(role, {name.str(), std::to_string(number), barrier.token(), deliveries.token()}));
  };
  for (unsigned i = 0; i < kProducers; ++i) start("queue: producer", i);
  for (unsigned i = 0; i < kConsumers; ++i) start("queue: consumer", i);
  barrier.open_for(kProducers + kConsumers);
  for (Child& child : children) REQUIRE(child.wait(2 * kHangDeadline) == 0);

  std::size_t lost = 0;
  std::size_t doubled = 0;
  for (const auto& count : deliveries->of) {
    lost += count.load() == 0 ? 1U : 0U;
    doubled += count.load() > 1 ? 1U : 0U;
  }
  REQUIRE(lost == 0);
  REQUIRE(doubled == 0);
  REQUIRE(queue.empty());
  SHARED_DICT_REQUIRE_SOUND(queue);
}

TEST_CASE("an item that somebody is changing at the moment is waited for, not overlooked") {
  const UniqueName name;
  Queue queue = Queue::create(name.str(), {.heap_size = 1 << 20});
  queue.insert(1, "old");
  std::optional<std::pair<std::uint64_t, std::string>> taken;
  std::atomic<bool> inside{false};
  std::thread taker([&] {
    if (eventually([&] { return inside.load(); })) taken = queue.extract_any();
  });
  queue.modify(1, [&](std::string& value) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // the taker comes meanwhile
    value = "new";
  });
  taker.join();
  REQUIRE(taken.has_value());
  REQUIRE(taken->second == "new");
  REQUIRE(queue.empty());
  SHARED_DICT_REQUIRE_SOUND(queue);
}
