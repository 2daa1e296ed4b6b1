// What a dictionary tells about itself: the figures follow what is done, and audit notices what is wrong.

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

std::string key_of(int i) { return "key " + std::to_string(i); }

/// Overwrites bytes of a file that is in use, where they are found; false if they aren't there.
bool scribble_around(const std::filesystem::path& path, const std::string& needle, std::size_t before,
                     std::size_t size) {
  std::string bytes = read_file(path);
  const std::size_t at = bytes.find(needle);
  if (at == std::string::npos || at < before) return false;
  const int file = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file < 0) return false;
  const std::string noise(size, '\xA5');
  const bool written =
      ::pwrite(file, noise.data(), size, static_cast<off_t>(at - before)) == static_cast<ssize_t>(size);
  ::close(file);
  return written;
}

}  // namespace

TEST_CASE("stats follow what is stored") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = std::size_t{4} << 20});
  const Stats empty = d.stats();
  REQUIRE(empty.items == 0);
  REQUIRE(empty.heap_size == std::size_t{4} << 20);
  REQUIRE(empty.heap_used == 0);
  REQUIRE(empty.processes == 1);
  REQUIRE(empty.shards >= 1);
  REQUIRE(empty.recoveries == 0);

  for (int i = 0; i < 2000; ++i) d.insert(key_of(i), std::string(300, 'v'));
  const Stats full = d.stats();
  REQUIRE(full.items == 2000);
  REQUIRE(full.used_slots >= 2000);
  REQUIRE(full.slot_count >= full.used_slots);
  REQUIRE(full.load_factor == Approx(static_cast<double>(full.used_slots) / static_cast<double>(full.slot_count)));
  REQUIRE(full.heap_used >= 2000U * 300);
  REQUIRE(full.heap_committed >= full.heap_used);
  REQUIRE(full.shards == empty.shards);

  for (int i = 0; i < 2000; i += 2) d.erase(key_of(i));
  const Stats half = d.stats();
  REQUIRE(half.items == 1000);
  REQUIRE(half.heap_used == full.heap_used / 2);
  d.clear();
  REQUIRE(d.stats().items == 0);
  REQUIRE(d.stats().heap_used == 0);
  REQUIRE(d.stats().used_slots == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an empty dictionary has a load factor that is a number") {
  const UniqueName name;
  const Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  const double load = d.stats().load_factor;
  REQUIRE(load >= 0.0);
  REQUIRE(load <= 1.0);
}

TEST_CASE("gc_stats follow what is erased") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = std::size_t{4} << 20});
  for (int i = 0; i < 2000; ++i) d.insert(key_of(i), std::string(300, 'v'));
  const GcStats before = d.gc_stats();
  for (int i = 0; i < 2000; i += 2) d.erase(key_of(i));
  const GcStats after = d.gc_stats();
  // Some blocks are kept aside in each shard.
  REQUIRE(after.total_free_space + d.stats().shards * 3 * 400 >= before.total_free_space + 1000U * 300);
  REQUIRE(after.total_free_blocks > before.total_free_blocks);
  REQUIRE(after.largest_free_block <= after.total_free_space);
  REQUIRE(after.largest_free_block >= 300);
  REQUIRE(after.retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("lock_waits count writers that found a lock taken") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 1);
  const std::uint64_t before = d.stats().lock_waits;
  std::atomic<bool> inside{false};
  std::thread other([&] {
    while (!inside.load()) std::this_thread::yield();
    d.fetch_add(1, 1);
  });
  d.modify(1, [&](std::uint64_t&) {
    inside = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  other.join();
  // The other thread may have come late; then it waited for nobody.
  REQUIRE(d.stats().lock_waits >= before);
  REQUIRE(d.at(1) == 2);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("recoveries count the dead that were cleaned up after") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 1);
  for (std::uint64_t death = 1; death <= 3; ++death) {
    const SharedArea<std::atomic<int>> inside;
    Forked victim([&](auto&&) {
      d.modify(1, [&](std::uint64_t& value) {
        value = 666;
        *inside = 1;
        eventually([] { return false; });
      });
      return 0;
    });
    REQUIRE(eventually([&] { return inside->load() == 1; }));
    victim.kill();
    REQUIRE(victim.wait().signal == SIGKILL);
    REQUIRE(d.fetch_add(1, 1) == death);
    REQUIRE(d.stats().recoveries == death);
    REQUIRE(d.stats().processes == 1);
  }
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("audit of a sound dictionary finds nothing, at any filling") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = std::size_t{2} << 20});
  REQUIRE(d.audit().ok());
  for (std::uint64_t i = 0; i < 20'000; ++i) {
    d.insert(i, i);
    if (i % 3 == 0) d.erase(i / 2);
    if (i % 1000 == 0) SHARED_DICT_REQUIRE_SOUND(d);
  }
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("audit tells of an entry that was overwritten from outside") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  for (int i = 0; i < 50; ++i) d.insert(key_of(i), "value");
  d.insert("a key that is easily found in the file", "value");
  SHARED_DICT_REQUIRE_SOUND(d);
  // The key's bytes are damaged, so that they don't belong where they are found any more.
  REQUIRE(scribble_around(name.directory() / "segment", "a key that is easily found in the file", 0, 8));
  std::string told;
  const std::error_code code = error_of([&] { told = problems_of(d); });
  INFO(told << code.message());
  const bool noticed = !told.empty() || code == errc::corrupted;
  REQUIRE(noticed);
}

TEST_CASE("audit tells of an impossible size, and reading it is refused or a miss, but never a crash") {
  const UniqueName name;
  // In a child: what should be an error might be the end of it.
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&& say) {
    Words d = Words::create(name.str(), {.heap_size = 1 << 20});
    d.insert("a key that is easily found in the file", "value");
    if (!scribble_around(name.directory() / "segment", "a key that is easily found in the file", 8, 8)) return 10;
    const auto read = error_of([&] { d.get("a key that is easily found in the file"); });
    if (read && read != errc::corrupted) return 11;
    const auto listed = error_of([&] { d.items(); });
    if (listed && listed != errc::corrupted) return 12;
    std::string told;
    const auto audited = error_of([&] { told = problems_of(d); });
    say(told);
    return told.empty() && audited != errc::corrupted ? 13 : 0;
  }));
}
