// The bytes of a fuzzer's input, taken one after the other; zeros when they are used up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace shared_dict::test {

using FuzzInput = std::span<const std::uint8_t>;

class Feed {
 public:
  explicit Feed(FuzzInput input) : rest_(input) {}

  bool empty() const noexcept { return rest_.empty(); }
  FuzzInput rest() const noexcept { return rest_; }

  /// A number of `bytes` bytes.
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t n = 0;
    for (; bytes > 0; --bytes) {
      n = n << 8 | (rest_.empty() ? 0U : rest_.front());
      if (!rest_.empty()) rest_ = rest_.subspan(1);
    }
    return n;
  }
  /// As a source of random numbers: two bytes are enough for any choice.
  std::uint64_t operator()() { return number(2); }

 private:
  FuzzInput rest_;
};

}  // namespace shared_dict::test
