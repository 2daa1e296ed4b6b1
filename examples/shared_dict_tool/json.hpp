// JSON, as far as the inspector writes it.
#pragma once

#include <string>
#include <string_view>

namespace tool {

/// Quoted and escaped. What isn't UTF-8 becomes U+FFFD.
std::string json_string(std::string_view text);

/// An object or an array that grows; its parts are JSON already.
class Json {
 public:
  static Json object() { return {'{', '}'}; }
  static Json array() { return {'[', ']'}; }

  Json& add(std::string_view name, const std::string& json) { return add(json_string(name) + ": " + json); }
  Json& text(std::string_view name, std::string_view value) { return add(name, json_string(value)); }
  template <class Number>
  Json& number(std::string_view name, Number value) {
    return add(name, std::to_string(value));
  }
  Json& add(const std::string& json) {
    parts_ += (parts_.empty() ? "" : ", ") + json;
    return *this;
  }

  std::string str() const { return open_ + parts_ + close_; }

 private:
  Json(char open, char close) : open_(1, open), close_(1, close) {}
  std::string open_, close_, parts_;
};

}  // namespace tool
