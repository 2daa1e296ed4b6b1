// A shared-memory place of 4 MiB, for what happens when no memory is left.
#pragma once

#if defined(__linux__)

#include <sched.h>
#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

using Say = std::function<void(const std::string&)>;

/// Runs `body(directory, say)`, which returns 0 for success, in a child that sees a tmpfs of 4 MiB at `directory`.
template <class Body>
void in_small_place(Body body, std::chrono::milliseconds deadline = kHangDeadline) {
  const Place place;
  test_seed();  // the child has the same one
  const Ending ending = run_forked(
      [&](auto&& say) -> int {
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", "none", MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("tmpfs", place.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
          return Forked::kSkipped;
        }
        return body(place.path(), Say(say));
      },
      deadline);
  if (ending.exited && ending.status == Forked::kSkipped) {
    report_skipped("small place", "mounting a tmpfs is not permitted here");
    return;
  }
  SHARED_DICT_REQUIRE_ENDED_WELL(ending);
}

/// A file that takes all the space that is left.
inline void write_ballast(const std::filesystem::path& path) {
  std::ofstream file(path, std::ios::binary);
  const std::string block(1024, 'b');
  while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
  }
}

}  // namespace shared_dict::test

#endif
