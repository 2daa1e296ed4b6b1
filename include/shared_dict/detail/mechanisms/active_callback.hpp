// Which dictionaries' callbacks this thread is inside of. A callback runs under a shard's lock, so a call back into the same
// dictionary could wait for itself: it is refused instead (errc::would_deadlock).
#pragma once

#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>

namespace shared_dict::detail {

class ActiveCallback {
 public:
  explicit ActiveCallback(const Attachment& attachment) noexcept : attachment_(&attachment), outer_(innermost) {
    innermost = this;
  }
  ActiveCallback(const ActiveCallback&) = delete;
  ActiveCallback& operator=(const ActiveCallback&) = delete;
  ~ActiveCallback() { innermost = outer_; }

  static void refuse_reentry(const Attachment& attachment) {
    if (innermost != nullptr) search(attachment);
  }

 private:
  SHARED_DICT_COLD static void search(const Attachment& attachment) {
    for (const ActiveCallback* active = innermost; active != nullptr; active = active->outer_) {
      if (active->attachment_ == &attachment) {
        fail(errc::would_deadlock, attachment.name(),
             "called from inside one of its own callbacks: use the value that the callback is given, and call afterwards");
      }
    }
  }

  static inline thread_local constinit const ActiveCallback* innermost = nullptr;

  const Attachment* attachment_;
  const ActiveCallback* outer_;
};

}  // namespace shared_dict::detail
