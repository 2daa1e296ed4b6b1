// libFuzzer's entry to operations_body.hpp. What is wrong leaves as an exception, which ends the program and keeps the input.

#include "fuzz/operations_body.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  shared_dict::test::operations_body({data, size});
  return 0;
}
