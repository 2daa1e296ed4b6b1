// Where a dictionary's files are: one directory each, <place>/shared_dict.<name>/, with `segment`, `guard.lock` and one
// `process.<instance>.<i>.lock` for each process record.
//
// The instance is part of the locks' names so that a path never leads to the lock of another dictionary that has the name by now:
// to open and close that one could drop a lock that this very process holds. A dictionary that is removed while others are attached
// moves as a whole, to <place>/.shared_dict.<name>.<instance>/, and its last member takes it away.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

inline constexpr std::string_view kDirectoryPrefix = "shared_dict.";
inline constexpr std::size_t kMaxNameLength = 200;

inline bool valid_name(std::string_view name) noexcept {
  if (name.empty() || name.size() > kMaxNameLength || name.front() == '.') return false;
  if (kDropsLastDots && name.back() == '.') return false;  // it would be another dictionary's
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
  });
}

inline void require_valid_name(std::string_view name) {
  if (!valid_name(name)) {
    fail(errc::invalid_name, name,
         kDropsLastDots ? "a name has 1 to 200 characters of [A-Za-z0-9._-] and neither begins nor ends with a dot"
                        : "a name has 1 to 200 characters of [A-Za-z0-9._-] and doesn't begin with a dot");
  }
}

// Where the system would read another path than the one that is meant.
inline bool has_nul(const std::filesystem::path& path) noexcept {
  return path.native().find(std::filesystem::path::value_type{}) != std::filesystem::path::string_type::npos;
}

// Absolute, as the process may change its directory later. `name` is the dictionary that errors are about.
inline std::filesystem::path place_of(const std::filesystem::path& directory, std::string_view name) {
  if (has_nul(directory)) fail(errc::invalid_option, name, "Options::directory has a NUL in it: " + directory.string());
  std::error_code error;
  std::filesystem::path place = directory.empty() ? default_place(error) : directory;
  if (!error) place = std::filesystem::absolute(place, error);
  if (error) {
    fail(error, name, "there is no directory for its files, as the directory for temporary files, or the one that the process works in, is gone: name "
                      "another one in Options::directory or SHARED_DICT_DIR");
  }
  return place;
}

class Place {
 public:
  Place(const std::filesystem::path& directory, std::string_view name)
      : directory_(place_of(directory, name) / (std::string(kDirectoryPrefix) += name)) {}
  explicit Place(std::filesystem::path own_directory) : directory_(std::move(own_directory)) {}

  // Where it goes when it is removed while others are attached.
  Place removed(std::uint64_t instance) const {
    return Place(directory_.parent_path() / (removed_prefix() += hex(instance)));
  }
  // What the file names of all these begin with.
  std::string removed_prefix() const { return std::string(".").append(directory_.filename().string()).append("."); }

  const std::filesystem::path& directory() const noexcept { return directory_; }
  std::filesystem::path segment() const { return directory_ / "segment"; }
  std::filesystem::path guard() const { return directory_ / "guard.lock"; }
  std::filesystem::path process_lock(std::uint64_t instance, std::uint32_t record) const {
    return directory_ / ("process." + hex(instance) + "." + std::to_string(record) + ".lock");
  }
  static bool is_process_lock(const std::string& file) { return file.starts_with("process.") && file.ends_with(".lock"); }

 private:
  static std::string hex(std::uint64_t number) {
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) digits += "0123456789abcdef"[(number >> shift) & 15];
    return digits;
  }

  std::filesystem::path directory_;
};

// The files of a dictionary, found before the first of them is taken away: that can't run out of memory half-way. With the guard held,
// which goes too.
class PlacedFiles {
 public:
  explicit PlacedFiles(const Place& place) : directory_(place.directory()), segment_(place.segment()), guard_(place.guard()) {
    for (auto& path : paths_in(directory_, error_)) {
      if (Place::is_process_lock(path.filename().string())) locks_.push_back(std::move(path));
    }
  }

  // Whether some locks may not have been found.
  const std::error_code& error() const noexcept { return error_; }

  // The moment the dictionary is gone.
  std::error_code remove_segment() const {
    if constexpr (!kRemovesOpenFiles) return discard_files({segment_}, aside());
    return remove_file(segment_);
  }
  // The segment first, which is the moment the dictionary is gone.
  void remove_contents() const {
    if constexpr (!kRemovesOpenFiles) return static_cast<void>(discard(false));
    remove_file(segment_);
    for (const auto& lock : locks_) remove_file(lock);
  }
  void remove() const {
    if constexpr (kRemovesOpenFiles) {
      remove_contents();
      remove_file(guard_);
    } else {
      static_cast<void>(discard(true));
    }
    remove_directory(directory_);  // stays if somebody put something else there
  }

 private:
  std::error_code discard(bool with_guard) const {
    auto files = locks_;
    files.insert(files.begin(), segment_);
    if (with_guard) files.push_back(guard_);
    return discard_files(files, aside());
  }
  // Where it goes if it must be moved before it can go.
  std::filesystem::path aside() const {
    if (directory_.filename().string().starts_with('.')) return directory_;
    const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
    return Place(directory_).removed(static_cast<std::uint64_t>(now)).directory();
  }

  std::filesystem::path directory_;
  std::filesystem::path segment_;
  std::filesystem::path guard_;
  std::vector<std::filesystem::path> locks_;
  std::error_code error_;
};

// The files' mode widened by the right to search, for the directory.
inline unsigned directory_mode(unsigned file_mode) noexcept { return file_mode | ((file_mode & 0444U) >> 2) | 0700U; }

}  // namespace shared_dict::detail
