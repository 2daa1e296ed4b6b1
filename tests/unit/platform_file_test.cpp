// What the library relies on from the operating system's files: exclusive creation, links refused, modes as asked for, holes made
// solid, and lock files that no program started by this one inherits.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include <shared_dict/detail/platform/file.hpp>

#include "support/catch.hpp"
#include "support/place.hpp"

using namespace shared_dict::detail;

namespace fs = std::filesystem;
namespace test = shared_dict::test;

namespace {

struct Umask {
  explicit Umask(mode_t mask) : old(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(old); }
  mode_t old;
};

bool closed_on_exec(int descriptor) { return (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0; }

std::uint64_t occupied(const fs::path& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_blocks) * 512 : 0;
}

}  // namespace

TEST_CASE("only one creation of a file succeeds") {
  const test::Place place;
  std::error_code error;
  const FileDescriptor first = create_new(place.path() / "file", 0600, error);
  REQUIRE(first);
  REQUIRE_FALSE(error);
  REQUIRE(closed_on_exec(first.get()));
  const FileDescriptor second = create_new(place.path() / "file", 0600, error);
  REQUIRE_FALSE(second);
  REQUIRE(error == std::errc::file_exists);
}

TEST_CASE("links are not followed, neither by opening nor by creating") {
  const test::Place place;
  test::write_file(place.path() / "target", "text");
  fs::create_symlink(place.path() / "target", place.path() / "link");
  fs::create_symlink(place.path() / "nothing", place.path() / "dangling");
  std::error_code error;
  REQUIRE_FALSE(open_existing(place.path() / "link", error));
  REQUIRE(error == std::errc::too_many_symbolic_link_levels);
  REQUIRE_FALSE(create_new(place.path() / "link", 0600, error));
  REQUIRE(error == std::errc::file_exists);
  REQUIRE_FALSE(create_new(place.path() / "dangling", 0600, error));
  REQUIRE(error == std::errc::file_exists);
  REQUIRE_FALSE(fs::exists(place.path() / "nothing"));
  const auto status = status_of(place.path() / "link");
  REQUIRE(status);
  REQUIRE_FALSE(status->regular);
}

TEST_CASE("files and directories get the mode that was asked for, whatever the umask") {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{0777}}) {
    const test::Place place;
    const Umask umask(mask);
    std::error_code error;
    const FileDescriptor file = create_new(place.path() / "file", 0666, error);
    REQUIRE_FALSE(error);
    REQUIRE_FALSE(make_directory(place.path() / "directory", 0751));
    CHECK(test::mode_of(place.path() / "file") == 0666);
    CHECK(test::mode_of(place.path() / "directory") == 0751);
  }
}

TEST_CASE("what isn't there is no error to look at and none to remove") {
  const test::Place place;
  std::error_code error;
  REQUIRE_FALSE(status_of(place.path() / "nothing", error));
  REQUIRE_FALSE(error);
  test::write_file(place.path() / "file", "");
  REQUIRE_FALSE(status_of(place.path() / "file" / "below", error));
  REQUIRE_FALSE(error);
  REQUIRE_FALSE(remove_file(place.path() / "nothing"));
  REQUIRE_FALSE(remove_directory(place.path() / "nothing"));
  REQUIRE_FALSE(open_existing(place.path() / "nothing", error));
  REQUIRE(error == std::errc::no_such_file_or_directory);
}

TEST_CASE("a directory that is made a second time, or isn't empty, is an error") {
  const test::Place place;
  REQUIRE_FALSE(make_directory(place.path() / "directory", 0700));
  REQUIRE(make_directory(place.path() / "directory", 0700) == std::errc::file_exists);
  test::write_file(place.path() / "directory" / "file", "");
  REQUIRE(remove_directory(place.path() / "directory"));
  REQUIRE_FALSE(remove_file(place.path() / "directory" / "file"));
  REQUIRE_FALSE(remove_directory(place.path() / "directory"));
}

TEST_CASE("the status of a name and of its descriptor are the same file, and another file is another") {
  const test::Place place;
  std::error_code error;
  const FileDescriptor file = create_new(place.path() / "file", 0600, error);
  const FileDescriptor other = create_new(place.path() / "other", 0600, error);
  REQUIRE(status_of(file)->id == status_of(place.path() / "file")->id);
  REQUIRE_FALSE(status_of(file)->id == status_of(other)->id);
  REQUIRE(status_of(file)->regular);
  REQUIRE(status_of(file)->mine);
  REQUIRE(status_of(place.path())->directory);
  fs::rename(place.path() / "file", place.path() / "moved");
  REQUIRE(status_of(file)->id == status_of(place.path() / "moved")->id);
}

TEST_CASE("commit_range makes holes solid, keeps what is there and can be repeated") {
  const test::Place place;
  const fs::path path = place.path() / "file";
  std::error_code error;
  const FileDescriptor file = create_new(path, 0600, error);
  REQUIRE_FALSE(set_size(file, 1 << 20));
  REQUIRE(status_of(file)->size == 1 << 20);
  REQUIRE(occupied(path) < 65536);
  REQUIRE(::pwrite(file.get(), "kept", 4, 8192 + 10) == 4);
  for (int i = 0; i < 2; ++i) {
    REQUIRE_FALSE(commit_range(file, 4096, 256 * 1024));
    REQUIRE(occupied(path) >= 256 * 1024);
    REQUIRE(status_of(file)->size == 1 << 20);
  }
  char bytes[4];
  REQUIRE_FALSE(read_at(file, 8192 + 10, bytes, 4));
  REQUIRE(std::string(bytes, 4) == "kept");
}

// Where committing is writing, what others write into the same block meanwhile mustn't be lost.
TEST_CASE("commit_range leaves the bytes before the range alone, in the same block, too") {
  const test::Place place;
  std::error_code error;
  const FileDescriptor file = create_new(place.path() / "file", 0600, error);
  REQUIRE_FALSE(set_size(file, 8192));
  const Mapping mapping(file, 8192);
  std::atomic<bool> done{false};
  std::thread committer([&] {
    for (int i = 0; i < 100'000; ++i) static_cast<void>(commit_range(file, 16, 4096 - 16));
    done = true;
  });
  auto& byte = *reinterpret_cast<std::atomic<unsigned char>*>(mapping.base());
  unsigned lost = 0;
  for (unsigned char i = 0; !done; ++i) {
    byte.store(i);
    for (int look = 0; look < 1000; ++look) {
      if (byte.load() != i) ++lost;
    }
  }
  committer.join();
  REQUIRE(lost == 0);
}

TEST_CASE("read_at reads all or says that there is less") {
  const test::Place place;
  test::write_file(place.path() / "file", "0123456789");
  std::error_code error;
  const FileDescriptor file = open_existing(place.path() / "file", error);
  char bytes[8];
  REQUIRE_FALSE(read_at(file, 2, bytes, 8));
  REQUIRE(std::string(bytes, 8) == "23456789");
  REQUIRE(read_at(file, 3, bytes, 8));
}

TEST_CASE("two mappings of a file are the same memory") {
  const test::Place place;
  std::error_code error;
  const FileDescriptor file = create_new(place.path() / "file", 0600, error);
  REQUIRE_FALSE(set_size(file, 8192));
  const Mapping one(file, 8192);
  Mapping two(file, 8192);
  one.base()[5000] = std::byte{42};
  REQUIRE(two.base()[5000] == std::byte{42});
  const Mapping moved = std::move(two);
  REQUIRE(moved.base()[5000] == std::byte{42});
  REQUIRE_THROWS_AS(Mapping(FileDescriptor(), 4096), std::system_error);
}

TEST_CASE("a descriptor is closed once, also when it was moved") {
  const test::Place place;
  std::error_code error;
  FileDescriptor file = create_new(place.path() / "file", 0600, error);
  const int number = file.get();
  FileDescriptor moved = std::move(file);
  REQUIRE(moved.get() == number);
  moved = create_new(place.path() / "other", 0600, error);
  REQUIRE(::fcntl(number, F_GETFD) == -1);
  const int second = moved.get();
  moved.reset();
  moved.reset();
  REQUIRE(::fcntl(second, F_GETFD) == -1);
  REQUIRE_FALSE(moved);
}

TEST_CASE("close_on_exec finds a descriptor that somebody else opened, wherever it is") {
  const test::Place place;
  const fs::path path = place.path() / "file";
  test::write_file(path, "");
  const int likely = next_descriptor();
  FileDescriptor foreign(::open(path.c_str(), O_RDWR));
  REQUIRE(foreign.get() == likely);
  REQUIRE_FALSE(closed_on_exec(foreign.get()));
  const FileId id = status_of(path)->id;
  REQUIRE(close_on_exec(id, likely));
  REQUIRE(closed_on_exec(foreign.get()));

  // Elsewhere, with a guess that leads to another file.
  const FileDescriptor distant(::fcntl(foreign.get(), F_DUPFD, 200));
  REQUIRE(distant.get() >= 200);
  foreign.reset();
  const FileDescriptor wrong(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  REQUIRE_FALSE(closed_on_exec(distant.get()));
  REQUIRE(close_on_exec(id, wrong.get()));
  REQUIRE(closed_on_exec(distant.get()));
}

TEST_CASE("close_on_exec says so when nobody has the file open") {
  const test::Place place;
  test::write_file(place.path() / "file", "");
  REQUIRE_FALSE(close_on_exec(status_of(place.path() / "file")->id, -1));
}

TEST_CASE("check_access tells without opening") {
  const test::Place place;
  test::write_file(place.path() / "file", "");
  const int before = next_descriptor();
  REQUIRE_FALSE(check_access(place.path() / "file"));
  REQUIRE(check_access(place.path() / "nothing") == std::errc::no_such_file_or_directory);
  REQUIRE(next_descriptor() == before);
}

TEST_CASE("dictionaries live where SHARED_DICT_DIR says, and otherwise in the platform's place") {
  std::error_code error;
  {
    const test::Environment set("SHARED_DICT_DIR", "/somewhere/else");
    REQUIRE(default_place(error) == "/somewhere/else");
  }
  const test::Environment unset("SHARED_DICT_DIR", "");
  REQUIRE(fs::is_directory(default_place(error)));
#if defined(SHARED_DICT_LINUX)
  if (fs::is_directory("/dev/shm")) REQUIRE(default_place(error) == "/dev/shm");
#endif
}
