// expect: T can't be a key: it is or holds a trivially copyable type
#include <shared_dict/shared_dict.hpp>

struct Padded {
  char a;
  int b;
};

static_assert(sizeof(shared_dict::SharedDict<Padded, int>) != 0);
