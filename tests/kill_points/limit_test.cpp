// max_items while somebody else is in the middle of adding an item, for however long: between counting it and taking back that it is pending
// it counts twice, and that must not keep out what there is room for. And what died in the middle of adding many counts, although it hasn't been
// counted.

#include <shared_dict/shared_dict.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/killed.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr std::uint64_t kMost = 200;
constexpr std::uint64_t kItems = kMost - 2;

struct Flags {
  std::atomic<int> counted;
  std::atomic<int> go_on;
};

// What the child's kill points look at.
const Numbers* dict = nullptr;
Flags* flags = nullptr;

/// Behind the store that counts the last item but one.
void wait_there() noexcept {
  if (dict->size() != kItems + 1 || flags->counted.load() != 0) return;
  flags->counted = 1;
  eventually([] { return flags->go_on.load() != 0; });
}

/// Room for two, and a child that adds one of them and waits in the middle.
class Scene {
 public:
  explicit Scene(std::chrono::milliseconds timeout)
      : d(Numbers::create("name", {.heap_size = 1 << 20, .max_items = kMost, .lock_timeout = timeout, .directory = place_.path()})) {
    for (std::uint64_t i = 0; i < kItems; ++i) d.insert(i, i);
    child.emplace([this](auto) {
      dict = &d;
      flags = &*area;
      detail::at_kill_point = wait_there;
      d.insert(kItems, 0);
      return 0;
    });
    REQUIRE(eventually([&] { return area->counted.load() != 0; }));
  }

 private:
  Place place_;

 public:
  SharedArea<Flags> area;
  Numbers d;
  std::optional<Forked> child;
};

}  // namespace

TEST_CASE("there is room for an item beside one that is being added, or the wait for that one times out") {
  Scene scene(20ms);
  // Some of them are for the shard that the child has locked, most are not.
  for (std::uint64_t key = kMost; key < kMost + 16; ++key) {
    REQUIRE(error_of([&] { scene.d.insert(key, 0); }) == errc::lock_timeout);
  }
  scene.area->go_on = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(scene.child->wait());
  REQUIRE(scene.d.insert(kMost, 0));
  REQUIRE(error_of([&] { scene.d.insert(kMost + 1, 0); }) == errc::too_many_items);
  SHARED_DICT_REQUIRE_SOUND(scene.d);
}

TEST_CASE("an item is added when the one that is being added is done") {
  Scene scene(kHangDeadline);
  std::thread later([&] {
    std::this_thread::sleep_for(50ms);
    scene.area->go_on = 1;
  });
  const bool inserted = error_of([&] { scene.d.insert(kMost, 0); }) == std::error_code();
  later.join();
  REQUIRE(inserted);
  SHARED_DICT_REQUIRE_ENDED_WELL(scene.child->wait());
  REQUIRE(scene.d.size() == kMost);
  SHARED_DICT_REQUIRE_SOUND(scene.d);
}

TEST_CASE("an item is added soon when who was adding one is killed") {
  Scene scene(kHangDeadline);
  scene.child->kill();
  for (std::uint64_t key = kMost; key < kMost + 16; ++key) {
    REQUIRE(scene.d.insert(key, 0));
    REQUIRE(scene.d.erase(key));
  }
  REQUIRE(scene.d.size() == kItems + 1);
  SHARED_DICT_REQUIRE_SOUND(scene.d);
}

namespace {

constexpr std::uint64_t kFew = 256;  // items for four shards
constexpr std::uint64_t kAdded = 8;

/// The last items that there may be, by a process that dies in the middle, at each of its last kill points and at some before; then others go on
/// up to the limit, beginning with whatever shard the seed of a new dictionary puts their first key in.
void add_the_last_and_die(const std::function<void(Numbers&)>& add) {
  const Place place;
  const auto with_dictionary = [&](const auto& use) {
    Numbers d = Numbers::create("name", {.heap_size = 1 << 20, .max_items = kFew, .lock_timeout = kHangDeadline, .directory = place.path()});
    for (std::uint64_t i = 0; i < kFew - kAdded; ++i) d.insert(i, i);
    use(d);
  };
  std::uint64_t points = 0;
  with_dictionary([&](Numbers& d) { points = KillPoints::count([&] { add(d); }); });
  for (std::uint64_t n = 1; n <= points; n += n + 150 < points ? 29 : 1) {
    INFO("kill point " << n << " of " << points);
    with_dictionary([&](Numbers& d) {
      KillPoints::kill_at(n, [&] { add(d); });
      std::uint64_t added = 0;
      for (std::uint64_t key = 1000; key < 1000 + 2 * kAdded; ++key) {
        added += error_of([&] { d.insert(key, 0); }) == std::error_code() ? 1 : 0;
      }
      SHARED_DICT_REQUIRE_SOUND(d);
      REQUIRE(d.size() == kFew);
      REQUIRE((added == 0 || added == kAdded));
    });
  }
}

}  // namespace

TEST_CASE("max_items is exact when an update that reaches it dies in the middle") {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> items;
  for (std::uint64_t i = kFew - kAdded; i < kFew; ++i) items.emplace_back(i, i);
  add_the_last_and_die([&](Numbers& d) { d.update(items); });
}

TEST_CASE("max_items is exact when a load that reaches it dies in the middle") {
  const Place place;
  const std::string file = (place.path() / "saved").string();
  Numbers full = Numbers::create("full", {.heap_size = 1 << 20, .directory = place.path()});
  for (std::uint64_t i = 0; i < kFew; ++i) full.insert(i, i);
  full.save(file);
  add_the_last_and_die([&](Numbers& d) { d.load(file); });
}
