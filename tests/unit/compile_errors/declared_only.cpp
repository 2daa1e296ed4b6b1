// expect: T can't be stored: it is only declared here
#include <shared_dict/codec.hpp>

struct Later;

void store(const Later& value, std::vector<std::byte>& out) { shared_dict::detail::codec_traits<Later>::encode(value, out); }
