// Files, directories and mappings: the thin layer over the operating system. Every failure is a std::error_code or a
// std::system_error, of the system category or one that compares equal to std::errc; the callers add what the user needs to know.
//
// All opens refuse symbolic links, and no started program inherits what they open.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include <shared_dict/detail/platform/file_types.hpp>
#include <shared_dict/detail/platform/kill_point.hpp>
#include <shared_dict/detail/platform/system.hpp>

#if defined(_WIN32)
#include <shared_dict/detail/platform/file_windows.hpp>
#else
#include <shared_dict/detail/platform/file_posix.hpp>
#endif

namespace shared_dict::detail {

// A file that goes again unless it is kept.
class NewFile {
 public:
  explicit NewFile(const std::filesystem::path& path) noexcept : path_(path) {}
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (made_) remove_file(path_);
  }

  FileDescriptor create(unsigned mode, std::error_code& error) noexcept {
    FileDescriptor file = create_new(path_, mode, error);
    made_ = static_cast<bool>(file);
    return file;
  }
  void keep() noexcept { made_ = false; }

 private:
  const std::filesystem::path& path_;
  bool made_ = false;
};

// Where dictionaries live when nobody says otherwise.
inline std::filesystem::path default_place(std::error_code& error) {
  error.clear();
  if (const char* override_place = std::getenv("SHARED_DICT_DIR"); override_place != nullptr && *override_place != '\0') {
    return override_place;
  }
#ifdef SHARED_DICT_LINUX
  if (const auto shm = status_of("/dev/shm"); shm && shm->directory) return "/dev/shm";
#endif
  return std::filesystem::temp_directory_path(error);
}

}  // namespace shared_dict::detail
