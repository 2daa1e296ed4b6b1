// A directory of a test's own that stands in for the shared-memory place, and looks at what lies on disk.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <system_error>

namespace shared_dict::test {

/// Fresh and empty; removed with all that is in it, also when the test fails.
class Place {
 public:
  explicit Place(const std::filesystem::path& parent = std::filesystem::temp_directory_path()) {
    std::string path = (parent / "shared_dict_test_place.XXXXXX").string();
    if (::mkdtemp(path.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = path;
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

/// Sets an environment variable and puts the old state back.
class Environment {
 public:
  Environment(const char* variable, const std::string& value) : variable_(variable) {
    if (const char* old = std::getenv(variable)) old_ = old;
    ::setenv(variable, value.c_str(), 1);
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() {
    if (old_) {
      ::setenv(variable_, old_->c_str(), 1);
    } else {
      ::unsetenv(variable_);
    }
  }

 private:
  const char* variable_;
  std::optional<std::string> old_;
};

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// The permission bits of what `path` names itself; -1 if there is nothing.
inline int mode_of(const std::filesystem::path& path) {
  struct stat status = {};
  return ::lstat(path.c_str(), &status) == 0 ? static_cast<int>(status.st_mode & 07777U) : -1;
}

}  // namespace shared_dict::test
