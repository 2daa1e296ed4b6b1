// What SharedDict::view returns.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/bytes/racing_bytes.hpp>
#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict {

template <class K, class V>
class SharedDict;  // IWYU pragma: keep

/// A value in place: its stored bytes, which stay readable and unchanged as long as the view lives, whatever others write, erase or
/// recover. Converts to false if the key was missing.
///
/// `*view` is a `const T&` for trivially copyable types, a std::basic_string_view for strings and a std::span<const T> for
/// vectors of trivially copyable types. For other types there is only `bytes()`, in the format of their codec.
///
/// It costs the same for any size: nothing is copied, but for values of at most eight bytes, which are replaced in place and so are copied
/// into the view. A view keeps the memory of its value from being used again; a process can have 4096 views and loans
/// of a dictionary at once. It keeps the dictionary attached, also when the handle is closed. When its process dies the view
/// stops holding memory.
///
/// It can be moved, also to another thread, and read by many. In a forked child an inherited view may be destroyed but not read: it is
/// the parent's, and gone when the parent lets it go.
template <class V>
class View {
  using Traits = detail::codec_traits<V>;
  // Replaced in place, so a view has to have its own copy.
  static constexpr bool kCopied = Traits::fixed_size != 0 && Traits::fixed_size <= detail::kWord;
  static constexpr bool kObject = Traits::plain && Traits::fixed_size != 0;
  static constexpr bool kSequence = Traits::plain && Traits::fixed_size == 0 && requires { typename V::value_type; };

 public:
  /// A view of nothing.
  View() noexcept = default;

  /// Takes over the value of `other`, which is then a view of nothing.
  View(View&& other) noexcept
      : attachment_(std::move(other.attachment_)),
        pin_(std::move(other.pin_)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        copy_(other.copy_) {
    if (kCopied && data_ != nullptr) data_ = copy_.data();
  }

  /// The same, and lets go what this one had.
  View& operator=(View&& other) noexcept {
    View taken(std::move(other));
    std::swap(attachment_, taken.attachment_);
    std::swap(pin_, taken.pin_);
    copy_ = taken.copy_;
    size_ = taken.size_;
    data_ = kCopied && taken.data_ != nullptr ? copy_.data() : taken.data_;
    return *this;
  }

  /// Lets the value go: constant time, no lock, waits for nobody. The last thing of this process that keeps the dictionary attached leaves it, as
  /// SharedDict::close.
  ~View() = default;

  /// Whether there is a value.
  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// The stored bytes. Empty if there is no value.
  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }

  /// The value in place, of a trivially copyable type. Requires that there is one. Constant time.
  const V& operator*() const noexcept
    requires kObject
  {
    return *reinterpret_cast<const V*>(data_);
  }
  /// As `*`.
  const V* operator->() const noexcept
    requires kObject
  {
    return reinterpret_cast<const V*>(data_);
  }

  /// The characters or elements in place, as a std::basic_string_view or a std::span<const T>; empty if there is no value. Constant time.
  auto operator*() const noexcept
    requires kSequence
  {
    return sequence();
  }
  /// As `*`: for the members of the string view or span.
  auto operator->() const noexcept
    requires kSequence
  {
    struct Arrow {
      decltype(std::declval<const View&>().sequence()) range;
      auto* operator->() const noexcept { return &range; }
    };
    return Arrow{sequence()};
  }

 private:
  template <class K2, class V2>
  friend class SharedDict;

  auto sequence() const noexcept {
    using Element = typename V::value_type;
    const auto* const first = reinterpret_cast<const Element*>(data_);
    if constexpr (requires { typename V::traits_type; }) {
      return std::basic_string_view<Element, typename V::traits_type>(first, size_ / sizeof(Element));
    } else {
      return std::span<const Element>(first, size_ / sizeof(Element));
    }
  }

  // Of a value that is copied.
  View(std::shared_ptr<detail::Attachment> attachment, const detail::ValueWord& value)
    requires kCopied
      : attachment_(std::move(attachment)), size_(Traits::fixed_size), copy_{value} {
    data_ = copy_.data();
    if constexpr (kObject) require_object(true);
  }

  // Of one that is pinned.
  View(std::shared_ptr<detail::Attachment> attachment, detail::Pin pin, const detail::StoredValue& value)
      : attachment_(std::move(attachment)), pin_(std::move(pin)), data_(attachment_->segment().at(value.at)), size_(value.size) {
    if constexpr (kObject) require_object(size_ == sizeof(V));
    if constexpr (kSequence) require_fits(size_ % sizeof(typename V::value_type) == 0);
  }

  void require_object(bool fits) const { require_fits(fits && detail::valid_object<V>(data_)); }
  void require_fits(bool fits) const {
    if (!fits) detail::fail_corrupted(attachment_->name(), "a value has the wrong size");
  }

  struct Nothing {
    static const std::byte* data() noexcept { return nullptr; }
  };
  struct alignas(8) Copy {
    detail::ValueWord bytes{};
    std::byte* data() noexcept { return bytes.data(); }
  };

  std::shared_ptr<detail::Attachment> attachment_;  // outlives the pin
  detail::Pin pin_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  [[no_unique_address]] std::conditional_t<kCopied, Copy, Nothing> copy_{};
};

}  // namespace shared_dict
