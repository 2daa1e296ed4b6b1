// expect: T can't be stored: it has to be an object type
#include <shared_dict/shared_dict.hpp>

static_assert(sizeof(shared_dict::SharedDict<std::string, int[3]>) != 0);
