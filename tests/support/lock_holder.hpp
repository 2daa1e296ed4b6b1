// A forked child that enters a callback and stays there, with the lock of its key's shard, until it is killed.
#pragma once

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <stdexcept>

#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

class LockHolder {
 public:
  /// Returns when the child has the lock. The key is there.
  template <class Dict, class Key>
  LockHolder(Dict& dict, const Key& key)
      : child_([&](auto) {
          dict.modify(key, [&](auto&) {
            inside_->store(1);
            for (;;) ::pause();
          });
          return Forked::kFailed;
        }) {
    if (!eventually([this] { return inside_->load() != 0; })) throw std::runtime_error("the child got no lock in time");
  }

  void stop() const { child_.signal(SIGSTOP); }

  /// Leaves the lock to whoever finds its owner dead.
  void die() {
    child_.kill();
    if (child_.wait().signal != SIGKILL) throw std::runtime_error("the child that held a lock wasn't killed");
  }

 private:
  SharedArea<std::atomic<int>> inside_;
  Forked child_;
};

}  // namespace shared_dict::test
