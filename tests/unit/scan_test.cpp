// Iteration promises that what stays is met exactly once. A key that is erased and inserted again while the scan goes on may stand at
// two places; it must still be met at most once.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/scan.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

using Dictionary = test::StoredDictionary;

std::string text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

std::map<std::string, std::string> scan_all(const Dictionary& d, int& repeats) {
  std::map<std::string, std::string> all;
  ShardScan scan;
  for (std::uint32_t shard = 0; shard < d.segment().identity().shard_count; ++shard) {
    scan.read(d.segment(), "name", shard);
    for (std::size_t i = 0; i < scan.size(); ++i)
      repeats += all.emplace(text(scan.key(i)), text(scan.value(i))).second ? 0 : 1;
  }
  return all;
}

}  // namespace

TEST_CASE("a scan meets every item once, whatever its size") {
  const Dictionary d;
  std::map<std::string, std::string> model;
  for (std::size_t i = 0; i < 500; ++i) {
    const std::string key = std::string(i % 30, 'k') + std::to_string(i);
    model[key] = std::string(i % 100 == 0 ? 20'000 + i : i % 70, static_cast<char>('a' + i % 26));
    d.put(key, model[key]);
  }
  d.put("", model[""] = "");
  int repeats = 0;
  REQUIRE(scan_all(d, repeats) == model);
  REQUIRE(repeats == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("copies are aligned for any ordinary type") {
  const Dictionary d({.heap_size = 1 << 16});
  for (int i = 0; i < 50; ++i) d.put(std::string(static_cast<std::size_t>(i), 'k'), "value");
  ShardScan scan;
  scan.read(d.segment(), "name", 0);
  REQUIRE(scan.size() == 50);
  for (std::size_t i = 0; i < scan.size(); ++i) {
    REQUIRE(reinterpret_cast<std::uintptr_t>(scan.key(i).data()) % 16 == 0);
    REQUIRE(reinterpret_cast<std::uintptr_t>(scan.value(i).data()) % 16 == 0);
  }
}

TEST_CASE("a scan of what was cleared or never used is empty, and doesn't touch it") {
  const Dictionary d;
  int repeats = 0;
  REQUIRE(scan_all(d, repeats).empty());
  for (int i = 0; i < 100; ++i) d.put(std::to_string(i), "value");
  d.clear_for_readers();
  REQUIRE(scan_all(d, repeats).empty());
  REQUIRE(d.problems().empty());
}

TEST_CASE("while keys come, go and move, what stays is met once and nothing is met twice") {
  const Dictionary d({.heap_size = 1 << 16});
  for (int i = 0; i < 100; ++i) d.put("stays" + std::to_string(i), "value");
  const test::SharedArea<std::atomic<int>> stop;
  // Keys of the same few homes take each other's places: what is inserted again goes to another slot.
  test::Forked writer([&](auto) {
    for (std::uint64_t i = 0; stop->load() == 0; ++i) {
      d.put("moves" + std::to_string(i % 60), std::string(i % 40, 'x'));
      d.erase("moves" + std::to_string((i * 7 + 13) % 60));
      if (i % 5000 == 0) d.put("grows" + std::to_string(i), "value");  // and now and then the table is exchanged
    }
    return 0;
  });
  int repeats = 0;
  int missing = 0;
  int torn = 0;
  const auto insertions = [&] { return d.segment().shard(0).insertions.load(); };
  const std::uint64_t begin = insertions();
  REQUIRE(test::eventually([&] { return insertions() > begin; }));
  for (int round = 0; round < 20'000 && (round < 1500 || insertions() < begin + 100'000); ++round) {
    const auto all = scan_all(d, repeats);
    for (int i = 0; i < 100; ++i) missing += all.contains("stays" + std::to_string(i)) ? 0 : 1;
    for (const auto& [key, value] : all) {
      if (key.starts_with("moves")) torn += value == std::string(value.size(), 'x') ? 0 : 1;
    }
  }
  stop->store(1);
  SHARED_DICT_REQUIRE_ENDED_WELL(writer.wait());
  REQUIRE(missing == 0);
  REQUIRE(repeats == 0);
  REQUIRE(torn == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("a key that moves ahead of the scan is met once") {
  const Dictionary d({.heap_size = 1 << 16});  // one shard
  // Nine keys of one home bucket: seven fill it, the others lie in the next one. There a large value comes first, so that a scan takes
  // its time between the slot that the key leaves and the one that it goes to; and the key doesn't touch that bucket on its way.
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < 9; ++i) {
    const std::string key = "key" + std::to_string(i);
    if (keys.empty() || hash_home(d.key(key).hash) % 64 == hash_home(d.key(keys.front()).hash) % 64)
      keys.push_back(key);
  }
  for (std::size_t i = 0; i < 7; ++i) d.put(keys[i], "value");
  d.put(keys[7], std::string(40'000, 'x'));
  const std::string& moving = keys[0];
  const std::string& filler = keys[8];
  const test::SharedArea<std::atomic<int>> stop;
  const test::SharedArea<std::atomic<int>> moves;
  test::Forked writer([&](auto) {
    const auto rest = [] {
      for (int i = 0; i < 500; ++i) cpu_relax();
    };
    while (stop->load() == 0) {
      d.erase(moving);
      d.put(filler, "value");  // in the slot that came free
      d.put(moving, "value");  // behind the large value
      rest();
      d.erase(filler);
      d.erase(moving);
      d.put(moving, "value");  // in the first slot again
      rest();
      moves->fetch_add(1);
    }
    return 0;
  });
  REQUIRE(test::eventually([&] { return moves->load() > 0; }));
  int repeats = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int scans = 0; (scans < 3000 || moves->load() < 3000) && std::chrono::steady_clock::now() < end; ++scans)
    scan_all(d, repeats);
  stop->store(1);
  SHARED_DICT_REQUIRE_ENDED_WELL(writer.wait());
  REQUIRE(repeats == 0);
  REQUIRE(d.problems().empty());
}
