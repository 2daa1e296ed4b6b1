// What a file is written, locked and renamed with on Windows: see replacing_file.hpp.
#pragma once

#if defined(_WIN32)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

// As it is: the system's numbers aren't those of std::errc.
inline std::error_code as_reported(const std::error_code& error) noexcept { return error; }

inline std::error_code write_at(const FileDescriptor& file, std::uint64_t offset, const void* from,
                                std::size_t size) noexcept {
  const auto* at = static_cast<const char*>(from);
  while (size > 0) {
    OVERLAPPED place = place_in_file(offset);
    DWORD put = 0;
    if (::WriteFile(file.get(), at, static_cast<DWORD>(std::min<std::size_t>(size, 1U << 30)), &put, &place) == 0) return last_error();
    at += put;
    offset += put;
    size -= put;
  }
  return {};
}

inline std::error_code sync_file(const FileDescriptor& file) noexcept {
  return ::FlushFileBuffers(file.get()) != 0 ? std::error_code{} : last_error();
}

// A file to read from, links followed as its name is the user's.
inline FileDescriptor open_to_read(const std::filesystem::path& path, std::error_code& error) noexcept {
  error.clear();
  FileDescriptor file = open_handle(path, GENERIC_READ, OPEN_EXISTING, Links::followed);
  if (!file) error = last_error();
  return file;
}

// A byte far behind what is ever written, as others couldn't read or write what is locked.
inline OVERLAPPED locked_byte() noexcept { return place_in_file(std::uint64_t{1} << 62); }

// std::errc::operation_would_block: another one has it.
inline std::error_code try_lock_file(const FileDescriptor& file) noexcept {
  OVERLAPPED byte = locked_byte();
  if (::LockFileEx(file.get(), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &byte) != 0) return {};
  const DWORD refused = ::GetLastError();
  if (refused == ERROR_LOCK_VIOLATION || refused == ERROR_IO_PENDING) return std::make_error_code(std::errc::operation_would_block);
  return native_error(refused);
}
inline void unlock_file(const FileDescriptor& file) noexcept {
  OVERLAPPED byte = locked_byte();
  ::UnlockFileEx(file.get(), 0, 1, 0, &byte);
}

inline FileDescriptor open_to_lock(const std::filesystem::path& path, std::error_code& error) noexcept {
  return open_existing(path, error);
}

inline std::uint32_t writer_pid() noexcept { return ::GetCurrentProcessId(); }

// The file stays open and locked meanwhile, as all opens here share the right to delete: so nobody takes it for one that was left.
inline std::error_code replace_path(const std::filesystem::path& from, const std::filesystem::path& to) noexcept {
  return changed(::MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0);
}

// The renaming is written through.
inline std::error_code sync_directory(const std::filesystem::path&) noexcept { return {}; }

}  // namespace shared_dict::detail

#endif
