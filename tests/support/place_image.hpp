// All that a process that dies leaves in a directory: names, modes, contents of files; and the way back to it.
//
// A file that is put back is the same file, not a copy: locks and mappings that living processes have of it stay what they were. For that
// each file has a second name elsewhere, from the moment it was first seen.
#pragma once

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "support/image.hpp"
#include "support/place.hpp"

namespace shared_dict::test {

/// Tells whether anything was changed in a directory and those in it, other than through a mapping.
class DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::filesystem::path& root)
      : root_(root), file_(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), "inotify");
    add(root);
    look_for_directories();
  }
  DirectoryWatch(const DirectoryWatch&) = delete;
  DirectoryWatch& operator=(const DirectoryWatch&) = delete;
  ~DirectoryWatch() { ::close(file_); }

  bool changed() {
    alignas(inotify_event) char events[4096];
    bool any = false;
    while (::read(file_, events, sizeof events) > 0) any = true;
    if (any) look_for_directories();
    return any;
  }

 private:
  void add(const std::filesystem::path& path) {
    constexpr std::uint32_t kEvents =
        IN_CREATE | IN_DELETE | IN_MOVE | IN_ATTRIB | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF;
    // One that is watched already is known as such.
    if (::inotify_add_watch(file_, path.c_str(), kEvents) < 0)
      throw std::system_error(errno, std::generic_category(), "inotify");
  }
  void look_for_directories() {
    for (const auto& entry : std::filesystem::directory_iterator(root_)) {
      if (entry.is_directory()) add(entry.path());
    }
  }

  std::filesystem::path root_;
  int file_;
};

class PlaceImage {
 public:
  /// What a name leads to.
  struct Entry {
    bool directory = false;
    unsigned mode = 0;
    std::uint64_t file = 0;  ///< its number; 0: a directory's is of no account
    bool operator==(const Entry&) const = default;
  };
  struct Copy {
    std::map<std::filesystem::path, Entry> entries;  ///< by path in the place; a directory comes before what is in it
    std::map<std::uint64_t, std::shared_ptr<const Image::Copy>> contents;
    std::map<std::uint64_t, std::size_t> sizes;
    bool operator==(const Copy& other) const {
      return entries == other.entries && sizes == other.sizes &&
             std::equal(contents.begin(), contents.end(), other.contents.begin(), other.contents.end(),
                        [](const auto& a, const auto& b) { return a.first == b.first && *a.second == *b.second; });
    }
    friend std::uint64_t fingerprint(const Copy& copy) {
      std::uint64_t print = copy.entries.size();
      for (const auto& [file, bytes] : copy.contents) print = print * 31 + fingerprint(*bytes);
      return print;
    }
  };

  /// `names`: a directory of the same file system, for the second names.
  PlaceImage(std::filesystem::path place, std::filesystem::path names)
      : place_(std::move(place)), names_(std::move(names)), watch_(place_) {}

  Copy copy() {
    watch_.changed();
    Copy made;
    for (const auto& found : std::filesystem::recursive_directory_iterator(place_)) {
      struct stat status {};
      if (::lstat(found.path().c_str(), &status) != 0)
        throw std::system_error(errno, std::generic_category(), found.path().string());
      Entry entry{S_ISDIR(status.st_mode), status.st_mode & 07777U,
                  S_ISDIR(status.st_mode) ? 0 : std::uint64_t{status.st_ino}};
      made.entries.emplace(std::filesystem::relative(found.path(), place_), entry);
      if (entry.directory) continue;
      keep(found.path(), entry.file);
      made.sizes[entry.file] = static_cast<std::size_t>(status.st_size);
      if (status.st_size != 0)
        made.contents[entry.file] =
            std::make_shared<const Image::Copy>(image(entry.file, made.sizes[entry.file]).copy());
    }
    return made;
  }

  bool differs(const Copy& from) {
    if (watch_.changed()) {
      const Copy now = copy();
      if (now.entries != from.entries || now.sizes != from.sizes) return true;
    }
    for (const auto& [file, contents] : from.contents) {
      if (image(file, from.sizes.at(file)).differs(*contents)) return true;
    }
    return false;
  }

  void restore(const Copy& from) {
    for (const auto& found : std::filesystem::directory_iterator(place_)) std::filesystem::remove_all(found.path());
    for (const auto& [path, entry] : from.entries) {
      if (entry.directory) {
        std::filesystem::create_directory(place_ / path);
      } else {
        std::filesystem::create_hard_link(name_of(entry.file), place_ / path);
        const std::size_t size = from.sizes.at(entry.file);
        std::filesystem::resize_file(place_ / path, size);
        if (size != 0) image(entry.file, size).restore(*from.contents.at(entry.file));
      }
      std::filesystem::permissions(place_ / path, static_cast<std::filesystem::perms>(entry.mode));
    }
  }

  bool empty() const { return std::filesystem::is_empty(place_); }

 private:
  std::filesystem::path name_of(std::uint64_t file) const { return names_ / std::to_string(file); }

  void keep(const std::filesystem::path& path, std::uint64_t file) const {
    std::error_code error;
    std::filesystem::create_hard_link(path, name_of(file), error);
    if (error && error != std::errc::file_exists) throw std::system_error(error, path.string());
  }

  Image& image(std::uint64_t file, std::size_t size) {
    std::unique_ptr<Image>& known = images_[file];
    if (known == nullptr || known->size() != size) known = std::make_unique<Image>(name_of(file));
    return *known;
  }

  std::filesystem::path place_;
  std::filesystem::path names_;
  DirectoryWatch watch_;
  std::map<std::uint64_t, std::unique_ptr<Image>> images_;
};

}  // namespace shared_dict::test
