// What can go wrong, as error codes and as the one exception type of the library.
#pragma once

#include <string>
#include <system_error>
#include <type_traits>

namespace shared_dict {

/// Why an operation was refused. Whatever the code, the dictionary holds what it held before (but see SharedDict::erase_if).
enum class errc {
  invalid_name = 1,     ///< not 1 to 200 characters of [A-Za-z0-9._-], or it begins with a dot
  invalid_option,       ///< an Options field is outside its range; the message names it
  not_found,            ///< there is no dictionary of this name
  already_exists,       ///< the name is in use, or something that is no dictionary stands in its place
  type_mismatch,        ///< the dictionary was created for another K or V; the message names both
  incompatible_layout,  ///< written by another version of the library or on another kind of machine, or not a dictionary
  corrupted,            ///< stored contents contradict themselves; nothing was changed
  heap_full,            ///< heap_size is used up, or the file system that holds the segment is full
  too_many_items,       ///< Options::max_items are stored already
  too_many_processes,   ///< Options::max_processes are attached already
  too_many_views,       ///< this process holds all the views it can hold
  value_too_large,      ///< a key or a value that could not be stored even in an empty dictionary
  lock_timeout,         ///< another live process held a lock for longer than Options::lock_timeout
  would_deadlock,       ///< a call into the same dictionary from inside one of its own callbacks
  closed                ///< the handle was closed or moved from, or the loan published
};

namespace detail {

class ErrorCategory final : public std::error_category {
 public:
  const char* name() const noexcept override { return "shared_dict"; }

  std::string message(int code) const override {
    switch (static_cast<errc>(code)) {
      case errc::invalid_name: return "invalid name";
      case errc::invalid_option: return "invalid option";
      case errc::not_found: return "not found";
      case errc::already_exists: return "already exists";
      case errc::type_mismatch: return "type mismatch";
      case errc::incompatible_layout: return "incompatible layout";
      case errc::corrupted: return "corrupted";
      case errc::heap_full: return "heap full";
      case errc::too_many_items: return "too many items";
      case errc::too_many_processes: return "too many processes";
      case errc::too_many_views: return "too many views";
      case errc::value_too_large: return "value too large";
      case errc::lock_timeout: return "lock timeout";
      case errc::would_deadlock: return "would deadlock";
      case errc::closed: return "closed";
    }
    return "unknown error";
  }
};

}  // namespace detail

/// The category of every errc. The same object in the whole process; safe from any thread.
inline const std::error_category& shared_dict_category() noexcept {
  static const detail::ErrorCategory category;
  return category;
}

/// So that an errc is a std::error_code, and `error.code() == errc::heap_full` compares.
inline std::error_code make_error_code(errc code) noexcept {
  return {static_cast<int>(code), shared_dict_category()};
}

/// The exception that the library throws. `code()` is an errc, or an operating system error in the system category;
/// `what()` names the dictionary, the operation and what to do about it.
class Error : public std::system_error {
 public:
  /// One of the library's own errors. what() is `what`, then the code's meaning.
  Error(errc code, const std::string& what) : std::system_error(make_error_code(code), what) {}

  /// One of the operating system's, in the system category.
  Error(std::error_code code, const std::string& what) : std::system_error(code, what) {}
};

}  // namespace shared_dict

/// @cond
template <>
struct std::is_error_code_enum<shared_dict::errc> : std::true_type {};
/// @endcond
