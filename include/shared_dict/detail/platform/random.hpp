// Random bytes from the operating system. <random> has them as well; but of all headers of the standard library that the dictionary can do
// without, it would cost programs most time to compile.
#pragma once

#include <cstddef>
#include <system_error>

#if defined(_WIN32)
#include <cstring>
#include <exception>
#include <random>
#else
#include <cerrno>
#include <cstdio>

#include <unistd.h>
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#define SHARED_DICT_HAS_GETENTROPY
#endif
#endif

namespace shared_dict::detail {

// At most 256.
inline std::error_code draw(void* to, std::size_t size) noexcept {
#if defined(_WIN32)
  try {
    std::random_device device;
    for (auto* at = static_cast<unsigned char*>(to); size != 0;) {
      const auto number = device();
      const std::size_t part = size < sizeof number ? size : sizeof number;
      std::memcpy(at, &number, part);
      at += part;
      size -= part;
    }
  } catch (const std::exception&) {
    return std::make_error_code(std::errc::io_error);
  }
  return {};
#else
#ifdef SHARED_DICT_HAS_GETENTROPY
  if (::getentropy(to, size) == 0) return {};
#endif
  // An old kernel, or one that is told to refuse.
  std::FILE* const device = std::fopen("/dev/urandom", "re");
  if (device == nullptr) return {errno, std::system_category()};
  const bool complete = std::fread(to, size, 1, device) == 1;
  const std::error_code error(complete ? 0 : errno, std::system_category());
  std::fclose(device);
  return error;
#endif
}

}  // namespace shared_dict::detail
