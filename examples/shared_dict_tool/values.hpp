// Stored bytes shown to people and to programs, by the name of their type.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <shared_dict/detail/mechanisms/entry.hpp>

namespace tool {

struct Shown {
  std::string text;  // one line, without control characters
  std::string json;
};

/// A type of keys or of values, known by its stored name. Of an unknown one, and what can't be one, the bytes are shown in
/// hexadecimal digits.
class StoredType {
 public:
  static StoredType of_key(const std::string& name);
  static StoredType of_value(const std::string& name);

  bool known() const { return show_ != nullptr; }

  Shown show(shared_dict::detail::Bytes bytes) const;

  /// The stored bytes of the keys that this can mean, first of the one that is shown so, then of a text that is written as it is; empty if it
  /// can't be a key of this type. Any key can be written as 0x and the hexadecimal digits of its stored bytes.
  std::vector<std::vector<std::byte>> parse(const std::string& text) const;

 private:
  using Show = Shown (*)(shared_dict::detail::Bytes);
  using Parse = std::vector<std::vector<std::byte>> (*)(const std::string&);

  Show show_ = nullptr;
  Parse parse_ = nullptr;

  friend struct KnownTypes;
};

/// Without what a terminal would obey.
std::string printable(std::string_view text);
/// The other way round; empty if `text` can't come from printable().
std::optional<std::string> from_printable(std::string_view text);

}  // namespace tool
