// Create, attach, open_or_create, remove, exists, list: each under the dictionary's guard.
//
// Creation: everything is built under the guard, what it is filled with included (Options::load_from), the header's magic is stored last.
// A creator that dies before leaves a segment without magic (or none), which the next one under the guard takes for unfinished and makes anew.
// Removal: the segment's name goes first; that is the moment. What is left is unfinished, or just an empty directory. If others are
// attached the whole directory moves away under another name, which is the moment then, and its last member takes it away.
//
// The name may lead elsewhere at any time: guard and directory can be removed and made again while somebody waits. So whoever
// gets the guard checks that the name still leads to the very file that it locked, and starts over if not.
//
// An attachment that is found must outlive the guard: if its last handle is closed meanwhile, dropping it here takes the guard again.
#pragma once

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/operations/finding.hpp>
#include <shared_dict/detail/operations/identity.hpp>
#include <shared_dict/detail/operations/stored_types.hpp>
#include <shared_dict/detail/platform/pause.hpp>
#include <shared_dict/options.hpp>
#include <shared_dict/version.hpp>

namespace shared_dict::detail {

// What a new dictionary is filled with, before anybody sees it. With the guard held, so this waits for nobody.
using Fill = std::function<void(const std::shared_ptr<Attachment>&)>;

template <class>
class BasicLifecycle {
  using State = Finding::State;

 public:
  BasicLifecycle(std::string_view name, const std::filesystem::path& directory, std::chrono::milliseconds timeout)
      : name_(name), place_((require_valid_name(name), directory), name), deadline_(deadline_after(Clock::now(), timeout)), timeout_(timeout) {}

  BasicLifecycle(const BasicLifecycle&) = delete;
  BasicLifecycle& operator=(const BasicLifecycle&) = delete;
  ~BasicLifecycle() = default;

  std::shared_ptr<Attachment> open(OpenMode mode, const Options& options, const StoredTypes& types, const Fill& fill = {}) {
    if (mode != OpenMode::attach) require_valid(options, name_);
    try {
      return try_open(mode, options, types, fill);
    } catch (...) {
      if (made_place_) take_empty_place_away();
      throw;
    }
  }

  // True if it was there.
  bool remove() {
    sweep_removed();
    for (bool expects_child = false;;) {
      if (std::exchange(expects_child, false)) sleep_for(std::chrono::milliseconds(1));
      std::error_code error;
      const auto status = finder_.look_at(place_.directory());
      if (!status || !status->directory) return false;
      const auto guard = LocalRegistry::instance().guard(place_.guard(), error);
      if (!guard) {
        if (!finder_.look_at(place_.guard())) {  // nothing of ours, or a remover that died at the very end
          remove_directory(place_.directory());
          return false;
        }
        explain_missing_guard(error, OpenMode::attach);
        continue;
      }
      std::shared_ptr<Attachment> attachment;
      const Guard::Hold hold = hold_guard(*guard);
      if (!leads_to(*guard)) continue;
      Finding found = finder_.inspect();
      if (found.state == State::foreign && !found.ours) finder_.refuse(found, OpenMode::attach);
      if (found.state == State::complete) {
        attachment = find_or_map(found, guard);
        if (attachment->anyone_alive()) {
          const auto away = place_.removed(found.identity.instance).directory();
          error = rename_path(place_.directory(), away);
          if (error) finder_.cant("can't move " + place_.directory().string() + " away", error);
          return true;
        }
        attachment->note_deaths();
        expects_child = attachment->expects_child();
        if (expects_child) continue;
      }
      const PlacedFiles files(place_);
      if (files.error()) finder_.cant("can't read " + place_.directory().string(), files.error());
      error = files.remove_segment();
      if (error) finder_.cant("can't remove " + place_.segment().string(), error);
      files.remove();
      return found.state == State::damaged || found.state == State::foreign ||
             (found.state == State::complete && found.identity.lifetime == 1);
    }
  }

  // What is there, mapped without joining it: for those who only look. Waits for nobody.
  std::shared_ptr<Attachment> look() {
    Finding found = finder_.inspect();
    if (found.state == State::none || found.state == State::unfinished) finder_.not_found();
    if (found.state != State::complete) finder_.refuse(found, OpenMode::attach);
    const auto guard = guard_to_look();
    if (!guard) finder_.not_found();
    return find_or_map(found, guard);
  }

  // Looks without the guard, or with it if nobody has it: waits for nobody.
  bool exists() {
    Finding found = finder_.inspect();
    if (found.state != State::complete) return false;
    if (found.identity.lifetime == 1) return true;
    const auto guard = guard_to_look();
    if (!guard) return false;
    const auto attachment = find_or_map(found, guard);
    const bool expects_child = attachment->expects_child();  // before: who is expected no more is seen alive
    {
      const std::scoped_lock probing(guard->process_mutex());
      if (attachment->anyone_alive()) return true;
    }
    if (!expects_child) return false;
    // Or those who only ask would expect it for ever.
    if (const Guard::Hold hold = guard->try_hold(); hold && !attachment->anyone_alive()) attachment->note_deaths();
    return true;
  }

 private:
  std::shared_ptr<Attachment> try_open(OpenMode mode, const Options& options, const StoredTypes& types, const Fill& fill) {
    std::optional<Clock::time_point> child_deadline;
    for (bool expects_child = false;;) {
      if (std::exchange(expects_child, false)) sleep_for(std::chrono::milliseconds(1));
      if (mode == OpenMode::attach) {
        const Finding first = finder_.inspect();
        if (first.state == State::none) finder_.not_found();
        if (first.state == State::foreign) finder_.refuse(first, mode);
      } else if (!make_place(options)) {
        continue;
      }
      std::error_code error;
      const auto guard = LocalRegistry::instance().guard(place_.guard(), error);
      if (!guard) {
        explain_missing_guard(error, mode);
        continue;
      }
      std::shared_ptr<Attachment> attachment;
      const Guard::Hold hold = hold_guard(*guard);
      if (!leads_to(*guard)) continue;
      Finding found = finder_.inspect();
      if (found.state == State::complete) {
        attachment = find_or_map(found, guard);
        if (found.identity.lifetime == 0 && !attachment->anyone_alive()) {
          // Its child needs the guard to become a member: it gets a while, whatever lock_timeout is, as the items would be lost.
          if (attachment->expects_child()) {
            if (!child_deadline) child_deadline = Clock::now() + kForkPatience;
            expects_child = Clock::now() < *child_deadline;
          }
          if (expects_child) continue;
          if (mode == OpenMode::attach) PlacedFiles(place_).remove();
          found.state = State::none;
        }
      }
      switch (found.state) {
        case State::complete:
          if (mode == OpenMode::create) {
            fail(errc::already_exists, name_, "the name is in use: attach to it, use open_or_create, or remove(name) first");
          }
          require_types(found.identity, types);
          join(attachment);
          return attachment;
        case State::foreign:
        case State::damaged: finder_.refuse(found, mode);
        case State::none:
        case State::unfinished: break;
      }
      if (mode == OpenMode::attach) finder_.not_found();
      const auto directory = finder_.look_at(place_.directory());
      if (!directory) continue;
      require_own(*directory, options);
      PlacedFiles(place_).remove_contents();
      sweep_removed();
      create(guard, options, types, fill, attachment);
      return attachment;
    }
  }

  // Whoever owns the directory can put other files in place of a dictionary's. Where that user may write to the dictionary anyway, that is
  // no harm: another user's dictionary that is dead has to be replaced, too.
  void require_own(const FileStatus& directory, const Options& options) const {
    const auto shared = [&](unsigned bits) { return (options.permissions & bits) == bits; };
    if (directory.mine || shared(0006) || (shared(0060) && in_group(directory.group))) return;
    fail(errc::already_exists, name_, place_.directory().string() + " belongs to another user: choose another name or Options::directory");
  }

  // What make_place has made, unless somebody has put a dictionary there. Never fails: what is left is an empty place.
  void take_empty_place_away() const noexcept {
    try {
      if (const auto guard = LocalRegistry::instance().guard(place_.guard())) {
        const Guard::Hold hold = guard->try_hold();
        std::error_code error;
        if (!hold || !leads_to(*guard) || status_of(place_.segment(), error) || error) return;
        PlacedFiles(place_).remove();
      } else {
        remove_directory(place_.directory());
      }
    } catch (...) {  // no memory for a path
    }
  }

  // Sees to it that the directory and the guard's file are there. False: somebody removed it meanwhile.
  bool make_place(const Options& options) {
    if (const auto error = make_directory(place_.directory(), directory_mode(options.permissions)); !error) {
      made_place_ = true;
    } else if (error == std::errc::resource_unavailable_try_again) {
      return false;
    } else if (error != std::errc::file_exists) {
      finder_.cant("can't create " + place_.directory().string(), error);
    }
    std::error_code error;
    const auto status = finder_.look_at(place_.directory());
    if (!status) return false;
    if (!status->directory) {
      fail(errc::already_exists, name_, place_.directory().string() + " is in the way and is no directory: move it, or choose another name");
    }
    const bool has_segment = finder_.look_at(place_.segment()).has_value();
    if (!has_segment) require_own(*status, options);
    error = LocalRegistry::instance().create_guard(place_.guard(), options.permissions);
    if (!error) made_place_ = true;
    if (!error || error == std::errc::file_exists) return true;
    if (error == std::errc::no_such_file_or_directory) return false;
    finder_.cant("can't create " + place_.guard().string(), error);
  }

  // See LocalRegistry::open_once.
  void refuse_other_copy(const std::error_code& refused) const {
    if (refused != std::errc::device_or_resource_busy) return;
    fail(refused, name_, place_.guard().string() + " is open in this process already, by another copy of this library (two plugins?), and the two "
         "would drop each other's locks: let one of them open it, or load them with RTLD_GLOBAL");
  }

  // The guard of what is there, which isn't waited for; empty if it has gone.
  std::shared_ptr<Guard> guard_to_look() const {
    std::error_code error;
    auto guard = LocalRegistry::instance().guard(place_.guard(), error);
    refuse_other_copy(error);
    if (error) finder_.cant("can't open " + place_.guard().string(), error);
    return guard;
  }

  // Why LocalRegistry had no guard: throws, unless trying again may help.
  void explain_missing_guard(const std::error_code& refused, OpenMode mode) const {
    refuse_other_copy(refused);
    // Its creator may be about to set its mode: that is looked at below.
    if (refused && refused != std::errc::permission_denied) finder_.cant("can't open " + place_.guard().string(), refused);
    const auto status = status_of(place_.guard());
    if (status && !status->regular) {
      fail(errc::incompatible_layout, name_, place_.guard().string() + " is in the way and is no lock file: move it away");
    }
    if (status) {
      const std::error_code error = check_access(place_.guard());
      if (error && error != std::errc::no_such_file_or_directory) finder_.cant("can't open " + place_.guard().string(), error);
    } else if (Clock::now() >= deadline_ && segment_without_guard()) {
      fail(errc::corrupted, name_, place_.guard().string() + " is missing: remove the directory by hand and create it anew");
    }
    if (Clock::now() >= deadline_) {
      if (mode == OpenMode::attach) finder_.not_found();
      fail(errc::lock_timeout, name_, "other processes made and removed " + place_.guard().string() + " meanwhile; waited " +
                                          std::to_string(timeout_.count()) + " ms: try again, or raise Options::lock_timeout");
    }
    sleep_for(std::chrono::microseconds(100));
  }

  // A guard's file comes before its segment's and goes after it: one that is missing while the same segment is there was taken away by hand.
  bool segment_without_guard() const {
    const auto before = status_of(place_.segment());
    if (!before || status_of(place_.guard())) return false;
    const auto behind = status_of(place_.segment());
    return behind && behind->id == before->id;
  }

  Guard::Hold hold_guard(Guard& guard) const {
    Guard::Hold hold = guard.hold_until(deadline_);
    if (!hold) {
      fail(errc::lock_timeout, name_, "another process keeps " + place_.guard().string() + " locked (stopped while it attached or left?); waited " +
                                          std::to_string(timeout_.count()) + " ms: let it go on or end it, or raise Options::lock_timeout");
    }
    return hold;
  }

  bool leads_to(const Guard& guard) const {
    const auto status = status_of(place_.guard());
    return status && status->id == guard.id();
  }

  // This process's attachment to what was found, or one that isn't registered yet.
  std::shared_ptr<Attachment> find_or_map(Finding& found, const std::shared_ptr<Guard>& guard) const {
    if (auto known = LocalRegistry::instance().find<Attachment>(found.id)) return known;
    return map(found, guard);
  }

  std::shared_ptr<Attachment> map(Finding& found, const std::shared_ptr<Guard>& guard) const {
    try {
      return std::make_shared<Attachment>(name_, place_, guard, Segment(std::move(found.file), found.id, found.identity), timeout_);
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::not_enough_memory) finder_.cant("can't map " + place_.segment().string(), error.code());
      fail(errc::heap_full, name_, "this process has no room for the addresses of " + place_.segment().string() + ", " +
           std::to_string(found.identity.segment_bytes >> 20) + " MiB: create it with a smaller Options::heap_size");
    }
  }

  // Makes this process a member, once. The registry comes first: an attachment that isn't registered is dropped without the
  // guard, which is held here.
  void join(const std::shared_ptr<Attachment>& attachment) const {
    if (!attachment->self().free()) return;
    LocalRegistry::instance().add(attachment->segment().id(), attachment);
    attachment->reap_dead();
    attachment->register_process();
  }

  void require_types(const Identity& identity, const StoredTypes& types) const {
    if (identity.type_fingerprint == types.fingerprint()) return;
    fail(errc::type_mismatch, name_,
         "it was created as " + to_text(types_of(identity)) + " and opened as " + to_text(types) +
             ": open it with the creator's types, or choose another name");
  }

  // `attachment` is the caller's, so that it outlives the guard's lock also where this fails.
  void create(const std::shared_ptr<Guard>& guard, const Options& options, const StoredTypes& types, const Fill& fill,
              std::shared_ptr<Attachment>& attachment) const {
    Finding made;
    made.identity = identity_for(options, types, name_);
    const Identity& identity = made.identity;

    // The last one that began with it may have died before it had set them.
    mend_mode(place_.directory(), directory_mode(options.permissions));
    mend_mode(place_.guard(), options.permissions);
    const auto path = place_.segment();
    std::error_code error;
    made.file = create_new(path, options.permissions, error);
    if (!error) error = set_size(made.file, identity.segment_bytes);
    if (!error) error = commit_range(made.file, 0, identity.areas_at);
    if (error) {
      abandon();
      finder_.cant("can't create " + path.string(), error);
    }
    try {
      const auto status = status_of(made.file);
      if (!status) finder_.cant("can't look at " + path.string(), last_error());
      made.id = status->id;
      attachment = map(made, guard);
      // A new file is all zeros, and that is how records, shards, page table and pool begin.
      Header& header = attachment->segment().header();
      header.byte_order = kByteOrder;
      header.layout_version = kLayoutVersion;
      header.identity = identity;
      kill_point();
      header.checksum = checksum_of(identity);
      kill_point();
      join(attachment);
      if (fill) fill(attachment);
      // [M1] release, pairs with [M2]: complete before it counts.
      header.magic.store(kMagic, std::memory_order_release);
    } catch (...) {
      abandon();
      throw;
    }
  }

  // A creation that failed leaves nothing.
  void abandon() const noexcept {
    try {
      PlacedFiles(place_).remove();
    } catch (...) {  // no memory for a path: what is left is taken for an unfinished dictionary
    }
  }

  // Takes away what was removed under this name while others were attached, and whose members have all died since.
  void sweep_removed() const noexcept {
    try {
      std::error_code error;
      const std::string prefix = place_.removed_prefix();
      for (const auto& path : paths_in(place_.directory().parent_path(), error)) {
        if (!path.filename().string().starts_with(prefix)) continue;
        // A link, or another user's directory, which could become one at any moment, could lead to the files of a dictionary in use.
        const auto status = status_of(path);
        if (status && status->directory && status->mine) BasicLifecycle(name_, Place(path)).sweep();
      }
    } catch (...) {  // no memory, or not ours: another time
    }
  }

  void sweep() const {
    std::error_code error;
    const auto guard = LocalRegistry::instance().guard(place_.guard(), error);
    if (!guard) {
      // Who took it away couldn't end it. Nobody comes here anew.
      if (!error && !status_of(place_.guard(), error) && !error) PlacedFiles(place_).remove();
      return;
    }
    std::shared_ptr<Attachment> attachment;
    const Guard::Hold hold = guard->try_hold();
    if (!hold || !leads_to(*guard)) return;
    Finding found = finder_.inspect();
    if (found.state == State::foreign) return;  // of another layout: those of that version see whether it is in use
    if (found.state == State::complete) {
      attachment = find_or_map(found, guard);
      if (attachment->anyone_alive()) return;
      attachment->note_deaths();
      if (attachment->expects_child()) return;
    }
    PlacedFiles(place_).remove();
  }

  // Somewhere else than under the name, and without waiting.
  BasicLifecycle(std::string name, Place place) : name_(std::move(name)), place_(std::move(place)), deadline_(Clock::now()) {}

  std::string name_;
  Place place_;
  BasicFinder<Lazily> finder_{name_, place_};
  Clock::time_point deadline_;
  std::chrono::milliseconds timeout_{0};
  bool made_place_ = false;  // the directory or the guard's file
};

// See Lazily; so is list().
using Lifecycle = BasicLifecycle<Lazily>;

inline std::vector<std::string> list_dictionaries(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  const std::filesystem::path place = place_of(directory, {});
  std::error_code error;
  const auto paths = paths_in(place, error);
  if (error && error != std::errc::no_such_file_or_directory) fail(error, {}, "can't read " + place.string());
  for (const auto& path : paths) {
    const std::string file = path.filename().string();
    if (!file.starts_with(kDirectoryPrefix)) continue;
    const std::string name = file.substr(kDirectoryPrefix.size());
    if (!valid_name(name)) continue;
    try {
      if (Lifecycle(name, directory, std::chrono::milliseconds(0)).exists()) names.push_back(name);
    } catch (const Failure& refused) {
      // Somebody else's, or going away at this moment.
      const std::error_code& code = refused.code();
      if (code.category() != shared_dict_category() && code != std::errc::permission_denied) throw;
      if (code == errc::heap_full) throw;  // no memory to map it
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace shared_dict::detail
