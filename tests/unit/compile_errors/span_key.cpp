// expect: T can't be stored: it is or holds an address
#include <shared_dict/codec.hpp>

using Key = std::span<int>;

void store(const Key& key, std::vector<std::byte>& out) {
  shared_dict::detail::key_codec_traits<Key>::encode(key, out);
}
