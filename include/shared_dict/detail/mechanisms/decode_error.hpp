// What a codec throws for bytes that can't be a T.
#pragma once

#include <stdexcept>

namespace shared_dict::detail {

// A codec doesn't know which dictionary the bytes come from. The caller does, and turns this into Error(errc::corrupted).
class DecodeError : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
};

}  // namespace shared_dict::detail
