// How errors are worded: which dictionary, what happened, what to do about it.
#pragma once

#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <shared_dict/error.hpp>
#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

[[noreturn]] SHARED_DICT_COLD inline void fail(errc code, std::string_view name, std::string_view text) {
  std::string what = "dictionary '";
  what += name;
  what += "': ";
  what += text;
  throw Error(code, what);
}

[[noreturn]] SHARED_DICT_COLD inline void fail(std::error_code code, std::string_view name, std::string_view text) {
  std::string what = "dictionary '";
  what += name;
  what += "': ";
  what += text;
  throw Error(code, what);
}

// For every place that meets stored contents that contradict themselves.
[[noreturn]] SHARED_DICT_COLD inline void fail_corrupted(std::string_view name, std::string_view found) {
  std::string text(found);
  text += "; the stored contents are damaged and nothing was changed: save what can still be read, then remove(name) and create it anew";
  fail(errc::corrupted, name, text);
}

// The name of a handle, for another one that takes its place. Both have it then, unless there is no memory for that.
inline std::string share_name(std::string& name) noexcept {
  try {
    return name;
  } catch (const std::bad_alloc&) {
    return std::move(name);
  }
}

}  // namespace shared_dict::detail
