// Random bits from the operating system's generator. Where one call gets them, <random> is left out: of all headers of the standard
// library that the dictionary could do without, it would cost every program most time to compile.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <system_error>

#if defined(_WIN32)
#include <exception>
#include <random>
#else
#include <cerrno>

#include <unistd.h>
#if defined(__APPLE__)
#include <sys/random.h>
#endif
#endif

namespace shared_dict::detail {

// Two numbers that nobody else has drawn.
inline std::error_code draw(std::uint64_t& first, std::uint64_t& second) noexcept {
#if defined(_WIN32)
  try {
    std::random_device device;
    for (std::uint64_t* const number : {&first, &second}) *number = std::uint64_t{device()} << 32 | device();
  } catch (const std::exception&) {
    return std::make_error_code(std::errc::io_error);
  }
#else
  for (std::uint64_t* const number : {&first, &second}) {
    if (::getentropy(number, sizeof *number) != 0) return {errno, std::generic_category()};
  }
#endif
  return {};
}

}  // namespace shared_dict::detail
