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

#include <shared_dict/detail/platform/file.hpp>

namespace shared_dict::detail {

class LockFile {
 public:
  LockFile() noexcept = default;

  // Opens the lock file at `path`; empty if it isn't there, can't be opened, or isn't the file `expected` any more.
  static std::optional<LockFile> open(const std::filesystem::path& path, const FileId& expected) {
    const int likely = next_descriptor();
    LockFile lock;
    try {
      lock.lock_ = boost::interprocess::file_lock(path.c_str());
    } catch (const boost::interprocess::interprocess_exception&) {
      return std::nullopt;
    }
    if (!close_on_exec(expected, likely)) return std::nullopt;
    lock.id_ = expected;
    return lock;
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
    try {
      return lock_.try_lock_sharable();
    } catch (const boost::interprocess::interprocess_exception&) {
      return false;
    }
  }

  void unlock() noexcept {
    try {
      lock_.unlock();
    } catch (const boost::interprocess::interprocess_exception&) {
      close();  // closing drops it for certain
    }
  }

  void close() noexcept { lock_ = boost::interprocess::file_lock(); }

 private:
  boost::interprocess::file_lock lock_;
  FileId id_;
};

}  // namespace shared_dict::detail
