// expect: T can't be a key: .* because of padding
#include <shared_dict/codec.hpp>

struct Padded {
  char c;
  int i;
};
using Key = std::vector<Padded>;

void store(const Key& key, std::vector<std::byte>& out) {
  shared_dict::detail::key_codec_traits<Key>::encode(key, out);
}
