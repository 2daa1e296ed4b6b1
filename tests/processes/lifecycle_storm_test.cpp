// Eight processes create, attach, use, close, remove, fork, exec, exit and are killed at random, all at once and on a few names. Whatever
// they meet of each other, every call ends in success or in one of the answers that the contract has for it, every dictionary that
// somebody has attached is sound, and in the end nothing is left: no directory, no descriptor, no mapping.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <random>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr unsigned kProcesses = 8;
constexpr int kNames = 3;

std::size_t open_descriptors() {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator("/proc/self/fd")) ++count;
  return count;
}

std::size_t mappings_of_segments() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) count += line.find("shared_dict.") != std::string::npos ? 1U : 0U;
  return count;
}

/// What all members of a storm have done together.
struct Weather {
  std::atomic<int> stop;
  std::atomic<std::uint64_t> turns;
  std::atomic<std::uint64_t> created;
  std::atomic<std::uint64_t> attached;
  std::atomic<std::uint64_t> removed;
  std::atomic<std::uint64_t> audits;
  std::atomic<std::uint64_t> forks;
  std::atomic<std::uint64_t> execs;
  std::atomic<std::uint64_t> exits;  ///< of forked children, by themselves
};

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One process of it. In a forked child a copy goes on with the handles of the parent.
class Member {
 public:
  Member(std::string place, std::uint64_t seed, Weather& weather, std::string token)
      : place_(std::move(place)), random_(seed), weather_(weather), token_(std::move(token)) {}

  /// Does one thing at random. Throws an Error that was not among the answers that it may get.
  void step() {
    weather_.turns.fetch_add(1);
    switch (random_() % 16) {
      case 0:
      case 1:
        return only({errc::already_exists}, [&] {
          open_.push_back(Numbers::create(any_name(), options()));
          weather_.created.fetch_add(1);
        });
      case 2:
      case 3:
        return only({errc::not_found}, [&] {
          open_.push_back(Numbers::attach(any_name(), options()));
          weather_.attached.fetch_add(1);
        });
      case 4:
      case 5: return only({}, [&] { open_.push_back(Numbers::open_or_create(any_name(), options())); });
      case 6:
      case 7: return only({}, [&] { weather_.removed.fetch_add(shared_dict::remove(any_name(), place_) ? 1 : 0); });
      case 8: return only({}, [&] { exists(any_name(), place_); });
      case 9: return only({}, [&] { list(place_); });
      case 10:
        return only({errc::not_found, errc::type_mismatch}, [&] {
          SharedDict<int, std::string>::attach(any_name(), options());
          throw Failure("attached with other types");
        });
      case 11:
        if (random_() % 4 == 0) fork_one();
        return;
      default: return only({}, [&] { use_one(); });
    }
  }

  /// All forked children have ended, and well unless they were killed.
  void await_children() {
    if (!eventually([&] { return reap(), children_.empty(); })) throw Failure("a forked child doesn't end");
  }

  void close_all() { open_.clear(); }

  /// Goes on as a new process image with the same pid. Its open handles are gone with the old one.
  [[noreturn]] void become_new(std::size_t descriptors) {
    await_children();
    if (random_() % 2 == 0) close_all();
    weather_.execs.fetch_add(1);
    become_child("storm: member", {place_, std::to_string(random_()), token_, std::to_string(descriptors)});
  }

  std::uint64_t any() { return random_(); }

 private:
  std::string any_name() { return "storm" + std::to_string(random_() % kNames); }

  Options options() {
    return {.heap_size = 1 << 18,
            .lifetime = random_() % 4 == 0 ? Lifetime::persistent : Lifetime::attached,
            .directory = place_};
  }

  template <class Call>
  static void only(std::initializer_list<errc> permitted, Call call) {
    try {
      call();
    } catch (const Error& error) {
      if (std::find(permitted.begin(), permitted.end(), error.code()) == permitted.end()) throw;
    }
  }

  void use_one() {
    if (open_.empty()) return;
    const std::size_t which = random_() % open_.size();
    Numbers& d = open_[which];
    for (int i = 0; i < 5; ++i) d.fetch_add(random_() % 50, 1);
    const auto viewed = d.view(random_() % 50);
    switch (random_() % 16) {
      case 0: d.clear(); break;
      case 1: d.extract_any(); break;
      case 2: d.update({{1, 1}, {2, 2}, {3, 3}}); break;
      case 3:
      case 4: {
        weather_.audits.fetch_add(1);
        const std::string problems = problems_of(d);
        if (!problems.empty()) throw Failure(problems);
        break;
      }
      default: break;
    }
    if (random_() % 2 == 0 || open_.size() > 6) open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(which));
  }

  void fork_one() {
    reap();
    if (forked_ || children_.size() > 2) return;
    const std::uint64_t seed = random_();
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid != 0) {
      children_.push_back(pid);
      weather_.forks.fetch_add(1);
      return;
    }
    die_with(parent);
    ::_exit(run_forked(seed));
  }

  int run_forked(std::uint64_t seed) noexcept {
    try {
      forked_ = true;
      children_.clear();
      random_.seed(seed);
      for (std::uint64_t left = random_() % 30; left > 0; --left) step();
      switch (random_() % 4) {
        case 0: close_all(); break;
        case 1: ::raise(SIGKILL); break;
        case 2: become_child("storm: guest", {place_, std::to_string(random_())});
        default: break;  // with all that is open
      }
      weather_.exits.fetch_add(1);
      return 0;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "storm, forked: %s\n", error.what());
      return kChildThrew;
    }
  }

  void reap() {
    std::erase_if(children_, [](pid_t pid) {
      int status = 0;
      if (::waitpid(pid, &status, WNOHANG) == 0) return false;
      if (WIFEXITED(status) && WEXITSTATUS(status) != 0) throw Failure("a forked child failed");
      if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL) throw Failure("a forked child crashed");
      return true;
    });
  }

  std::string place_;
  std::mt19937_64 random_;
  Weather& weather_;
  std::string token_;
  std::vector<Numbers> open_;
  std::vector<pid_t> children_;
  bool forked_ = false;
};

/// args: place, seed, weather, and how many descriptors it shall have at the beginning, 0 if nobody knows
const RegisterChild kMember("storm: member", [](std::vector<std::string> args) {
  const std::size_t at_first = std::stoull(args.at(3));
  if (at_first != 0 && open_descriptors() != at_first) throw Failure("a descriptor outlives an exec");
  const std::size_t descriptors = open_descriptors();
  const auto weather = SharedArea<Weather>::from_token(args.at(2));
  // Nobody destroys it when the process exits; static, so that it counts as no leak.
  static Member* const member = new Member(args.at(0), std::stoull(args.at(1)), *weather, args.at(2));
  while (weather->stop.load() == 0) {
    member->step();
    if (member->any() % 150 == 0) member->become_new(descriptors);
  }
  member->await_children();
  switch (member->any() % 4) {
    case 0: ::_exit(0);
    case 1: std::exit(0);  // with all that is open
    default: break;
  }
  delete member;
  if (open_descriptors() != descriptors || mappings_of_segments() != 0) {
    std::fprintf(stderr, "storm: %zu descriptors instead of %zu, %zu mappings\n", open_descriptors(), descriptors,
                 mappings_of_segments());
    return 2;
  }
  return 0;
});

/// What a forked child may become: it comes, uses what is there, and goes. args: place, seed
const RegisterChild kGuest("storm: guest", [](std::vector<std::string> args) {
  std::mt19937_64 random(std::stoull(args.at(1)));
  for (const std::string& name : list(args.at(0))) {
    try {
      Numbers d = Numbers::attach(name, {.directory = args.at(0)});
      d.fetch_add(random() % 50, 1);
      if (const std::string problems = problems_of(d); !problems.empty()) throw Failure(problems);
    } catch (const Error& error) {
      if (error.code() != errc::not_found) throw;
    }
  }
  return 0;
});

/// Children whose parent was killed become the test's, so that it knows when they have ended.
class Adoption {
 public:
  Adoption() { adopt(1); }
  ~Adoption() { adopt(0); }
  Adoption(const Adoption&) = delete;
  Adoption& operator=(const Adoption&) = delete;

  /// When all others have been waited for.
  static bool all_ended() {
    return eventually([] {
      pid_t ended = 0;
      while ((ended = ::waitpid(-1, nullptr, WNOHANG)) > 0) {
      }
      return ended < 0 && errno == ECHILD;
    });
  }

 private:
  static void adopt([[maybe_unused]] unsigned long on) {
#if defined(__linux__)
    ::prctl(PR_SET_CHILD_SUBREAPER, on, 0, 0, 0);
#endif
  }
};

std::string files_in(const fs::path& place) {
  std::string files;
  for (const auto& entry : fs::recursive_directory_iterator(place)) files += entry.path().string() + '\n';
  return files;
}

/// What is there when all members are gone are persistent ones. They are whole, and each name is good for a new start. After kills, what was
/// removed may be kept for a while for a forked child of a member that died: one that could still come.
void require_nothing_left(const fs::path& place, bool killed) {
  for (const std::string& name : list(place)) {
    INFO(name);
    {
      const Numbers d = Numbers::attach(name, {.directory = place});
      SHARED_DICT_REQUIRE_SOUND(d);
      REQUIRE(d.stats().processes == 1);
    }
    REQUIRE(exists(name, place));
  }
  for (int i = 0; i < kNames; ++i) {
    const std::string name = "storm" + std::to_string(i);
    shared_dict::remove(name, place);
    REQUIRE_FALSE(exists(name, place));
    Numbers d = Numbers::create(name, {.heap_size = 1 << 18, .directory = place});
    d.insert(1, 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(list(place).empty());
  if (killed) {
    static_cast<void>(eventually([&] {
      for (int i = 0; i < kNames; ++i) shared_dict::remove("storm" + std::to_string(i), place);
      return fs::is_empty(place);
    }));
  }
  REQUIRE(files_in(place) == "");
}

/// So many kills, each after some turns; then all come to an end by themselves.
void storm(const SharedArea<Weather>& weather, int kills, std::mt19937_64& random) {
  const Place place;
  weather->stop = 0;
  const auto start = [&] {
    return Child::start("storm: member", {place.path().string(), std::to_string(random()), weather.token(), "0"});
  };
  std::vector<Child> members;
  for (unsigned i = 0; i < kProcesses; ++i) members.push_back(start());
  const auto let_go_on = [&](std::uint64_t turns) {
    const std::uint64_t end = weather->turns.load() + turns;
    return eventually([&] { return weather->turns.load() >= end; });
  };
  for (int i = 0; i < kills; ++i) {
    REQUIRE(let_go_on(random() % 400));
    Child& victim = members[random() % kProcesses];
    victim.kill();
    REQUIRE(victim.wait() == -SIGKILL);
    victim = start();
  }
  REQUIRE(let_go_on(500));
  weather->stop = 1;
  for (Child& member : members) REQUIRE(member.wait() == 0);
  REQUIRE(Adoption::all_ended());
  require_nothing_left(place.path(), kills > 0);
}

}  // namespace

TEST_CASE("storms of creating, attaching, removing, forking, exec, exit and kills end with nothing left", "[long]") {
  std::mt19937_64 random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  const Adoption adoption;
  const SharedArea<Weather> weather;
  std::uint64_t kills = 0;
  Effort effort(kSanitized ? 3 : 12);
  while (effort.more()) {
    INFO("storm " << effort.done());
    // Some without kills: then nobody may leave anything even for a moment.
    const int of_this = effort.done() % 4 == 0 ? 0 : 25;
    storm(weather, of_this, random);
    kills += static_cast<std::uint64_t>(of_this);
  }
  report("life-cycle storms", {{"storms", effort.done()},
                               {"turns", weather->turns.load()},
                               {"created", weather->created.load()},
                               {"attached", weather->attached.load()},
                               {"removed", weather->removed.load()},
                               {"forks", weather->forks.load()},
                               {"execs", weather->execs.load()},
                               {"exits of forked", weather->exits.load()},
                               {"kills", kills},
                               {"audits", weather->audits.load()}});
}

TEST_CASE("a process that opens and closes many times keeps no descriptor and no mapping") {
  const Place place;
  const std::size_t descriptors = open_descriptors();
  const std::size_t mappings = mappings_of_segments();
  for (int i = 0; i < 300; ++i) {
    Numbers d = Numbers::open_or_create("name", {.heap_size = 1 << 18, .directory = place.path()});
    Numbers other = Numbers::attach("name", {.directory = place.path()});
    d.insert(1, 1);
    REQUIRE_THROWS(Numbers::create("name", {.heap_size = 1 << 18, .directory = place.path()}));
    REQUIRE_THROWS(SharedDict<int, int>::attach("name", {.directory = place.path()}));
    REQUIRE_THROWS(Numbers::attach("another", {.directory = place.path()}));
    REQUIRE(exists("name", place.path()));
  }
  REQUIRE(open_descriptors() == descriptors);
  REQUIRE(mappings_of_segments() == mappings);
  REQUIRE(fs::is_empty(place.path()));
}
