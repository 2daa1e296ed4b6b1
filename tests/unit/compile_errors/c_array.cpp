// expect: T can't be stored: it has to be an object type
#include <shared_dict/codec.hpp>

using Value = int[3];

void store(const Value& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<Value>::encode(value, out);
}
