// Memory that a test shares with its child processes apart from the dictionary under test: flags, counters, records of
// what was done. It has no name that could be left behind, and it outlives any process that is killed.
#pragma once

#if defined(_WIN32)
#include <shared_dict/detail/platform/windows_api.hpp>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace shared_dict::test {

#if defined(_WIN32)

class RawArea {
 public:
  explicit RawArea(std::size_t size) : RawArea(new_token(), size) {}
  /// Of that token; made if there is none.
  RawArea(const std::string& token, std::size_t size)
      : token_(token),
        section_(::CreateFileMappingA(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, 0, static_cast<DWORD>(size), token.c_str())) {
    at_ = section_ != nullptr ? ::MapViewOfFile(section_, FILE_MAP_ALL_ACCESS, 0, 0, size) : nullptr;
    if (at_ == nullptr) throw std::system_error(shared_dict::detail::last_error(), "shared area");
  }
  RawArea(RawArea&& other) noexcept
      : token_(std::move(other.token_)), section_(std::exchange(other.section_, nullptr)), at_(std::exchange(other.at_, nullptr)) {}
  RawArea& operator=(RawArea&&) = delete;
  ~RawArea() {
    if (at_ != nullptr) ::UnmapViewOfFile(at_);
    if (section_ != nullptr) ::CloseHandle(section_);
  }

  void* at() const noexcept { return at_; }
  std::string token() const { return token_; }

 private:
  static std::string new_token() {
    static std::atomic<unsigned> count{0};
    return "shared_dict_test." + std::to_string(::GetCurrentProcessId()) + "." + std::to_string(count.fetch_add(1));
  }

  std::string token_;
  HANDLE section_ = nullptr;
  void* at_ = nullptr;
};

#else

class RawArea {
 public:
  explicit RawArea(std::size_t size) : RawArea(make_file(size), size) {}
  RawArea(const std::string& token, std::size_t size) : RawArea(std::atoi(token.c_str()), size) {}
  RawArea(RawArea&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_), at_(std::exchange(other.at_, nullptr)) {}
  RawArea& operator=(RawArea&&) = delete;
  ~RawArea() {
    if (at_ != nullptr) ::munmap(at_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  void* at() const noexcept { return at_; }
  std::string token() const { return std::to_string(descriptor_); }

 private:
  RawArea(int descriptor, std::size_t size) : descriptor_(descriptor), size_(size) {
    void* const at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    at_ = at;
  }

  static int make_file(std::size_t size) {
    std::string path = "/tmp/shared_dict_test.XXXXXX";
    const int descriptor = ::mkstemp(path.data());
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "mkstemp");
    ::unlink(path.c_str());
    // Children that start the program anew inherit it under the same number.
    if (::fcntl(descriptor, F_SETFD, 0) != 0 || ::ftruncate(descriptor, static_cast<off_t>(size)) != 0) {
      throw std::system_error(errno, std::generic_category(), "shared area");
    }
    return descriptor;
  }

  int descriptor_ = -1;
  std::size_t size_ = 0;
  void* at_ = nullptr;
};

#endif

/// One T of lock-free atomics and plain arrays, zero at first. A forked child has it already; a child that starts the
/// program anew gets token() as an argument and opens it with from_token().
template <class T>
class SharedArea {
  static_assert(std::is_standard_layout_v<T>, "two processes must agree on where the members are");

 public:
  SharedArea() : area_(sizeof(T)), object_(::new (area_.at()) T{}) {}
  static SharedArea from_token(const std::string& token) { return SharedArea(RawArea(token, sizeof(T))); }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  std::string token() const { return area_.token(); }

 private:
  explicit SharedArea(RawArea area) : area_(std::move(area)), object_(std::launder(static_cast<T*>(area_.at()))) {}

  RawArea area_;
  T* object_ = nullptr;
};

}  // namespace shared_dict::test
