// Names and places: which names are good, where a dictionary lies, and what exists, list and remove say about it in each
// state of its life.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

const RegisterChild kExists("naming: exists",
                            [](std::vector<std::string> args) { return exists(args.at(0), args.at(1)) ? 1 : 0; });

bool listed(const std::string& name, const fs::path& directory = {}) {
  const std::vector<std::string> names = list(directory);
  return std::count(names.begin(), names.end(), name) == 1;
}

}  // namespace

TEST_CASE("a bad name is refused by every way of opening") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  using namespace std::string_view_literals;
  for (const std::string_view name : {""sv, "."sv, ".."sv, ".hidden"sv, "a/b"sv, "/a"sv, "../a"sv, "a b"sv, "a\n"sv,
                                      "a\0b"sv, "\0"sv, "na\xC3\xAFve"sv, "a:b"sv, "a\\b"sv, "*"sv, "a$b"sv}) {
    INFO("name \"" << name << '"');
    REQUIRE(error_of([&] { Numbers::create(name, options); }) == errc::invalid_name);
    REQUIRE(error_of([&] { Numbers::attach(name, options); }) == errc::invalid_name);
    REQUIRE(error_of([&] { Numbers::open_or_create(name, options); }) == errc::invalid_name);
  }
  const std::string too_long(201, 'a');
  REQUIRE(error_of([&] { Numbers::create(too_long, options); }) == errc::invalid_name);
  REQUIRE(fs::is_empty(place.path()));
}

TEST_CASE("a bad name never reaches the file system through remove or exists") {
  const Place place;
  fs::create_directories(place.path() / "inner");
  write_file(place.path() / "precious", "precious");
  using namespace std::string_view_literals;
  for (const std::string_view name : {""sv, "."sv, ".."sv, "../precious"sv, "precious"sv, "inner/../x"sv, "a\0b"sv}) {
    INFO("name \"" << name << '"');
    bool answer = false;
    const auto code = error_of([&] { answer = shared_dict::remove(name, place.path()) || exists(name, place.path()); });
    REQUIRE_FALSE(answer);
    REQUIRE((!code || code == errc::invalid_name));
  }
  REQUIRE(read_file(place.path() / "precious") == "precious");
  REQUIRE(fs::is_directory(place.path() / "inner"));
}

TEST_CASE("every permitted character and length is a good name") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
#if defined(_WIN32)
  constexpr std::size_t kLongest = 120;  // the whole path has at most 259 characters
#else
  constexpr std::size_t kLongest = 200;
#endif
  for (const std::string& name :
       {std::string("a"), std::string("-"), std::string("_"), std::string("a."), std::string("0"), std::string("a..b"),
        std::string("-rf"), std::string(kLongest, 'x'), std::string("lock"),
        std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")}) {
    INFO("name " << name);
#if defined(_WIN32)
    if (name.ends_with('.')) {
      REQUIRE(error_of([&] { Numbers::create(name, options); }) == errc::invalid_name);
      continue;
    }
#endif
    Numbers d = Numbers::create(name, options);
    REQUIRE(d.insert(1, 1));
    REQUIRE(d.name() == name);
    REQUIRE(exists(name, place.path()));
    REQUIRE(listed(name, place.path()));
    REQUIRE(fs::is_directory(place.of(name)));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(fs::is_empty(place.path()));
}

#if !defined(_WIN32)
TEST_CASE("names that differ only in case or a suffix are different dictionaries") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  Numbers lower = Numbers::create("name", options);
  Numbers upper = Numbers::create("Name", options);
  Numbers longer = Numbers::create("name.1", options);
  lower.insert(1, 1);
  upper.insert(1, 2);
  longer.insert(1, 3);
  REQUIRE(lower.at(1) == 1);
  REQUIRE(upper.at(1) == 2);
  REQUIRE(longer.at(1) == 3);
  std::vector<std::string> names = list(place.path());
  std::sort(names.begin(), names.end());
  REQUIRE(names == std::vector<std::string>{"Name", "name", "name.1"});
}
#endif

TEST_CASE("an attached dictionary is gone when its last handle closes") {
  const UniqueName name;
  REQUIRE_FALSE(exists(name.str()));
  REQUIRE(error_of([&] { Numbers::attach(name.str()); }) == errc::not_found);
  {
    Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
    d.insert(1, 1);
    REQUIRE(exists(name.str()));
    REQUIRE(listed(name.str()));
    REQUIRE(error_of([&] { Numbers::create(name.str(), {.heap_size = 1 << 20}); }) == errc::already_exists);
  }
  REQUIRE_FALSE(exists(name.str()));
  REQUIRE_FALSE(listed(name.str()));
  REQUIRE_FALSE(shared_dict::remove(name.str()));
  REQUIRE(error_of([&] { Numbers::attach(name.str()); }) == errc::not_found);
  const Numbers fresh = Numbers::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE(fresh.empty());
}

TEST_CASE("a persistent dictionary stays until it is removed") {
  const UniqueName name;
  {
    Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20, .lifetime = Lifetime::persistent});
    d.insert(1, 10);
  }
  REQUIRE(exists(name.str()));
  REQUIRE(listed(name.str()));
  REQUIRE(error_of([&] { Numbers::create(name.str(), {.heap_size = 1 << 20}); }) == errc::already_exists);
  for (int i = 0; i < 5; ++i) {
    // What open_or_create asks for changes nothing about a dictionary that is there, its lifetime included.
    Numbers d = i % 2 == 0 ? Numbers::attach(name.str()) : Numbers::open_or_create(name.str(), {.heap_size = 1 << 21});
    REQUIRE(d.at(1) == 10);
    REQUIRE(d.stats().heap_size == std::size_t{1} << 20);
    REQUIRE(d.stats().processes == 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  REQUIRE(shared_dict::remove(name.str()));
  REQUIRE_FALSE(exists(name.str()));
  REQUIRE_FALSE(listed(name.str()));
  REQUIRE_FALSE(shared_dict::remove(name.str()));
  REQUIRE(error_of([&] { Numbers::attach(name.str()); }) == errc::not_found);
}

TEST_CASE("remove takes the name away, and open handles go on with what they have") {
  const UniqueName name;
  Numbers old = Numbers::create(name.str(), {.heap_size = 1 << 20});
  old.insert(1, 1);
  REQUIRE(shared_dict::remove(name.str()));
  REQUIRE_FALSE(exists(name.str()));
  REQUIRE(old.at(1) == 1);
  REQUIRE(old.insert(2, 2));
  for (std::uint64_t i = 10; i < 5000; ++i) old.insert(i, i);

  Numbers fresh = Numbers::create(name.str(), {.heap_size = 1 << 20});
  REQUIRE(fresh.empty());
  fresh.insert(3, 3);
  REQUIRE_FALSE(old.contains(3));
  REQUIRE_FALSE(fresh.contains(1));
  SHARED_DICT_REQUIRE_SOUND(old);
  old.close();

  // The old one's end does not touch the new one, which has its name now.
  REQUIRE(exists(name.str()));
  REQUIRE(fresh.at(3) == 3);
  REQUIRE(Numbers::attach(name.str()).at(3) == 3);
  SHARED_DICT_REQUIRE_SOUND(fresh);
}

#if !defined(_WIN32)
TEST_CASE("a dictionary whose directory was deleted by hand can be created anew") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  Numbers old = Numbers::create("name", options);
  old.insert(1, 1);
  fs::remove_all(place.of("name"));
  REQUIRE_FALSE(exists("name", place.path()));
  REQUIRE(old.at(1) == 1);
  REQUIRE(old.insert(2, 2));
  Numbers fresh = Numbers::create("name", options);
  REQUIRE(fresh.empty());
  fresh.insert(3, 3);
  SHARED_DICT_REQUIRE_SOUND(old);
  old.close();
  REQUIRE(exists("name", place.path()));
  REQUIRE(Numbers::attach("name", options).at(3) == 3);
  SHARED_DICT_REQUIRE_SOUND(fresh);
}
#endif

TEST_CASE("Options::directory and SHARED_DICT_DIR choose the place, the option before the variable") {
  const Place by_variable;
  const Place by_option;
  const Environment environment("SHARED_DICT_DIR", by_variable.path().string());
  Numbers first = Numbers::create("name", {.heap_size = 1 << 20});
  Numbers second = Numbers::create("name", {.heap_size = 1 << 20, .directory = by_option.path()});
  first.insert(1, 1);
  second.insert(1, 2);
  REQUIRE(fs::is_directory(by_variable.of("name")));
  REQUIRE(fs::is_directory(by_option.of("name")));
  REQUIRE(Numbers::attach("name").at(1) == 1);
  REQUIRE(Numbers::attach("name", {.directory = by_option.path()}).at(1) == 2);
  REQUIRE(exists("name"));
  REQUIRE(exists("name", by_option.path()));
  REQUIRE(list() == std::vector<std::string>{"name"});
  REQUIRE(shared_dict::remove("name"));
  REQUIRE_FALSE(exists("name"));
  REQUIRE(exists("name", by_option.path()));
  REQUIRE(shared_dict::remove("name", by_option.path()));
  REQUIRE_FALSE(fs::exists(by_variable.of("name")));
  REQUIRE_FALSE(fs::exists(by_option.of("name")));
  first.close();
  second.close();
  REQUIRE(fs::is_empty(by_variable.path()));
  REQUIRE(fs::is_empty(by_option.path()));
}

TEST_CASE("a place that does not exist has no dictionaries and takes none") {
  const Place place;
  const fs::path nowhere = place.path() / "nowhere";
  REQUIRE_FALSE(exists("name", nowhere));
  REQUIRE_FALSE(shared_dict::remove("name", nowhere));
  REQUIRE(list(nowhere).empty());
  REQUIRE(error_of([&] { Numbers::attach("name", {.directory = nowhere}); }) == errc::not_found);
  const auto code = error_of([&] { Numbers::create("name", {.heap_size = 1 << 20, .directory = nowhere}); });
  REQUIRE(code == std::errc::no_such_file_or_directory);
  REQUIRE_FALSE(fs::exists(nowhere));
}

#if !defined(_WIN32)
TEST_CASE("one dictionary reached by two spellings of its place is one, and stays alive when one of them closes") {
  const Place place;
  fs::create_directory(place.path() / "real");
  fs::create_directory_symlink(place.path() / "real", place.path() / "link");
  Numbers d = Numbers::create("name", {.heap_size = 1 << 20, .directory = place.path() / "real"});
  {
    Numbers through_link = Numbers::attach("name", {.directory = place.path() / "link"});
    Numbers through_dots = Numbers::attach("name", {.directory = place.path() / "link" / ".." / "real"});
    through_link.insert(1, 1);
    REQUIRE(through_dots.at(1) == 1);
    REQUIRE(d.at(1) == 1);
    REQUIRE(d.stats().processes == 1);
  }
  // Another process has to find the first handle's lock held: only it can tell, a process never sees its own locks.
  REQUIRE(Child::start("naming: exists", {"name", (place.path() / "real").string()}).wait() == 1);
  SHARED_DICT_REQUIRE_SOUND(d);
}
#endif

TEST_CASE("a place given by a relative path stays the same place when the process changes its directory") {
  const Place place;
  fs::create_directory(place.path() / "elsewhere");
  struct Back {
    fs::path path = fs::current_path();
    ~Back() { fs::current_path(path); }
  } const back;
  fs::current_path(place.path());
  {
    const Environment environment("SHARED_DICT_DIR", ".");
    Numbers by_option = Numbers::create("one", {.heap_size = 1 << 20, .directory = "."});
    Numbers by_variable = Numbers::create("two", {.heap_size = 1 << 20});
    fs::current_path(place.path() / "elsewhere");
    by_option.insert(1, 1);
    by_variable.insert(1, 1);
    REQUIRE(Child::start("naming: exists", {"one", place.path().string()}).wait() == 1);
    SHARED_DICT_REQUIRE_SOUND(by_option);
    SHARED_DICT_REQUIRE_SOUND(by_variable);
  }
  REQUIRE_FALSE(fs::exists(place.of("one")));
  REQUIRE_FALSE(fs::exists(place.of("two")));
}

TEST_CASE("files of other makes in the place are not listed") {
  const Place place;
  fs::create_directory(place.path() / "shared_dict");
  fs::create_directory(place.path() / "other.name");
  fs::create_directory(place.path() / "shared_dict..hidden");
  fs::create_directory(place.path() / "shared_dict.not a name");
  write_file(place.path() / "shared_dict.file", "text");
  REQUIRE(list(place.path()).empty());
  const Numbers d = Numbers::create("name", {.heap_size = 1 << 20, .directory = place.path()});
  REQUIRE(list(place.path()) == std::vector<std::string>{"name"});
}
