// expect: T can't be a key: it is or holds an unordered container
#include <shared_dict/codec.hpp>

using Key = std::pair<int, std::unordered_set<int>>;

void store(const Key& key, std::vector<std::byte>& out) {
  shared_dict::detail::key_codec_traits<Key>::encode(key, out);
}
