// expect: T can't be stored: it is only declared here
#include <shared_dict/shared_dict.hpp>

struct Later;

static_assert(sizeof(shared_dict::SharedDict<int, Later>) != 0);
