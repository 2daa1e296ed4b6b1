// How errors are worded: which dictionary, what happened, what to do about it.
#pragma once

#include <algorithm>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/error.hpp>

namespace shared_dict::detail {

// An error that doesn't know yet which operation it ends. The public function that it leaves adds that (`leave`), so that a message names what the
// user called, however deep the cause lies. What a callback throws has left a public function already and is a plain Error: it keeps the
// operation and the dictionary that it names.
class Failure final : public Error {
 public:
  Failure(std::error_code code, std::string_view name, std::string_view text)
      : Error(code, worded(name, text)), name_(name), text_(text) {}

  // Throws it as the Error that users see.
  [[noreturn]] SHARED_DICT_COLD void leave(std::string_view operation) const {
    std::string text(operation);
    text += ": ";
    text += text_;
    throw Error(code(), worded(name_, text));
  }

 private:
  // Without a name it is about none, or about several.
  static std::string worded(std::string_view name, std::string_view text) {
    std::string what;
    if (!name.empty()) what.append("dictionary '").append(name).append("': ");
    what += text;
    // Of names and paths that came from anywhere: what() would end at a NUL, and a terminal obey others.
    std::replace_if(what.begin(), what.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
    return what;
  }

  std::string name_;
  std::string text_;
};

[[noreturn]] SHARED_DICT_COLD inline void fail(std::error_code code, std::string_view name, std::string_view text) {
  throw Failure(code, name, text);
}

// For every place that meets stored contents that contradict themselves.
[[noreturn]] SHARED_DICT_COLD inline void fail_corrupted(std::string_view name, std::string_view found) {
  std::string text(found);
  text +=
      "; the stored contents are damaged and nothing was changed: save what can still be read, then remove(name) and "
      "create it anew";
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
