// What a file is written, locked and renamed with on POSIX: see replacing_file.hpp.
#pragma once

#if !defined(_WIN32)

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

// As every error of a file of the user's is reported: of the system's category.
inline std::error_code as_reported(const std::error_code& error) noexcept { return native_error(error.value()); }

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

// For a name that isn't to change under its writer. std::errc::operation_would_block: another one has it.
inline std::error_code try_lock_file(const FileDescriptor& file) noexcept {
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EINTR) return last_error();
  }
  return {};
}
// A forked child has the descriptor too: closing it wouldn't drop the lock.
inline void unlock_file(const FileDescriptor& file) noexcept { ::flock(file.get(), LOCK_UN); }

// Only to lock and to remove it.
inline FileDescriptor open_to_lock(const std::filesystem::path& path, std::error_code& error) noexcept {
  return open_file(path, O_RDONLY | O_NONBLOCK, 0, error);
}

inline std::uint32_t writer_pid() noexcept { return static_cast<std::uint32_t>(::getpid()); }

inline std::error_code replace_path(const std::filesystem::path& from, const std::filesystem::path& to) noexcept {
  return rename_path(from, to);
}

// What a renaming changed, to the disk.
inline std::error_code sync_directory(const std::filesystem::path& path) noexcept {
  std::error_code error;
  const FileDescriptor directory = open_to_read(path, error);
  // One that may be written to but not read can't be asked.
  return directory ? sync_file(directory) : std::error_code{};
}

}  // namespace shared_dict::detail

#endif
