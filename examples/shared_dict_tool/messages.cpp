#include "messages.hpp"

#include <iostream>
#include <string_view>

#include "json.hpp"

namespace tool {

void say(const std::string& text, int status, bool json) {
  if (json) {
    std::cerr << Json::object().number("status", status).text("message", text).str() << '\n';
  } else {
    std::cerr << "shared-dict: " << text << '\n';
  }
}

std::string for_operators(std::string message) {
  struct Replacement {
    std::string_view from, to;
  };
  // The longer ones come first.
  static constexpr Replacement kReplacements[] = {
      {": create it, or use open_or_create", "; `shared-dict list` shows those that are there"},
      {": make it, or name another one in SHARED_DICT_DIR or Options::directory",
       ": name the one that the dictionaries lie in, with --dir or SHARED_DICT_DIR"},
      {"remove(name) and create it anew", "`shared-dict remove` it"},
      {", or raise Options::lock_timeout", ""},
      {"SHARED_DICT_DIR or Options::directory", "--dir or SHARED_DICT_DIR"},
      {"choose another Options::directory", "choose another directory with --dir"},
      {"Options::", ""}};
  for (const auto& [from, to] : kReplacements) {
    for (std::size_t at = message.find(from); at != std::string::npos; at = message.find(from, at + to.size())) {
      message.replace(at, from.size(), to);
    }
  }
  return message;
}

}  // namespace tool
