// Values that tell by themselves whether they are whole, which key they belong to, and which write made them: the oracle of
// every test in which readers and writers race.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace shared_dict::test {

inline std::uint64_t mix(std::uint64_t word) noexcept {
  word += 0x9E37'79B9'7F4A'7C15ULL;
  word = (word ^ (word >> 30)) * 0xBF58'476D'1CE4'E5B9ULL;
  word = (word ^ (word >> 27)) * 0x94D0'49BB'1331'11EBULL;
  return word ^ (word >> 31);
}

namespace pattern {

struct Header {
  std::uint64_t key;
  std::uint64_t version;
  std::uint64_t size;
  std::uint64_t check;
};

inline std::uint64_t check_of(std::uint64_t key, std::uint64_t version, std::uint64_t size) noexcept {
  return mix(mix(mix(key) ^ version) ^ size);
}

}  // namespace pattern

inline constexpr std::size_t kSmallestPattern = sizeof(pattern::Header);

/// Fills `out` with the pattern of `size` bytes, at least kSmallestPattern: a header that names all three numbers, then
/// words that depend on all of them and on their place, so that no mixture of two values passes for one.
inline void make_pattern(std::uint64_t key, std::uint64_t version, std::size_t size, std::string& out) {
  out.resize(size < kSmallestPattern ? kSmallestPattern : size);
  pattern::Header header{key, version, out.size(), pattern::check_of(key, version, out.size())};
  std::memcpy(out.data(), &header, sizeof header);
  std::uint64_t at = 0;
  for (std::size_t i = sizeof header; i < out.size(); i += sizeof at) {
    at = header.check + i * 0x9E37'79B9'7F4A'7C15ULL;
    std::memcpy(out.data() + i, &at, out.size() - i < sizeof at ? out.size() - i : sizeof at);
  }
}

inline std::string pattern_of(std::uint64_t key, std::uint64_t version, std::size_t size) {
  std::string text;
  make_pattern(key, version, size, text);
  return text;
}

/// The version of a whole pattern of `key`; empty if the bytes are anything else.
inline std::optional<std::uint64_t> version_in(std::string_view text, std::uint64_t key) {
  pattern::Header header{};
  if (text.size() < sizeof header) return std::nullopt;
  std::memcpy(&header, text.data(), sizeof header);
  if (header.key != key || header.size != text.size()) return std::nullopt;
  if (header.check != pattern::check_of(key, header.version, header.size)) return std::nullopt;
  for (std::size_t i = sizeof header; i < text.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t expected = header.check + i * 0x9E37'79B9'7F4A'7C15ULL;
    const std::size_t length = text.size() - i < sizeof expected ? text.size() - i : sizeof expected;
    if (std::memcmp(text.data() + i, &expected, length) != 0) return std::nullopt;
  }
  return header.version;
}

}  // namespace shared_dict::test
