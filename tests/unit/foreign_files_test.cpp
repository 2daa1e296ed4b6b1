// Files that others put in a dictionary's way, and dictionaries that were never finished: the first are refused and left
// exactly as they were, the second are started over.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

Options in(const Place& place) { return {.heap_size = 1 << 20, .directory = place.path()}; }

std::string garbage(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t state = 12345;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

/// Every path below `root` with its type and contents, to see that nothing was changed.
std::set<std::string> picture_of(const fs::path& root) {
  std::set<std::string> picture;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    std::string line = entry.path().string();
    if (entry.is_symlink()) {
      line += " -> " + fs::read_symlink(entry.path()).string();
    } else if (entry.is_regular_file()) {
      line += " = " + std::to_string(std::hash<std::string>{}(read_file(entry.path())));
    } else {
      line += " is a directory";
    }
    picture.insert(line);
  }
  return picture;
}

/// No way of opening takes what is in the way for a dictionary, and none of them changes it.
void is_refused_and_kept(const Place& place) {
  const auto before = picture_of(place.path());
  const auto unchanged = [&](const char* after) {
    INFO("after " << after);
    REQUIRE(picture_of(place.path()) == before);
  };
  const auto create = error_of([&] { Numbers::create("name", in(place)); });
  CHECK((create == errc::already_exists || create == errc::incompatible_layout));
  unchanged("create");
  const auto begin = std::chrono::steady_clock::now();
  const auto attach = error_of([&] { Numbers::attach("name", in(place)); });
  CHECK((attach == errc::not_found || attach == errc::incompatible_layout || attach == errc::already_exists));
  // Nobody holds anything here: there is nothing to wait for, least of all for the whole lock_timeout.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  unchanged("attach");
  const auto open = error_of([&] { Numbers::open_or_create("name", in(place)); });
  CHECK((open == errc::already_exists || open == errc::incompatible_layout));
  unchanged("open_or_create");
  static_cast<void>(error_of([&] { exists("name", place.path()); }));
  unchanged("exists");
  static_cast<void>(error_of([&] { list(place.path()); }));
  unchanged("list");
}

/// `remove` may refuse or say that there is no dictionary, but leaves alone what the library did not make.
void is_kept_by_remove(const Place& place) {
  const auto before = picture_of(place.path());
  bool removed = true;
  const auto code = error_of([&] { removed = shared_dict::remove("name", place.path()); });
  if (!code) CHECK_FALSE(removed);
  REQUIRE(picture_of(place.path()) == before);
}

/// What a creator that died half-way may have left is as good as nothing.
void is_started_over(const std::function<void(const fs::path&)>& leave) {
  for (const auto open : {&Numbers::create, &Numbers::open_or_create}) {
    const Place place;
    leave(place.of("name"));
    fs::permissions(place.of("name"), fs::perms::owner_all);
    for (const auto& entry : fs::directory_iterator(place.of("name"))) {
      fs::permissions(entry.path(), fs::perms::owner_read | fs::perms::owner_write);
    }
    REQUIRE_FALSE(exists("name", place.path()));
    REQUIRE(error_of([&] { Numbers::attach("name", in(place)); }) == errc::not_found);
    {
      Numbers d = open("name", in(place));
      REQUIRE(d.empty());
      REQUIRE(d.insert(1, 1));
      REQUIRE(exists("name", place.path()));
      REQUIRE(has_mode(place.of("name"), 0700));
      REQUIRE(has_mode(place.of("name") / "segment", 0600));
      SHARED_DICT_REQUIRE_SOUND(d);
    }
    REQUIRE(fs::is_empty(place.path()));
  }
}

}  // namespace

TEST_CASE("a regular file in the place of the directory is refused and kept") {
  const Place place;
  write_file(place.of("name"), "someone's text");
  is_refused_and_kept(place);
  is_kept_by_remove(place);
}

#if !defined(_WIN32)
TEST_CASE("a symbolic link in the place of the directory is not followed") {
  for (const char* const target : {"full", "empty", "file", "nowhere"}) {
    INFO("to " << target);
    const Place place;
    fs::create_directory(place.path() / "full");
    write_file(place.path() / "full" / "file", "text");
    fs::create_directory(place.path() / "empty");
    write_file(place.path() / "file", "text");
    fs::create_symlink(place.path() / target, place.of("name"));
    is_refused_and_kept(place);
    is_kept_by_remove(place);
  }
}

TEST_CASE("a symbolic link to a real dictionary's directory is not followed") {
  const Place place;
  Numbers d = Numbers::create("real", in(place));
  d.insert(1, 1);
  fs::create_symlink(place.of("real"), place.of("name"));
  const auto attach = error_of([&] { Numbers::attach("name", in(place)); });
  CHECK((attach == errc::not_found || attach == errc::incompatible_layout || attach == errc::already_exists));
  const auto create = error_of([&] { Numbers::create("name", in(place)); });
  CHECK((create == errc::already_exists || create == errc::incompatible_layout));
  static_cast<void>(error_of([&] { shared_dict::remove("name", place.path()); }));
  REQUIRE(exists("real", place.path()));
  REQUIRE(Numbers::attach("real", in(place)).at(1) == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a symbolic link among what was removed is not followed") {
  const Place place;
  Options options = in(place);
  options.lifetime = Lifetime::persistent;
  auto d = Numbers::create("other", options);
  d.insert(1, 1);
  const fs::path link = place.path() / ".shared_dict.name.0123456789abcdef";
  fs::create_directory_symlink(place.of("other"), link);
  const auto before = picture_of(place.of("other"));
  Numbers::create("name", in(place)).close();
  REQUIRE_FALSE(shared_dict::remove("name", place.path()));
  REQUIRE(picture_of(place.of("other")) == before);
  d.close();
  Numbers::create("name", in(place)).close();
  REQUIRE(fs::is_symlink(link));
  REQUIRE(Numbers::attach("other", in(place)).at(1) == 1);
}

TEST_CASE("a symbolic link in the place of a file of the dictionary is not followed") {
  for (const char* const file : {"segment", "guard.lock", "process.0.lock"}) {
    for (const bool dangling : {false, true}) {
      INFO(file << (dangling ? " to nothing" : " to a file"));
      const Place place;
      const fs::path target = place.path() / "precious";
      if (!dangling) write_file(target, "precious");
      fs::create_directory(place.of("name"));
      fs::permissions(place.of("name"), fs::perms::owner_all);
      fs::create_symlink(target, place.of("name") / file);
      for (const auto open : {&Numbers::create, &Numbers::attach, &Numbers::open_or_create}) {
        const auto use = [&] {
          Numbers d = open("name", in(place));
          d.insert(1, 1);
        };
        static_cast<void>(error_of(use));
        REQUIRE(fs::exists(fs::symlink_status(target)) == !dangling);
        if (!dangling) REQUIRE(read_file(target) == "precious");
      }
      static_cast<void>(error_of([&] { shared_dict::remove("name", place.path()); }));
      REQUIRE(fs::exists(fs::symlink_status(target)) == !dangling);
      if (!dangling) REQUIRE(read_file(target) == "precious");
    }
  }
}
#endif

TEST_CASE("a segment of garbage is refused and kept") {
  for (const std::size_t size :
       {std::size_t{1}, std::size_t{7}, std::size_t{100}, std::size_t{4096}, std::size_t{100'000}}) {
    INFO(size << " bytes");
    const Place place;
    fs::create_directory(place.of("name"));
    fs::permissions(place.of("name"), fs::perms::owner_all);
    write_file(place.of("name") / "segment", garbage(size));
    write_file(place.of("name") / "guard.lock", "");
    is_refused_and_kept(place);
  }
}

TEST_CASE("a directory in the place of the segment is refused and kept") {
  const Place place;
  fs::create_directories(place.of("name") / "segment");
  write_file(place.of("name") / "segment" / "precious", "precious");
  for (const auto open : {&Numbers::create, &Numbers::attach, &Numbers::open_or_create}) {
    REQUIRE(error_of([&] { open("name", in(place)); }));
  }
  static_cast<void>(error_of([&] { shared_dict::remove("name", place.path()); }));
  REQUIRE(read_file(place.of("name") / "segment" / "precious") == "precious");
}

TEST_CASE("a stranger's file in the dictionary's directory outlives the dictionary") {
  const Place place;
  // Removing a dictionary that is in use may move its directory, with all that is in it.
  const auto is_there = [&] {
    const auto entries = fs::recursive_directory_iterator(place.path());
    return std::any_of(begin(entries), end(entries), [](const auto& entry) {
      return entry.path().filename() == "precious" && read_file(entry.path()) == "precious";
    });
  };
  {
    Numbers d = Numbers::create("name", in(place));
    write_file(place.of("name") / "precious", "precious");
    d.insert(1, 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(is_there());
  REQUIRE_FALSE(exists("name", place.path()));
  {
    // The directory that is left over is in nobody's way.
    Numbers d = Numbers::open_or_create("name", in(place));
    REQUIRE(d.empty());
    d.insert(1, 1);
    REQUIRE(shared_dict::remove("name", place.path()));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(is_there());
}

TEST_CASE("an empty directory is an unfinished dictionary") {
  is_started_over([](const fs::path& directory) { fs::create_directory(directory); });
}

TEST_CASE("a directory with only a guard is an unfinished dictionary") {
  is_started_over([](const fs::path& directory) {
    fs::create_directory(directory);
    write_file(directory / "guard.lock", "");
  });
}

TEST_CASE("an empty segment is an unfinished dictionary") {
  is_started_over([](const fs::path& directory) {
    fs::create_directory(directory);
    write_file(directory / "guard.lock", "");
    write_file(directory / "segment", "");
  });
}

TEST_CASE("a segment of zeros is an unfinished dictionary") {
  for (const std::size_t size : {std::size_t{64}, std::size_t{4096}, std::size_t{1} << 20}) {
    INFO(size << " bytes");
    is_started_over([&](const fs::path& directory) {
      fs::create_directory(directory);
      write_file(directory / "guard.lock", "");
      write_file(directory / "segment", std::string(size, '\0'));
      write_file(directory / "process.0.lock", "");
      write_file(directory / "process.7.lock", "");
    });
  }
}

TEST_CASE("remove clears what an unfinished creation left") {
  const Place place;
  fs::create_directory(place.of("name"));
  write_file(place.of("name") / "guard.lock", "");
  write_file(place.of("name") / "segment", "");
  // There is no dictionary of that name, so either answer is right; what counts is that the name is good afterwards.
  static_cast<void>(error_of([&] { shared_dict::remove("name", place.path()); }));
  Numbers d = Numbers::create("name", in(place));
  d.insert(1, 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a truncated segment is refused by attach and never read beyond its end") {
  const Place place;
  Options options = in(place);
  options.lifetime = Lifetime::persistent;
  {
    Numbers d = Numbers::create("name", options);
    for (std::uint64_t i = 0; i < 1000; ++i) d.insert(i, i);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  const fs::path segment = place.of("name") / "segment";
  const auto full = fs::file_size(segment);
  for (const auto size : {full - 1, full / 2, std::uintmax_t{8192}, std::uintmax_t{4096}, std::uintmax_t{64}}) {
    INFO("size " << size << " of " << full);
    fs::resize_file(segment, size);
    const auto code = error_of([&] { Numbers::attach("name", in(place)); });
    CHECK((code == errc::incompatible_layout || code == errc::corrupted));
    REQUIRE(fs::exists(segment));
  }
}
