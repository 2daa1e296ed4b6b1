#include "looking.hpp"

#include <algorithm>
#include <fstream>
#include <mutex>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/inspection.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

namespace tool {

namespace {

constexpr std::chrono::milliseconds kPatience{10'000};

detail::RecordState record_state(const detail::Segment& segment, std::uint32_t index) {
  return detail::RecordState(segment.record(index).state.load());
}

std::string command_of(std::uint32_t pid) {
  std::string command;
  std::getline(std::ifstream("/proc/" + std::to_string(pid) + "/comm"), command);
  return command;
}

}  // namespace

const char* to_text(Life life) {
  switch (life) {
    case Life::alive: return "alive";
    case Life::dead: return "dead";
    case Life::unknown: break;
  }
  return "unknown";
}

Dictionary::Dictionary(const std::string& name, const std::filesystem::path& directory)
    : place_((detail::require_valid_name(name), directory), name),
      attachment_(detail::Lifecycle(name, directory, kPatience).look()),
      guard_(detail::LocalRegistry::instance().guard(place_.guard())) {
  if (!guard_) detail::fail(shared_dict::errc::not_found, name, "it was removed at this moment");
}

shared_dict::Stats Dictionary::stats() const { return detail::collect_stats(*attachment_); }

std::uint64_t Dictionary::insertions() const {
  std::uint64_t all = 0;
  for (std::uint32_t i = 0; i < segment().shard_count(); ++i) all += segment().shard(i).insertions.load();
  return all;
}

std::uint32_t Dictionary::dirty_locks() const {
  std::uint32_t all = segment().header().pool.dirty.load() != 0 ? 1 : 0;
  for (std::uint32_t i = 0; i < segment().shard_count(); ++i) all += segment().shard(i).dirty.load() != 0 ? 1 : 0;
  return all;
}

Life Dictionary::life_of(std::uint32_t record) const {
  std::error_code error;
  const std::scoped_lock probing(guard_->process_mutex());
  const bool dead = attachment_->is_dead(record, error);
  return error ? Life::unknown : dead ? Life::dead : Life::alive;
}

std::vector<Process> Dictionary::processes() const {
  const std::uint64_t here = detail::current_process().pid_namespace;
  std::vector<Process> all;
  for (std::uint32_t i = 0; i < identity().max_processes; ++i) {
    const detail::RecordState before = record_state(segment(), i);
    if (!before.used()) continue;
    const detail::ProcessRecord& record = segment().record(i);
    Process process;
    process.record = i;
    process.pid = record.pid.load();
    process.counted_here = record.pid_namespace.load() == here;
    process.views = record.pins_live.load();
    process.life = life_of(i);
    if (process.counted_here && process.life == Life::alive) process.command = command_of(process.pid);
    // It has left meanwhile, and the record may be another one's.
    if (record_state(segment(), i).bits() != before.bits()) continue;
    all.push_back(std::move(process));
  }
  return all;
}

std::vector<HeldLock> Dictionary::locks() const {
  std::vector<HeldLock> all;
  const auto add = [&](const detail::Word32& word, std::string lock) {
    const detail::LockWord owner(word.load());
    if (owner.free()) return;
    HeldLock held{std::move(lock), 0, Life::unknown};
    if (owner.record() < identity().max_processes) {
      const detail::RecordState state = record_state(segment(), owner.record());
      if (state.used() && (state.generation() & detail::LockWord::kGenerationMask) == owner.generation()) {
        held.pid = attachment_->pid_of(owner);
        held.owner = life_of(owner.record());
      }
    }
    all.push_back(std::move(held));
  };
  for (std::uint32_t i = 0; i < segment().shard_count(); ++i)
    add(segment().shard(i).lock, "shard " + std::to_string(i));
  add(segment().header().limit_lock, "item limit");
  add(segment().header().pool.lock, "page pool");
  return all;
}

bool Dictionary::there() const {
  const auto status = detail::status_of(place_.segment());
  return status && status->id == segment().id();
}

detail::Guard::Hold Dictionary::hold() const {
  detail::Guard::Hold hold = guard_->hold_until(detail::deadline_after(detail::Clock::now(), kPatience));
  if (!hold) {
    detail::fail(shared_dict::errc::lock_timeout, name(),
                 "another process keeps " + place_.guard().string() + " locked: let it go on, or end it");
  }
  const auto status = detail::status_of(place_.guard());
  if (!there() || !status || status->id != guard_->id()) {
    detail::fail(shared_dict::errc::not_found, name(), "it was removed at this moment");
  }
  return hold;
}

detail::Writer Dictionary::join() {
  const detail::Guard::Hold held = hold();
  if (!persistent() && !attachment_->anyone_alive()) {
    detail::fail(shared_dict::errc::not_found, name(),
                 "its processes have all died and it isn't persistent, so it counts as gone: info, keys and get "
                 "still show it, reap takes it away");
  }
  attachment_->reap_dead();
  attachment_->register_process();
  return {*attachment_, kPatience};
}

shared_dict::AuditReport Dictionary::audit() { return detail::Audit(join()).run(); }

void Dictionary::save(const std::filesystem::path& file, const detail::Progress& progress) {
  detail::save(join(), file, progress);
}

void Dictionary::load(const std::filesystem::path& file, const detail::Progress& progress) {
  detail::load(join(), file, progress);
}

Dictionary::Reaped Dictionary::reap() {
  Reaped reaped;
  const detail::Guard::Hold held = hold();
  for (std::uint32_t i = 0; i < identity().max_processes; ++i) {
    if (record_state(segment(), i).used() && attachment_->is_dead(i))
      reaped.pids.push_back(segment().record(i).pid.load());
  }
  if (!persistent() && !attachment_->anyone_alive()) {
    detail::PlacedFiles(place_).remove();
    reaped.removed = true;
  } else {
    attachment_->reap_dead();
  }
  return reaped;
}

std::uint32_t count(const std::vector<Process>& processes, Life life) {
  return static_cast<std::uint32_t>(
      std::count_if(processes.begin(), processes.end(), [&](const Process& p) { return p.life == life; }));
}

std::string state_of(const Dictionary& dictionary, const std::vector<Process>& processes) {
  if (dictionary.persistent()) return "persistent";
  return count(processes, Life::dead) == processes.size() ? "abandoned" : "attached";
}

}  // namespace tool
