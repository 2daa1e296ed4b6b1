// This process's membership in one dictionary: the mapping, its process record and the file lock that proves it alive; and what
// it takes to find out that another member is dead, and to release what that one held.
//
// Liveness: a member holds its process lock for as long as it is attached. The kernel drops it when the process dies, and never
// before, stopped or not, in whatever PID namespace. So "dead" is: the lock can be had.
//
// Recovery (reap): under the guard, so that nobody else does it at the same time, and while the lock words still name the dead
// process, so that no writer is in its shards:
//   1. its pins and waiters go.
//   2. a batch that it had begun is carried out (intent.hpp).
//   3. for each lock word that it holds, the pool's included: dirty = 1, then the word to free. Who takes it next rebuilds
//      what is derived before it does anything else (repair.hpp, page_pool.hpp).
//   4. the record gets its next generation and is free.
// Every step can be repeated: a recoverer that dies leaves the record in use, and the next one starts over. A shard is never
// free and unmarked, as the mark comes first.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <shared_dict/detail/bytes/words.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/forking.hpp>
#include <shared_dict/detail/mechanisms/guard.hpp>
#include <shared_dict/detail/mechanisms/held_locks.hpp>
#include <shared_dict/detail/mechanisms/local_registry.hpp>
#include <shared_dict/detail/mechanisms/place.hpp>
#include <shared_dict/detail/mechanisms/process_area.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/platform/pause.hpp>
#include <shared_dict/detail/platform/process.hpp>

namespace shared_dict::detail {

class Attachment final : public ForkAware, public std::enable_shared_from_this<Attachment> {
 public:
  Attachment(std::string name, Place place, std::shared_ptr<Guard> guard, Segment segment, std::chrono::milliseconds timeout)
      : segment_(std::move(segment)),
        name_(std::move(name)),
        place_(std::move(place)),
        guard_(std::move(guard)),
        self_(current_process()),
        timeout_(timeout) {}
  ~Attachment() { leave(); }

  const Segment& segment() const noexcept { return segment_; }
  Segment& segment() noexcept { return segment_; }
  const std::string& name() const noexcept { return name_; }

  // What this process writes into lock words; free if it has no record (a forked child that couldn't get one).
  LockWord self() const noexcept {
    // [W5] acquire, pairs with [W4]: whoever acts under the record does so behind its making. Another thread may have made it, in a forked child
    // that couldn't at once.
    return LockWord(self_word_.load(std::memory_order_acquire));
  }

  // As self(), in one order with the locks: what a thread asks that has just taken one.
  LockWord self_in_order() const noexcept {
    // [W3] seq_cst, pairs with [W1]: see leave().
    return LockWord(self_word_.load(std::memory_order_seq_cst));
  }

  // Takes a free process record. With the guard held. Throws too_many_processes if there is none.
  void register_process() {
    const std::uint32_t count = segment_.identity().max_processes;
    const auto take_any = [&] {
      for (std::uint32_t i = 0; i < count; ++i) {
        if (try_take_record(i)) return true;
      }
      return false;
    };
    if (take_any()) return;
    reap_dead();
    if (take_any()) return;
    reap_dead(Kept::none);
    if (take_any()) return;
    fail(errc::too_many_processes, name_,
         "all " + std::to_string(count) + " process records are in use: close it in another process, or create it with a larger Options::max_processes");
  }

  // As self(), and never free.
  LockWord registered() {
    LockWord me = self();
    if (me.free()) [[unlikely]] me = require_registered();
    return me;
  }

  // A forked child whose registration failed tries again before it writes.
  SHARED_DICT_COLD LockWord require_registered() {
    if (!self().free()) return self();
    // relaxed: set before self() was cleared.
    if (leaving_.load(std::memory_order_relaxed)) fail(errc::closed, name_, "its last handle was closed during the call");
    const Guard::Hold hold = guard_->hold_until(deadline_after(Clock::now(), timeout_));
    if (!hold) fail(errc::lock_timeout, name_, "another process keeps the guard lock; the forked child couldn't register itself");
    if (self().free()) register_process();
    return self();
  }

  // Where the files are now: under the name, or where remove() has put them.
  Place place() const {
    if (leads_here(place_)) return place_;
    const Place removed = place_.removed(segment_.identity().instance);
    return leads_here(removed) ? removed : place_;
  }

  // Whether it is certain that the process behind this record is dead. With the guard's mutex held.
  bool is_dead(std::uint32_t index) const {
    std::error_code ignored;
    return is_dead(index, ignored);
  }
  // `error` if it can't be told.
  bool is_dead(std::uint32_t index, std::error_code& error) const {
    error.clear();
    const ProcessRecord& record = segment_.record(index);
    const ProcessIdentity who = identity_of(record);
    // relaxed: whoever probes compares the record's state before and after.
    const FileId expected{record.lock_device.load(std::memory_order_relaxed), record.lock_inode.load(std::memory_order_relaxed)};
    // Its own lock file is never opened a second time. A record of this process that isn't this attachment's belongs to another
    // attachment, or to the program that this process was before exec: that one's descriptor is closed. Or to a process that only looks like
    // this one, as little is known of both.
    if (who == self_) {
      if ((!self().free() && index == self().record()) || find_descriptor(expected) >= 0) return false;
      if (kFindsDescriptors && is_unique(who)) return true;
    }
    const auto path = place().process_lock(segment_.identity().instance, index);
    const auto status = status_of(path, error);
    if (error) return false;
    if (!status || status->id != expected) return certainly_gone(who, self_);  // somebody has deleted it by hand
    auto lock = LockFile::open(path, expected, error);
    if (!lock) return false;
    // Shared, so that two who probe don't take each other for the owner.
    return lock->try_lock_shared(error);
  }

  // Asked by a writer that has waited for a while for `owner`. True if its locks were released.
  bool reap_if_dead(LockWord owner) {
    if (owner.free() || owner.record() >= segment_.identity().max_processes) return false;
    if (owner == self()) return false;
    {
      const std::unique_lock probing(guard_->process_mutex(), std::try_to_lock);
      if (!probing || (names(owner) && !is_dead(owner.record()))) return false;
    }
    const Guard::Hold hold = guard_->hold_until(Clock::now() + kReapPatience);
    if (!hold) return false;
    if (!names(owner)) {
      // Its process has left, and a thread of it ended here: see leave().
      return release_all(segment_, owner, name_);
    }
    if (!is_dead(owner.record())) return false;
    reap(owner.record());
    return true;
  }

  // Puts memory behind page `page` of this process's area, once, before anything of it is used: where committing is writing, a second time
  // would write over what is in use. Other threads wait for the one that does it.
  SHARED_DICT_COLD std::error_code commit_area(std::uint32_t index, std::uint32_t page) {
    const std::uint32_t bit = 1U << page;
    for (;; yield()) {
      // [G1] acquire, pairs with [G2]: then it is committed.
      if ((area_done_.load(std::memory_order_acquire) & bit) != 0) return {};
      // relaxed, both: [G2] publishes what was done.
      if ((area_begun_.fetch_or(bit, std::memory_order_relaxed) & bit) != 0) continue;
      const std::error_code error = segment_.commit_area(index, std::uint64_t{page} * 4096);
      if (!error) {
        segment_.record(index).area_committed.fetch_or(bit, std::memory_order_relaxed);  // relaxed: [A4] publishes it
        // [G2] release, pairs with [G1]: committed before it is said so.
        area_done_.fetch_or(bit, std::memory_order_release);
      } else {
        area_begun_.fetch_and(~bit, std::memory_order_relaxed);  // relaxed: as above
      }
      return error;
    }
  }

  // Cleans up after the dead among those whose views, loans or waits others look at. Not if the guard can't be had soon.
  SHARED_DICT_COLD bool reap_dead_area_users() {
    bool any = false;
    const Guard::Hold hold = guard_->hold_until(Clock::now() + kReapPatience);
    if (!hold) return false;
    for_each_area_user(segment_, [&](std::uint32_t index) {
      if (!state_of(index).used() || !is_dead(index)) return;
      reap(index);
      any = true;
    });
    return any;
  }

  // Whose records stay when their processes are dead.
  enum class Kept { none, expecting };

  // Cleans up after every dead process. With the guard held.
  void reap_dead(Kept kept = Kept::expecting) {
    for (std::uint32_t i = 0; i < segment_.identity().max_processes; ++i) {
      if (state_of(i).used() && is_dead(i)) reap(i, kept);
    }
  }

  // Whether any process is attached and alive, that of record `except` left out. With the guard held, or at least its mutex. Throws if
  // it can't be told.
  bool anyone_alive(std::uint32_t except = UINT32_MAX) const {
    std::error_code unknown;
    for (std::uint32_t i = 0; i < segment_.identity().max_processes; ++i) {
      std::error_code error;
      if (!state_of(i).used() || i == except || is_dead(i, error)) continue;
      if (!error) return true;
      unknown = error;
    }
    if (unknown) fail(unknown, name_, "can't tell whether a process that was attached is still alive: try again, with more descriptors or memory");
    return false;
  }

  // Whether a member, that of record `except` left out, has forked a child that isn't registered yet: if it has died since, the child counts
  // as attached all the same. With the guard held. (A child that died before it came so far, or a fork that failed, are counted, too:
  // nothing tells.)
  bool expects_child(std::uint32_t except = UINT32_MAX) const noexcept {
    for (std::uint32_t i = 0; i < segment_.identity().max_processes; ++i) {
      if (i != except && state_of(i).used() && forking(i).child_pending()) return true;
    }
    return false;
  }

  // Where nobody is alive: ends the time for such children, and does nothing else about the dead. (Cleaning up after them is of no use where the
  // dictionary goes, and fails where it is damaged.) With the guard held.
  void note_deaths() noexcept {
    for (std::uint32_t i = 0; i < segment_.identity().max_processes; ++i) {
      if (state_of(i).used()) note_death(i);
    }
  }

  std::uint32_t process_count() const noexcept {
    std::uint32_t count = 0;
    for (std::uint32_t i = 0; i < segment_.identity().max_processes; ++i) count += state_of(i).used() && !forking(i).dead() ? 1 : 0;
    return count;
  }

  std::uint32_t pid_of(LockWord owner) const noexcept {
    return owner.record() < segment_.identity().max_processes ? identity_of(segment_.record(owner.record())).pid : 0;
  }

  // The shard in which this process last found something to extract.
  std::atomic<std::uint32_t>& last_extracted() noexcept { return last_extracted_; }

  void before_fork() noexcept override { count_fork(self(), +1); }

  // The child has the parent's memory but none of its locks: a record of its own, under a guard of its own.
  void after_fork_in_child() noexcept override {
    const LockWord parent = self();
    // relaxed, all: no other thread exists.
    self_word_.store(0, std::memory_order_relaxed);
    area_begun_.store(0, std::memory_order_relaxed);
    area_done_.store(0, std::memory_order_relaxed);  // relaxed: as above
    own_lock_.close();                               // the child's copy; the parent's lock is the parent's
    self_ = current_process();
    try {
      const Guard::Hold hold = guard_->hold_until(deadline_after(Clock::now(), timeout_));
      if (hold) register_process();
    } catch (...) {  // require_registered tries again and reports it
    }
    count_fork(parent, -1);
  }

 private:
  static ProcessIdentity identity_of(const ProcessRecord& record) noexcept {
    // relaxed: whoever probes compares the record's state before and after.
    return {record.pid_namespace.load(std::memory_order_relaxed), record.start_time.load(std::memory_order_relaxed),
            record.pid.load(std::memory_order_relaxed)};
  }

  RecordState state_of(std::uint32_t index) const noexcept {
    // [R2] acquire, pairs with [R1], [R3]: who sees the record taken sees whose it is.
    return RecordState(segment_.record(index).state.load(std::memory_order_acquire));
  }

  // Whether the record that a lock word names is still in that use.
  bool names(LockWord owner) const noexcept {
    const RecordState state = state_of(owner.record());
    return state.used() && (state.generation() & LockWord::kGenerationMask) == owner.generation();
  }

  bool try_take_record(std::uint32_t index) {
    ProcessRecord& record = segment_.record(index);
    const RecordState state = state_of(index);
    if (state.used()) return false;
    const auto path = place().process_lock(segment_.identity().instance, index);
    std::error_code error;
    auto status = status_of(path, error);
    // Removed again if it isn't locked in the end.
    NewFile made(path);
    if (!status && !error) {
      made.create(segment_.identity().permissions, error);
      if (!error) status = status_of(path, error);
    }
    if (status && status->regular) mend_mode(path, segment_.identity().permissions);
    if (error == std::errc::no_such_file_or_directory) {
      fail(error, name_, "can't create " + path.string() + ": the dictionary was removed before this process was attached");
    }
    if (error) {
      fail(error, name_, "can't create " + path.string() + ": mend the directory's permissions, or open it in the process that created it");
    }
    if (!status || !status->regular) return false;
    auto lock = LockFile::open(path, status->id, error);
    // Another user has died before it had set the file's mode.
    if (error == std::errc::permission_denied && !status->mine) return false;
    if (error) fail(error, name_, "can't open " + path.string() + ": try again, with more descriptors or memory");
    if (!lock) return false;
    // Somebody who has just found the last owner dead may hold it for a moment, shared.
    bool locked = lock->try_lock();
    for (int i = 0; !locked && i < 100; ++i) {
      sleep_for(std::chrono::microseconds(50));
      locked = lock->try_lock();
    }
    if (!locked) return false;
    // What the last one left is gone already, unless a bit of it was flipped since.
    forget_area(segment_, index);
    forking(index).begin(state.generation());
    // relaxed: [R1] publishes all of them
    record.pid_namespace.store(self_.pid_namespace, std::memory_order_relaxed);
    record.start_time.store(self_.start_time, std::memory_order_relaxed);
    record.pid.store(self_.pid, std::memory_order_relaxed);
    // relaxed: as above
    record.lock_device.store(lock->id().device, std::memory_order_relaxed);
    record.lock_inode.store(lock->id().inode, std::memory_order_relaxed);
    // [R1] release, pairs with [R2]: the identity is there before the record counts.
    record.state.store(state.taken().bits(), std::memory_order_release);
    own_lock_ = std::move(*lock);
    made.keep();
    // [W4] release, pairs with [W5]: the record, and its area without anything of its last owner, are there before any thread uses them.
    self_word_.store(LockWord(index, state.generation()).bits(), std::memory_order_release);
    return true;
  }

  // With the guard held, of a record whose process is dead, or leaves.
  void free_record(std::uint32_t index) noexcept {
    ProcessRecord& record = segment_.record(index);
    clear_area(segment_, index);
    // [R3] release, pairs with [R2]: what was done for the dead process is done before its record can be taken.
    record.state.store(state_of(index).freed().bits(), std::memory_order_release);
  }

  // A record whose process has a child that isn't registered yet is the only trace of that child, so it stays for whoever leaves last
  // (expects_child) until the child is registered, or for kForkPatience, or until the record is needed. Each step can be repeated, and is, as
  // long as the record stays: whoever waits for a lock that names it relies on that. Only the count is of the first time.
  void reap(std::uint32_t index, Kept kept = Kept::expecting) {
    clear_area(segment_, index);
    release_all(segment_, LockWord(index, state_of(index).generation()), name_);
    note_death(index);
    if (kept == Kept::none || !forking(index).child_pending()) free_record(index);
  }

  // From now on its children are waited for as long as kForkPatience.
  void note_death(std::uint32_t index) noexcept {
    if (forking(index).dead()) return;
    segment_.header().recoveries.fetch_add(1, std::memory_order_relaxed);  // relaxed: a counter for people
    forking(index).set_dead();
  }

  Forking forking(std::uint32_t index) const noexcept { return Forking(segment_.record(index)); }

  // Children between fork and their registration: a process that leaves waits for them.
  void count_fork(LockWord parent, int change) noexcept {
    if (!parent.free()) forking(parent.record()).count(parent.generation(), change);
  }

  // The end of the membership. If nobody else lives and the dictionary isn't persistent, the files go too, unless the name
  // leads to another one by now. Whoever can't have the guard in time just drops its lock: the others find it dead.
  //
  // A thread that is still inside an operation keeps the record: it ends with the process. One that takes a lock later sees the
  // membership ended and gives the lock back; if it ends between the two, the lock names a record in a use that is over, and is
  // released as a dead one's (reap_if_dead).
  void leave() noexcept {
    leaving_.store(true, std::memory_order_relaxed);  // relaxed: [W1] orders it
    // [W1] seq_cst, pairs with [L1], [L3], [W3]: either the thread's lock is seen here, or this is seen there.
    const LockWord me(self_word_.exchange(0, std::memory_order_seq_cst));
    if (me.free()) return;
    try {
      const auto deadline = deadline_after(Clock::now(), timeout_);
      // Forked children that aren't registered yet count as attached through this record: without it they would go unseen by whoever
      // leaves last or removes it. One that died before is waited for in vain, but not for long. So are those of the dead.
      const auto patience = Clock::now() + kForkPatience;
      for (;;) {
        Guard::Hold hold = guard_->hold_until(deadline);
        if (!hold) break;
        if (holds_lock(segment_, me)) {
          static_cast<void>(new LockFile(std::move(own_lock_)));  // held until the process ends
          return;
        }
        const bool alone = !others_alive(me.record());
        const bool expected = (forking(me.record()).child_pending() && has_children()) || (alone && expects_child(me.record()));
        if (expected && Clock::now() < patience) {
          { const Guard::Hold released = std::move(hold); }
          sleep_for(std::chrono::milliseconds(1));
          continue;
        }
        const bool last = alone && segment_.identity().lifetime == 0;
        // A persistent one only goes if remove() has put it aside.
        const Place mine = place();
        const bool removed = mine.directory() != place_.directory();
        // Under the guard, as another thread may take the same record next; and before the directory is read, which takes a descriptor.
        own_lock_.close();
        if ((last || (removed && alone)) && leads_here(mine)) PlacedFiles(mine).remove();
        free_record(me.record());
        return;
      }
    } catch (...) {  // no memory: the lock is dropped all the same
    }
    const std::scoped_lock closing(guard_->process_mutex());
    if (holds_lock(segment_, me)) {
      static_cast<void>(new (std::nothrow) LockFile(std::move(own_lock_)));  // as above
    } else {
      own_lock_.close();
    }
  }

  // As anyone_alive, and true if it can't be told.
  bool others_alive(std::uint32_t except) const {
    try {
      return anyone_alive(except);
    } catch (const Failure&) {
      return true;
    }
  }

  bool leads_here(const Place& place) const {
    return status_of(place.segment()).value_or(FileStatus{}).id == segment_.id();
  }

  static constexpr std::chrono::milliseconds kReapPatience{20};

  Segment segment_;
  std::string name_;
  Place place_;
  std::shared_ptr<Guard> guard_;
  ProcessIdentity self_;
  std::chrono::milliseconds timeout_;
  LockFile own_lock_;
  std::atomic<std::uint32_t> self_word_{0};
  std::atomic<bool> leaving_{false};
  std::atomic<std::uint32_t> area_begun_{0};  // pages of the area, bit for bit
  std::atomic<std::uint32_t> area_done_{0};
  std::atomic<std::uint32_t> last_extracted_{self_.pid};
};

}  // namespace shared_dict::detail
