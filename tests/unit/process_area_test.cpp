// What writers see of other processes' areas: exactly the pins of those that are there, whatever stands in the words behind, and nothing
// of one that was cleaned up after.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/mechanisms/process_area.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

std::vector<std::uint32_t> users(const Dictionary& d) {
  std::vector<std::uint32_t> all;
  for_each_area_user(d.segment(), [&](std::uint32_t record) { all.push_back(record); });
  return all;
}

/// Pins of a process that isn't there.
void use_area(const Dictionary& d, std::uint32_t record, const std::vector<std::uint64_t>& pins) {
  REQUIRE_FALSE(d.segment().commit_area(record, offsetof(ProcessArea, waiters)));
  REQUIRE_FALSE(d.segment().commit_area(record, offsetof(ProcessArea, pins)));
  for (std::size_t i = 0; i < pins.size(); ++i) d.segment().area(record).pins[i].store(pins[i]);
  d.segment().record(record).pins_used.store(static_cast<std::uint32_t>(pins.size()));
  d.segment().record(record).pins_live.store(1);
  d.segment().record(record).area_committed.store(0b11);
  d.segment().header().areas_used.fetch_or(1U << (record / 64));
  d.segment().header().area_users[record / 64].fetch_or(std::uint64_t{1} << (record % 64));
}

}  // namespace

TEST_CASE("the processes with an area are those whose bit is set and whose record there is") {
  const Dictionary d({.heap_size = 1 << 20, .max_processes = 130});
  REQUIRE(users(d).empty());
  d.segment().header().areas_used.store(0b1111);
  for (const std::uint32_t record : {0U, 5U, 63U, 64U, 127U, 128U, 129U}) {
    d.segment().header().area_users[record / 64].fetch_or(std::uint64_t{1} << (record % 64));
  }
  REQUIRE(users(d) == std::vector<std::uint32_t>{0, 5, 63, 64, 127, 128, 129});
  // Damage, or of another layout: no record stands there.
  d.segment().header().area_users[2].fetch_or(std::uint64_t{1} << 2);
  d.segment().header().area_users[3].store(~std::uint64_t{0});
  d.segment().header().areas_used.store(~0U);
  REQUIRE(users(d) == std::vector<std::uint32_t>{0, 5, 63, 64, 127, 128, 129});
}

TEST_CASE("the pinned blocks are those of all processes, sorted, up to where each uses its pins") {
  const Dictionary d;
  REQUIRE(pinned_blocks(d.segment()).empty());
  use_area(d, 3, {800, 0, 80});
  use_area(d, 100, {0, 8000, 8, 80});
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8, 80, 80, 800, 8000});
  REQUIRE(is_pinned(d.segment(), 8000));
  REQUIRE(is_pinned(d.segment(), 800));
  REQUIRE_FALSE(is_pinned(d.segment(), 0));
  REQUIRE_FALSE(is_pinned(d.segment(), 16));
  d.segment().area(3).pins[3].store(16);  // behind those in use
  REQUIRE_FALSE(is_pinned(d.segment(), 16));
  d.segment().header().area_users[1].store(0);
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{80, 800});
}

TEST_CASE("a count of pins that was damaged leads to no more than there are") {
  const Dictionary d;
  use_area(d, 3, {8});
  for (std::uint32_t page = 0; page < sizeof(ProcessArea) / 4096; ++page) {
    REQUIRE_FALSE(d.segment().commit_area(3, page * 4096));
    REQUIRE_FALSE(d.segment().commit_area(4, page * 4096));
  }
  d.segment().area(3).pins[kPins - 1].store(16);
  d.segment().record(3).area_committed.store(0x1ff);
  d.segment().area(4).waiters[0].hash.store(24);  // what lies behind the last pin
  d.segment().record(3).pins_used.store(0xffff'ffff);
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8, 16});
  clear_area(d.segment(), 3);
  REQUIRE(d.segment().area(4).waiters[0].hash.load() == 24);
}

TEST_CASE("a count of pins that was damaged doesn't lead to where no memory is") {
  const Dictionary d;
  use_area(d, 3, {8});
  d.segment().record(3).pins_used.store(0xffff'ffff);
  d.segment().record(3).waiters_used.store(0xffff'ffff);
  REQUIRE(area_capacity(d.segment().record(3), 1, 8, kPins / 8) == kPins / 8);
  REQUIRE(area_capacity(d.segment().record(3), 0, 1, kWaiters) == kWaiters);
  REQUIRE(area_capacity(d.segment().record(4), 1, 8, kPins / 8) == 0);
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8});
}

TEST_CASE("pins are looked for only while a process says that it has one") {
  const Dictionary d;
  use_area(d, 3, {8});
  d.segment().record(3).pins_live.store(0);
  REQUIRE(pinned_blocks(d.segment()).empty());
}

TEST_CASE("an area that is cleared holds nothing, and the others hold what they did") {
  const Dictionary d;
  use_area(d, 3, {8, 16, 24});
  use_area(d, 4, {32});
  d.segment().area(3).waiters[2].shard.store(7);
  d.segment().record(3).waiters_used.store(3);
  clear_area(d.segment(), 3);
  REQUIRE(users(d) == std::vector<std::uint32_t>{4});
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{32});
  REQUIRE(d.segment().record(3).pins_used.load() == 0);
  REQUIRE(d.segment().record(3).pins_live.load() == 0);
  REQUIRE(d.segment().record(3).waiters_used.load() == 0);
  for (int i = 0; i < 3; ++i) REQUIRE(d.segment().area(3).pins[i].load() == 0);
  REQUIRE(d.segment().area(3).waiters[2].shard.load() == 0);
  clear_area(d.segment(), 3);  // can be repeated
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{32});
}

TEST_CASE("the pins of a process that is killed go with it, those of one that is stopped don't") {
  const Dictionary d;
  const test::SharedArea<std::atomic<int>> there;
  test::Forked child([&](auto) {
    const Pin pin(*d.attachment, 64);
    there->store(1);
    for (;;) ::pause();
    return 1;
  });
  REQUIRE(test::eventually([&] { return there->load() != 0; }));
  const Pin own(*d.attachment, 8);
  child.signal(SIGSTOP);
  REQUIRE_FALSE(d.attachment->reap_dead_area_users());
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8, 64});
  child.kill();
  REQUIRE(child.wait().signal == SIGKILL);
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8, 64});  // nobody has looked yet
  REQUIRE(test::eventually([&] { return d.attachment->reap_dead_area_users(); }));
  REQUIRE(pinned_blocks(d.segment()) == std::vector<std::uint64_t>{8});
  REQUIRE(users(d) == std::vector<std::uint32_t>{d.attachment->self().record()});
  REQUIRE_FALSE(d.attachment->reap_dead_area_users());
  REQUIRE(d.problems().empty());
}

TEST_CASE("the pins of a process that leaves in order go with it") {
  Dictionary d;
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
    auto pin = std::make_unique<Pin>(*d.attachment, 64);
    if (pinned_blocks(d.segment()) != std::vector<std::uint64_t>{64}) return 1;
    static_cast<void>(pin.release());  // is never given back
    d.attachment.reset();
    return 0;
  }));
  REQUIRE(pinned_blocks(d.segment()).empty());
  REQUIRE(users(d).empty());
  REQUIRE(d.segment().header().recoveries.load() == 0);
}
