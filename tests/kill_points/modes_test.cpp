// Files get their mode by a call of its own, past the umask. A death before that call must not keep other users out for good.

#include <shared_dict/shared_dict.hpp>

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <system_error>

#include "support/catch.hpp"
#include "support/killed.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr int kFiles = 0666;
constexpr int kDirectory = 0777;

Options options_in(const Place& place) {
  return {.heap_size = 1 << 16, .permissions = kFiles, .max_processes = 4, .directory = place.path()};
}

void require_modes(const Place& place) {
  REQUIRE(mode_of(place.of("name")) == kDirectory);
  for (const auto& entry : std::filesystem::directory_iterator(place.of("name"))) {
    INFO(entry.path());
    REQUIRE(mode_of(entry.path()) == kFiles);
  }
}

/// A child does `operation` up to each of its kill points; then a dictionary has its modes.
void kill_everywhere(const std::function<void(const Place&)>& prepare, const std::function<void(const Place&)>& operation) {
  std::uint64_t count = 0;
  {
    const Place place;
    prepare(place);
    count = KillPoints::count([&] { operation(place); }, [] { ::umask(077); });
  }
  for (std::uint64_t n = 1; n <= count; ++n) {
    INFO("kill point " << n << " of " << count);
    const Place place;
    prepare(place);
    KillPoints::kill_at(n, [&] { operation(place); }, [] { ::umask(077); });
    const Numbers d = Numbers::open_or_create("name", options_in(place));
    const Numbers second = Numbers::attach("name", options_in(place));
    require_modes(place);
  }
}

}  // namespace

TEST_CASE("wherever a creator dies, the next one's files have the modes that it asked for") {
  kill_everywhere([](const Place&) {}, [](const Place& place) { Numbers::create("name", options_in(place)); });
}

TEST_CASE("wherever a process dies that attaches, the next one's lock file has its mode") {
  kill_everywhere(
      [](const Place& place) {
        Options options = options_in(place);
        options.lifetime = Lifetime::persistent;
        Numbers::create("name", options);
        // As the first to attach with this number.
        std::error_code error;
        for (const auto& file : detail::paths_in(place.of("name"), error)) {
          if (detail::Place::is_process_lock(file.filename().string())) std::filesystem::remove(file);
        }
      },
      [](const Place& place) { Numbers::attach("name", options_in(place)); });
}
