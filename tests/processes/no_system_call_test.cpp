// Readers make no system call: the kernel ends a process that makes one, once it has asked for that. They read while a stopped process
// holds the lock, and while others write.

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_holder.hpp"
#include "support/sanitized.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

#if defined(__linux__)

#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<long, long>;

constexpr int kRounds = 300;

/// From here on read, write and exit are all that the calling thread may ask of the system. False if that can't be had.
bool forswear_system_calls() { return ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0; }

[[noreturn]] void end(int status) {
  ::syscall(SYS_exit, status);
  __builtin_unreachable();
}

/// Each way to read, once. Memory that the reader keeps is reused from the second time on.
bool read_all(const Words& words, const Numbers& numbers, const std::vector<std::string>& keys, std::string& out) {
  bool right = true;
  for (const std::string& key : keys) {
    right = right && words.try_get(key, out) && out.size() == 100 && words.contains(key) && words.get(key)->size() == 100 &&
            words.view(key)->size() == 100;
  }
  right = right && !words.contains("missing") && !words.get("missing") && !words.view("missing");
  words.get_many(keys, [&](std::size_t, const std::string* value) { right = right && value != nullptr && value->size() == 100; });
  for (long i = 0; i < 100; ++i) {
    long number = 0;
    right = right && numbers.try_get(i, number) && number >= i && numbers.get(i) && numbers.contains(i);
  }
  return right && words.size() == keys.size() && !numbers.empty();
}

}  // namespace

TEST_CASE("readers make no system call, whoever writes or holds a lock meanwhile") {
  if (kSanitized) return report_skipped("readers without system calls", "sanitizers make some of their own");
  const UniqueName words_name;
  const UniqueName numbers_name;
  Words words = Words::create(words_name.str(), {.heap_size = 1 << 20});
  Numbers numbers = Numbers::create(numbers_name.str(), {.heap_size = 1 << 18});
  std::vector<std::string> keys;
  for (int i = 0; i < 200; ++i) {
    keys.push_back("key " + std::to_string(i));
    words.insert(keys.back(), std::string(100, 'v'));
  }
  for (long i = 0; i < 100; ++i) numbers.insert(i, i);

  const SharedArea<std::atomic<int>> rounds;
  const LockHolder holder(words, keys.front());
  holder.stop();
  Forked reader([&](const auto& say) {
    std::string out;
    // What a first time takes, memory for views and for the results, is had before.
    for (int i = 0; i < 3; ++i) {
      if (!read_all(words, numbers, keys, out)) return Forked::kFailed;
    }
    if (!forswear_system_calls()) {
      say("seccomp isn't permitted here");
      rounds->store(kRounds);
      return Forked::kSkipped;
    }
    for (int i = 0; i < kRounds; ++i) {
      if (!read_all(words, numbers, keys, out)) end(Forked::kFailed);
      rounds->fetch_add(1);
    }
    end(0);
  });
  // The numbers are written meanwhile; of the words one shard is held by a process that is stopped.
  eventually([&] {
    for (long i = 0; i < 100; ++i) numbers.fetch_add(i, 1);
    return rounds->load() == kRounds;
  });
  const Ending ending = reader.wait();
  if (ending.exited && ending.status == Forked::kSkipped) {
    report_skipped("readers without system calls", ending.text);
    return;
  }
  INFO(rounds->load() << " rounds");
  SHARED_DICT_REQUIRE_ENDED_WELL(ending);
  REQUIRE(rounds->load() == kRounds);
  SHARED_DICT_REQUIRE_SOUND(numbers);
  report("readers without system calls", {{"rounds", kRounds}, {"keys", keys.size() + 100}});
}

TEST_CASE("a writer that waits for a lock is one that makes system calls: the test above can fail") {
  if (kSanitized) return;
  const UniqueName name;
  Words words = Words::create(name.str(), {.heap_size = 1 << 20});
  words.insert("key", "value");
  LockHolder holder(words, "key");
  holder.stop();
  const Ending ending = run_forked([&](const auto&) -> int {
    static_cast<void>(words.contains("key"));
    if (!forswear_system_calls()) return Forked::kSkipped;
    words.assign("key", "other");
    end(0);
  });
  REQUIRE((ending.signal == SIGKILL || (ending.exited && ending.status == Forked::kSkipped)));
  holder.die();
  SHARED_DICT_REQUIRE_SOUND(words);
}

#endif
