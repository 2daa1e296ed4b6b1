// How a dictionary is created and opened.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>

namespace shared_dict {

/// How long a dictionary exists.
enum class Lifetime {
  attached,   ///< while at least one process is attached; the last one to leave removes it, and one whose processes
              ///< have all died counts as gone
  persistent  ///< until remove(name), also with nobody attached (until the machine restarts)
};

/// For create and open_or_create. attach reads only `directory` and `lock_timeout`: the rest is the creator's.
struct Options {
  /// Bytes: what all keys and values together, as they are stored, can add up to. Tables, headers and rounding come on top. This
  /// is address space only: memory is committed as it is used, and checked then, so that a full file system is errc::heap_full
  /// and never SIGBUS. `items * (key bytes + value bytes) * 2` holds that many items with room to spare.
  std::size_t heap_size = std::size_t{1} << 30;
  /// The upper bound on the number of items; 0: heap_size alone bounds them.
  std::size_t max_items = 0;
  /// How long the dictionary exists.
  Lifetime lifetime = Lifetime::attached;
  /// How long a write, or opening and closing, may wait for another live process. (remove() waits for ten seconds.)
  std::chrono::milliseconds lock_timeout{10'000};
  /// Mode of the files; never widened by default. The directory gets the search bit wherever this has the read bit.
  unsigned permissions = 0600;
  /// How many processes can be attached at once, 1 to 1000.
  unsigned max_processes = 128;
  /// Where the dictionary's directory lies. Empty: $SHARED_DICT_DIR, or the platform's shared-memory place.
  std::filesystem::path directory{};
  /// A file that save() wrote, or empty. Whoever makes the dictionary loads it before anybody else sees the dictionary: others that open it
  /// meanwhile wait, for at most their lock_timeout, and find everything. A file that isn't there is none, as on a first start; one that
  /// can't be loaded is an error, as of load(), and no dictionary is made. Who finds a dictionary doesn't look at the file. fork() in another
  /// thread of this process waits until it is loaded; where that takes too long, create() first and load() then, which lets forks through.
  std::filesystem::path load_from{};
};

}  // namespace shared_dict
