// Everything that this library knows about life and death comes from one file lock for each process: it must be refused to others as
// long as the process lives, and be free the moment it dies or becomes another program.

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/lock_file.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/eventually.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::detail;
namespace test = shared_dict::test;
using test::Child;
using test::eventually;
using test::SharedArea;

namespace {

struct State {
  std::atomic<unsigned> locked;
  std::atomic<unsigned> go;
};

LockFile opened(const std::filesystem::path& path) {
  auto lock = LockFile::open(path, status_of(path).value().id);
  if (!lock) throw std::runtime_error("can't open the lock file");
  return std::move(*lock);
}

struct File {
  test::Place place;
  std::filesystem::path path = place.path() / "lock";
  File() { test::write_file(path, ""); }
};

// file, "exclusive" or "shared" or "exec", state: holds the lock until it is told to go on, or is killed.
const test::RegisterChild kHolder("lock_file_holder", [](std::vector<std::string> args) {
  const auto state = SharedArea<State>::from_token(args.at(2));
  LockFile lock = opened(args.at(0));
  if (!(args.at(1) == "shared" ? lock.try_lock_shared() : lock.try_lock())) return 1;
  state->locked.store(1);
  if (!eventually([&] { return state->go.load() != 0; })) return 2;
  if (args.at(1) == "exec") {
    ::execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
    return 3;
  }
  return 0;
});

// file: 0 if both kinds of lock can be had, 1 if only the shared one, 2 if none.
const test::RegisterChild kAsker("lock_file_asker", [](std::vector<std::string> args) {
  LockFile lock = opened(args.at(0));
  if (lock.try_lock()) return 0;
  return lock.try_lock_shared() ? 1 : 2;
});

int ask(const File& file) { return Child::start("lock_file_asker", {file.path.string()}).wait(); }

Child hold(const File& file, const char* how, const SharedArea<State>& state) {
  Child holder = Child::start("lock_file_holder", {file.path.string(), how, state.token()});
  if (!eventually([&] { return state->locked.load() != 0; })) throw std::runtime_error("the holder doesn't hold");
  return holder;
}

}  // namespace

TEST_CASE("a lock that one process holds is refused to another") {
  const File file;
  LockFile lock = opened(file.path);
  REQUIRE(ask(file) == 0);
  REQUIRE(lock.try_lock());
  REQUIRE(ask(file) == 2);
  lock.unlock();
  REQUIRE(ask(file) == 0);
}

TEST_CASE("shared locks go together and exclude an exclusive one") {
  const File file;
  LockFile lock = opened(file.path);
  REQUIRE(lock.try_lock_shared());
  REQUIRE(ask(file) == 1);
  const SharedArea<State> state;
  Child holder = hold(file, "shared", state);
  REQUIRE_FALSE(lock.try_lock());
  state->go.store(1);
  REQUIRE(holder.wait() == 0);
}

TEST_CASE("closing the file drops the lock") {
  const File file;
  {
    LockFile lock = opened(file.path);
    REQUIRE(lock.try_lock());
    lock.close();
    REQUIRE(ask(file) == 0);
  }
  {
    LockFile lock = opened(file.path);
    REQUIRE(lock.try_lock());
  }
  REQUIRE(ask(file) == 0);
}

TEST_CASE("a moved lock stays locked") {
  const File file;
  LockFile lock = opened(file.path);
  REQUIRE(lock.try_lock());
  LockFile moved = std::move(lock);
  REQUIRE(ask(file) == 2);
  REQUIRE(moved.id() == status_of(file.path)->id);
  LockFile assigned;
  assigned = std::move(moved);
  REQUIRE(ask(file) == 2);
}

TEST_CASE("a process that is killed drops its lock") {
  const File file;
  const SharedArea<State> state;
  Child holder = hold(file, "exclusive", state);
  LockFile lock = opened(file.path);
  REQUIRE_FALSE(lock.try_lock());
  REQUIRE_FALSE(lock.try_lock_shared());
  holder.kill(SIGKILL);
  REQUIRE(holder.wait() == -SIGKILL);
  REQUIRE(lock.try_lock_shared());
}

TEST_CASE("a process that is stopped keeps its lock") {
  const File file;
  const SharedArea<State> state;
  Child holder = hold(file, "exclusive", state);
  holder.kill(SIGSTOP);
  REQUIRE(ask(file) == 2);
}

TEST_CASE("a process that becomes another program drops its lock") {
  const File file;
  const SharedArea<State> state;
  Child holder = hold(file, "exec", state);
  REQUIRE(ask(file) == 2);
  state->go.store(1);
  REQUIRE(eventually([&] { return ask(file) == 0; }));
}

TEST_CASE("a lock file that isn't there, or is another one by now, is not opened") {
  const File file;
  const FileId id = status_of(file.path)->id;
  REQUIRE_FALSE(LockFile::open(file.place.path() / "nothing", id));
  test::write_file(file.place.path() / "new", "");
  std::filesystem::rename(file.place.path() / "new", file.path);
  const int before = next_descriptor();
  REQUIRE_FALSE(LockFile::open(file.path, id));
  REQUIRE(next_descriptor() == before);
}

TEST_CASE("lock files are closed on exec also when many threads open files at once") {
  const File file;
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      while (!stop.load()) const FileDescriptor noise(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    });
  }
  int open_on_exec = 0;
  int failed = 0;
  const FileId id = status_of(file.path)->id;
  for (int i = 0; i < 2000; ++i) {
    const auto lock = LockFile::open(file.path, id);
    if (!lock) ++failed;
    for (int descriptor = 0; descriptor < 32; ++descriptor) {
      struct stat status {};
      if (::fstat(descriptor, &status) != 0 || !(to_status(status).id == id)) continue;
      if ((::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0) ++open_on_exec;
    }
  }
  stop.store(true);
  for (std::thread& other : others) other.join();
  REQUIRE(failed == 0);
  REQUIRE(open_on_exec == 0);
}
