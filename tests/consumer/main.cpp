#ifdef CONSUMER_SINGLE_HEADER
#include <shared_dict.hpp>
#else
#include <shared_dict/shared_dict.hpp>
#endif

#include <string>

#include <unistd.h>

int main() {
  const std::string name = "consumer-" + std::to_string(::getpid());
  auto dict = shared_dict::SharedDict<std::string, int>::create(name, {.heap_size = std::size_t{1} << 20});
  dict["answer"] = 42;
  return dict.get("answer", 0) == 42 && dict.size() == 1 && dict.audit().ok() ? 0 : 1;
}
