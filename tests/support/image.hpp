// The bytes of a file, seen and put back past the library: what a process that dies leaves in a dictionary's segment.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include <shared_dict/detail/bytes/hash.hpp>

namespace shared_dict::test {

/// A file, mapped. It is sparse: only what has memory is looked at.
class Image {
 public:
  struct Extent {
    std::size_t begin;
    std::size_t end;
    bool operator==(const Extent&) const = default;
  };
  struct Copy {
    std::vector<Extent> extents;
    std::vector<char> bytes;  ///< one behind the other
    bool operator==(const Copy&) const = default;
    friend std::uint64_t fingerprint(const Copy& copy) {
      return detail::hash_bytes(copy.bytes.data(), copy.bytes.size(), copy.extents.size());
    }
  };

  explicit Image(const std::filesystem::path& path)
      : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)), size_(std::filesystem::file_size(path)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), path.string());
    void* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    bytes_ = static_cast<char*>(at);
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() {
    ::munmap(bytes_, size_);
    ::close(file_);
  }

  std::size_t size() const noexcept { return size_; }

  Copy copy() {
    find_extents();
    Copy made{extents_, {}};
    for (const Extent& extent : extents_)
      made.bytes.insert(made.bytes.end(), bytes_ + extent.begin, bytes_ + extent.end);
    return made;
  }

  bool differs(const Copy& from) {
    find_extents();
    if (extents_ != from.extents) return true;
    const char* other = from.bytes.data();
    for (const Extent& extent : extents_) {
      if (std::memcmp(bytes_ + extent.begin, other, extent.end - extent.begin) != 0) return true;
      other += extent.end - extent.begin;
    }
    return false;
  }

  void restore(const Copy& from) {
    find_extents();
    for (const Extent& extent : extents_) std::memset(bytes_ + extent.begin, 0, extent.end - extent.begin);
    const char* other = from.bytes.data();
    for (const Extent& extent : from.extents) {
      std::memcpy(bytes_ + extent.begin, other, extent.end - extent.begin);
      other += extent.end - extent.begin;
    }
  }

 private:
  void find_extents() {
    extents_.clear();
    for (off_t at = 0; (at = ::lseek(file_, at, SEEK_DATA)) >= 0;) {
      const off_t end = ::lseek(file_, at, SEEK_HOLE);
      extents_.push_back({static_cast<std::size_t>(at), static_cast<std::size_t>(end)});
      at = end;
    }
  }

  int file_;
  std::size_t size_;
  char* bytes_ = nullptr;
  std::vector<Extent> extents_;
};

}  // namespace shared_dict::test
