// The input is the stored bytes of a value: decoding them ends in a value that can be stored and read again, or in an Error.
#pragma once

#include <bitset>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <cereal/types/bitset.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <shared_dict/shared_dict.hpp>

#include "fuzz/feed.hpp"
#include "support/types.hpp"

namespace shared_dict::test {

/// A list whose nodes own each other, so that damaged bytes can nest.
struct Node {
  int number = 0;
  std::unique_ptr<Node> next;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(number, next);
  }
};

template <class V>
std::vector<std::byte> stored_bytes(const V& value) {
  const detail::Encoded<V, detail::codec_traits<V>> encoded(value);
  return {encoded.bytes().begin(), encoded.bytes().end()};
}

template <class V>
void decode(FuzzInput input) {
  std::vector<std::byte> once;
  try {
    once = stored_bytes(detail::decode_value<V>(std::as_bytes(input), "name"));
  } catch (const Error&) {
    return;
  }
  if (stored_bytes(detail::decode_value<V>(once, "name")) != once)
    throw std::logic_error("a value changes when it is stored");
}

inline void values_body(FuzzInput input) {
  Feed feed(input);
  const std::uint64_t which = feed.number(1);
  switch (which % 12) {
    case 0: return decode<std::string>(feed.rest());
    case 1: return decode<std::vector<double>>(feed.rest());
    case 2: return decode<std::vector<std::string>>(feed.rest());
    case 3: return decode<std::optional<std::string>>(feed.rest());
    case 4: return decode<std::map<std::string, std::vector<int>>>(feed.rest());
    case 5: return decode<std::variant<int, std::string, std::vector<bool>>>(feed.rest());
    case 6: return decode<std::tuple<bool, std::pair<char, long double>, std::bitset<70>>>(feed.rest());
    case 7: return decode<std::vector<std::shared_ptr<std::string>>>(feed.rest());
    case 8: return decode<Node>(feed.rest());
    case 9: return decode<Person>(feed.rest());
    case 10: return decode<std::list<std::set<int>>>(feed.rest());
    default: return decode<bool>(feed.rest());
  }
}

}  // namespace shared_dict::test
