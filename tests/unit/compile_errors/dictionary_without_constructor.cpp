// expect: V can't be read back: give it a public constructor
#include <string>
#include <utility>

#include <shared_dict/shared_dict.hpp>

struct Named {
  explicit Named(std::string given) : name(std::move(given)) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name);
  }
  std::string name;
};

static_assert(sizeof(shared_dict::SharedDict<int, Named>) != 0);
