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
#include <fcntl.h>
#include <unistd.h>
#if __has_include(<sys/random.h>)
#include <sys/random.h>
#define SHARED_DICT_HAS_GETENTROPY
#endif

#include <shared_dict/detail/platform/file.hpp>
#endif

namespace shared_dict::detail {

// At most 256.
inline std::error_code draw(void* to, std::size_t size) {
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
  std::error_code error;
  const FileDescriptor device = open_file("/dev/urandom", O_RDONLY, 0, error);
  return error ? error : read_at(device, 0, to, size);
#endif
}

}  // namespace shared_dict::detail
