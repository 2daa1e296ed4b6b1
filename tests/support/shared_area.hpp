// Memory that a test shares with its child processes apart from the dictionary under test: flags, counters, records of
// what was done. It has no name that could be left behind, and it outlives any process that is killed.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <new>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace shared_dict::test {

/// One T of lock-free atomics and plain arrays, zero at first. A forked child has it already; a child that starts the
/// program anew gets token() as an argument and opens it with from_token().
template <class T>
class SharedArea {
  static_assert(std::is_standard_layout_v<T>, "two processes must agree on where the members are");

 public:
  SharedArea() : SharedArea(make_file()) {
    void* at = map();
    object_ = ::new (at) T{};
  }

  static SharedArea from_token(const std::string& token) {
    SharedArea area(std::atoi(token.c_str()));
    area.object_ = std::launder(static_cast<T*>(area.map()));
    return area;
  }

  SharedArea(SharedArea&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), object_(std::exchange(other.object_, nullptr)) {}
  SharedArea& operator=(SharedArea&&) = delete;

  ~SharedArea() {
    if (object_ != nullptr) ::munmap(static_cast<void*>(object_), sizeof(T));
    if (descriptor_ >= 0) ::close(descriptor_);
  }

  T& operator*() const noexcept { return *object_; }
  T* operator->() const noexcept { return object_; }
  std::string token() const { return std::to_string(descriptor_); }

 private:
  explicit SharedArea(int descriptor) : descriptor_(descriptor) {}

  static int make_file() {
    std::string path = "/tmp/shared_dict_test.XXXXXX";
    const int descriptor = ::mkstemp(path.data());
    if (descriptor < 0) throw std::system_error(errno, std::generic_category(), "mkstemp");
    ::unlink(path.c_str());
    // Children that start the program anew inherit it under the same number.
    if (::fcntl(descriptor, F_SETFD, 0) != 0 || ::ftruncate(descriptor, static_cast<off_t>(sizeof(T))) != 0) {
      throw std::system_error(errno, std::generic_category(), "shared area");
    }
    return descriptor;
  }

  void* map() const {
    void* at = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    return at;
  }

  int descriptor_ = -1;
  T* object_ = nullptr;
};

}  // namespace shared_dict::test
