// Files as Windows has them: names that are no ASCII, and files that others don't share.

#include <windows.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace fs = std::filesystem;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

Options in(const fs::path& directory) {
  return {.heap_size = 1 << 20, .lifetime = Lifetime::persistent, .lock_timeout = 1s, .directory = directory};
}

/// A file that somebody reads who lets nobody delete or move it meanwhile: a scanner, say.
class Held {
 public:
  explicit Held(const fs::path& path)
      : handle_(::CreateFileW(path.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr, OPEN_EXISTING,
                              FILE_FLAG_BACKUP_SEMANTICS, nullptr)) {
    REQUIRE(handle_ != INVALID_HANDLE_VALUE);
  }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  ~Held() { ::CloseHandle(handle_); }

 private:
  HANDLE handle_;
};

/// The files below `root`.
std::vector<std::string> files_in(const fs::path& root) {
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) files.push_back(entry.path().lexically_relative(root).string());
  return files;
}

}  // namespace

TEST_CASE("dictionaries lie in directories of any name") {
  const Place place;
  for (const wchar_t* const name : {L"J\u00fcrgen", L"\u65e5\u672c", L"with spaces"}) {
    const fs::path directory = place.path() / name;
    fs::create_directory(directory);
    auto d = Numbers::create("name", in(directory));
    d.insert(1, 1);
    REQUIRE(Numbers::attach("name", in(directory)).at(1) == 1);
    d.save(directory / L"\u00e9");
    d.clear();
    d.load(directory / L"\u00e9");
    REQUIRE(list(directory) == std::vector<std::string>{"name"});
    SHARED_DICT_REQUIRE_SOUND(d);
    d.close();
    REQUIRE(shared_dict::remove("name", directory));
  }
}

TEST_CASE("a dictionary whose segment can't be moved away isn't removed, and stays whole") {
  const Place place;
  for (const bool attached : {false, true}) {
    auto d = Numbers::create("name", in(place.path()));
    d.insert(1, 1);
    if (!attached) d.close();
    const auto before = files_in(place.path());
    {
      const Held directory(place.of("name"));
      const Held segment(place.of("name") / "segment");
      REQUIRE(error_of([&] { shared_dict::remove("name", place.path()); }));
    }
    REQUIRE(files_in(place.path()) == before);
    REQUIRE(Numbers::attach("name", in(place.path())).at(1) == 1);
    REQUIRE(shared_dict::remove("name", place.path()));
    REQUIRE_FALSE(exists("name", place.path()));
    d.close();
  }
}
