// Processes of different PID namespaces, as in containers that share the place: everybody may be pid 1, nobody can ask the
// kernel for the other by number, and still the living are told from the dead.

#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

#if defined(SHARED_DICT_LINUX)

#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

struct Flags {
  std::atomic<int> inside;
  std::atomic<int> release;
  std::atomic<int> pid;
};

enum class Proc { there, missing };

/// Puts an empty directory where /proc was, for this process and its children.
bool hide_proc() {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("tmpfs", "/proc", "tmpfs", 0, "size=64k") == 0;
}

/// Runs `body` in a process that is pid 1 of a namespace of its own. Killing the returned one kills it.
template <class Body>
class Contained {
 public:
  explicit Contained(Body body, Proc proc = Proc::there)
      : outer_([body, proc](auto&& say) -> int {
          if (proc == Proc::missing && !hide_proc()) return Forked::kSkipped;
          if (::unshare(CLONE_NEWPID) != 0) return Forked::kSkipped;
          const pid_t pid = ::fork();
          if (pid < 0) return Forked::kSkipped;
          if (pid == 0) {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            try {
              ::_exit(body());
            } catch (const std::exception& error) {
              say(error.what());
              ::_exit(Forked::kThrew);
            }
          }
          int status = 0;
          while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
          }
          return WIFEXITED(status) ? WEXITSTATUS(status) : Forked::kFailed;
        }) {}

  Ending wait() { return outer_.wait(); }
  void kill() const { outer_.kill(); }

 private:
  Forked outer_;
};

bool skipped(const Ending& ending) {
  if (!ending.exited || ending.status != Forked::kSkipped) return false;
  report_skipped("PID namespaces", "a PID namespace is not permitted here");
  return true;
}

/// Waits for it. False if it can't, as namespaces aren't permitted here.
template <class Body>
bool came_inside(Contained<Body>& process, const SharedArea<Flags>& flags) {
  if (eventually([&] { return flags->inside.load() == 1; }, std::chrono::seconds(5))) return true;
  if (!skipped(process.wait())) FAIL("a process did not come so far");
  return false;
}

Options options_in(const Place& place) {
  return {.heap_size = 1 << 20, .lock_timeout = std::chrono::seconds(2), .directory = place.path()};
}

/// Is inside a callback until it is released.
int hold(const Options& options, const SharedArea<Flags>& flags) {
  Numbers d = Numbers::attach("name", options);
  flags->pid = ::getpid();
  return d.modify(1,
                  [&](std::uint64_t& value) {
                    flags->inside = 1;
                    if (eventually([&] { return flags->release.load() != 0; })) ++value;
                  })
             ? 0
             : Forked::kFailed;
}

}  // namespace

TEST_CASE("a living owner in another PID namespace keeps its lock") {
  const Place place;
  const Options options = options_in(place);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Contained holder([&] { return hold(options, flags); });
  if (!came_inside(holder, flags)) return;
  REQUIRE(flags->pid.load() == 1);
  REQUIRE(d.at(1) == 10);
  REQUIRE(error_of([&] { d.fetch_add(1, 1); }) == errc::lock_timeout);
  flags->release = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(holder.wait());
  REQUIRE(d.fetch_add(1, 1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an owner that died in another PID namespace is noticed") {
  const Place place;
  const Options options = options_in(place);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Contained holder([&] { return hold(options, flags); });
  if (!came_inside(holder, flags)) return;
  holder.kill();
  holder.wait();
  REQUIRE(d.fetch_add(1, 1) == 10);
  REQUIRE(d.stats().recoveries == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an owner that died in one PID namespace is recovered from another one") {
  const Place place;
  const Options options = options_in(place);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Contained holder([&] { return hold(options, flags); });
  if (!came_inside(holder, flags)) return;
  // Attached before: one that attaches cleans up at once.
  const SharedArea<Flags> steps;
  Contained other([&] {
    Numbers own = Numbers::attach("name", options);
    steps->inside = 1;
    if (!eventually([&] { return steps->release.load() == 1; })) return 10;
    return own.fetch_add(1, 1) == 10 && own.stats().recoveries == 1 && own.audit().ok() ? 0 : 11;
  });
  REQUIRE(came_inside(other, steps));
  holder.kill();
  holder.wait();
  steps->release = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(other.wait());
  REQUIRE(d.at(1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("two that are both pid 1 don't take each other for themselves") {
  const Place place;
  const Options options = options_in(place);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Contained holder([&] { return hold(options, flags); });
  if (!came_inside(holder, flags)) return;
  Contained other([&] {
    Numbers own = Numbers::attach("name", options);
    if (::getpid() != 1 || own.at(1) != 10) return 10;
    // Alive, though it has the same number.
    if (error_of([&] { own.fetch_add(1, 1); }) != errc::lock_timeout) return 11;
    flags->release = 2;
    return own.fetch_add(1, 1) == 11 ? 0 : 12;
  });
  SHARED_DICT_REQUIRE_ENDED_WELL(other.wait());
  SHARED_DICT_REQUIRE_ENDED_WELL(holder.wait());
  REQUIRE(d.at(1) == 12);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("two that are both pid 1, and can't find out more, don't take each other for themselves") {
  const Place place;
  const Options options = options_in(place);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Contained holder([&] { return hold(options, flags); }, Proc::missing);
  if (!came_inside(holder, flags)) return;
  const SharedArea<Flags> steps;
  Contained other(
      [&] {
        Numbers own = Numbers::attach("name", options);
        if (error_of([&] { own.fetch_add(1, 1); }) != errc::lock_timeout) return 11;
        steps->inside = 1;
        if (!eventually([&] { return steps->release.load() == 1; })) return 12;
        return own.fetch_add(1, 1) == 10 ? 0 : 13;
      },
      Proc::missing);
  const bool kept = eventually([&] { return steps->inside.load() == 1; }, std::chrono::seconds(5));
  holder.kill();
  holder.wait();
  steps->release = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(other.wait());
  REQUIRE(kept);
  REQUIRE(d.at(1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a process that sees the /proc of another PID namespace knows when it began itself, and of others nothing") {
  const detail::ProcessIdentity outside = detail::current_process();
  Contained inside([&] {
    if (::getpid() != 1 || detail::current_process().start_time < outside.start_time) return 10;
    return detail::start_time_of(outside.pid) == 0 ? 0 : 11;  // that number is nobody's here
  });
  const Ending ending = inside.wait();
  if (!skipped(ending)) SHARED_DICT_REQUIRE_ENDED_WELL(ending);
}

TEST_CASE("a dictionary exists for other PID namespaces as long as one member lives, and no longer") {
  const Place place;
  const Options options = options_in(place);
  const SharedArea<Flags> flags;
  Contained member([&] {
    Numbers d = Numbers::create("name", options);
    d.insert(1, 10);
    flags->inside = 1;
    return eventually([&] { return flags->release.load() != 0; }) ? 0 : Forked::kFailed;
  });
  if (!came_inside(member, flags)) return;
  REQUIRE(exists("name", place.path()));
  REQUIRE(error_of([&] { Numbers::create("name", options); }) == errc::already_exists);
  member.kill();
  member.wait();
  REQUIRE(eventually([&] { return !exists("name", place.path()); }));
  Numbers d = Numbers::create("name", options);
  REQUIRE(d.empty());
  REQUIRE(d.insert(1, 1));
  SHARED_DICT_REQUIRE_SOUND(d);
}

#endif
