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
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

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

  // The guard whose file `path` leads to at this moment; empty if there is none (any more), or it can't be opened (`error`).
  std::shared_ptr<Guard> guard(const std::filesystem::path& path, std::error_code& error) {
    for (;;) {
      {
        const std::scoped_lock lock(mutex_);
        const auto status = status_of(path, error);
        if (!status || !status->regular) return nullptr;
        const auto known = guards_.find(status->id);
        if (known == guards_.end()) {
          auto file = open_once(path, status->id, error);
          if (!file) return nullptr;
          // The use is armed last: whatever throws before only closes the file again.
          auto use = std::make_shared<GuardUse>(*this);
          auto owned = std::make_unique<Guard>(std::move(*file));
          std::shared_ptr<Guard> guard(use, owned.get());
          Known<Guard>& entry = guards_[status->id];
          entry.use = guard;
          entry.object = owned.get();
          use->guard = owned.release();
          return guard;
        }
        if (auto guard = known->second.use.lock()) return guard;
      }
      // Its last user is about to close the file. A second descriptor must not exist before that.
      std::this_thread::yield();
    }
  }

  std::shared_ptr<Guard> guard(const std::filesystem::path& path) {
    std::error_code ignored;
    return guard(path, ignored);
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
    tell_of_forks(attachment);
  }

  // `open` opens a file that `owner` closes in a forked child, where nobody else would; no fork comes between.
  template <class Open>
  std::error_code open_for(const std::shared_ptr<ForkAware>& owner, Open open) {
    const std::scoped_lock lock(mutex_);
    tell_of_forks(owner);
    return open();
  }

 private:
  // In place of those that are gone. With the mutex held.
  void tell_of_forks(const std::shared_ptr<ForkAware>& object) {
    std::erase_if(fork_aware_, [](const auto& entry) { return entry.second.use.expired(); });
    fork_aware_[object.get()].use = object;
  }

  LocalRegistry() {
    on_fork([] { instance().prepare_fork(); }, [] { instance().after_fork_in_parent(); },
            [] { instance().after_fork_in_child(); });
  }

  // There may be another registry in this process all the same: only some compilers and linkers make one of those that two plugins have.
  // It must not have the same guard open, as closing either descriptor drops the locks of both, and their locks don't exclude each other.
  std::optional<LockFile> open_once(const std::filesystem::path& path, const FileId& id, std::error_code& error) {
    std::optional<LockFile> file;
    auto parked = parked_.extract(id);
    if (!parked.empty()) {
      file = std::move(parked.mapped());
    } else if (count_own_descriptors(id) == 0) {
      file = LockFile::open(path, id, error);
      if (!file) return std::nullopt;
    }
    if (file && count_own_descriptors(id) <= 1) return file;  // less where they can't be counted
    // Both have opened it at the same moment. Closed, it would drop a lock that the other one has by now; so it stays for the next time, when the other one may have gone.
    if (file) parked_[id] = std::move(*file);
    error = std::make_error_code(std::errc::device_or_resource_busy);
    return std::nullopt;
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
      sweep_leftovers();
    }
    LocalRegistry& registry;
    Guard* guard = nullptr;
  };

  template <class T>
  struct Known {
    std::weak_ptr<T> use;
    T* object = nullptr;  // a guard, as long as it is known here
    // While the process forks it is kept alive here, where nothing has to be allocated for it.
    std::shared_ptr<T> forking;
    bool locked = false;  // a guard's mutex, for the fork
  };

  // Takes every mutex, so that the child finds all of them in a known state. A guard's mutex is held while the registry's is
  // taken, so here, in the other order, it is only tried.
  void prepare_fork() noexcept {
    for (;;) {
      mutex_.lock();
      bool busy = false;
      for (auto& [id, known] : guards_) {
        known.forking = known.use.lock();
        if (!known.forking) continue;
        known.locked = known.forking->process_mutex().try_lock();
        busy = !known.locked;
        if (busy) break;
      }
      if (!busy) break;
      unlock_after_fork();
      drop_forking();
      std::this_thread::yield();
    }
    for (auto& [object, known] : fork_aware_) {
      known.forking = known.use.lock();
      if (known.forking) known.forking->before_fork();
    }
  }

  void after_fork_in_parent() noexcept {
    unlock_after_fork();
    drop_forking();
  }

  void after_fork_in_child() noexcept {
    // A guard that another thread was about to close: that thread doesn't exist here.
    std::erase_if(guards_, [](const auto& entry) {
      const bool closing = entry.second.use.expired();
      if (closing) delete entry.second.object;
      return closing;
    });
    unlock_after_fork();
    while (const auto object = take_forking(fork_aware_)) object->after_fork_in_child();
    drop_forking();
  }

  void unlock_after_fork() noexcept {
    for (auto& [id, known] : guards_) {
      if (std::exchange(known.locked, false)) known.forking->process_mutex().unlock();
    }
    mutex_.unlock();
  }

  // One of the references at a time, as the last one to a guard takes the mutex when it goes. Those of another thread's fork have had
  // their time as well.
  void drop_forking() noexcept {
    while (take_forking(fork_aware_)) continue;
    while (take_forking(guards_)) continue;
  }

  template <class Key, class T>
  std::shared_ptr<T> take_forking(std::map<Key, Known<T>>& all) noexcept {
    const std::scoped_lock lock(mutex_);
    for (auto& [key, known] : all) {
      if (known.forking) return std::exchange(known.forking, nullptr);
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::map<FileId, Known<Guard>> guards_;
  std::map<FileId, LockFile> parked_;  // see open_once
  // By the file of the segment. A child has those, too, that threads were about to leave which it hasn't.
  std::map<FileId, std::weak_ptr<ForkAware>> attachments_;
  // Attachments, and files of saves, by themselves: these files may be gone while a child still knows them, and others have their ids.
  std::map<const ForkAware*, Known<ForkAware>> fork_aware_;
};

}  // namespace shared_dict::detail
