// A directory of a test's own that stands in for the shared-memory place, and looks at what lies on disk.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <ios>
#include <optional>
#include <random>
#include <string>
#include <system_error>

namespace shared_dict::test {

/// Fresh and empty; removed with all that is in it, also when the test fails.
class Place {
 public:
  explicit Place(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::random_device random;
    do {
      path_ = parent / ("shared_dict_test_place." + std::to_string(random()));
    } while (!std::filesystem::create_directory(path_));
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
  }

  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::filesystem::path& path() const noexcept { return path_; }
  /// Where the dictionary `name` has its directory.
  std::filesystem::path of(const std::string& name) const { return path_ / ("shared_dict." + name); }

 private:
  std::filesystem::path path_;
};

/// Where memory stands behind files, if there is such a place.
inline std::filesystem::path memory_place() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path();
}

/// Without a value: takes it away.
inline void set_environment(const char* variable, const char* value) {
#if defined(_WIN32)
  ::_putenv_s(variable, value != nullptr ? value : "");
#else
  value != nullptr ? ::setenv(variable, value, 1) : ::unsetenv(variable);
#endif
}

/// Sets an environment variable and puts the old state back.
class Environment {
 public:
  Environment(const char* variable, const std::string& value) : variable_(variable) {
    if (const char* old = std::getenv(variable)) old_ = old;
    set_environment(variable, value.c_str());
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() { set_environment(variable_, old_ ? old_->c_str() : nullptr); }

 private:
  const char* variable_;
  std::optional<std::string> old_;
};

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const std::streamoff size = file ? static_cast<std::streamoff>(file.tellg()) : 0;
  std::string bytes(static_cast<std::size_t>(std::max<std::streamoff>(size, 0)), '\0');
  file.seekg(0);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return bytes;
}

/// The permission bits of what `path` names itself; -1 if there is nothing.
inline int mode_of(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto status = std::filesystem::symlink_status(path, ignored);
  return std::filesystem::exists(status) ? static_cast<int>(status.permissions() & std::filesystem::perms::mask) : -1;
}

/// Also where there are no such modes, if it is there.
inline bool has_mode(const std::filesystem::path& path, int mode) {
#if defined(_WIN32)
  static_cast<void>(mode);
  return mode_of(path) != -1;
#else
  return mode_of(path) == mode;
#endif
}

}  // namespace shared_dict::test
