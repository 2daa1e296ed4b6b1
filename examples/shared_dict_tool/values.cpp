#include "values.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <type_traits>

#include <shared_dict/detail/operations/typed.hpp>

#include "json.hpp"

namespace tool {

using shared_dict::detail::Bytes;

namespace {

std::string hex_digits(unsigned byte) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[byte >> 4], kDigits[byte & 15]};
}

std::string to_hex(Bytes bytes) {
  std::string text = "0x";
  for (const std::byte byte : bytes) text += hex_digits(std::to_integer<unsigned>(byte));
  return text;
}

std::optional<unsigned> hex_byte(std::string_view two) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(two.data(), two.data() + two.size(), value, 16);
  if (two.size() != 2 || error != std::errc() || end != two.data() + 2) return std::nullopt;
  return value;
}

std::optional<std::vector<std::byte>> from_hex(std::string_view text) {
  std::vector<std::byte> bytes;
  for (std::size_t i = 2; i < text.size(); i += 2) {
    const auto byte = hex_byte(text.substr(i, 2));
    if (!byte) return std::nullopt;
    bytes.push_back(static_cast<std::byte>(*byte));
  }
  return bytes;
}

// How many bytes the UTF-8 character at the front has; 0: it is none.
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (at(0) < 0x80) return 1;
  const std::size_t length = at(0) >= 0xf0 ? 4 : at(0) >= 0xe0 ? 3 : 2;
  if (at(0) < 0xc2 || at(0) > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((at(i) & 0xc0) != 0x80) return 0;
  }
  // Longer than it had to be, a surrogate, or beyond the last one.
  if ((at(0) == 0xe0 && at(1) < 0xa0) || (at(0) == 0xed && at(1) > 0x9f)) return 0;
  if ((at(0) == 0xf0 && at(1) < 0x90) || (at(0) == 0xf4 && at(1) > 0x8f)) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

// ---- objects of known types

Shown shown_text(const std::string& text) {
  const Bytes bytes = std::as_bytes(std::span(text));
  return {printable(text),
          is_utf8(text) ? json_string(text) : Json::object().text("hex", to_hex(bytes).substr(2)).str()};
}

// Of printable text, in a list.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) (out += c == '"' ? "\\" : "") += c;
  return out + '"';
}

template <class T>
Shown shown(const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    const std::string text = value ? "true" : "false";
    return {text, text};
  } else if constexpr (std::is_same_v<T, char>) {
    return shown_text(std::string(1, value));
  } else if constexpr (std::is_same_v<T, std::string>) {
    return shown_text(value);
  } else {
    char digits[128];
    const std::string text(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) return {text, json_string(text)};
    }
    return {text, text};
  }
}

template <class T>
Shown shown(const std::vector<T>& values) {
  if constexpr (std::is_same_v<T, char>) {
    return shown_text(std::string(values.begin(), values.end()));
  } else {
    std::string text;
    Json json = Json::array();
    for (const T& value : values) {
      const Shown one = shown<T>(value);
      text += (text.empty() ? "" : ", ") + (std::is_same_v<T, std::string> ? quoted(one.text) : one.text);
      json.add(one.json);
    }
    return {"[" + text + "]", json.str()};
  }
}

template <class K>
std::vector<std::byte> encoded(const K& key) {
  const shared_dict::detail::EncodedKey<K> encoded(key);
  return {encoded.bytes().begin(), encoded.bytes().end()};
}

template <class K>
std::optional<K> object_of(const std::string& text);

// The elements of a list as it is shown, each as it is shown alone; nothing if it is no list.
template <class T>
std::optional<std::vector<T>> elements_of(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']') || text.size() < 2) return std::nullopt;
  text = text.substr(1, text.size() - 2);
  std::vector<T> elements;
  const auto skip_spaces = [&] { text.remove_prefix(std::min(text.find_first_not_of(' '), text.size())); };
  for (skip_spaces(); !text.empty(); skip_spaces()) {
    if (!elements.empty()) {
      if (text.front() != ',') return std::nullopt;
      text.remove_prefix(1);
      skip_spaces();
    }
    std::string one;
    if constexpr (std::is_same_v<T, std::string>) {
      if (!text.starts_with('"')) return std::nullopt;
      std::size_t at = 1;
      for (; at < text.size() && text[at] != '"'; ++at) {
        if (text[at] == '\\' && at + 1 < text.size()) {
          if (text[++at] != '"') one += '\\';
        }
        one += text[at];
      }
      if (at >= text.size()) return std::nullopt;
      text.remove_prefix(at + 1);
    } else {
      one = text.substr(0, text.find_first_of(", "));
      text.remove_prefix(one.size());
    }
    auto element = object_of<T>(one);
    if (!element) return std::nullopt;
    elements.push_back(std::move(*element));
  }
  return elements;
}

template <class T>
inline constexpr bool kIsVector = false;
template <class T>
inline constexpr bool kIsVector<std::vector<T>> = true;

// What is shown as this text.
template <class K>
std::optional<K> object_of(const std::string& text) {
  if constexpr (std::is_same_v<K, std::string>) {
    return from_printable(text);
  } else if constexpr (kIsVector<K>) {
    return elements_of<typename K::value_type>(text);
  } else if constexpr (std::is_same_v<K, bool>) {
    if (text != "true" && text != "false") return std::nullopt;
    return text == "true";
  } else if constexpr (std::is_same_v<K, char>) {
    const auto plain = from_printable(text);
    if (!plain || plain->size() != 1) return std::nullopt;
    return plain->front();
  } else {
    K key{};
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, key);
    if (error != std::errc() || at != end) return std::nullopt;
    return key;
  }
}

template <class K>
std::vector<std::vector<std::byte>> parsed(const std::string& text) {
  std::vector<std::vector<std::byte>> keys;
  if constexpr (std::is_same_v<K, std::string> || std::is_same_v<K, std::vector<char>>) {
    if (const auto plain = from_printable(text)) keys.push_back(encoded<K>(K(plain->begin(), plain->end())));
    keys.push_back(encoded<K>(K(text.begin(), text.end())));
  } else if (const auto key = object_of<K>(text)) {
    keys.push_back(encoded<K>(*key));
  }
  return keys;
}

}  // namespace

struct KnownTypes {
  std::map<std::string, StoredType> keys;
  std::map<std::string, StoredType> values;

  static const KnownTypes& all() {
    static const KnownTypes known;
    return known;
  }

 private:
  KnownTypes() {
    add_with_vectors<bool, char, std::int8_t, std::int16_t, std::int32_t, std::int64_t, std::uint8_t, std::uint16_t,
                     std::uint32_t, std::uint64_t, float, double, std::string>();
    add_value<long double>();
    add_value<std::vector<long double>>();
  }

  template <class... Ts>
  void add_with_vectors() {
    ((add_key<Ts>(), add_value<Ts>(), add_key<std::vector<Ts>>(), add_value<std::vector<Ts>>()), ...);
  }
  template <class K>
  void add_key() {
    StoredType& type = keys[shared_dict::detail::key_codec_traits<K>::type_name()];
    type.show_ = [](Bytes bytes) { return shown(shared_dict::detail::decode_key<K>(bytes, "")); };
    type.parse_ = parsed<K>;
  }
  template <class V>
  void add_value() {
    values[shared_dict::codec<V>::type_name()].show_ = [](Bytes bytes) {
      return shown(shared_dict::detail::decode_value<V>(bytes, ""));
    };
  }
};

namespace {

// An enum is stored as its underlying type, an array of plain elements as a vector of them.
std::string plain_name(const std::string& name) {
  const auto inside = [&](std::string_view front, std::size_t end) {
    return name.substr(front.size(), end - front.size());
  };
  if (name.starts_with("enum ")) return name.substr(name.rfind(':') + 1);
  if (name.starts_with("vector<enum ") && name.ends_with('>'))
    return "vector<" + plain_name(inside("vector<", name.size() - 1)) + ">";
  const std::size_t comma = name.rfind(',');
  if (name.starts_with("array<") && comma != std::string::npos && name.find(">(size ", comma) != std::string::npos) {
    const std::string element = plain_name(inside("array<", comma));
    const bool number = element.starts_with("int") || element.starts_with("uint") || element.starts_with("float");
    if (number || element == "char") return "vector<" + element + ">";
  }
  return name;
}

StoredType find(const std::map<std::string, StoredType>& known, const std::string& name) {
  const auto found = known.find(name);
  return found == known.end() ? StoredType() : found->second;
}

}  // namespace

// Only integers are the same bytes as keys: floating point numbers, alone or in arrays, are encoded.
StoredType StoredType::of_key(const std::string& name) {
  const std::string plain = plain_name(name);
  return find(KnownTypes::all().keys, plain.find("float") == std::string::npos ? plain : name);
}

StoredType StoredType::of_value(const std::string& name) { return find(KnownTypes::all().values, plain_name(name)); }

Shown StoredType::show(Bytes bytes) const {
  if (known()) {
    try {
      return show_(bytes);
    } catch (const shared_dict::Error&) {  // damaged, or a user's own type of this name: then the bytes say more
    }
  }
  const std::string text = to_hex(bytes);
  return {text, Json::object().text("hex", text.substr(2)).str()};
}

std::vector<std::vector<std::byte>> StoredType::parse(const std::string& text) const {
  auto keys = parse_ != nullptr ? parse_(text) : std::vector<std::vector<std::byte>>();
  if (text.starts_with("0x")) {
    if (auto bytes = from_hex(text)) keys.push_back(std::move(*bytes));
  }
  return keys;
}

std::string printable(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    std::size_t length = utf8_length(text);
    // Of UTF-8's two bytes, those from c2 80 to c2 9f are control characters as well.
    const bool control =
        c < 0x20 || c == 0x7f || (c == 0xc2 && length == 2 && static_cast<unsigned char>(text[1]) < 0xa0);
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (length == 0 || control) {
      length = 1;
      (out += "\\x") += hex_digits(c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::optional<std::string> from_printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    const char what = ++i < text.size() ? text[i] : '\0';
    if (what == '\\') {
      out += '\\';
    } else if (what == 'n' || what == 't') {
      out += what == 'n' ? '\n' : '\t';
    } else if (const auto byte = hex_byte(text.substr(std::min(i + 1, text.size()), 2)); what == 'x' && byte) {
      out += static_cast<char>(*byte);
      i += 2;
    } else {
      return std::nullopt;
    }
  }
  return out;
}

std::string json_string(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c < 0x20) {
      (out += "\\u00") += hex_digits(c);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out + '"';
}

}  // namespace tool
