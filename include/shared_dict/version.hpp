// The library's version and the version of the layout it stores.
#pragma once

#include <cstdint>

namespace shared_dict {

inline constexpr int kVersionMajor = 0;  ///< the first number of the library's version
inline constexpr int kVersionMinor = 1;  ///< the second one
inline constexpr int kVersionPatch = 0;  ///< the third one

/// Two processes share a dictionary only if they agree on this number. It changes with every change of what is stored.
inline constexpr std::uint32_t kLayoutVersion = 4;

}  // namespace shared_dict
