// expect: T can't be stored: it is or holds an address
#include <shared_dict/codec.hpp>

void store(const char* const& value, std::vector<std::byte>& out) {
  shared_dict::detail::codec_traits<const char*>::encode(value, out);
}
