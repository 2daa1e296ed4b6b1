// expect: T can't be stored\. Give it .* a cereal serialize
#include <shared_dict/codec.hpp>

using Value = std::unique_ptr<int[]>;

void store(const Value& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<Value>::encode(value, out);
}
