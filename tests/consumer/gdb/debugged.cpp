// A program for the debugger to stop in, with dictionaries whose contents it has to show.
#include <shared_dict/shared_dict.hpp>

#include <cstdio>
#include <string>

#include <unistd.h>

extern "C" void stop_here() { std::puts("stopped"); }

int main() {
  // Shared memory is in core files only if this says so.
  if (std::FILE* filter = std::fopen("/proc/self/coredump_filter", "w")) {
    std::fputs("0x3f", filter);
    std::fclose(filter);
  }
  const std::string name = "gdb-" + std::to_string(::getpid());
  auto words = shared_dict::SharedDict<std::string, std::string>::create(name + "-words", {.heap_size = std::size_t{1} << 20});
  auto numbers = shared_dict::SharedDict<std::string, long>::create(name + "-numbers", {.heap_size = std::size_t{1} << 20});
  words.insert("apple", "red \"one\"");
  words.insert("lemon", "yellow");
  numbers.insert("minus", -7);
  numbers.insert("gone", 8);
  numbers.erase("gone");
  stop_here();
}
