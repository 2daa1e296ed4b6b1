// expect: T can't be stored\. Give it .* a cereal serialize
// expect: Secret
#include <shared_dict/codec.hpp>

struct Secret {
  std::string text;
};
using Value = std::vector<Secret>;

void store(const Value& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<Value>::encode(value, out);
}
