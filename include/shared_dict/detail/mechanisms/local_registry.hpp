// The one piece of global state: what this process has open. It sees to it that no lock file is opened twice (closing one
// descriptor would drop the other's locks), that all handles of a dictionary share one attachment, and that a forked child
// registers itself.
//
// Keyed by file, never by name: a name can lead to a new dictionary while the old one is still in use. Everything is searched one by one: opening
// a dictionary asks the system for all descriptors of the process anyway.
#pragma once

#include <algorithm>
#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <shared_dict/detail/mechanisms/guard.hpp>
#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/detail/platform/pause.hpp>
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
        const auto known = std::find_if(guards_.begin(), guards_.end(), [&](const auto& entry) { return entry.guard.id() == status->id; });
        if (known == guards_.end()) {
          auto file = open_once(path, status->id, error);
          if (!file) return nullptr;
          // The use is armed last: whatever throws before only closes the file again.
          const auto use = std::make_shared<GuardUse>(*this);
          KnownGuard& entry = guards_.emplace_front(std::move(*file));
          use->entry = guards_.begin();
          use->armed = true;
          std::shared_ptr<Guard> guard(use, &entry.guard);
          entry.use = guard;
          return guard;
        }
        if (auto guard = known->use.lock()) return guard;
      }
      // Its last user is about to close the file. A second descriptor must not exist before that.
      yield();
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
    for (const auto& known : fork_aware_) {
      if (known.attached && known.segment == segment) return std::static_pointer_cast<Attachment>(known.use.lock());
    }
    return nullptr;
  }

  // From now on the one that find() gives, in place of another one.
  void add(const FileId& segment, const std::shared_ptr<ForkAware>& attachment) {
    const std::scoped_lock lock(mutex_);
    KnownForkAware& added = tell_of_forks(attachment);
    for (auto& known : fork_aware_) {
      if (known.segment == segment) known.attached = false;
    }
    added.segment = segment;
    added.attached = true;
  }

  // `open` opens a file that `owner` closes in a forked child, where nobody else would; no fork comes between.
  template <class Open>
  std::error_code open_for(const std::shared_ptr<ForkAware>& owner, Open open) {
    const std::scoped_lock lock(mutex_);
    tell_of_forks(owner);
    return open();
  }

 private:
  struct KnownGuard {
    explicit KnownGuard(LockFile file) noexcept : guard(std::move(file)) {}

    Guard guard;
    std::weak_ptr<Guard> use;
    // While the process forks it is kept alive here, where nothing has to be allocated for it.
    std::shared_ptr<Guard> forking;
    bool locked = false;  // its mutex, for the fork
  };

  // An attachment, or a file of a save.
  struct KnownForkAware {
    std::weak_ptr<ForkAware> use;
    const ForkAware* object = nullptr;
    std::shared_ptr<ForkAware> forking;  // as a guard's
    // Whether find() gives it, for this segment. A child has those, too, that threads were about to leave which it hasn't.
    bool attached = false;
    FileId segment;
  };

  // What the users of a guard share; the last one closes the file, with the registry locked.
  struct GuardUse {
    explicit GuardUse(LocalRegistry& owner) noexcept : registry(owner) {}
    GuardUse(const GuardUse&) = delete;
    GuardUse& operator=(const GuardUse&) = delete;
    ~GuardUse() {
      if (!armed) return;
      const std::scoped_lock lock(registry.mutex_);
      registry.guards_.erase(entry);
      sweep_leftovers();
    }
    LocalRegistry& registry;
    std::list<KnownGuard>::iterator entry;
    bool armed = false;
  };

  // In place of those that are gone. With the mutex held.
  KnownForkAware& tell_of_forks(const std::shared_ptr<ForkAware>& object) {
    fork_aware_.remove_if([](const auto& known) { return known.use.expired(); });
    for (auto& known : fork_aware_) {
      if (known.object == object.get()) return known;
    }
    return fork_aware_.emplace_front(KnownForkAware{object, object.get(), {}, false, {}});
  }

  LocalRegistry() {
    on_fork([] { instance().prepare_fork(); }, [] { instance().after_fork_in_parent(); },
            [] { instance().after_fork_in_child(); });
  }

  // There may be another registry in this process all the same: only some compilers and linkers make one of those that two plugins have.
  // It must not have the same guard open, as closing either descriptor drops the locks of both, and their locks don't exclude each other.
  std::optional<LockFile> open_once(const std::filesystem::path& path, const FileId& id, std::error_code& error) {
    std::optional<LockFile> file;
    const auto parked = std::find_if(parked_.begin(), parked_.end(), [&](const auto& other) { return other.id() == id; });
    if (parked != parked_.end()) {
      file = std::move(*parked);
      parked_.erase(parked);
    } else if (count_own_descriptors(id) == 0) {
      file = LockFile::open(path, id, error);
      if (!file) return std::nullopt;
    }
    if (file && count_own_descriptors(id) <= 1) return file;  // less where they can't be counted
    // Both have opened it at the same moment. Closed, it would drop a lock that the other one has by now; so it stays for the next time, when the other one may have gone.
    if (file) parked_.push_front(std::move(*file));
    error = std::make_error_code(std::errc::device_or_resource_busy);
    return std::nullopt;
  }

  // Takes every mutex, so that the child finds all of them in a known state. A guard's mutex is held while the registry's is
  // taken, so here, in the other order, it is only tried.
  void prepare_fork() noexcept {
    for (;;) {
      mutex_.lock();
      bool busy = false;
      for (auto& known : guards_) {
        known.forking = known.use.lock();
        if (!known.forking) continue;
        known.locked = known.forking->process_mutex().try_lock();
        busy = !known.locked;
        if (busy) break;
      }
      if (!busy) break;
      unlock_after_fork();
      drop_forking();
      yield();
    }
    for (auto& known : fork_aware_) {
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
    guards_.remove_if([](const auto& known) { return known.use.expired(); });
    unlock_after_fork();
    while (const auto object = take_forking(fork_aware_)) object->after_fork_in_child();
    drop_forking();
  }

  void unlock_after_fork() noexcept {
    for (auto& known : guards_) {
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

  template <class Known>
  auto take_forking(std::list<Known>& all) noexcept -> decltype(Known::forking) {
    const std::scoped_lock lock(mutex_);
    for (auto& known : all) {
      if (known.forking) return std::exchange(known.forking, nullptr);
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::list<KnownGuard> guards_;
  std::list<LockFile> parked_;  // see open_once
  std::list<KnownForkAware> fork_aware_;
};

}  // namespace shared_dict::detail
