// One Boost.Interprocess file lock, made safe to hold for long.
//
// POSIX file locks belong to the process, and closing any descriptor of a file drops the process's locks on it. So this process
// opens each lock file at most once at a time: guards through LocalRegistry, its own process locks in Attachment, those of others
// only to probe them, with the guard's mutex held. exec closes the file, so that a replaced program counts as gone.
#pragma once

#include <boost/interprocess/exceptions.hpp>
#include <boost/interprocess/sync/file_lock.hpp>

#include <filesystem>
#include <optional>
#include <system_error>

#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

class LockFile {
 public:
  LockFile() noexcept = default;

  // Opens the lock file at `path`; empty if it can't be opened (`error`), or isn't there or isn't the file `expected` any more (no error).
  static std::optional<LockFile> open(const std::filesystem::path& path, const FileId& expected, std::error_code& error) {
    const int likely = next_descriptor();
    LockFile lock;
    for (;;) {
      error.clear();
      try {
        lock.lock_ = open_lock<boost::interprocess::file_lock>(path);
        break;
      } catch (const boost::interprocess::interprocess_exception& refused) {
        error = native_error(refused.get_native_error());
      } catch (const std::system_error& refused) {
        error = refused.code();
      }
      if (error == std::errc::interrupted) continue;
      if (error == std::errc::no_such_file_or_directory) error.clear();
      return std::nullopt;
    }
    if (!secure_opened(path, expected, likely)) {
      const auto now = status_of(path, error);
      if (now && now->id == expected) error = std::make_error_code(std::errc::not_enough_memory);
      return std::nullopt;
    }
    lock.id_ = expected;
    return lock;
  }
  static std::optional<LockFile> open(const std::filesystem::path& path, const FileId& expected) {
    std::error_code ignored;
    return open(path, expected, ignored);
  }

  const FileId& id() const noexcept { return id_; }

  // The kernel's other answers (EINTR, EDEADLK, no lock left) mean the same to every caller: not now.
  bool try_lock() noexcept {
    try {
      return lock_.try_lock();
    } catch (const boost::interprocess::interprocess_exception&) {
      return false;
    }
  }

  bool try_lock_shared() noexcept {
    std::error_code ignored;
    return try_lock_shared(ignored);
  }
  // With the other answers told from "somebody has it".
  bool try_lock_shared(std::error_code& error) noexcept {
    error.clear();
    try {
      return lock_.try_lock_sharable();
    } catch (const boost::interprocess::interprocess_exception& refused) {
      error = native_error(refused.get_native_error());
      return false;
    }
  }

  void unlock() noexcept {
    for (int i = 0; i < 100; ++i) {
      try {
        return lock_.unlock();
      } catch (const boost::interprocess::interprocess_exception&) {  // interrupted
      }
    }
    close();  // closing drops it for certain, but then it can't be had again
  }

  void close() noexcept { lock_ = boost::interprocess::file_lock(); }

 private:
  boost::interprocess::file_lock lock_;
  FileId id_;
};

}  // namespace shared_dict::detail
