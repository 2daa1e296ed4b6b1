// Every system call and every allocation fails once in whoever meets a dead owner's lock, a living owner's lock, or forks. The dead one's
// lock is released all the same, then or by the next; the living one is never robbed; the child can write.

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/lock_holder.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::string, long>;

Options options_in(const Place& place) {
  // Short for calls that go on failing: then nobody can be found dead.
  return {.heap_size = 1 << 14, .lock_timeout = 200ms, .max_processes = 4, .directory = place.path()};
}

Numbers filled(const Options& options) {
  Numbers d = Numbers::create(kName, options);
  for (int i = 0; i < 20; ++i) d.insert("key " + std::to_string(i), i);
  return d;
}

constexpr const char* kPromised = "an exception of the kind that is promised, and only for a fault";

struct Meeting {
  const char* name;
  std::function<void(Numbers&, const Options&)> meet;
};

/// The dictionary that a round works with, and what has to hold of this process when it is through.
Tally walk(const char* name, bool lasting, const std::function<void(const Options&, const Fault&, Attempt&)>& round) {
  const Place place(memory());
  const Options options = options_in(place);
  Attempt first;
  round(options, {}, first);
  const std::int64_t kept = kept_allocations(place);
  const auto descriptors = open_descriptors();
  return fail_everywhere(name, lasting, [&](const Fault& fault, Attempt& tried) {
    round(options, fault, tried);
    demand(open_descriptors() == descriptors, "no descriptor left open");
    demand(std::filesystem::is_empty(place.path()), "no file left over");
    const std::int64_t now = kept_allocations(place);
    demand(now == kept, "no memory lost: " + std::to_string(now - kept) + " allocations more than before");
  });
}

}  // namespace

TEST_CASE("whichever call fails in a recoverer, the dead one's locks are released by it or by the next", "[long]") {
  const Effort effort(1);
  const std::vector<Meeting> meetings{
      {"a write", [](Numbers& d, const Options&) { d.insert_or_assign("key 1", 100); }},
      {"a batch",
       [](Numbers& d, const Options&) {
         d.update({{"key 1", 100}, {"key 2", 2}});
       }},
      {"audit", [](Numbers& d, const Options&) { static_cast<void>(d.audit()); }},
      {"attach", [](Numbers&, const Options& options) { Numbers::attach(kName, options); }},
      {"wait_change", [](Numbers& d, const Options&) { d.wait_change("key 1", 30ms); }},
  };
  Tally all;
  for (const Meeting& meeting : meetings) {
    for (const bool lasting : {false, true}) {
      // A lack that goes on ends in a time-out nearly everywhere.
      if (lasting && &meeting != &meetings.front() && !effort.timed()) continue;
      Tally tally = walk(meeting.name, lasting, [&](const Options& options, const Fault& fault, Attempt& tried) {
        Numbers d = filled(options);
        LockHolder(d, "key 1").die();
        tried = attempt(fault, [&] { meeting.meet(d, options); });
        demand(tried.as_promised(kName), kPromised);
        // Without a fault now.
        d.insert_or_assign("key 1", 100);
        demand(d.stats().recoveries == 1, "one recovery");
        demand(d.size() == 20 && d.at("key 1") == 100 && d.at("key 2") == 2, "the contents");
        const std::string problems = problems_of(d);
        demand(problems.empty(), problems);
      });
      if (lasting) tally.operations = 0;
      all += tally;
    }
  }
  print("faults in recovery", all);
}

TEST_CASE("whichever call fails in a writer that waits, a living owner keeps its lock") {
  const Place place(memory());
  Options options = options_in(place);
  Numbers d = filled(options);
  const SharedArea<std::atomic<int>> step;
  Forked holder([&](auto) {
    Numbers own = Numbers::attach(kName, options);
    own.modify("key 1", [&](long& value) {
      step->store(1);
      if (eventually([&] { return step->load() == 2; }, 10 * kHangDeadline)) ++value;
    });
    return own.at("key 1") == 2 ? 0 : Forked::kFailed;
  });
  REQUIRE(eventually([&] { return step->load() == 1; }));
  options.lock_timeout = 40ms;
  std::optional<Numbers> impatient(Numbers::attach(kName, options));
  Tally all;
  for (const bool lasting : {false, true}) {
    all += fail_everywhere("a write", lasting, [&](const Fault& fault, Attempt& tried) {
      tried = attempt(fault, [&] { impatient->insert_or_assign("key 1", 100); });
      demand(tried.failed && (tried.as_promised(kName) || tried.code == errc::lock_timeout), "a refusal");
      demand(impatient->at("key 1") == 1, "the old value");
    });
  }
  all.operations = 1;
  impatient.reset();
  step->store(2);
  SHARED_DICT_REQUIRE_ENDED_WELL(holder.wait());
  REQUIRE(d.at("key 1") == 2);
  REQUIRE(d.stats().recoveries == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
  print("faults while a living owner has the lock", all);
}

TEST_CASE("whichever call fails when a process forks, parent and child can both write") {
  Tally all;
  for (const bool lasting : {false, true}) {
    all += walk("fork", lasting, [&](const Options& options, const Fault& fault, Attempt& tried) {
      Numbers d = filled(options);
      const SharedArea<Outcome> in_child;
      set_fault(fault);
      const pid_t pid = ::fork();
      tried.outcome = end_fault();
      if (pid == 0) {
        *in_child = tried.outcome;
        int status = 1;
        try {
          status = d.fetch_add("key 1", 1) == 1 && d.audit().ok() && d.stats().processes == 2 ? 0 : 2;
        } catch (...) {
        }
        ::_exit(status);
      }
      demand(pid > 0, "a child");
      int status = 0;
      demand(eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }), "the child's end");
      if (!tried.outcome.struck) tried.outcome = *in_child;
      demand(WIFEXITED(status) && WEXITSTATUS(status) == 0, "that the child can write");
      demand(d.fetch_add("key 1", 1) == 2, "that the parent can write");
      const std::string problems = problems_of(d);
      demand(problems.empty(), problems);
    });
  }
  all.operations = 1;
  print("faults in fork", all);
}
