// A name becomes part of a path that every user of the machine may write to: nothing but plain names may get through, and the files
// must be where the documentation says.

#include <cstdint>
#include <string>

#include <shared_dict/detail/mechanisms/place.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using detail::directory_mode;
using detail::require_valid_name;
using detail::valid_name;

TEST_CASE("plain names are valid") {
  for (const char* const name : {"a", "Z", "0", "_", "-", "a.b", "a..b", "orders-2024_v1.3", "-rf"}) {
    INFO(name);
    REQUIRE(valid_name(name));
  }
  REQUIRE(valid_name(std::string(200, 'x')));
}

TEST_CASE("names that could lead elsewhere, hide or break a line are not valid") {
  for (const std::string name :
       {"", ".", "..", ".hidden", "/", "a/b", "../a", "a b", "a\n", "a\\b", "a:b", "a*", "\xc3\xa9", "a\x7f", "~"}) {
    INFO(name);
    REQUIRE_FALSE(valid_name(name));
    REQUIRE(test::error_of([&] { require_valid_name(name); }) == errc::invalid_name);
  }
  REQUIRE_FALSE(valid_name(std::string(201, 'x')));
  REQUIRE_FALSE(valid_name(std::string("a\0b", 3)));
}

TEST_CASE("every byte but [A-Za-z0-9._-] makes a name invalid") {
  for (int c = 0; c < 256; ++c) {
    const std::string name = std::string("a") + static_cast<char>(c);
    const bool plain =
        std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-").find(static_cast<char>(c)) !=
        std::string::npos;
    INFO("byte " << c);
    REQUIRE(valid_name(name) == (plain && !(detail::kDropsLastDots && c == '.')));
  }
}

TEST_CASE("a dictionary's files lie in one directory of its name") {
  const detail::Place place("/somewhere", "name");
  REQUIRE(place.directory() == std::filesystem::absolute("/somewhere/shared_dict.name"));
  REQUIRE(place.segment() == std::filesystem::absolute("/somewhere/shared_dict.name/segment"));
  REQUIRE(place.guard() == std::filesystem::absolute("/somewhere/shared_dict.name/guard.lock"));
  REQUIRE(place.process_lock(0x1f, 0) == std::filesystem::absolute("/somewhere/shared_dict.name/process.000000000000001f.0.lock"));
  REQUIRE(place.process_lock(~std::uint64_t{0}, 999) ==
          std::filesystem::absolute("/somewhere/shared_dict.name/process.ffffffffffffffff.999.lock"));
  for (const std::uint32_t record : {0U, 999U}) {
    REQUIRE(detail::Place::is_process_lock(place.process_lock(7, record).filename().string()));
  }
  for (const char* const other : {"segment", "guard.lock", "process.", "precious.lock"}) {
    REQUIRE_FALSE(detail::Place::is_process_lock(other));
  }
}

TEST_CASE("a dictionary that is removed in use moves to where no name leads") {
  const detail::Place place("/somewhere", "name");
  const detail::Place removed = place.removed(0x1f);
  REQUIRE(removed.directory() == std::filesystem::absolute("/somewhere/.shared_dict.name.000000000000001f"));
  REQUIRE(removed.directory().filename().string().starts_with(place.removed_prefix()));
  REQUIRE_FALSE(place.directory().filename().string().starts_with(place.removed_prefix()));
}

TEST_CASE("without a directory it is the platform's place") {
  const test::Environment set("SHARED_DICT_DIR", "/elsewhere");
  REQUIRE(detail::Place({}, "name").directory() == std::filesystem::absolute("/elsewhere/shared_dict.name"));
  REQUIRE(detail::Place("/here", "name").directory() == std::filesystem::absolute("/here/shared_dict.name"));
}

TEST_CASE("the directory can be searched by those who can read the files, and by nobody else") {
  REQUIRE(directory_mode(0600) == 0700);
  REQUIRE(directory_mode(0660) == 0770);
  REQUIRE(directory_mode(0666) == 0777);
  REQUIRE(directory_mode(0640) == 0750);
  REQUIRE(directory_mode(0644) == 0755);
}
