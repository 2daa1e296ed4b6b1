// Two keys that look alike until their bytes are compared: the same home, the same tag. The first guess of a look-up of the second one is
// the first one's entry, so each goes on to the whole search (lookup.hpp), which is rare otherwise, while writers in other
// processes do what could mislead it: reuse the blocks and the tables that it is looking at. The key never goes, so each miss is wrong.

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/sanitized.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Dictionary = StoredDictionary;

constexpr unsigned kReaders = 4;  // more than processors: what matters happens to one that is put aside in the middle

struct Progress {
  std::atomic<int> done;
  std::atomic<std::uint64_t> reads;
};

/// Two keys of the same length and tag, and the same home in tables of up to 1024 buckets.
std::pair<std::string, std::string> alike(const Dictionary& d) {
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::string> seen;
  for (int i = 10'000'000;; ++i) {
    std::string key = "key" + std::to_string(i);
    const std::uint64_t hash = d.key(key).hash;
    const auto [at, is_new] = seen.try_emplace({detail::hash_tag(hash), detail::hash_home(hash) % 1024}, key);
    if (!is_new) return {at->second, key};
  }
}

/// Reads `key` in several processes while `write` runs in another one. Returns what went wrong.
template <class Write>
void read_while(const Dictionary& d, const std::string& key, Write write) {
  const SharedArea<Progress> progress;
  const StartBarrier barrier;
  std::vector<std::unique_ptr<Forked>> children;
  children.push_back(std::make_unique<Forked>([&](auto) {
    barrier.arrive_and_wait();
    write();
    progress->done.store(1);
    return 0;
  }));
  for (unsigned i = 0; i < kReaders; ++i) {
    children.push_back(std::make_unique<Forked>([&](auto say) {
      barrier.arrive_and_wait();
      std::uint64_t reads = 0;
      for (; progress->done.load() == 0; ++reads) {
        if (!d.get(key)) {
          say("missing after " + std::to_string(reads) + " reads");
          return 1;
        }
      }
      progress->reads.fetch_add(reads);
      return 0;
    }));
  }
  barrier.open_for(kReaders + 1);
  for (const auto& child : children) SHARED_DICT_REQUIRE_ENDED_WELL(child->wait(2 * kHangDeadline));
  REQUIRE(progress->reads.load() > 1000);
  REQUIRE(d.problems().empty());
}

}  // namespace

TEST_CASE("a key is found behind one that looks alike while its blocks become other keys'") {
  const Dictionary d({.heap_size = 127 * 1024});
  REQUIRE(d.segment().identity().shard_count == 1);
  const auto [first, sought] = alike(d);
  const std::string other = "key10-other";
  REQUIRE(other.size() == sought.size());
  const std::string value(24, 'v');
  for (const std::string& key : {first, sought, other}) d.put(key, value);
  // Of one size: the block that one of them leaves is the one that the other gets.
  read_while(d, sought, [&, sought = sought] {
    for (int round = 0; round < (kSanitized ? 200'000 : 1'000'000); ++round) {
      d.put(sought, value);
      d.put(other, value);
    }
  });
}

TEST_CASE("a key is found behind one that looks alike while its table is exchanged") {
  const Dictionary d({.heap_size = 127 * 1024});
  REQUIRE(d.segment().identity().shard_count == 1);
  const auto [first, sought] = alike(d);
  for (const std::string& key : {first, sought}) d.put(key, "value");
  // The memory of the last table becomes a value's that looks like empty slots.
  const std::string zeros(4000, '\0');
  read_while(d, sought, [&] {
    const detail::Writer writer = d.writer();
    for (int i = 0; i < (kSanitized ? 20'000 : 100'000); ++i) {
      {
        detail::LockedShard shard(writer, 0);
        detail::rebuild_table(writer, shard.heap(), shard.fields(), 0, shard.table_word().log2_buckets());
      }
      d.put("zeros" + std::to_string(i % 2), zeros);
      d.erase("zeros" + std::to_string((i + 1) % 2));
    }
  });
}
