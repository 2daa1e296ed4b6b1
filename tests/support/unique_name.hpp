// Names for the dictionaries of tests.
#pragma once

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <shared_dict/shared_dict.hpp>

namespace shared_dict::test {

/// A name that no other run and no other test of this run uses. Whatever happens in the test, nothing of the dictionary is
/// left when the object goes. It begins with $SHARED_DICT_TEST_RUN, by which a test run finds what it left behind.
class UniqueName {
 public:
  /// `place`: the folder that the dictionary is created in; empty where Options::directory is.
  explicit UniqueName(std::filesystem::path place = {}) : place_(std::move(place)), name_(make()) {}

  UniqueName(const UniqueName&) = delete;
  UniqueName& operator=(const UniqueName&) = delete;

  ~UniqueName() {
    if (::getpid() != owner_) return;  // a forked child has a copy
    try {
      shared_dict::remove(name_, place_);
    } catch (const std::exception&) {  // damaged, or locked by a process that is stopped: then by hand
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory(), ignored);
  }

  const std::string& str() const noexcept { return name_; }
  operator const std::string&() const noexcept { return name_; }
  operator std::string_view() const noexcept { return name_; }

  /// Where the dictionary's files are, if it exists.
  std::filesystem::path directory() const { return place_or_default() / ("shared_dict." + name_); }

 private:
  static std::string make() {
    static std::atomic<unsigned> counter{0};
    const char* run = std::getenv("SHARED_DICT_TEST_RUN");
    return std::string(run != nullptr ? run : "test") + "-" + std::to_string(::getpid()) + "-" +
           std::to_string(counter.fetch_add(1)) + "-" +
           std::to_string(std::chrono::steady_clock::now().time_since_epoch().count());
  }

  // Said here once more, so that the tests notice when the library looks elsewhere than documented.
  std::filesystem::path place_or_default() const {
    if (!place_.empty()) return place_;
    if (const char* set = std::getenv("SHARED_DICT_DIR"); set != nullptr && *set != '\0') return set;
#if defined(SHARED_DICT_LINUX)
    std::error_code ignored;
    if (std::filesystem::is_directory("/dev/shm", ignored)) return "/dev/shm";
#endif
    return std::filesystem::temp_directory_path();
  }

  std::filesystem::path place_;
  pid_t owner_ = ::getpid();
  std::string name_;
};

}  // namespace shared_dict::test
