// A pin: a word in this process's area that keeps a block as it is, for a view or a loan.
//
// Taking one is one compare-and-swap, giving it back one store; a thread mostly finds the place again that it had last. Nothing
// waits for anybody. A pin of a process that dies goes with its record.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/process_area.hpp>

namespace shared_dict::detail {

// How far a process uses one of the arrays in its area: raised to `wanted`, with memory behind the 4096 bytes from `at` on, and with
// the process known as a user. Throws heap_full.
SHARED_DICT_COLD inline void raise_use(Attachment& attachment, std::uint32_t record, Word32& used, std::uint32_t wanted, std::uint64_t at) {
  Segment& segment = attachment.segment();
  if (const auto error = attachment.commit_area(record, static_cast<std::uint32_t>(at / 4096))) {
    fail(errc::heap_full, attachment.name(), "the file system that holds it has no memory left for this process's views and waits (" +
                                                 error.message() + "): free some there");
  }
  // [A18] seq_cst, pairs with [A17]: as [A2].
  segment.header().areas_used.fetch_or(std::uint32_t{1} << (record / 64), std::memory_order_seq_cst);
  // [A2] seq_cst, pairs with [A1]: the process is known before its first pin counts.
  segment.header().area_users[record / 64].fetch_or(std::uint64_t{1} << (record % 64), std::memory_order_seq_cst);
  std::uint32_t seen = used.load(std::memory_order_relaxed);  // relaxed: the exchange looks again
  while (seen < wanted) {
    // [A4] seq_cst, pairs with [A3], [A10], [A14], [A16]: as [A2].
    if (used.compare_exchange_weak(seen, wanted, std::memory_order_seq_cst)) return;
  }
}

// What a pin holds that has no block yet.
inline constexpr std::uint64_t kNoBlock = 1;

class Pin {
 public:
  Pin() noexcept = default;
  // Throws too_many_views when this process has no free pin.
  Pin(Attachment& attachment, std::uint64_t offset)
      : attachment_(&attachment), owner_(attachment.registered()) {
    const Segment& segment = attachment.segment();
    ProcessRecord& record = segment.record(owner_.record());
    Word32& used = record.pins_used;
    Word64* const pins = segment.area(owner_.record()).pins;
    // [A13] seq_cst, pairs with [A12]: before the pin.
    record.pins_live.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
      // [A14] seq_cst, pairs with [A4]: what another thread has raised is known to all writers.
      const std::uint32_t count = std::min(used.load(std::memory_order_seq_cst), kPins);
      std::uint32_t at = last_used < count ? last_used : 0;
      for (std::uint32_t n = 0; n < count; ++n, ++at) {
        if (at >= count) at = 0;
        std::uint64_t expected = 0;
        if (pins[at].load(std::memory_order_relaxed) != 0) continue;  // relaxed: a hint
        // [A6] seq_cst, pairs with [A5]: before the caller validates.
        if (pins[at].compare_exchange_strong(expected, offset, std::memory_order_seq_cst)) {
          last_used = at;
          word_ = &pins[at];
          if (attachment.self_in_order() != owner_) give_up();
          return;
        }
        at |= kCacheLine / sizeof(Word64) - 1;  // another thread is busy here: on to the next line
      }
      try {
        if (count >= kPins) too_many();
        raise_use(attachment, owner_.record(), used, count + kStep, offsetof(ProcessArea, pins) + count * sizeof(Word64));
      } catch (...) {
        lower_live();
        throw;
      }
    }
  }
  Pin(const Pin&) = delete;
  Pin& operator=(const Pin&) = delete;
  Pin(Pin&& other) noexcept
      : attachment_(other.attachment_), owner_(other.owner_), word_(std::exchange(other.word_, nullptr)) {}
  Pin& operator=(Pin&& other) noexcept {
    std::swap(attachment_, other.attachment_);
    std::swap(owner_, other.owner_);
    std::swap(word_, other.word_);
    return *this;
  }
  ~Pin() { release(); }

  bool held() const noexcept { return word_ != nullptr; }

  // Another block instead. The caller validates again.
  void move_to(std::uint64_t offset) noexcept {
    // [A7] seq_cst, pairs with [A5]: as [A6].
    word_->exchange(offset, std::memory_order_seq_cst);
  }

  // In a forked child the pin is its parent's.
  bool mine() const noexcept { return attachment_->self() == owner_; }

  void release() noexcept {
    if (word_ == nullptr) return;
    if (mine()) {
      // [A8] release, pairs with [A5]: what was read of the block comes first.
      word_->store(0, std::memory_order_release);
      last_used = static_cast<std::uint32_t>(word_ - attachment_->segment().area(owner_.record()).pins);
      lower_live();
    }
    word_ = nullptr;
  }

 private:
  void lower_live() const noexcept {
    // [A15] seq_cst, pairs with [A12]: after the pin.
    attachment_->segment().record(owner_.record()).pins_live.fetch_sub(1, std::memory_order_seq_cst);
  }

  // The handle was closed while this thread was on its way here, which is no use of it that is allowed; but no pin may stay in a
  // record that is another process's by now.
  [[noreturn]] SHARED_DICT_COLD void give_up() {
    std::exchange(word_, nullptr)->store(0, std::memory_order_relaxed);  // relaxed: nothing was read
    fail(errc::closed, attachment_->name(), "its last handle was closed during the call");
  }

  [[noreturn]] SHARED_DICT_COLD void too_many() const {
    fail(errc::too_many_views, attachment_->name(),
         "this process has all its " + std::to_string(kPins) + " views and loans in use: let some go, or copy with get()");
  }

  static constexpr std::uint32_t kStep = kCacheLine / sizeof(Word64);
  static inline thread_local constinit std::uint32_t last_used = 0;  // where this thread had its last pin: a hint

  Attachment* attachment_ = nullptr;
  LockWord owner_;
  Word64* word_ = nullptr;
};

static_assert(kPins % (kCacheLine / sizeof(Word64)) == 0, "raised line by line");

}  // namespace shared_dict::detail
