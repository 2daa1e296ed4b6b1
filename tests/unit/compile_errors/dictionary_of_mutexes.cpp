// expect: T can't be stored: it can be neither copied nor moved
#include <mutex>

#include <shared_dict/shared_dict.hpp>

struct Guarded {
  std::mutex mutex;
  int value;
};

static_assert(sizeof(shared_dict::SharedDict<int, Guarded>) != 0);
