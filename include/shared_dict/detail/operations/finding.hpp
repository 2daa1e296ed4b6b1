// What stands under a dictionary's name, looked at without joining it and without waiting, and the errors that follow from it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/place.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/file.hpp>
#include <shared_dict/version.hpp>

namespace shared_dict::detail {

enum class OpenMode { create, attach, open_or_create };

constexpr std::string_view word_for(OpenMode mode) noexcept {
  switch (mode) {
    case OpenMode::create: return "create";
    case OpenMode::attach: return "attach";
    case OpenMode::open_or_create: break;
  }
  return "open_or_create";
}

struct Finding {
  enum class State { none, unfinished, complete, foreign, damaged };

  State state = State::none;
  bool ours = false;  // foreign: a dictionary, but of another layout
  std::string what;   // foreign, damaged: why
  FileDescriptor file;
  FileId id;
  Identity identity{};
};

template <class>
class BasicFinder {
  using State = Finding::State;

 public:
  // Both must live as long as this.
  BasicFinder(const std::string& name, const Place& place) : name_(name), place_(place) {}

  // What is there under the segment's name.
  Finding inspect() const {
    Finding found;
    const auto is = [&](State state, std::string what) -> Finding& {
      found.state = state;
      found.what = place_.segment().string() + " " + std::move(what);
      return found;
    };
    std::error_code error;
    const auto directory = look_at(place_.directory());
    if (!directory) return found;
    if (!directory->directory) return std::move(is(State::foreign, "isn't there: " + place_.directory().string() + " is no directory"));
    const auto status = look_at(place_.segment());
    if (!status) return found;
    if (!status->regular) return std::move(is(State::foreign, "is no regular file"));
    found.file = open_existing(place_.segment(), error);
    if (error == std::errc::no_such_file_or_directory) return found;
    if (error) cant("can't open " + place_.segment().string(), error);
    const auto opened = status_of(found.file);
    if (!opened) cant("can't look at " + place_.segment().string(), last_error());
    found.id = opened->id;
    found.state = State::unfinished;
    std::uint64_t magic = 0;
    // [M2] read by system call, pairs with [M1]: openers come after the guard, which orders it; `exists` only takes a look.
    error = read_at(found.file, 0, &magic, std::min<std::size_t>(sizeof magic, static_cast<std::size_t>(opened->size)));
    if (error == std::errc::no_message_available) return found;
    if (error) cant("can't read " + place_.segment().string(), error);
    if (magic == 0) return found;
    if (magic != kMagic) return std::move(is(State::foreign, "is no dictionary"));
    alignas(8) std::byte bytes[sizeof(Header)];
    if (opened->size < sizeof bytes) return std::move(is(State::damaged, "is too short"));
    error = read_at(found.file, 0, bytes, sizeof bytes);
    if (error == std::errc::no_message_available) return std::move(is(State::damaged, "is too short"));
    if (error) cant("can't read " + place_.segment().string(), error);
    std::uint32_t order = 0;
    std::uint32_t layout = 0;
    std::uint64_t checksum = 0;
    std::memcpy(&order, bytes + offsetof(Header, byte_order), sizeof order);
    std::memcpy(&layout, bytes + offsetof(Header, layout_version), sizeof layout);
    std::memcpy(&checksum, bytes + offsetof(Header, checksum), sizeof checksum);
    std::memcpy(&found.identity, bytes + offsetof(Header, identity), sizeof found.identity);
    found.ours = true;
    if (order != kByteOrder) return std::move(is(State::foreign, "was written on a machine of another byte order"));
    if (layout != kLayoutVersion) {
      return std::move(is(State::foreign, "has layout " + std::to_string(layout) + ", this program knows layout " +
                                              std::to_string(kLayoutVersion) + ": use the same version of the library"));
    }
    if (checksum != checksum_of(found.identity) || !plausible(found.identity, opened->size)) {
      return std::move(is(State::damaged, "has a damaged header"));
    }
    found.state = State::complete;
    return found;
  }

  // Out of memory is one of the library's own errors; all else is the system's.
  [[noreturn]] void cant(const std::string& what, const std::error_code& error) const {
    if (error == std::errc::no_space_on_device || error == std::errc::not_enough_memory) {
      fail(errc::heap_full, name_, what + ": no memory left there (" + error.message() + "): free some, or choose another Options::directory");
    }
    if (error == std::errc::no_such_file_or_directory) {
      fail(error, name_, what + ": make the directory that it lies in, or name another one in SHARED_DICT_DIR or Options::directory");
    }
    if (error == std::errc::file_too_large) {
      fail(error, name_, what + ": no file can be that large there: choose a smaller Options::heap_size, or another Options::directory");
    }
    if (error == std::errc::too_many_files_open || error == std::errc::too_many_files_open_in_system) {
      fail(error, name_, what + ": try again, with more descriptors");
    }
    if (error == std::errc::permission_denied) {
      fail(error, name_, what + ": whoever creates it says with Options::permissions who may use it; or choose another Options::directory");
    }
    fail(error, name_, what + ": choose another Options::directory, or mend its permissions");
  }

  // What the name itself is; empty if there is nothing of that name.
  std::optional<FileStatus> look_at(const std::filesystem::path& path) const {
    std::error_code error;
    const auto status = status_of(path, error);
    if (error) cant("can't look at " + path.string(), error);
    return status;
  }

  [[noreturn]] void not_found() const {
    const bool placed = look_at(place_.directory().parent_path()).has_value();
    fail(errc::not_found, name_, "there is none at " + place_.directory().string() +
                                     (placed ? ": create it, or use open_or_create"
                                             : ", whose directory isn't there: make it, or name another one in SHARED_DICT_DIR or Options::directory"));
  }

  [[noreturn]] void refuse(const Finding& found, OpenMode mode) const {
    if (mode == OpenMode::create) fail(errc::already_exists, name_, found.what + "; choose another name, or take it away (" + place_.directory().string() + ")");
    if (found.state == State::damaged) fail_corrupted(name_, found.what);
    fail(errc::incompatible_layout, name_, found.what + "; choose another name, or take it away (" + place_.directory().string() + ")");
  }

 private:
  const std::string& name_;
  const Place& place_;
};

}  // namespace shared_dict::detail
