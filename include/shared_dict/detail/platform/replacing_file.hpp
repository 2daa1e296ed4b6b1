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
#include <optional>
#include <system_error>
#include <utility>

#include <shared_dict/detail/platform/file.hpp>

#if defined(_WIN32)
#include <shared_dict/detail/platform/replacing_file_windows.hpp>
#else
#include <shared_dict/detail/platform/replacing_file_posix.hpp>
#endif

namespace shared_dict::detail {

class ReplacingFile {
 public:
  explicit ReplacingFile(std::filesystem::path path) : path_(std::move(path)), temporary_(path_) {
    temporary_ += kSuffix;
  }
  ReplacingFile(const ReplacingFile&) = delete;
  ReplacingFile& operator=(const ReplacingFile&) = delete;
  // Leaves nothing, unless it has replaced the other one.
  ~ReplacingFile() {
    if (!file_) return;
    if (mine() && is_own()) remove_file(temporary_);
    end();
  }

  static constexpr const char* kSuffix = ".saving";

  // In a forked child: its copy of the descriptor would keep the file locked for as long as it lives, whatever becomes of the parent.
  void abandon() noexcept { file_.reset(); }

  // What errors are about.
  const std::filesystem::path& temporary() const noexcept { return temporary_; }

  // False in a child that was forked since the beginning: the file and its lock are the parent's.
  bool mine() const noexcept { return owner_ == writer_pid(); }

  // std::errc::resource_unavailable_try_again: another one is writing to the same path, or was at this moment.
  std::error_code begin(unsigned mode) noexcept {
    std::error_code error;
    owner_ = writer_pid();
    file_ = create_new(temporary_, mode, error);
    if (file_) {
      error = try_lock_file(file_);
      if (!error && is_own()) return {};
      if (error && !is_busy(error)) remove_file(temporary_);
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
    if (const std::error_code error = replace_path(temporary_, path_)) return error;
    end();
    const std::filesystem::path parent = path_.parent_path();
    return sync_directory(parent.empty() ? "." : parent);
  }

 private:
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
    const FileDescriptor left = open_to_lock(temporary_, error);
    if (!error) error = try_lock_file(left);
    if (error == std::errc::no_such_file_or_directory || is_busy(error)) return {};
    if (error) return error;
    if (is_still(left)) error = remove_file(temporary_);
    unlock_file(left);
    return error;
  }

  void end() noexcept {
    if (mine()) unlock_file(file_);
    file_.reset();
  }

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  FileDescriptor file_;
  std::uint32_t owner_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace shared_dict::detail
