// expect: T can't be stored\. Give it .* a cereal serialize
#include <shared_dict/codec.hpp>

struct Secret {
  std::string text;
};

void store(const Secret& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<Secret>::encode(value, out);
}
