// The main of every test program. A program started as `--child ROLE ARG...` is a process of some test, not a test run.
#define CATCH_CONFIG_RUNNER  // for Catch2 version 2; version 3 has its session in the library
#include "support/catch.hpp"
#include "support/child.hpp"

#include <string_view>

int main(int argc, char** argv) {
  if (argc >= 3 && std::string_view(argv[1]) == "--child") {
    return shared_dict::test::run_child(argv[2], {argv + 3, argv + argc});
  }
  return Catch::Session().run(argc, argv);
}
