// What SharedDict::loan returns.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <shared_dict/detail/mechanisms/active_callback.hpp>
#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/owner_lock.hpp>
#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/operations/loaning.hpp>
#include <shared_dict/error.hpp>

namespace shared_dict {

template <class K, class V>
class SharedDict;  // IWYU pragma: keep

/// Memory in the segment for the value of a key, to be filled in place. Nobody else sees it until `publish()` makes it the key's value,
/// in one step and without a copy. Dropped unpublished, by an exception too, or with its process, it was never there, and its memory is
/// free again: at once, or when the next writer of that part of the dictionary looks for some.
///
/// It can be moved, also to another thread, and keeps the dictionary attached. In a forked child an inherited loan may only be
/// destroyed: it is the parent's.
template <class V>
class Loan {
  using Element = typename V::value_type;

 public:
  /// A loan of nothing.
  Loan() noexcept = default;

  /// Takes over what `other` has, which is then a loan of nothing.
  Loan(Loan&& other) noexcept = default;

  /// The same, and gives back what this one had unless it was published. Doesn't wait for other writers.
  Loan& operator=(Loan&& other) noexcept {
    Loan taken(std::move(other));
    std::swap(attachment_, taken.attachment_);
    std::swap(block_, taken.block_);
    std::swap(timeout_, taken.timeout_);
    return *this;
  }

  /// Gives the memory back unless it was published. Doesn't wait for other writers. The last thing of this process that keeps the dictionary
  /// attached leaves it, as SharedDict::close.
  ~Loan() {
    if (attachment_ != nullptr) detail::drop_loan(*attachment_, block_);
  }

  /// Whether there is something to fill and to publish.
  explicit operator bool() const noexcept { return attachment_ != nullptr && block_.pin.held(); }

  /// The memory to fill; its contents are unspecified. Empty after publish(). Constant time.
  std::span<Element> span() const noexcept {
    if (!*this) return {};
    return {reinterpret_cast<Element*>(attachment_->segment().at(block_.value_at)), block_.value_bytes / sizeof(Element)};
  }

  /// Makes it the value of the key, for everybody at once; true if the key is new, false if its value was replaced. The span
  /// must not be written to afterwards. Takes the lock of one shard, constant time on average. After a crash in it the value is either the old or
  /// the new one.
  /// \throws errc::closed if there is nothing to publish; errc::heap_full and errc::too_many_items if others have used up the
  /// space meanwhile: then the loan can be published later; errc::lock_timeout, likewise; errc::would_deadlock inside a
  /// callback of the same dictionary, or in a forked child.
  bool publish() try {
    if (!*this) detail::fail(errc::closed, attachment_ != nullptr ? attachment_->name() : "", "this loan was published, or moved from: take another one");
    detail::ActiveCallback::refuse_reentry(*attachment_);
    if (!block_.pin.mine()) {
      detail::fail(errc::would_deadlock, attachment_->name(), "the loan was taken by the parent process: only that one can publish it");
    }
    return detail::publish_loan(detail::Writer(*attachment_, timeout_), block_);
  } catch (const detail::Failure& failure) {
    failure.leave("publish");
  }

 private:
  template <class K2, class V2>
  friend class SharedDict;

  Loan(std::shared_ptr<detail::Attachment> attachment, detail::LoanedBlock block, std::chrono::milliseconds timeout) noexcept
      : attachment_(std::move(attachment)), block_(std::move(block)), timeout_(timeout) {}

  std::shared_ptr<detail::Attachment> attachment_;  // outlives the pin
  detail::LoanedBlock block_;
  std::chrono::milliseconds timeout_{};
};

}  // namespace shared_dict
