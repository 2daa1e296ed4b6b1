// A file that takes another one's place when it is complete: written beside it under a name of its own, on the disk before it is
// renamed. Whoever looks finds the old file or the new one, whole, also after the machine has stopped.
//
// The name is always the same, so that what a process leaves that dies is found by the next one. The file's lock says whether its
// writer lives: it is held from the beginning, and the kernel drops it with the process. A file that is left is never opened to be
// written to, only removed: somebody else may have put there what it likes, a link to another file included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

inline std::error_code write_at(const FileDescriptor& file, std::uint64_t offset, const void* from,
                                std::size_t size) noexcept {
  const SizeSignalHeld held;
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    const ::ssize_t put = ::pwrite(file.get(), at, size, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return last_error();
    at += put;
    offset += static_cast<std::uint64_t>(put);
    size -= static_cast<std::size_t>(put);
  }
  return {};
}

// To the disk, as far as what the file lies on can do that.
inline std::error_code sync_file(const FileDescriptor& file) noexcept {
  while (::fsync(file.get()) != 0) {
    if (errno == EINVAL || errno == EROFS || errno == ENOTSUP) return {};
    if (errno != EINTR) return last_error();
  }
  return {};
}

// A file to read from, links followed as its name is the user's. It never waits for somebody to write (a pipe).
inline FileDescriptor open_to_read(const std::filesystem::path& path, std::error_code& error) noexcept {
  error.clear();
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0) return FileDescriptor(descriptor);
    if (errno != EINTR) break;
  }
  error = last_error();
  return {};
}

class ReplacingFile {
 public:
  explicit ReplacingFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_.string() + kSuffix) {}
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;
  // Leaves nothing, unless it has replaced the other one.
  ~ReplacingFile() {
    if (!file_) return;
    if (mine() && is_own()) ::unlink(temporary_.c_str());
    end();
  }

  static constexpr const char* kSuffix = ".saving";

  // What errors are about.
  const std::filesystem::path& temporary() const noexcept { return temporary_; }

  // False in a child that was forked since the beginning: the file and its lock are the parent's.
  bool mine() const noexcept { return owner_ == ::getpid(); }

  // std::errc::resource_unavailable_try_again: another one is writing to the same path, or was at this moment.
  std::error_code begin(unsigned mode) noexcept {
    std::error_code error;
    owner_ = ::getpid();
    file_ = create_new(temporary_, mode, error);
    if (file_) {
      error = try_lock(file_);
      if (!error && is_own()) return {};
      if (error && !is_busy(error)) ::unlink(temporary_.c_str());
      file_.reset();
      // Otherwise somebody has taken it for one that was left.
      if (error && !is_busy(error)) return error;
    } else if (error == std::errc::file_exists) {
      if (const std::error_code refused = remove_left()) return refused;
    } else {
      return error;
    }
    return std::make_error_code(std::errc::resource_unavailable_try_again);
  }

  std::error_code append(const void* from, std::size_t size) noexcept {
    const std::error_code error = write_at(file_, size_, from, size);
    kill_point();
    size_ += size;
    return error;
  }

  // From now on the path leads to it. After an error it doesn't, unless only the directory could not be brought to the disk.
  std::error_code replace() {
    if (const std::error_code error = sync_file(file_)) return error;
    if (!mine() || !is_own()) return std::make_error_code(std::errc::no_such_file_or_directory);  // somebody has taken it away
    if (const std::error_code error = rename_path(temporary_, path_)) return error;
    end();
    std::error_code error;
    const std::filesystem::path parent = path_.parent_path();
    const FileDescriptor directory = open_to_read(parent.empty() ? "." : parent, error);
    // One that may be written to but not read can't be asked.
    return directory ? sync_file(directory) : std::error_code{};
  }

 private:
  static std::error_code try_lock(const FileDescriptor& file) noexcept {
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EINTR) return last_error();
    }
    return {};
  }
  static bool is_busy(const std::error_code& error) noexcept { return error == std::errc::operation_would_block; }

  bool is_own() const noexcept { return is_still(file_); }
  bool is_still(const FileDescriptor& file) const noexcept {
    const auto named = status_of(temporary_);
    const auto opened = status_of(file);
    return named && opened && named->id == opened->id;
  }

  // What a dead process has left. With its lock, so that none is removed whose writer lives.
  std::error_code remove_left() const noexcept {
    std::error_code error;
    const FileDescriptor left = open_file(temporary_, O_RDONLY | O_NONBLOCK, 0, error);
    if (!error) error = try_lock(left);
    if (error == std::errc::no_such_file_or_directory || is_busy(error)) return {};
    if (error) return error;
    if (is_still(left)) error = remove_file(temporary_);
    ::flock(left.get(), LOCK_UN);
    return error;
  }

  // A forked child has the descriptor too: closing it wouldn't drop the lock.
  void end() noexcept {
    if (mine()) ::flock(file_.get(), LOCK_UN);
    file_.reset();
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor file_;
  ::pid_t owner_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace shared_dict::detail
