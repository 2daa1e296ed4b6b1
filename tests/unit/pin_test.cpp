// A pin is a word in the process's own area that all writers can see. Each is one thread's alone, none is lost, and a process has as many
// as promised; memory stands only behind those that are used.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/pin.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
using test::run_forked;

namespace {

using Dictionary = test::StoredDictionary;

std::vector<std::uint64_t> pinned(const Dictionary& d) { return pinned_blocks(d.segment()); }

ProcessRecord& own_record(const Dictionary& d) { return d.segment().record(d.attachment->self().record()); }

}  // namespace

TEST_CASE("a pin is seen as long as it is held") {
  const Dictionary d;
  REQUIRE(pinned(d).empty());
  {
    Pin pin(*d.attachment, 4096);
    REQUIRE(pin.held());
    REQUIRE(pin.mine());
    REQUIRE(pinned(d) == std::vector<std::uint64_t>{4096});
    REQUIRE(is_pinned(d.segment(), 4096));
    REQUIRE_FALSE(is_pinned(d.segment(), 4104));
    pin.move_to(8192);
    REQUIRE(pinned(d) == std::vector<std::uint64_t>{8192});
    pin.release();
    REQUIRE_FALSE(pin.held());
    REQUIRE(pinned(d).empty());
    pin.release();  // once more does nothing
    const Pin other(*d.attachment, 16);
    REQUIRE(pinned(d) == std::vector<std::uint64_t>{16});
  }
  REQUIRE(pinned(d).empty());
}

TEST_CASE("writers look at the areas of all that use one, whatever their records") {
  const Dictionary d({.max_processes = 200});
  std::vector<std::uint32_t> expected;
  for (const std::uint32_t record : {1U, 63U, 64U, 127U, 128U, 199U}) {
    raise_use(*d.attachment, record, d.segment().record(record).pins_used, 1, offsetof(ProcessArea, pins));
    expected.push_back(record);
    std::vector<std::uint32_t> users;
    for_each_area_user(d.segment(), [&](std::uint32_t user) { users.push_back(user); });
    REQUIRE(users == expected);
  }
}

TEST_CASE("counts of a free record that were damaged don't hide a pin from writers, nor lead behind the pins") {
  const Dictionary d;
  const std::uint32_t flipped = GENERATE(1U, 8U, 1U << 31);
  for (std::uint32_t i = 0; i < 3; ++i) {
    if (i == d.attachment->self().record()) continue;
    d.segment().record(i).pins_used.store(flipped);
    d.segment().record(i).waiters_used.store(flipped);
  }
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto say) {  // takes one of these records
    if (own_record(d).pins_used.load() != 0 || own_record(d).waiters_used.load() != 0) {
      say("the counts are believed");
      return 1;
    }
    const Pin pin(*d.attachment, 4096);
    return is_pinned(d.segment(), 4096) ? 0 : 2;
  }));
}

TEST_CASE("a pin that is moved stays held, once") {
  const Dictionary d;
  Pin pin(*d.attachment, 8);
  Pin moved = std::move(pin);
  REQUIRE_FALSE(pin.held());  // NOLINT(bugprone-use-after-move)
  REQUIRE(moved.held());
  REQUIRE(pinned(d) == std::vector<std::uint64_t>{8});
  pin = Pin(*d.attachment, 16);
  REQUIRE(pinned(d) == std::vector<std::uint64_t>{8, 16});
  moved = std::move(pin);  // they change places: the first one goes with `pin`
  pin.release();
  REQUIRE(pinned(d) == std::vector<std::uint64_t>{16});
  moved = Pin();
  REQUIRE(pinned(d).empty());
}

TEST_CASE("a process has 4096 pins, each at a place of its own, and not one more") {
  const Dictionary d;
  std::vector<Pin> pins;
  std::vector<std::uint64_t> expected;
  for (std::uint64_t i = 1; i <= kPins; ++i) {
    pins.emplace_back(*d.attachment, i * 8);
    expected.push_back(i * 8);
  }
  REQUIRE(pinned(d) == expected);
  REQUIRE(own_record(d).pins_used.load() == kPins);
  REQUIRE(test::error_of([&] { const Pin more(*d.attachment, 8); }) == errc::too_many_views);
  REQUIRE(pinned(d) == expected);
  for (const std::uint64_t gone : {1U, 2048U, 4096U}) {
    pins[gone - 1].release();
    pins[gone - 1] = Pin(*d.attachment, gone * 8);
    REQUIRE(pinned(d) == expected);
  }
  pins.clear();
  REQUIRE(pinned(d).empty());
  REQUIRE(own_record(d).pins_used.load() == kPins);  // never goes back: somebody may be looking
}

TEST_CASE("one pin after the other takes one place only") {
  const Dictionary d;
  for (int i = 0; i < 1000; ++i) {
    const Pin one(*d.attachment, 8);
    const Pin other(*d.attachment, 16);
  }
  REQUIRE(own_record(d).pins_used.load() == kCacheLine / sizeof(Word64));
}

TEST_CASE("a thread finds the place again that it gave back last") {
  const Dictionary d;
  std::vector<Pin> pins;
  for (std::uint64_t i = 1; i <= 30; ++i) pins.emplace_back(*d.attachment, i * 8);
  const Word64* const words = d.segment().area(d.attachment->self().record()).pins;
  for (const std::size_t which : {std::size_t{3}, std::size_t{20}, std::size_t{0}}) {
    REQUIRE(words[which].load() == (which + 1) * 8);
    pins[29].release();  // another free one
    pins[which].release();
    pins[which] = Pin(*d.attachment, 800);
    REQUIRE(words[which].load() == 800);
    pins[which].move_to((which + 1) * 8);
    pins[29] = Pin(*d.attachment, 30 * 8);
  }
}

TEST_CASE("the area of a process gets memory page by page, and nothing before its first pin") {
  const Dictionary d;
  REQUIRE(d.segment().header().area_users[0].load() == 0);
  REQUIRE(own_record(d).area_committed.load() == 0);
  std::vector<Pin> pins;
  for (std::uint32_t i = 0; i < kPins; ++i) {
    pins.emplace_back(*d.attachment, 8);
    // The pins begin one page behind the waiters; 512 to a page.
    REQUIRE(own_record(d).area_committed.load() == ((1U << (i / 512 + 1)) - 1) << 1);
  }
  REQUIRE(d.segment().header().area_users[0].load() == std::uint64_t{1} << d.attachment->self().record());
}

TEST_CASE("a forked child has pins of its own and can't give back its parent's") {
  const Dictionary d;
  Pin pin(*d.attachment, 64);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    if (pin.mine()) return 10;
    const Pin own(*d.attachment, 128);
    if (!own.mine() || pinned(d) != std::vector<std::uint64_t>{64, 128}) return 11;
    pin.release();
    if (pin.held() || pinned(d) != std::vector<std::uint64_t>{64, 128}) return 12;
    const Pin another(*d.attachment, 256);
    return pinned(d) == std::vector<std::uint64_t>{64, 128, 256} ? 0 : 13;
  }));
  REQUIRE(pin.mine());
  REQUIRE(is_pinned(d.segment(), 64));
  pin.release();
  REQUIRE_FALSE(is_pinned(d.segment(), 64));
}

TEST_CASE("threads that pin at once never get the same place") {
  const Dictionary d;
  constexpr std::uint64_t kThreads = 4;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t self = 0; self < kThreads; ++self) {
    threads.emplace_back([&, self] {
      std::vector<Pin> held(20);
      for (std::uint64_t turn = 0; turn < 4000; ++turn) {
        const std::uint64_t mark = (turn % 20 * kThreads + self + 1) * 8;
        held[turn % 20] = Pin(*d.attachment, mark);
        if (turn % 97 == 0 && !is_pinned(d.segment(), mark)) ++wrong;
        if (turn % 3 == 0) held[(turn * 7) % 20].release();
      }
      for (std::uint64_t i = 0; i < 20; ++i) {
        if (held[i].held() && !is_pinned(d.segment(), (i * kThreads + self + 1) * 8)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong.load() == 0);
  REQUIRE(pinned(d).empty());
  REQUIRE(own_record(d).pins_used.load() < 1000);
}
