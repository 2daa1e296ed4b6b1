// expect: T can't be stored\. Give it .* a cereal serialize
#include <shared_dict/codec.hpp>

struct Secret {
  std::string text;
};
using Key = std::pair<int, std::optional<Secret>>;

void store(const Key& key, std::vector<std::byte>& out) {
  shared_dict::detail::key_codec_traits<Key>::encode(key, out);
  shared_dict::detail::codec_traits<Key>::encode(key, out);
}
