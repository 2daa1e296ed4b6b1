// Flips bits of a stored dictionary, each time uses what is left, and tells which flips did harm. In forked children, so that a crash or
// a hang is the result of one flip and not the end of the test.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/eventually.hpp"
#include "support/exercise.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"
#include "support/stored_image.hpp"

namespace shared_dict::test {

/// One bit of the file.
struct Flip {
  std::uint64_t offset = 0;
  std::uint32_t bit = 0;
};

struct FlipResults {
  std::uint64_t flips = 0;     ///< rounds
  std::uint64_t refused = 0;   ///< ... in which something ended in an Error
  std::uint64_t noticed = 0;   ///< ... in which nothing did, but the audit has something to say
  std::uint64_t verified = 0;  ///< ... after which everything was right
  std::vector<std::string> harm;
};

/// Nothing lies next to the mapping of a dictionary, so that an access outside of it ends in a signal. For a process that has no other
/// dictionary open, until its end.
template <class Family>
void keep_neighbours_away(const StoredImage<Family>& image) {
  constexpr std::size_t kGuard = std::size_t{64} << 20;
  const auto reserve = [](std::byte* at, std::size_t bytes) {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at != nullptr ? MAP_FIXED_NOREPLACE : 0);
    return ::mmap(at, bytes, PROT_NONE, flags, -1, 0) != MAP_FAILED;
  };
  const auto where = [&] {
    const auto dict = image.attach();
    return image.open_without_types()->segment().at(0);
  };
  reserve(nullptr, kGuard);  // the next mapping of this size comes right below
  std::byte* const base = where();
  reserve(base + image.size(), kGuard);
  for (std::size_t bytes = kGuard; bytes >= 4096 && !reserve(base - bytes, bytes);) bytes /= 2;
  if (where() != base) throw std::runtime_error("the dictionary isn't mapped between the guards");
}

template <class Family>
class Flips {
 public:
  Flips(StoredImage<Family>& image, std::size_t keys) : image_(image), keys_(keys) {}

  /// Rounds 0 to `rounds`; flips_of(i) says what is flipped in round i, all at once.
  template <class FlipsOf>
  FlipResults run(std::uint64_t rounds, FlipsOf flips_of) {
    const SharedArea<Progress> progress;
    FlipResults results;
    image_.put_back();
    while (progress->next < rounds && results.harm.size() < kMostHarm) {
      Forked child([&](auto say) {
        for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(signal, SIG_DFL);
        keep_neighbours_away(image_);
        for (std::uint64_t i = progress->next; i < rounds; i = ++progress->next) {
          ::alarm(static_cast<unsigned>(kHangDeadline.count()));
          if (const std::string wrong = round(flips_of(i), *progress); !wrong.empty()) {
            say(wrong);
            return kWrong;
          }
        }
        return 0;
      });
      const Ending ending = child.wait(std::chrono::hours(24));
      if (ending.ok()) break;
      const std::uint64_t i = progress->next++;
      results.harm.push_back(describe(flips_of(i), ending));
      image_.put_back();
    }
    results.flips = progress->next;
    results.refused = progress->refused;
    results.noticed = progress->noticed;
    results.verified = progress->verified;
    return results;
  }

 private:
  static constexpr int kWrong = 10;
  static constexpr std::size_t kMostHarm = 20;

  struct Progress {
    std::atomic<std::uint64_t> next;
    std::atomic<std::uint64_t> refused, noticed, verified;
  };

  /// What was wrong; empty if nothing was.
  std::string round(const std::vector<Flip>& flips, Progress& progress) {
    image_.put_back();
    std::optional<typename StoredImage<Family>::Contents> expected;
    for (const Flip& flip : flips) {
      std::byte& byte = image_[flip.offset];
      byte ^= std::byte{1} << flip.bit;
      // Several flips can make another dictionary of it that is as good.
      if (flips.size() == 1) expected = image_.contents_with(flip.offset, byte);
    }
    try {
      Exercise<Family> exercise(keys_, flips.front().offset * 8 + flips.front().bit + 1);
      const Fate fate = exercise.run([&] { return image_.attach(); }, expected ? &*expected : nullptr);
      ++(fate.sound ? progress.verified : fate.errors != 0 ? progress.refused : progress.noticed);
      return {};
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  std::string describe(const std::vector<Flip>& flips, const Ending& ending) const {
    std::string text;
    for (const Flip& flip : flips) {
      text += "bit " + std::to_string(flip.bit) + " of byte " + std::to_string(flip.offset);
      for (const Region& region : image_.regions()) {
        if (flip.offset - region.begin >= region.bytes) continue;
        text += " (" + region.name + " + " + std::to_string(flip.offset - region.begin) + ")";
      }
      text += ", ";
    }
    if (ending.signal == SIGALRM) return text + "hangs";
    if (ending.signal != 0) return text + "ends in signal " + std::to_string(ending.signal);
    return text + ending.text;
  }

  StoredImage<Family>& image_;
  std::size_t keys_;
};

}  // namespace shared_dict::test
