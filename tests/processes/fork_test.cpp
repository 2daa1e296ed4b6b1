// fork: an inherited handle works in the child, the child counts as attached for itself, and neither of the two harms the
// other by what it does or by how it ends.

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/pattern.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;
using Words = SharedDict<std::string, std::string>;

struct Flags {
  std::atomic<int> child;
  std::atomic<int> parent;
};

/// Waits in the child until the parent has come to `step`.
bool parent_came_to(const SharedArea<Flags>& flags, int step) {
  return eventually([&] { return flags->parent.load() >= step; });
}
bool child_came_to(const SharedArea<Flags>& flags, int step) {
  return eventually([&] { return flags->child.load() >= step; });
}

/// A program that a member starts, and that becomes a member itself. args: place, area
const RegisterChild kStarted("fork: started", [](std::vector<std::string> args) {
  const auto flags = SharedArea<Flags>::from_token(args.at(1));
  Numbers d = Numbers::attach("name", {.directory = args.at(0)});
  d.fetch_add(1, 1);
  flags->child = 1;
  return eventually([&] { return flags->parent.load() != 0; }) ? 0 : 1;
});

/// Asks a process that has nothing to do with either of them. args: name
const RegisterChild kExists("fork: exists", [](std::vector<std::string> args) { return exists(args.at(0)) ? 1 : 0; });

/// What a forked child does before the library's own handler of the fork: such handlers run in the order in which they were made known,
/// and this one is known before main.
void (*before_registering)() = nullptr;
[[maybe_unused]] const int kHandlerKnown = ::pthread_atfork(nullptr, nullptr, [] {
  if (before_registering != nullptr) before_registering();
});
const SharedArea<Flags>* hold_up = nullptr;

/// For a parent that ends before its child is attached: a child that adds 1 to key 1, says so (1, or 3 if it isn't 11 then), and leaves when the
/// parent's flag is `last`.
void fork_and_end(Numbers& d, const SharedArea<Flags>& flags, int last) {
  flags->parent = 1;
  if (::fork() == 0) {
    d.fetch_add(1, 1);
    flags->child = d.get(1) == 11U ? 1 : 3;
    parent_came_to(flags, last);
    d.close();
    flags->child = 2;
  }
  ::_exit(0);
}

/// The parent's own registration comes through; its child's waits for `step`, and a little longer.
void wait_in_child(int step) {
  if ((*hold_up)->parent.load() == 0) return;  // the parent itself
  eventually([&] { return (*hold_up)->parent.load() >= step; });
  eventually([] { return false; }, std::chrono::milliseconds(100));
}

/// A parent that makes a dictionary with 10 under key 1, and ends before its child is attached, which `in_child` holds up.
void create_fork_and_end(const Options& options, const SharedArea<Flags>& flags, void (*in_child)(), int last) {
  hold_up = &flags;
  before_registering = in_child;
  Forked parent([&](auto&&) {
    Numbers d = Numbers::create("name", options);
    d.insert(1, 10);
    fork_and_end(d, flags, last);
    return Forked::kFailed;
  });
  before_registering = nullptr;
  SHARED_DICT_REQUIRE_ENDED_WELL(parent.wait());
}

/// A child that ends before it is attached.
void fork_in_vain() {
  before_registering = [] { ::_exit(0); };
  ::fork();
  before_registering = nullptr;
}

bool others_see(const UniqueName& name) { return Child::start("fork: exists", {name.str()}).wait() == 1; }

}  // namespace

TEST_CASE("an inherited handle works in the child, which counts as attached") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  Forked child([&](auto&& say) {
    if (d.at(1) != 10) return 10;
    if (d.fetch_add(1, 1) != 10) return 11;
    for (std::uint64_t i = 100; i < 5000; ++i) d.insert(i, i);
    say("processes " + std::to_string(d.stats().processes));
    if (d.stats().processes != 2) return 12;
    flags->child = 1;
    if (!parent_came_to(flags, 1)) return 13;
    if (d.at(2) != 20) return 14;
    return d.audit().ok() ? 0 : 15;
  });
  REQUIRE(child_came_to(flags, 1));
  REQUIRE(d.stats().processes == 2);
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.at(4999) == 4999);
  d.insert(2, 20);
  flags->parent = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("when the parent leaves, a child that uses its handle keeps the dictionary") {
  const UniqueName name;
  std::optional<Numbers> d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  const SharedArea<Flags> flags;
  Forked child([&](auto&&) {
    d->insert(1, 10);
    flags->child = 1;
    if (!parent_came_to(flags, 1)) return 10;
    if (d->fetch_add(1, 1) != 10) return 11;
    flags->child = 2;
    if (!parent_came_to(flags, 2)) return 12;
    d->close();
    return 0;
  });
  REQUIRE(child_came_to(flags, 1));
  d.reset();
  REQUIRE(exists(name.str()));
  flags->parent = 1;
  REQUIRE(child_came_to(flags, 2));
  {
    Numbers again = Numbers::attach(name.str());
    REQUIRE(again.at(1) == 11);
    SHARED_DICT_REQUIRE_SOUND(again);
  }
  REQUIRE(exists(name.str()));
  flags->parent = 2;
  SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("when the parent leaves, a child that has not yet used its handle keeps the dictionary") {
  const UniqueName name;
  std::optional<Numbers> d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d->insert(1, 10);
  const SharedArea<Flags> flags;
  Forked child([&](auto&&) {
    flags->child = 1;
    if (!parent_came_to(flags, 1)) return 10;
    if (!exists(name.str())) return 11;
    return d->fetch_add(1, 1) == 10 && d->audit().ok() ? 0 : 12;
  });
  REQUIRE(child_came_to(flags, 1));
  d.reset();
  flags->parent = 1;
  SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
}

TEST_CASE("a parent that leaves at once waits for a child that isn't attached yet, whoever else is there") {
  enum class Case { the_parent_is_alone, it_is_removed_first, it_is_removed_afterwards, another_leaves_last };
  for (const auto which : {Case::the_parent_is_alone, Case::it_is_removed_first, Case::it_is_removed_afterwards,
                           Case::another_leaves_last}) {
    INFO("case " << static_cast<int>(which));
    const bool persistent = which == Case::it_is_removed_first || which == Case::it_is_removed_afterwards;
    const Place place;
    const SharedArea<Flags> flags;
    const SharedArea<Flags> others;
    Numbers d = Numbers::create("name", {.heap_size = 1 << 20,
                                         .lifetime = persistent ? Lifetime::persistent : Lifetime::attached,
                                         .directory = place.path()});
    d.insert(1, 10);
    std::optional<Child> other;
    if (which == Case::another_leaves_last) {
      other = Child::start("fork: started", {place.path().string(), others.token()});
      REQUIRE(child_came_to(others, 1));
    }
    if (which == Case::it_is_removed_first) REQUIRE(shared_dict::remove("name", place.path()));
    hold_up = &flags;
    // Until the parent has left; or for a while, as it does not until the child is attached.
    before_registering = [] {
      eventually([] { return (*hold_up)->parent.load() != 0; }, std::chrono::milliseconds(300));
    };
    Forked child(
        [&](auto&&) { return d.fetch_add(2, 1) == 0 && d.at(1) >= 10 && d.audit().ok() ? 0 : Forked::kFailed; });
    before_registering = nullptr;
    d.close();
    if (which == Case::it_is_removed_afterwards) shared_dict::remove("name", place.path());
    if (other) {
      others->parent = 1;
      REQUIRE(other->wait() == 0);
    }
    flags->parent = 1;
    SHARED_DICT_REQUIRE_ENDED_WELL(child.wait());
    shared_dict::remove("name", place.path());
    REQUIRE_FALSE(exists("name", place.path()));
  }
}

TEST_CASE("a parent that is gone before its child is attached doesn't take the dictionary along") {
  enum class Case { the_next_one_attaches, the_next_one_opens_or_creates };
  for (const auto which : {Case::the_next_one_attaches, Case::the_next_one_opens_or_creates}) {
    INFO("case " << static_cast<int>(which));
    const Place place;
    const SharedArea<Flags> flags;
    const Options options{.heap_size = 1 << 20, .directory = place.path()};
    // For as long as the next one can be expected to look, as it does not go on until the child is attached.
    create_fork_and_end(options, flags, [] { wait_in_child(1); }, 2);
    Numbers d = which == Case::the_next_one_attaches ? Numbers::attach("name", options) : Numbers::open_or_create("name", options);
    REQUIRE(child_came_to(flags, 1));
    REQUIRE(d.get(1) == 11U);
    flags->parent = 2;
    REQUIRE(child_came_to(flags, 2));
  }
}

TEST_CASE("a child isn't forgotten when others clean up after its parent before it is attached") {
  const Place place;
  const SharedArea<Flags> flags;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  hold_up = &flags;
  // Until the newcomer has been there, and this process is about to leave.
  before_registering = [] { wait_in_child(2); };
  Forked parent([&](auto&&) {
    static_cast<void>(d.size());
    fork_and_end(d, flags, 3);
    return Forked::kFailed;
  });
  before_registering = nullptr;
  SHARED_DICT_REQUIRE_ENDED_WELL(parent.wait());
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&&) {
    d.close();
    Numbers::attach("name", options).close();  // cleans up after the dead parent
    return 0;
  }));
  const std::uint64_t recoveries = d.stats().recoveries;
  flags->parent = 2;
  d.close();
  REQUIRE(child_came_to(flags, 1));
  REQUIRE(flags->child == 1);
  REQUIRE(recoveries == 1);
  d = Numbers::attach("name", options);
  REQUIRE(d.get(1) == 11U);
  REQUIRE(d.stats().processes == 2);
  flags->parent = 3;
  REQUIRE(child_came_to(flags, 2));
}

TEST_CASE("a child counts before it is attached also for exists and remove, when its parent has died") {
  const Place place;
  const SharedArea<Flags> flags;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  create_fork_and_end(options, flags, [] { wait_in_child(2); }, 3);
  REQUIRE(exists("name", place.path()));
  REQUIRE(list(place.path()) == std::vector<std::string>{"name"});
  flags->parent = 2;
  REQUIRE(remove("name", place.path()));
  REQUIRE_FALSE(exists("name", place.path()));
  REQUIRE_FALSE(remove("name", place.path()));
  {
    Numbers other = Numbers::create("name", options);  // what was removed stays beside it
    REQUIRE(other.empty());
  }
  REQUIRE(child_came_to(flags, 1));
  REQUIRE(flags->child == 1);
  flags->parent = 3;
  REQUIRE(child_came_to(flags, 2));
  REQUIRE(eventually([&] { return std::filesystem::is_empty(place.path()); }));
}

TEST_CASE("a child that never comes keeps nobody from removing what its parent left") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .lifetime = Lifetime::persistent, .directory = place.path()};
  Forked parent([&](auto&&) {
    Numbers d = Numbers::create("name", options);
    fork_in_vain();
    ::_exit(0);
    return 0;
  });
  SHARED_DICT_REQUIRE_ENDED_WELL(parent.wait());
  REQUIRE(remove("name", place.path()));
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("a batch that a dead process left damaged keeps nobody from removing the dictionary") {
  const Place place;
  const bool child_never_comes = GENERATE(false, true);
  const Options options{.heap_size = 1 << 20, .lifetime = Lifetime::persistent, .directory = place.path()};
  Forked parent([&](auto&&) {
    Numbers d = Numbers::create("name", options);
    const auto attachment =
        detail::Lifecycle("name", place.path(), kHangDeadline)
            .open(detail::OpenMode::attach, {}, detail::stored_types<std::uint64_t, std::uint64_t>());
    if (child_never_comes) fork_in_vain();
    detail::Shard& shard = attachment->segment().shard(0);
    shard.lock = attachment->self().bits();
    shard.intent = 8;
    ::_exit(0);
    return 0;
  });
  SHARED_DICT_REQUIRE_ENDED_WELL(parent.wait());
  REQUIRE(remove("name", place.path()));
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("exists says in the end that a dictionary has gone whose last member has forked a child that never came") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  Forked parent([&](auto&&) {
    Numbers d = Numbers::create("name", options);
    fork_in_vain();
    ::_exit(0);
    return 0;
  });
  SHARED_DICT_REQUIRE_ENDED_WELL(parent.wait());
  REQUIRE(eventually([&] { return !exists("name", place.path()); }));
  REQUIRE(list(place.path()).empty());
}

TEST_CASE("a child that ends without closing harms nobody") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (std::uint64_t i = 0; i < 30; ++i) {
    SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&&) {
      if (i % 3 != 0) d.fetch_add(1, 1);  // one in three never touches it
      return 0;                           // _exit: no destructor runs
    }));
    REQUIRE(others_see(name));  // the descriptors that the child had inherited are closed now, the parent's locks hold
    REQUIRE(d.fetch_add(2, 1) == i);
  }
  REQUIRE(d.at(1) == 20);
  SHARED_DICT_REQUIRE_SOUND(d);
  d.close();
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("a child that closes its handle, used or not, leaves the parent attached") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  for (const bool use : {false, true}) {
    SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&&) {
      if (use) d.fetch_add(1, 1);
      d.close();
      return error_of([&] { d.get(1); }) == errc::closed ? 0 : Forked::kFailed;
    }));
    REQUIRE(others_see(name));
    REQUIRE(d.is_open());
    d.fetch_add(1, 1);
  }
  REQUIRE(d.at(1) == 3);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a child may end by exit and run the destructors of a handle it inherited") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&&) {
    const Numbers own = std::move(d);
    return own.empty() ? 0 : Forked::kFailed;  // `own` is destroyed here, in the child
  }));
  REQUIRE(others_see(name));
  REQUIRE(d.insert(1, 1));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a grandchild is attached for itself") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&& say) {
    d.fetch_add(1, 1);
    const Ending ending = run_forked([&](auto&&) {
      d.fetch_add(1, 1);
      return d.stats().processes == 3 ? 0 : Forked::kFailed;
    });
    say(ending.text + " status " + std::to_string(ending.status));
    d.fetch_add(1, 1);
    return ending.ok() ? 0 : Forked::kFailed;
  }));
  REQUIRE(d.at(1) == 3);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a child for which there is no room is told so, and the parent goes on") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20, .max_processes = 1});
  d.insert(1, 10);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&& say) {
    const auto code = error_of([&] { d.fetch_add(1, 1); });
    say(code.message());
    return code == errc::too_many_processes ? 0 : Forked::kFailed;
  }));
  REQUIRE(d.fetch_add(1, 1) == 10);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a fork while another thread writes gives a child that can write") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = std::size_t{8} << 20});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> written{0};
  std::thread writer([&] {
    std::string value;
    for (std::uint64_t i = 0; !stop.load(); ++i) {
      make_pattern(i % 200, i, 40 + i % 500, value);
      d.insert_or_assign("writer " + std::to_string(i % 200), value);
      if (i % 7 == 0) d.erase("writer " + std::to_string((i * 3) % 200));
      written.fetch_add(1);
    }
  });
  int failures = 0;
  std::string said;
  for (int i = 0; i < 60 && failures == 0; ++i) {
    const Ending ending = run_forked([&](auto&&) {
      // The same shards as the writer's: a lock that came along from the parent would show here.
      for (int k = 0; k < 200; ++k) d.insert_or_assign("child " + std::to_string(k), "value");
      for (std::uint64_t k = 0; k < 200; ++k) {
        const auto value = d.get("writer " + std::to_string(k));
        if (value && !version_in(*value, k)) return 10;
      }
      return d.erase("child " + std::to_string(i)) ? 0 : 11;
    });
    if (!ending.ok()) {
      ++failures;
      said = "round " + std::to_string(i) + ": status " + std::to_string(ending.status) + " " + ending.text;
    }
  }
  stop = true;
  writer.join();
  INFO(said);
  REQUIRE(failures == 0);
  REQUIRE(written.load() > 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a lock that another thread holds during a fork stays that thread's") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  Numbers impatient = Numbers::attach(name.str(), {.lock_timeout = std::chrono::milliseconds(100)});
  d.insert(1, 10);
  const SharedArea<Flags> flags;
  std::thread holder([&] {
    d.modify(1, [&](std::uint64_t& value) {
      flags->parent = 1;
      if (child_came_to(flags, 1)) ++value;
    });
  });
  const bool held = parent_came_to(flags, 1);
  Forked child([&](auto&&) {
    const bool refused = error_of([&] { impatient.fetch_add(1, 1); }) == errc::lock_timeout;
    const bool old = d.get(1) == 10;
    flags->child = 1;
    return refused && old && d.fetch_add(1, 1) == 11 ? 0 : 10;
  });
  const Ending ending = child.wait();
  flags->child = 1;
  holder.join();
  REQUIRE(held);
  SHARED_DICT_REQUIRE_ENDED_WELL(ending);
  REQUIRE(d.at(1) == 12);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a child forked inside a callback neither writes nor unlocks for its parent") {
  const UniqueName name;
  Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, 10);
  Ending ending;
  // Both return from the callback: only the parent's return may store a value and release the lock.
  const SharedArea<Flags> flags;
  const pid_t parent = ::getpid();
  bool child_failed_safely = false;
  try {
    const bool modified = d.modify(1, [&](std::uint64_t& value) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        value = 666;
        return;
      }
      value = 11;
      int status = 0;
      REQUIRE(eventually([&] { return ::waitpid(pid, &status, WNOHANG) == pid; }));
      ending.exited = WIFEXITED(status);
      ending.status = WEXITSTATUS(status);
      // Still locked by the parent, with the old value.
      flags->parent = others_see(name) ? 1 : 2;
    });
    if (::getpid() != parent) child_failed_safely = !modified;
  } catch (const Error&) {
    if (::getpid() == parent) throw;
    child_failed_safely = true;
  }
  if (::getpid() != parent) ::_exit(child_failed_safely && d.get(1) == 10 ? 0 : 1);
  REQUIRE(ending.ok());
  REQUIRE(flags->parent.load() == 1);
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.fetch_add(1, 1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a program that a member starts is one member, and takes the dictionary along when it leaves last") {
  const Place place;
  const SharedArea<Flags> flags;
  Numbers d = Numbers::create("name", {.heap_size = 1 << 20, .directory = place.path()});
  d.insert(1, 10);
  Child started = Child::start("fork: started", {place.path().string(), flags.token()});
  REQUIRE(child_came_to(flags, 1));
  // Between fork and exec it was a child with an inherited handle; of that nothing may be left.
  REQUIRE(d.at(1) == 11);
  SHARED_DICT_REQUIRE_SOUND(d);
  d.close();
  flags->parent = 1;
  REQUIRE(started.wait() == 0);
  REQUIRE(std::filesystem::is_empty(place.path()));
}

TEST_CASE("a program that a member starts does not keep the dictionary in existence") {
  const UniqueName name;
  const SharedArea<Flags> flags;
  Forked member([&](auto&&) -> int {
    Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::execlp("sleep", "sleep", "100", nullptr);
      ::_exit(1);
    }
    flags->parent = pid;
    flags->child = 1;
    eventually([] { return false; });
    return 0;
  });
  REQUIRE(child_came_to(flags, 1));
  REQUIRE(exists(name.str()));
  member.kill();
  member.wait();
  // sleep may still be on its way to exec, where close-on-exec takes effect.
  CHECK(eventually([&] { return !exists(name.str()); }));
  CHECK(::kill(flags->parent.load(), 0) == 0);
  ::kill(flags->parent.load(), SIGKILL);
}
