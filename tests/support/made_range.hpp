// Ranges that make their elements as they go, or change. (std::views::transform does that too, but clang 14 can't compile libstdc++ 12's.)
#pragma once

#include <cstddef>
#include <iterator>
#include <type_traits>

namespace shared_dict::test {

/// The elements f(0), f(1), ... f(count - 1).
template <class F>
class MadeRange {
 public:
  MadeRange(int count, F f) : count_(count), f_(f) {}

  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::invoke_result_t<const F&, int>;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = value_type;

    Iterator(const MadeRange& range, int at) : range_(&range), at_(at) {}
    value_type operator*() const { return range_->f_(at_); }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++at_;
      return before;
    }
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.at_ == b.at_; }

   private:
    const MadeRange* range_;
    int at_;
  };

  Iterator begin() const { return {*this, 0}; }
  Iterator end() const { return {*this, count_}; }

 private:
  int count_;
  F f_;
};

/// A range that changes when it is gone through, as one made by std::views::filter does.
template <class Range>
class MutableOnly {
 public:
  explicit MutableOnly(Range& range) : range_(range) {}

  auto begin() {
    ++begun;
    return std::begin(range_);
  }
  auto end() { return std::end(range_); }

  int begun = 0;

 private:
  Range& range_;
};

}  // namespace shared_dict::test
