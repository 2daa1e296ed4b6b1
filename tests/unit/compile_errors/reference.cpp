// expect: T can't be stored: it has to be an object type
#include <shared_dict/codec.hpp>

void store(int& value, std::vector<std::byte>& out) { shared_dict::detail::codec_traits<int&>::encode(value, out); }
