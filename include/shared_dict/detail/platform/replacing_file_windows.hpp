// What a file is written, locked and renamed with on Windows: see replacing_file.hpp.
#pragma once

#if defined(_WIN32)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

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

// As POSIX does it: at once, and whoever has the old file open keeps it. False where the system or the file system doesn't know that.
inline bool rename_at_once(const std::filesystem::path& from, const std::filesystem::path& to) {
  const FileDescriptor file = open_handle(from, DELETE | SYNCHRONIZE | GENERIC_WRITE, OPEN_EXISTING);
  if (!file) return false;
  std::error_code error;
  const std::wstring name = std::filesystem::absolute(to, error).native();
  if (error) return false;
  struct Wish {  // FILE_RENAME_INFO, with flags, which not all headers have
    DWORD flags;
    HANDLE root;
    DWORD name_bytes;
    wchar_t name[1];
  };
  std::vector<std::byte> bytes(offsetof(Wish, name) + (name.size() + 1) * sizeof(wchar_t));
  auto* const wish = reinterpret_cast<Wish*>(bytes.data());
  wish->flags = 0x1 | 0x2;  // replace; as POSIX does
  wish->name_bytes = static_cast<DWORD>(name.size() * sizeof(wchar_t));
  std::memcpy(bytes.data() + offsetof(Wish, name), name.data(), wish->name_bytes);
  constexpr auto kRenameEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(22);
  if (::SetFileInformationByHandle(file.get(), kRenameEx, wish, static_cast<DWORD>(bytes.size())) == 0) return false;
  ::FlushFileBuffers(file.get());
  return true;
}

// The file stays open and locked meanwhile, as all opens here share the right to delete: so nobody takes it for one that was left.
inline std::error_code replace_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (rename_at_once(from, to)) return changed(true);
  return changed(with_patience(
      [&] { return ::MoveFileExW(from.c_str(), to.c_str(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH) != 0; }));
}

// The renaming is written through, or flushed.
inline std::error_code sync_directory(const std::filesystem::path&) noexcept { return {}; }

}  // namespace shared_dict::detail

#endif
