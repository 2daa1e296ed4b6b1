// Who may: files are private unless asked otherwise, and a user without permission gets the operating system's error and
// does no damage. As root the tests send a child that gives up its rights; otherwise they take rights from the place.

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr uid_t kNobody = 65534;

/// Sets the process's file mode mask and puts the old one back.
class Mask {
 public:
  explicit Mask(mode_t mask) : old_(::umask(mask)) {}
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;
  ~Mask() { ::umask(old_); }

 private:
  mode_t old_;
};

void expect_modes(const fs::path& directory, int of_directory, int of_files) {
  REQUIRE(mode_of(directory) == of_directory);
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    INFO(entry.path());
    REQUIRE(mode_of(entry.path()) == of_files);
    ++files;
  }
  REQUIRE(files >= 3);
}

/// Runs each call as a user without rights: in a child that gave up root, or as the user that runs the tests.
/// `denied` calls have to end in EACCES.
Ending without_rights(const std::vector<std::pair<std::string, std::function<void()>>>& denied) {
  return run_forked([&](auto&& say) {
    if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0)) {
      say("could not give up root");
      return Forked::kFailed;
    }
    for (const auto& [what, call] : denied) {
      const std::error_code code = error_of(call);
      if (code != std::error_code(EACCES, std::system_category())) {
        say(what + " gave " + (code ? code.message() : "no error"));
        return Forked::kFailed;
      }
    }
    return 0;
  });
}

}  // namespace

TEST_CASE("files are 0600 and their directory 0700 by default, whatever the mask") {
  for (const mode_t mask : {mode_t{0}, mode_t{022}, mode_t{077}}) {
    const UniqueName name;
    const Mask masked(mask);
    Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20});
    expect_modes(name.directory(), 0700, 0600);
    for (std::uint64_t i = 0; i < 5000; ++i) d.insert(i, i);
    expect_modes(name.directory(), 0700, 0600);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("Options::permissions is the mode of the files, and the directory can be searched where they can be read") {
  for (const auto& [permissions, of_directory] :
       {std::pair{0660U, 0770}, std::pair{0666U, 0777}, std::pair{0640U, 0750}}) {
    const UniqueName name;
    const Mask masked(027);  // what was asked for counts, not the mask
    Numbers d = Numbers::create(name.str(), {.heap_size = 1 << 20, .permissions = permissions});
    expect_modes(name.directory(), of_directory, static_cast<int>(permissions));
    d.insert(1, 1);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("a user without permission is told so, and nothing is lost") {
  if (::geteuid() != 0) {
    return report_skipped("another user", "only root can take another user's place");
  }
  const Place place;
  fs::permissions(place.path(),
                  fs::perms::owner_all | fs::perms::group_all | fs::perms::others_all | fs::perms::sticky_bit);
  const Options options{.heap_size = 1 << 20, .lifetime = Lifetime::persistent, .directory = place.path()};
  {
    Numbers d = Numbers::create("name", options);
    d.insert(1, 10);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  for (const bool open_here : {false, true}) {
    INFO("open in another process: " << open_here);
    std::optional<Numbers> mine;
    if (open_here) mine.emplace(Numbers::attach("name", options));
    SHARED_DICT_REQUIRE_ENDED_WELL(without_rights({
        {"attach", [&] { Numbers::attach("name", options); }},
        {"open_or_create", [&] { Numbers::open_or_create("name", options); }},
        {"remove", [&] { shared_dict::remove("name", place.path()); }},
    }));
    // What exists says to someone who may not look is one of yes and EACCES, but not no; and a create is refused.
    SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&& say) {
      if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return Forked::kFailed;
      bool there = true;
      const auto exists_code = error_of([&] { there = exists("name", place.path()); });
      const auto create_code = error_of([&] { Numbers::create("name", options); });
      say("exists " + std::to_string(there) + " " + exists_code.message() + ", create " + create_code.message());
      const bool create_refused = create_code == errc::already_exists || create_code == std::errc::permission_denied;
      return there && create_refused ? 0 : Forked::kFailed;
    }));
  }
  REQUIRE(exists("name", place.path()));
  Numbers d = Numbers::attach("name", options);
  REQUIRE(d.at(1) == 10);
  REQUIRE(d.insert(2, 20));
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a place that may not be written is EACCES") {
  const Place place;
  fs::permissions(place.path(),
                  fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read | fs::perms::others_exec);
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  SHARED_DICT_REQUIRE_ENDED_WELL(without_rights({
      {"create", [&] { Numbers::create("name", options); }},
      {"open_or_create", [&] { Numbers::open_or_create("name", options); }},
  }));
  REQUIRE(fs::is_empty(place.path()));
  fs::permissions(place.path(), fs::perms::owner_all);
}

TEST_CASE("a dictionary of mode 0666 is shared with other users") {
  if (::geteuid() != 0) {
    return report_skipped("another user", "only root can take another user's place");
  }
  const Place place;
  fs::permissions(place.path(), fs::perms::all | fs::perms::sticky_bit);
  const Options options{.heap_size = 1 << 20, .permissions = 0666, .directory = place.path()};
  const Mask masked(0);
  Numbers d = Numbers::create("name", options);
  d.insert(1, 10);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&& say) {
    // The handle that the fork inherited is of no interest here: the attach is what another user does.
    d.close();
    if (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return Forked::kFailed;
    Numbers theirs = Numbers::attach("name", options);
    const std::uint64_t old = theirs.fetch_add(1, 1);
    for (std::uint64_t i = 100; i < 10'000; ++i) theirs.insert(i, i);
    say("found " + std::to_string(old));
    return old == 10 && theirs.audit().ok() ? 0 : Forked::kFailed;
  }));
  REQUIRE(d.at(1) == 11);
  REQUIRE(d.at(9999) == 9999);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a directory that another user prepared is not made into a dictionary of one's own") {
  if (::geteuid() != 0) {
    return report_skipped("another user", "only root can take another user's place");
  }
  const Place place;
  fs::create_directory(place.of("name"));
  fs::permissions(place.of("name"), fs::perms::all);
  REQUIRE(::chown(place.of("name").c_str(), kNobody, kNobody) == 0);
  const Options options{.heap_size = 1 << 20, .directory = place.path()};
  for (const auto open : {&Numbers::create, &Numbers::open_or_create}) {
    REQUIRE(error_of([&] { open("name", options); }));
    REQUIRE(fs::is_empty(place.of("name")));
  }
  // Nor if it looks as if a dictionary had been begun there.
  const std::vector<std::string> files{"segment", "guard.lock"};
  for (const std::string& file : files) {
    write_file(place.of("name") / file, "");
    fs::permissions(place.of("name") / file, fs::perms(0666));
    REQUIRE(::chown((place.of("name") / file).c_str(), kNobody, kNobody) == 0);
  }
  for (const auto open : {&Numbers::create, &Numbers::open_or_create}) {
    REQUIRE(error_of([&] { open("name", options); }) == errc::already_exists);
    for (const std::string& file : files) REQUIRE(fs::is_empty(place.of("name") / file));
  }
  // Nor for a group that the other user isn't known to be of.
  REQUIRE(error_of([&] { Numbers::create("name", {.heap_size = 1 << 20, .permissions = 0660, .directory = place.path()}); }) ==
          errc::already_exists);
  // Who shares it with that user anyway can have it there.
  Numbers::create("name", {.heap_size = 1 << 20, .permissions = 0666, .directory = place.path()}).insert(1, 1);
}

TEST_CASE("a file that has another name, too, keeps its mode") {
  const Place place;
  const Options options{.heap_size = 1 << 20, .permissions = 0666, .directory = place.path()};
  const auto d = Numbers::create("name", options);
  const fs::path secret = place.path() / "secret";
  write_file(secret, "text");
  fs::permissions(secret, fs::perms(0600));
  fs::path lock;
  for (const auto& entry : fs::directory_iterator(place.of("name"))) {
    if (entry.path().filename().string().starts_with("process.")) lock = entry.path();
  }
  std::string second = lock.string();
  second.replace(second.size() - std::string("0.lock").size(), 1, "1");
  fs::create_hard_link(secret, second);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto&&) {
    static_cast<void>(error_of([&] { static_cast<void>(Numbers::attach("name", options).size()); }));
    return 0;
  }));
  REQUIRE(mode_of(secret) == 0600);
  REQUIRE(read_file(secret) == "text");
}

TEST_CASE("a working directory that is gone is an error that names the dictionary") {
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([](auto&& say) {
    const Environment unset("SHARED_DICT_DIR", "");
    {
      const Place place;
      fs::current_path(place.path());
    }
    const Options options{.heap_size = 1 << 20, .directory = "relative"};
    const std::vector<std::function<void()>> calls{[&] { Numbers::create("name", options); }, [&] { Numbers::attach("name", options); },
                                                   [&] { exists("name", "relative"); }, [&] { shared_dict::remove("name", "relative"); }};
    for (const auto& call : calls) {
      if (message_of(call).starts_with("dictionary 'name': ")) continue;
      say(message_of(call));
      return Forked::kFailed;
    }
    return message_of([] { list("relative"); }).starts_with("list: ") ? 0 : Forked::kFailed;
  }));
}
