// The one piece of global state: what this process has open. It sees to it that no lock file is opened twice (closing one
// descriptor would drop the other's locks), that all handles of a dictionary share one attachment, and that a forked child
// registers itself.
//
// Keyed by file, never by name: a name can lead to a new dictionary while the old one is still in use.
#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <shared_dict/detail/mechanisms/guard.hpp>
#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/process.hpp>

namespace shared_dict::detail {

// What the registry asks of an attachment when the process forks.
class ForkAware {
 public:
  ForkAware() noexcept = default;
  ForkAware(const ForkAware&) = delete;
  ForkAware& operator=(const ForkAware&) = delete;

  virtual void before_fork() noexcept = 0;
  virtual void after_fork_in_child() noexcept = 0;

 protected:
  ~ForkAware() = default;
};

class SHARED_DICT_VISIBLE LocalRegistry {
 public:
  // Never destroyed: handles with static storage may outlive every static object.
  static LocalRegistry& instance() {
    static LocalRegistry& registry = *new LocalRegistry;
    return registry;
  }

  // Makes an empty file for a guard. Here, as closing it again must not drop the lock of a thread that has just opened it.
  std::error_code create_guard(const std::filesystem::path& path, unsigned mode) {
    const std::scoped_lock lock(mutex_);
    std::error_code error;
    create_new(path, mode, error);
    return error;
  }

  // The guard whose file `path` leads to at this moment; empty if there is none (any more) or it can't be opened.
  std::shared_ptr<Guard> guard(const std::filesystem::path& path) {
    for (;;) {
      {
        const std::scoped_lock lock(mutex_);
        const auto status = status_of(path);
        if (!status || !status->regular) return nullptr;
        const auto known = guards_.find(status->id);
        if (known == guards_.end()) {
          auto file = LockFile::open(path, status->id);
          if (!file) return nullptr;
          // The use is armed last: whatever throws before only closes the file again.
          auto use = std::make_shared<GuardUse>(*this);
          auto owned = std::make_unique<Guard>(std::move(*file));
          std::shared_ptr<Guard> guard(use, owned.get());
          guards_.emplace(status->id, guard);
          use->guard = owned.release();
          return guard;
        }
        if (auto guard = known->second.lock()) return guard;
      }
      // Its last user is about to close the file. A second descriptor must not exist before that.
      std::this_thread::yield();
    }
  }

  // The attachment to the dictionary whose segment file this is; empty if this process has none.
  template <class Attachment>
  std::shared_ptr<Attachment> find(const FileId& segment) {
    const std::scoped_lock lock(mutex_);
    const auto known = attachments_.find(segment);
    if (known == attachments_.end()) return nullptr;
    return std::static_pointer_cast<Attachment>(known->second.lock());
  }

  void add(const FileId& segment, const std::shared_ptr<ForkAware>& attachment) {
    const std::scoped_lock lock(mutex_);
    std::erase_if(attachments_, [](const auto& entry) { return entry.second.expired(); });
    attachments_[segment] = attachment;
  }

 private:
  LocalRegistry() {
    on_fork([] { instance().prepare_fork(); }, [] { instance().after_fork_in_parent(); },
            [] { instance().after_fork_in_child(); });
  }

  // What the users of a guard share; the last one closes the file, with the registry locked.
  struct GuardUse {
    explicit GuardUse(LocalRegistry& owner) noexcept : registry(owner) {}
    GuardUse(const GuardUse&) = delete;
    GuardUse& operator=(const GuardUse&) = delete;
    ~GuardUse() {
      if (guard == nullptr) return;
      const std::scoped_lock lock(registry.mutex_);
      registry.guards_.erase(guard->id());
      delete guard;
    }
    LocalRegistry& registry;
    Guard* guard = nullptr;
  };

  // Takes every mutex, so that the child finds all of them in a known state. A guard's mutex is held while the registry's is
  // taken, so here, in the other order, it is only tried.
  void prepare_fork() noexcept {
    for (;;) {
      mutex_.lock();
      forking_guards_.clear();
      std::shared_ptr<Guard> busy;
      for (const auto& [id, weak] : guards_) {
        auto guard = weak.lock();
        if (!guard) continue;
        if (!guard->process_mutex().try_lock()) {
          busy = std::move(guard);
          break;
        }
        forking_guards_.push_back(std::move(guard));
      }
      if (!busy) break;
      std::vector<std::shared_ptr<Guard>> taken = std::move(forking_guards_);
      for (const auto& guard : taken) guard->process_mutex().unlock();
      mutex_.unlock();  // before `taken` and `busy` end: dropping the last use of a guard takes it
      std::this_thread::yield();
    }
    for (const auto& [id, weak] : attachments_) {
      if (auto attachment = weak.lock()) {
        attachment->before_fork();
        forking_.push_back(std::move(attachment));
      }
    }
  }

  void after_fork_in_parent() noexcept {
    const auto [guards, attachments] = unlock_after_fork();
  }

  void after_fork_in_child() noexcept {
    // A guard that another thread was about to close stays open: that thread doesn't exist here.
    std::erase_if(guards_, [](const auto& entry) { return entry.second.expired(); });
    const auto [guards, attachments] = unlock_after_fork();
    for (const auto& attachment : attachments) attachment->after_fork_in_child();
  }

  // The references are returned, to be dropped when the mutex is free: the last one would take it.
  std::pair<std::vector<std::shared_ptr<Guard>>, std::vector<std::shared_ptr<ForkAware>>> unlock_after_fork() noexcept {
    std::pair<std::vector<std::shared_ptr<Guard>>, std::vector<std::shared_ptr<ForkAware>>> kept;
    kept.first.swap(forking_guards_);
    kept.second.swap(forking_);
    for (const auto& guard : kept.first) guard->process_mutex().unlock();
    mutex_.unlock();
    return kept;
  }

  std::mutex mutex_;
  std::map<FileId, std::weak_ptr<Guard>> guards_;
  std::map<FileId, std::weak_ptr<ForkAware>> attachments_;
  std::vector<std::shared_ptr<Guard>> forking_guards_;  // between prepare and after, with the mutex held
  std::vector<std::shared_ptr<ForkAware>> forking_;
};

}  // namespace shared_dict::detail
