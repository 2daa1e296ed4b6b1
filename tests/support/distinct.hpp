// Images that all differ, however often and in whatever order they were seen.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace shared_dict::test {

/// A fingerprint says which ones an image may be like, its bytes whether it is. `Copy` has `fingerprint(copy)` and ==.
template <class Copy>
class Distinct {
 public:
  /// Keeps the image, unless it is there already.
  void add(Copy image) {
    ++seen_;
    const std::uint64_t print = fingerprint(image);
    for (auto [at, end] = by_print_.equal_range(print); at != end; ++at) {
      last_ = at->second;
      if (images_[last_] == image) return;
    }
    last_ = images_.size();
    by_print_.emplace(print, last_);
    images_.push_back(std::move(image));
  }

  /// In the order in which they were first seen.
  std::size_t size() const noexcept { return images_.size(); }
  const Copy& operator[](std::size_t i) const noexcept { return images_[i]; }
  /// Which of them was seen last. It may have been there before, in the middle.
  std::size_t last() const noexcept { return last_; }
  /// How many were seen, with those that were there.
  std::size_t seen() const noexcept { return seen_; }

 private:
  std::vector<Copy> images_;
  std::unordered_multimap<std::uint64_t, std::size_t> by_print_;
  std::size_t last_ = 0;
  std::size_t seen_ = 0;
};

}  // namespace shared_dict::test
