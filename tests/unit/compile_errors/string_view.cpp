// expect: T can't be stored: it is or holds an address
#include <shared_dict/codec.hpp>

using Value = std::map<int, std::string_view>;

void store(const Value& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<Value>::encode(value, out);
}
