// A process that opens one lock file twice loses its locks when it closes either. The registry is there so that this can't happen,
// whatever threads and forks do; and it goes by the file, since names lead to new files.

#include <atomic>
#include <filesystem>
#include <memory>
#include <thread>
#include <vector>

#include <shared_dict/detail/mechanisms/local_registry.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::detail;
namespace test = shared_dict::test;
namespace fs = std::filesystem;

namespace {

LocalRegistry& registry() { return LocalRegistry::instance(); }

// How many descriptors of this process lead to the file.
int open_times(const fs::path& path) {
  const auto status = status_of(path);
  int times = 0;
  for (int descriptor = 0; descriptor < 256; ++descriptor) {
    struct stat s {};
    if (::fstat(descriptor, &s) == 0 && status && to_status(s).id == status->id) ++times;
  }
  return times;
}

struct Member final : ForkAware {
  int before = 0;
  int in_child = 0;
  void before_fork() noexcept override { ++before; }
  void after_fork_in_child() noexcept override { ++in_child; }
};

struct File {
  test::Place place;
  fs::path path = place.path() / "guard.lock";
  File() { REQUIRE_FALSE(registry().create_guard(path, 0600)); }
};

}  // namespace

TEST_CASE("a guard's file is made once, with its mode") {
  const File file;
  REQUIRE(registry().create_guard(file.path, 0600) == std::errc::file_exists);
  REQUIRE(test::mode_of(file.path) == 0600);
  REQUIRE(open_times(file.path) == 0);
}

TEST_CASE("one file is one guard, opened once, and closed with its last user") {
  const File file;
  auto guard = registry().guard(file.path);
  REQUIRE(guard);
  REQUIRE(guard->id() == status_of(file.path)->id);
  auto same = registry().guard(file.path);
  REQUIRE(same == guard);
  REQUIRE(open_times(file.path) == 1);
  guard.reset();
  REQUIRE(open_times(file.path) == 1);
  same.reset();
  REQUIRE(open_times(file.path) == 0);
}

TEST_CASE("another file at the same path is another guard") {
  const File file;
  const auto old = registry().guard(file.path);
  fs::remove(file.path);
  REQUIRE_FALSE(registry().guard(file.path));
  REQUIRE_FALSE(registry().create_guard(file.path, 0600));
  const auto now = registry().guard(file.path);
  REQUIRE(now);
  REQUIRE(now != old);
  REQUIRE_FALSE(now->id() == old->id());
  const auto hold = old->try_hold();
  REQUIRE(now->try_hold());
}

TEST_CASE("two names of one file are one guard") {
  const File file;
  fs::create_hard_link(file.path, file.place.path() / "second");
  REQUIRE(registry().guard(file.path) == registry().guard(file.place.path() / "second"));
}

TEST_CASE("what is no regular file is no guard") {
  const test::Place place;
  fs::create_directory(place.path() / "directory");
  test::write_file(place.path() / "file", "");
  fs::create_symlink(place.path() / "file", place.path() / "link");
  REQUIRE_FALSE(registry().guard(place.path() / "directory"));
  REQUIRE_FALSE(registry().guard(place.path() / "link"));
  REQUIRE_FALSE(registry().guard(place.path() / "nothing"));
}

TEST_CASE("asking for a guard again doesn't drop the lock that is held on it") {
  const File file;
  const test::SharedArea<std::atomic<int>> go;
  // Forked before the guard is held, as a fork waits for it.
  test::Forked other([&](auto) {
    if (!test::eventually([&] { return go->load() != 0; })) return 1;
    auto lock = LockFile::open(file.path, status_of(file.path).value().id);
    return lock && !lock->try_lock() && !lock->try_lock_shared() ? 0 : 2;
  });
  const auto guard = registry().guard(file.path);
  const auto hold = guard->try_hold();
  for (int i = 0; i < 10; ++i) {
    const auto again = registry().guard(file.path);
    REQUIRE(registry().create_guard(file.path, 0600));
  }
  go->store(1);
  SHARED_DICT_REQUIRE_ENDED_WELL(other.wait());
}

TEST_CASE("a guard that another copy of the registry has open is refused, and can be had when that one has closed it") {
  const File file;
  std::error_code error;
  auto other = LockFile::open(file.path, status_of(file.path)->id);
  REQUIRE(other);
  REQUIRE(registry().guard(file.path, error) == nullptr);
  REQUIRE(error == std::errc::device_or_resource_busy);
  REQUIRE(open_times(file.path) == 1);
  other.reset();
  REQUIRE(registry().guard(file.path, error) != nullptr);
  REQUIRE(open_times(file.path) == 0);
}

TEST_CASE("a descriptor that a program was started with by accident is no other copy of the registry") {
  const File file;
  const int inherited = ::open(file.path.c_str(), O_RDWR);
  std::error_code error;
  const bool opened = registry().guard(file.path, error) != nullptr;
  ::close(inherited);
  REQUIRE(opened);
}

TEST_CASE("threads that get and drop a guard all the time never have it open twice") {
  const File file;
  std::atomic<int> wrong{0};
  std::atomic<int> inside{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const auto guard = registry().guard(file.path);
        if (!guard) {
          ++wrong;
          continue;
        }
        if (const auto hold = guard->hold_until(Clock::now() + test::kHangDeadline)) {
          if (inside.fetch_add(1) != 0 || open_times(file.path) != 1) ++wrong;
          inside.fetch_sub(1);
        } else {
          ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong.load() == 0);
  REQUIRE(open_times(file.path) == 0);
}

TEST_CASE("an attachment is found by its segment's file for as long as somebody has it") {
  const FileId id{~std::uint64_t{0}, 1};
  REQUIRE_FALSE(registry().find<Member>(id));
  auto member = std::make_shared<Member>();
  registry().add(id, member);
  REQUIRE(registry().find<Member>(id) == member);
  REQUIRE_FALSE(registry().find<Member>({~std::uint64_t{0}, 2}));
  member.reset();
  REQUIRE_FALSE(registry().find<Member>(id));
}

TEST_CASE("what is only told of forks is no attachment, whatever file it has") {
  const auto other = std::make_shared<Member>();
  FileId id{1, 1};
  registry().open_for(other, [&] {
    const test::Place place;
    test::write_file(place.path() / "file", "");
    id = status_of(place.path() / "file")->id;
    return std::error_code();
  });
  REQUIRE(registry().find<ForkAware>(id) == nullptr);
}

TEST_CASE("of several attachments to one segment the last one is found, and a fork tells all of them once") {
  const FileId segment{1, 2};
  const auto first = std::make_shared<Member>();
  auto last = std::make_shared<Member>();
  registry().add(segment, first);
  registry().add(segment, last);
  registry().add(FileId{1, 3}, std::make_shared<Member>());
  registry().open_for(last, [] { return std::error_code(); });
  REQUIRE(registry().find<Member>(segment) == last);
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([](auto) { return 0; }));
  REQUIRE(first->before == 1);
  REQUIRE(last->before == 1);
  last.reset();
  REQUIRE_FALSE(registry().find<Member>(segment));
  registry().add(FileId{1, 3}, std::make_shared<Member>());
  REQUIRE_FALSE(registry().find<Member>(segment));
}

TEST_CASE("a fork tells each attachment before it, and in the child only after it") {
  const FileId id{~std::uint64_t{0}, 3};
  const auto member = std::make_shared<Member>();
  registry().add(id, member);
  SHARED_DICT_REQUIRE_ENDED_WELL(
      test::run_forked([&](auto) { return member->before == 1 && member->in_child == 1 ? 0 : 1; }));
  REQUIRE(member->before == 1);
  REQUIRE(member->in_child == 0);
  REQUIRE(member.use_count() == 1);
}

TEST_CASE("a forked child can use its parent's guards, and its parent's locks exclude it") {
  const File file;
  const auto guard = registry().guard(file.path);
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
    if (registry().guard(file.path) != guard) return 1;
    return guard->hold_until(Clock::now() + test::kHangDeadline) ? 0 : 2;
  }));
  // The child's lock is gone with it; the parent's holds against a child that is forked while another thread has it.
  std::atomic<int> stage{0};
  std::thread holder([&] {
    const auto hold = guard->try_hold();
    stage.store(1);
    static_cast<void>(test::eventually([&] { return stage.load() == 2; }, std::chrono::milliseconds(50)));
  });
  REQUIRE(test::eventually([&] { return stage.load() != 0; }));
  // The fork waits for that thread, so that the child finds the mutex free.
  SHARED_DICT_REQUIRE_ENDED_WELL(
      test::run_forked([&](auto) { return guard->hold_until(Clock::now() + test::kHangDeadline) ? 0 : 2; }));
  stage.store(2);
  holder.join();
}

TEST_CASE("children of a process whose threads get and drop guards always find the registry usable") {
  const File file;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&] {
      while (!stop.load()) {
        const auto guard = registry().guard(file.path);
        const auto hold = guard->try_hold();
      }
    });
  }
  int failed = 0;
  for (int i = 0; i < 50; ++i) {
    const test::Ending ending = test::run_forked([&](auto) {
      const auto guard = registry().guard(file.path);
      return guard && guard->hold_until(Clock::now() + test::kHangDeadline) ? 0 : 1;
    });
    failed += ending.ok() ? 0 : 1;
  }
  stop.store(true);
  for (std::thread& thread : threads) thread.join();
  REQUIRE(failed == 0);
}
