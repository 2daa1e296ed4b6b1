// expect: T can't be stored\. Give it .* a cereal serialize
// expect: Secret
#include <shared_dict/codec.hpp>

struct Secret {
  std::string text;
};
using Value = std::map<std::string, std::variant<int, std::optional<std::unique_ptr<Secret>>>>;

void load(std::span<const std::byte> from, Value& value) {
  shared_dict::detail::codec_traits<Value>::decode(from, value);
}
