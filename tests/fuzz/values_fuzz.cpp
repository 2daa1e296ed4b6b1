// libFuzzer's entry to values_body.hpp. What is wrong leaves as an exception, which ends the program and keeps the input.

#include "fuzz/values_body.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  shared_dict::test::values_body({data, size});
  return 0;
}
