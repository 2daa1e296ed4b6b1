// Files, directories and mappings of Linux, macOS and what else has POSIX: see file.hpp. All opens are closed on exec.
#pragma once

#if !defined(_WIN32)

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX' own, not only what C++ has of it
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <shared_dict/detail/platform/file_types.hpp>
#include <shared_dict/detail/platform/kill_point.hpp>
#include <shared_dict/detail/platform/system.hpp>

namespace shared_dict::detail {

static_assert(sizeof(off_t) == 8, "files may be longer than 2 GiB: compile with -D_FILE_OFFSET_BITS=64");

inline std::error_code native_error(int number) noexcept { return {number, std::system_category()}; }
inline std::error_code last_error() noexcept { return native_error(errno); }

class FileDescriptor {
 public:
  FileDescriptor() noexcept = default;
  explicit FileDescriptor(int descriptor) noexcept : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    if (this != &other) {
      reset();
      descriptor_ = std::exchange(other.descriptor_, -1);
    }
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() { reset(); }

  explicit operator bool() const noexcept { return descriptor_ >= 0; }
  int get() const noexcept { return descriptor_; }
  void reset() noexcept {
    // Forgotten first: a child that another thread forks meanwhile must not close what has the number by then.
    if (const int descriptor = std::exchange(descriptor_, -1); descriptor >= 0) ::close(descriptor);
  }

 private:
  int descriptor_ = -1;
};

inline FileStatus to_status(const struct stat& s) noexcept {
  return {{static_cast<std::uint64_t>(s.st_dev), static_cast<std::uint64_t>(s.st_ino)},
          static_cast<std::uint64_t>(s.st_size),
          S_ISREG(s.st_mode),
          S_ISDIR(s.st_mode),
          s.st_uid == ::geteuid(),
          static_cast<std::uint32_t>(s.st_gid),
          static_cast<unsigned>(s.st_mode) & 0777U,
          static_cast<std::uint64_t>(s.st_nlink)};
}

// Whether this process acts for the group.
inline bool in_group(std::uint32_t group) noexcept {
  if (group == ::getegid()) return true;
  gid_t groups[1024];
  const int count = ::getgroups(1024, groups);  // -1: more than that
  return std::find(groups, groups + std::max(count, 0), group) != groups + std::max(count, 0);
}

// Of what the name itself is, links not followed; empty if there is nothing of that name.
inline std::optional<FileStatus> status_of(const std::filesystem::path& path, std::error_code& error) noexcept {
  error.clear();
  struct stat s {};
  if (::lstat(path.c_str(), &s) != 0) {
    if (errno != ENOENT && errno != ENOTDIR) error = last_error();
    return std::nullopt;
  }
  return to_status(s);
}

inline std::optional<FileStatus> status_of(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return status_of(path, ignored);
}

inline std::optional<FileStatus> status_of(const FileDescriptor& file) noexcept {
  struct stat s {};
  if (::fstat(file.get(), &s) != 0) return std::nullopt;
  return to_status(s);
}

inline FileDescriptor open_file(const std::filesystem::path& path, int flags, unsigned mode, std::error_code& error) noexcept {
  error.clear();
  for (;;) {
    const int descriptor = ::open(path.c_str(), flags | O_NOFOLLOW | O_CLOEXEC, static_cast<mode_t>(mode));
    if (descriptor >= 0) return FileDescriptor(descriptor);
    if (errno != EINTR) break;
  }
  error = last_error();
  return {};
}

inline FileDescriptor open_existing(const std::filesystem::path& path, std::error_code& error) noexcept {
  return open_file(path, O_RDWR, 0, error);
}

// The mode is set past the umask: it is what the user asked for.
inline FileDescriptor create_new(const std::filesystem::path& path, unsigned mode, std::error_code& error) noexcept {
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT | O_EXCL, mode, error);
  kill_point();
  if (file && ::fchmod(file.get(), static_cast<mode_t>(mode)) != 0) {
    error = last_error();
    ::unlink(path.c_str());
    file.reset();
  }
  kill_point();
  return file;
}

// Whether the file could be opened for reading and writing, without opening it: closing it again would drop file locks.
inline std::error_code check_access(const std::filesystem::path& path) noexcept {
  return ::faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0 ? std::error_code{} : last_error();
}

// Of what the name itself is, not of what a link leads to that somebody has put in its place. Without opening it: see check_access.
inline bool set_mode(const std::filesystem::path& path, unsigned mode) noexcept {
  if (::fchmodat(AT_FDCWD, path.c_str(), static_cast<mode_t>(mode), AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOTSUP && errno != EOPNOTSUPP) return false;
  // So does glibc say of every file until 2.31, and later without /proc: then a link is only looked for before.
  std::error_code error;
  const auto status = status_of(path, error);
  errno = error ? error.value() : status ? ELOOP : ENOENT;
  return status && (status->regular || status->directory) && ::chmod(path.c_str(), static_cast<mode_t>(mode)) == 0;
}

inline std::error_code make_directory(const std::filesystem::path& path, unsigned mode) noexcept {
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0) return last_error();
  kill_point();
  if (set_mode(path, mode)) return {};
  const std::error_code error = last_error();
  // Somebody has removed it again.
  if (error == std::errc::no_such_file_or_directory) return std::make_error_code(std::errc::resource_unavailable_try_again);
  ::rmdir(path.c_str());
  return error;
}

// Gives a file or directory of one's own the mode that whoever made it may have died before setting. As far as possible: it stays
// usable for its owner.
inline void mend_mode(const std::filesystem::path& path, unsigned mode) noexcept {
  const auto status = status_of(path);
  // A file with another name is another one's, too.
  const bool own = status && status->mine && (status->directory || (status->regular && status->links == 1));
  if (own && status->mode != mode && set_mode(path, mode)) kill_point();
}

// What a change of a directory has come to.
inline std::error_code changed(bool done) noexcept {
  if (!done) return last_error();
  kill_point();
  return {};
}

inline std::error_code remove_file(const std::filesystem::path& path) noexcept {
  return changed(::unlink(path.c_str()) == 0 || errno == ENOENT);
}

inline std::error_code remove_directory(const std::filesystem::path& path) noexcept {
  return changed(::rmdir(path.c_str()) == 0 || errno == ENOENT);
}

inline std::error_code rename_path(const std::filesystem::path& from, const std::filesystem::path& to) noexcept {
  return changed(::rename(from.c_str(), to.c_str()) == 0);
}

// What lies in a directory, as far as it can be read. (std::filesystem's iterator ends the process when memory runs out.)
inline std::vector<std::filesystem::path> paths_in(const std::filesystem::path& directory, std::error_code& error) {
  std::vector<std::filesystem::path> paths;
  error.clear();
  DIR* const all = ::opendir(directory.c_str());
  if (all == nullptr) {
    error = last_error();
    return paths;
  }
  struct Closer {
    DIR* opened;
    ~Closer() { ::closedir(opened); }
  } const closer{all};
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(all);
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") paths.push_back(directory / name);
  }
  if (errno != 0) error = last_error();
  return paths;
}

// While it lives, a file that would grow beyond the process's limit (RLIMIT_FSIZE) is an error only. The kernel sends a signal as well,
// to the thread, which would end the process.
class SizeSignalHeld {
 public:
  SizeSignalHeld() noexcept {
    sigemptyset(&signal_);  // this and the next are macros on macOS
    sigaddset(&signal_, SIGXFSZ);
    ::pthread_sigmask(SIG_BLOCK, &signal_, &before_);
    others_ = pending();
  }
  SizeSignalHeld(const SizeSignalHeld&) = delete;
  SizeSignalHeld& operator=(const SizeSignalHeld&) = delete;
  ~SizeSignalHeld() {
    int taken = 0;
    if (!others_ && pending()) ::sigwait(&signal_, &taken);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  static bool pending() noexcept {
    sigset_t all;
    return ::sigpending(&all) == 0 && sigismember(&all, SIGXFSZ) == 1;
  }

  sigset_t signal_{};
  sigset_t before_{};
  bool others_ = false;  // it was there before, and stays
};

// Sets the length without occupying memory.
inline std::error_code set_size(const FileDescriptor& file, std::uint64_t size) noexcept {
  const SizeSignalHeld held;
  while (::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    if (errno != EINTR) return last_error();
  }
  kill_point();
  return {};
}

#ifdef SHARED_DICT_LINUX
// While it lives, no signal comes to this thread but those that nobody can hold.
class SignalsHeld {
 public:
  SignalsHeld() noexcept {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_BLOCK, &all, &before_);
  }
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;
  ~SignalsHeld() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};
#endif

// Occupies memory for [offset, offset + size), so that touching it can't end in SIGBUS. What is there stays. Idempotent.
inline std::error_code commit_range(const FileDescriptor& file, std::uint64_t offset, std::uint64_t size) noexcept {
  const SizeSignalHeld held;
#ifdef SHARED_DICT_LINUX
  const auto occupy = [&] { return ::posix_fallocate(file.get(), static_cast<off_t>(offset), static_cast<off_t>(size)); };
  int code = occupy();
  if (code == EINTR) {
    // In tmpfs of older kernels any signal ends it, and what it had got so far is given back: with a timer that comes often enough (a profiler's)
    // a large range would never be through, and whoever waits for the locks that are held meanwhile would wait for ever.
    const SignalsHeld whole;
    while (code == EINTR) code = occupy();
  }
  if (code != 0) return {code, std::system_category()};
  kill_point();
  return {};
#else
  // No call reserves what lies inside a file (macOS's F_PREALLOCATE only goes on behind its end): a byte of each block is written, as it
  // was read. Only bytes nobody uses yet are in the range, but what uses the beginning of its first block may not be touched.
  constexpr std::uint64_t kBlock = 4096;
  for (std::uint64_t at = offset; at < offset + size; at = (at / kBlock + 1) * kBlock) {
    char byte = 0;
    while (::pread(file.get(), &byte, 1, static_cast<off_t>(at)) < 0) {
      if (errno != EINTR) return last_error();
    }
    while (::pwrite(file.get(), &byte, 1, static_cast<off_t>(at)) < 0) {
      if (errno != EINTR) return last_error();
    }
  }
  kill_point();
  return {};
#endif
}

inline std::error_code read_at(const FileDescriptor& file, std::uint64_t offset, void* to, std::size_t size) noexcept {
  auto* at = static_cast<char*>(to);
  while (size > 0) {
    const ::ssize_t got = ::pread(file.get(), at, size, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return last_error();
    if (got == 0) return std::make_error_code(std::errc::no_message_available);  // shorter than asked for
    at += got;
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::size_t>(got);
  }
  return {};
}

// A file mapped shared, readable and writable, for as long as the object lives.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(const FileDescriptor& file, std::uint64_t size) : size_(static_cast<std::size_t>(size)) {
    if (size_ != size) throw std::system_error(std::make_error_code(std::errc::not_enough_memory));
    void* address = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    if (address == MAP_FAILED) throw std::system_error(last_error());
    base_ = static_cast<std::byte*>(address);
  }
  Mapping(Mapping&& other) noexcept : base_(std::exchange(other.base_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(size_, other.size_);
    return *this;
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (base_ != nullptr) ::munmap(base_, size_);
  }

  std::byte* base() const noexcept { return base_; }

 private:
  std::byte* base_ = nullptr;
  std::size_t size_ = 0;
};

// The lowest free descriptor at this moment: where the next open of this thread will most likely land.
inline int next_descriptor() noexcept {
  const FileDescriptor probe(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  return probe.get();
}

inline bool leads_to(int descriptor, const FileId& id) noexcept {
  struct stat s {};
  return ::fstat(descriptor, &s) == 0 && to_status(s).id == id;
}

inline constexpr bool kFindsDescriptors = true;
inline constexpr bool kDropsLastDots = false;  // of a file's name
inline constexpr bool kRemovesOpenFiles = true;
inline void sweep_leftovers() noexcept {}
inline std::error_code discard_files(const std::vector<std::filesystem::path>&, const std::filesystem::path&) noexcept { return {}; }

// A library's lock on the file of this name, which is there.
template <class Lock>
Lock open_lock(const std::filesystem::path& path) {
  return Lock(path.c_str());
}

// f(descriptor) for each descriptor of this process, and perhaps for numbers that are none.
template <class F>
void for_each_descriptor(F f) noexcept {
#if defined(__linux__) || defined(__APPLE__)
#ifdef SHARED_DICT_LINUX
  constexpr const char* kDescriptors = "/proc/self/fd";
#else
  constexpr const char* kDescriptors = "/dev/fd";
#endif
  if (DIR* const all = ::opendir(kDescriptors); all != nullptr) {
    while (const dirent* const entry = ::readdir(all)) {
      if (entry->d_name[0] != '.') f(std::atoi(entry->d_name));
    }
    ::closedir(all);
    return;
  }
#endif
  constexpr long kMany = 65536;
  const long allowed = ::sysconf(_SC_OPEN_MAX);  // -1: without a limit
  const long limit = allowed < 0 ? kMany : std::min(allowed, kMany);
  for (int descriptor = 0; descriptor < limit; ++descriptor) f(descriptor);
}

// A descriptor of this process that leads to `id`, whoever opened it; `likely` is looked at first. -1 if there is none.
inline int find_descriptor(const FileId& id, int likely = -1) noexcept {
  if (likely >= 0 && leads_to(likely, id)) return likely;
  int found = -1;
  for_each_descriptor([&](int descriptor) {
    if (leads_to(descriptor, id)) found = descriptor;
  });
  return found;
}

// How many descriptors of this process lead to `id` and are close-on-exec. (One that isn't was open for a moment when another thread
// started this program, and nobody knows of it.)
inline int count_own_descriptors(const FileId& id) noexcept {
  int count = 0;
  for_each_descriptor([&](int descriptor) {
    if (leads_to(descriptor, id) && (::fcntl(descriptor, F_GETFD) & FD_CLOEXEC) != 0) ++count;
  });
  return count;
}

// Has the descriptor that leads to `id` closed on exec. False if there is none. A library that opens files itself (Boost's
// file_lock) gives no access to its descriptor.
inline bool close_on_exec(const FileId& id, int likely) noexcept {
  const int descriptor = find_descriptor(id, likely);
  return descriptor >= 0 && ::fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

// What a library has opened by that name, if it is the file: no started program inherits it. False if it is another one.
inline bool secure_opened(const std::filesystem::path&, const FileId& expected, int likely) noexcept {
  return close_on_exec(expected, likely);
}

}  // namespace shared_dict::detail

#endif
