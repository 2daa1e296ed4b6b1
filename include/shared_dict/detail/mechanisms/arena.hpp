// Memory for bytes of which more and more come.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

namespace shared_dict::detail {

// Bytes that are added at the end, and aren't set to zero before.
class Arena {
 public:
  std::byte* data() noexcept { return bytes_.get(); }
  const std::byte* data() const noexcept { return bytes_.get(); }
  std::size_t size() const noexcept { return size_; }

  // Makes it longer or shorter. What stays is as it was. Twice the memory each time, so that a byte is moved about once on average.
  void resize(std::size_t size) {
    if (size > capacity_) {
      const std::size_t capacity = std::max(size, 2 * capacity_);
      std::unique_ptr<std::byte[]> larger(new std::byte[capacity]);  // std::make_unique sets it to zero, and libc++ 14 has no other
      if (size_ != 0) std::memcpy(larger.get(), bytes_.get(), size_);
      bytes_ = std::move(larger);
      capacity_ = capacity;
    }
    size_ = size;
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace shared_dict::detail
