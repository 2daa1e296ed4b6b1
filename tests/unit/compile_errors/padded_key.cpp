// expect: T can't be a key: .* because of padding
#include <shared_dict/codec.hpp>

struct Padded {
  char c;
  int i;
};

void store(const Padded& key, std::vector<std::byte>& out) {
  shared_dict::detail::key_codec_traits<Padded>::encode(key, out);
}
