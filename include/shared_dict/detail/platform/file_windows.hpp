// Files, directories and mappings of Windows: see file.hpp. Handles aren't inherited by the programs that a process starts, and a lock
// belongs to the handle that it was taken through, so that other handles of the file may come and go. Access is by the rights of the
// directory, which is the user's own temporary one unless another is chosen; modes mean nothing.
#pragma once

#if defined(_WIN32)

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/detail/platform/file_types.hpp>
#include <shared_dict/detail/platform/kill_point.hpp>
#include <shared_dict/detail/platform/windows_api.hpp>

namespace shared_dict::detail {

// Files of removed dictionaries that this process has still open or mapped, which can't be deleted before. The directory goes with the last
// of them. Whoever closes one calls sweep(). Those of a process that is killed are found by whoever creates or removes a dictionary of that name.
class Leftovers {
 public:
  static void add(const std::filesystem::path& file);
  static void sweep() noexcept;

 private:
  static inline std::mutex mutex_;
  static inline std::vector<std::filesystem::path> files_;
};
inline void sweep_leftovers() noexcept { Leftovers::sweep(); }

class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  explicit FileDescriptor(HANDLE handle) noexcept : handle_(handle) {}
  FileDescriptor(FileDescriptor&& other) noexcept : handle_(std::exchange(other.handle_, INVALID_HANDLE_VALUE)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { reset(); }

  explicit operator bool() const noexcept { return handle_ != INVALID_HANDLE_VALUE; }
  HANDLE get() const noexcept { return handle_; }
  void reset() noexcept {
    if (*this) ::CloseHandle(handle_);
    handle_ = INVALID_HANDLE_VALUE;
  }

 private:
  HANDLE handle_ = INVALID_HANDLE_VALUE;
};

// Directories too. Links are opened themselves, not what they lead to, unless they are to be followed.
enum class Links { opened, followed };
inline FileDescriptor open_handle(const std::filesystem::path& path, DWORD access, DWORD disposition, Links links = Links::opened) noexcept {
  constexpr DWORD kShareAll = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
  const DWORD flags = FILE_FLAG_BACKUP_SEMANTICS | (links == Links::opened ? FILE_FLAG_OPEN_REPARSE_POINT : 0);
  return FileDescriptor(::CreateFileW(path.c_str(), access, kShareAll, nullptr, disposition, flags, nullptr));
}

inline std::optional<FileStatus> status_of(const FileDescriptor& file) noexcept {
  BY_HANDLE_FILE_INFORMATION told{};
  if (::GetFileInformationByHandle(file.get(), &told) == 0) return std::nullopt;
  const auto join = [](DWORD high, DWORD low) { return std::uint64_t{high} << 32 | low; };
  const bool link = (told.dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0;
  const bool directory = (told.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
  return FileStatus{{told.dwVolumeSerialNumber, join(told.nFileIndexHigh, told.nFileIndexLow)},
                    join(told.nFileSizeHigh, told.nFileSizeLow),
                    !link && !directory,
                    !link && directory,
                    true,
                    0,
                    0600};
}

inline std::optional<FileStatus> status_of(const std::filesystem::path& path, std::error_code& error) noexcept {
  error.clear();
  const FileDescriptor file = open_handle(path, FILE_READ_ATTRIBUTES, OPEN_EXISTING);
  if (file) {
    const auto status = status_of(file);
    if (!status) error = last_error();
    return status;
  }
  error = last_error();
  if (error == std::errc::no_such_file_or_directory) error.clear();
  return std::nullopt;
}

inline std::optional<FileStatus> status_of(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return status_of(path, ignored);
}

inline FileDescriptor open_to_write(const std::filesystem::path& path, DWORD disposition, std::error_code& error) noexcept {
  error.clear();
  FileDescriptor file = open_handle(path, GENERIC_READ | GENERIC_WRITE, disposition);
  if (!file) error = last_error();
  return file;
}

inline FileDescriptor open_existing(const std::filesystem::path& path, std::error_code& error) noexcept {
  return open_to_write(path, OPEN_EXISTING, error);
}

inline FileDescriptor create_new(const std::filesystem::path& path, unsigned, std::error_code& error) noexcept {
  FileDescriptor file = open_to_write(path, CREATE_NEW, error);
  kill_point();
  return file;
}

inline std::error_code check_access(const std::filesystem::path& path) noexcept {
  std::error_code error;
  open_existing(path, error);
  return error;
}

// What a change of a directory has come to.
inline std::error_code changed(bool done) noexcept {
  if (!done) return last_error();
  kill_point();
  return {};
}

inline std::error_code make_directory(const std::filesystem::path& path, unsigned) noexcept {
  return changed(::CreateDirectoryW(path.c_str(), nullptr) != 0);
}

inline bool in_group(std::uint32_t) noexcept { return true; }
inline void mend_mode(const std::filesystem::path&, unsigned) noexcept {}

inline std::error_code gone(const std::error_code& error) noexcept {
  return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
}

// The name goes at once, although others have the file open: as with POSIX. Where the system or the file system doesn't know that, the
// name stays until the last of them closes it.
inline std::error_code remove_file(const std::filesystem::path& path) noexcept {
  const FileDescriptor file = open_handle(path, DELETE, OPEN_EXISTING);
  if (!file) return gone(last_error());
  struct {
    DWORD flags = 0x1 | 0x2 | 0x10;  // delete; as POSIX does; read-only files, too
  } wish;
  constexpr auto kDispositionEx = static_cast<FILE_INFO_BY_HANDLE_CLASS>(21);
  if (::SetFileInformationByHandle(file.get(), kDispositionEx, &wish, sizeof wish) != 0) return changed(true);
  FILE_DISPOSITION_INFO old_wish{};
  old_wish.DeleteFile = TRUE;
  return changed(::SetFileInformationByHandle(file.get(), FileDispositionInfo, &old_wish, sizeof old_wish) != 0);
}

inline std::error_code remove_directory(const std::filesystem::path& path) noexcept {
  return gone(changed(::RemoveDirectoryW(path.c_str()) != 0));
}

// What lies in a directory, as far as it can be read.
inline std::vector<std::filesystem::path> paths_in(const std::filesystem::path& directory, std::error_code& error) {
  std::vector<std::filesystem::path> paths;
  error.clear();
  WIN32_FIND_DATAW found{};
  struct Search {
    HANDLE handle;
    ~Search() {
      if (handle != INVALID_HANDLE_VALUE) ::FindClose(handle);
    }
  } search{::FindFirstFileW((directory / L"*").c_str(), &found)};
  if (search.handle == INVALID_HANDLE_VALUE) {
    error = last_error();
    return paths;
  }
  do {
    const std::wstring name = found.cFileName;
    if (name != L"." && name != L"..") paths.push_back(directory / name);
  } while (::FindNextFileW(search.handle, &found) != 0);
  if (::GetLastError() != ERROR_NO_MORE_FILES) error = last_error();
  return paths;
}

// Others that look at a file for a moment, and don't share it, are waited for: an indexer, a scanner.
template <class Change>
bool with_patience(Change change) noexcept {
  for (int turn = 0; turn < 50; ++turn) {
    if (change()) return true;
    const DWORD refused = ::GetLastError();
    if (refused != ERROR_SHARING_VIOLATION && refused != ERROR_ACCESS_DENIED) return false;
    ::Sleep(5);
    ::SetLastError(refused);
  }
  return false;
}

inline std::error_code rename_file(const std::filesystem::path& from, const std::filesystem::path& to) noexcept {
  return gone(changed(with_patience([&] { return ::MoveFileExW(from.c_str(), to.c_str(), 0) != 0; })));
}

// A directory can't be moved while files in it are open, but they can. The segment goes first: from then on nobody finds it under its
// name. Who is killed here leaves the rest to whoever creates or removes that name next. If one can't be moved, all stay: members that find
// another guard than others have would no longer exclude each other.
inline std::error_code rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (::MoveFileExW(from.c_str(), to.c_str(), 0) != 0) return changed(true);
  if (const auto error = make_directory(to, 0)) return error;
  std::error_code error;
  auto paths = paths_in(from, error);
  std::stable_partition(paths.begin(), paths.end(), [](const auto& path) { return path.filename() == L"segment"; });
  std::size_t moved = 0;
  while (!error && moved < paths.size()) {
    error = rename_file(paths[moved], to / paths[moved].filename());
    if (!error) ++moved;
  }
  if (!error) return remove_directory(from);
  while (moved != 0) {  // the segment last, as it came first
    --moved;
    static_cast<void>(rename_file(to / paths[moved].filename(), paths[moved]));
  }
  static_cast<void>(remove_directory(to));
  return error;
}

// Takes files away of which some may be open. Their names are free at once, as they are moved to the directory `aside` before (not if that
// is where they are). The first of them goes first.
// If the first can't be moved, none is, and what refused it is returned.
inline std::error_code discard_files(const std::vector<std::filesystem::path>& files, const std::filesystem::path& aside) {
  static_cast<void>(make_directory(aside, 0));
  for (const auto& file : files) {
    const auto moved = aside / file.filename();
    const std::error_code refused = file == moved ? std::error_code{} : rename_file(file, moved);
    if (refused && file == files.front()) {
      static_cast<void>(remove_directory(aside));
      return refused;
    }
    Leftovers::add(moved);
  }
  Leftovers::sweep();
  return {};
}

inline void Leftovers::add(const std::filesystem::path& file) {
  const std::scoped_lock lock(mutex_);
  files_.push_back(file);
}

inline void Leftovers::sweep() noexcept try {
  const std::scoped_lock lock(mutex_);
  std::erase_if(files_, [](const std::filesystem::path& file) {
    // What somebody else has put beside it stays, and so does the directory.
    return !remove_file(file) && !status_of(file) && (remove_directory(file.parent_path()), true);
  });
} catch (...) {  // no memory: another time
}

inline std::error_code set_size(const FileDescriptor& file, std::uint64_t size) noexcept {
  DWORD ignored = 0;
  // Where files can't be sparse the whole length is occupied at once.
  ::DeviceIoControl(file.get(), FSCTL_SET_SPARSE, nullptr, 0, nullptr, 0, &ignored, nullptr);
  FILE_END_OF_FILE_INFO end{};
  end.EndOfFile.QuadPart = static_cast<LONGLONG>(size);
  return changed(::SetFileInformationByHandle(file.get(), FileEndOfFileInfo, &end, sizeof end) != 0);
}

inline OVERLAPPED place_in_file(std::uint64_t offset) noexcept {
  OVERLAPPED place{};
  place.Offset = static_cast<DWORD>(offset);
  place.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return place;
}

inline std::error_code read_at(const FileDescriptor& file, std::uint64_t offset, void* to, std::size_t size) noexcept {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    OVERLAPPED place = place_in_file(offset);
    DWORD got = 0;
    const bool read = ::ReadFile(file.get(), at, static_cast<DWORD>(std::min<std::size_t>(size, 1U << 30)), &got, &place) != 0;
    if (!read && ::GetLastError() != ERROR_HANDLE_EOF) return last_error();
    if (got == 0) return std::make_error_code(std::errc::no_message_available);  // shorter than asked for
    at += got;
    offset += got;
    size -= got;
  }
  return {};
}

// Occupies memory for [offset, offset + size): a byte of each block is written, as it was read. Only bytes nobody uses yet are in the
// range, but what uses the beginning of its first block may not be touched.
inline std::error_code commit_range(const FileDescriptor& file, std::uint64_t offset, std::uint64_t size) noexcept {
  constexpr std::uint64_t kBlock = 4096;
  for (std::uint64_t at = offset; at < offset + size; at = (at / kBlock + 1) * kBlock) {
    char byte = 0;
    if (const auto error = read_at(file, at, &byte, 1)) return error;
    OVERLAPPED place = place_in_file(at);
    DWORD written = 0;
    if (::WriteFile(file.get(), &byte, 1, &written, &place) == 0) return last_error();
  }
  kill_point();
  return {};
}

// A file mapped shared, readable and writable, for as long as the object lives.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(const FileDescriptor& file, std::uint64_t size) {
    if (static_cast<std::size_t>(size) != size) throw std::system_error(std::make_error_code(std::errc::not_enough_memory));
    const HANDLE section = ::CreateFileMappingW(file.get(), nullptr, PAGE_READWRITE, 0, 0, nullptr);
    if (section == nullptr) throw std::system_error(last_error());
    base_ = static_cast<std::byte*>(::MapViewOfFile(section, FILE_MAP_ALL_ACCESS, 0, 0, static_cast<std::size_t>(size)));
    const std::error_code error = last_error();
    ::CloseHandle(section);
    if (base_ == nullptr) throw std::system_error(error);
  }
  Mapping(Mapping&& other) noexcept : base_(std::exchange(other.base_, nullptr)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (base_ == nullptr) return;
    ::UnmapViewOfFile(base_);
    sweep_leftovers();
  }

  std::byte* base() const noexcept { return base_; }

 private:
  std::byte* base_ = nullptr;
};

// A library's lock on the file of this name, which is there. A library that knows names of bytes only (Boost's before 1.77) gets a short one where
// the name isn't ASCII, as those bytes mean something else for each language that is set.
template <class Lock>
Lock open_lock(const std::filesystem::path& path) {
  if constexpr (std::is_constructible_v<Lock, const wchar_t*>) {
    return Lock(path.c_str());
  } else {
    const auto is_ascii = [](const std::wstring& name) { return std::all_of(name.begin(), name.end(), [](wchar_t c) { return c < 0x80; }); };
    std::wstring name = path.native();
    if (!is_ascii(name)) {
      wchar_t short_name[MAX_PATH];
      const DWORD length = ::GetShortPathNameW(name.c_str(), short_name, MAX_PATH);
      if (length == 0 || length >= MAX_PATH) throw std::system_error(length == 0 ? last_error() : std::make_error_code(std::errc::filename_too_long));
      name.assign(short_name, length);
      if (!is_ascii(name)) throw std::system_error(std::make_error_code(std::errc::illegal_byte_sequence));
    }
    return Lock(std::string(name.begin(), name.end()).c_str());
  }
}

// A second handle of a lock file does no harm here: nobody has to be found.
inline constexpr bool kFindsDescriptors = false;
inline constexpr bool kDropsLastDots = true;  // of a file's name
inline constexpr bool kRemovesOpenFiles = false;
inline int next_descriptor() noexcept { return -1; }
inline int find_descriptor(const FileId&, int = -1) noexcept { return -1; }
inline int count_own_descriptors(const FileId&) noexcept { return 0; }

// Whether what was opened by that name is the file: it was when it was looked up.
inline bool secure_opened(const std::filesystem::path& path, const FileId& expected, int) noexcept {
  const auto status = status_of(path);
  return status && status->id == expected;
}

}  // namespace shared_dict::detail

#endif
