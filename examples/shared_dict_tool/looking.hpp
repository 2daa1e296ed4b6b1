// A dictionary as the inspector sees it: mapped without its types, and without being one of its processes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/operations/snapshot.hpp>
#include <shared_dict/stats.hpp>

#include "values.hpp"

namespace tool {

namespace detail = shared_dict::detail;

enum class Life { alive, dead, unknown };
const char* to_text(Life life);

struct Process {
  std::uint32_t record = 0;
  std::uint32_t pid = 0;
  bool counted_here = false;  // its pid is of this program's PID namespace
  Life life = Life::unknown;
  std::uint32_t views = 0;  // and loans
  std::string command;      // empty if the system doesn't tell
};

struct HeldLock {
  std::string lock;
  std::uint32_t pid = 0;  // 0: a process that isn't attached any more
  Life owner = Life::unknown;
};

class Dictionary {
 public:
  /// \throws shared_dict::Error if there is none, or what is there can't be looked at.
  Dictionary(const std::string& name, const std::filesystem::path& directory);

  const std::string& name() const { return attachment_->name(); }
  const detail::Attachment& attachment() const { return *attachment_; }
  const detail::Segment& segment() const { return attachment_->segment(); }
  const detail::Identity& identity() const { return segment().identity(); }
  std::filesystem::path directory() const { return place_.directory(); }
  bool persistent() const { return identity().lifetime == 1; }
  std::string key_type() const { return printable({identity().key_name, identity().key_name_bytes}); }
  std::string value_type() const { return printable({identity().value_name, identity().value_name_bytes}); }

  shared_dict::Stats stats() const;
  std::uint64_t insertions() const;   // keys that were added, ever
  std::uint32_t dirty_locks() const;  // somebody died with them
  std::vector<Process> processes() const;
  std::vector<HeldLock> locks() const;

  /// Whether the name still leads to it.
  bool there() const;

  /// One of its processes for as long as this goes: what takes its locks has to be. It cleans up after the dead before.
  shared_dict::AuditReport audit();
  /// The same; all items as they are at one moment, to a file.
  void save(const std::filesystem::path& file, const detail::Progress& progress);
  /// The same; its items become those of the file.
  void load(const std::filesystem::path& file, const detail::Progress& progress);

  struct Reaped {
    std::vector<std::uint32_t> pids;
    bool removed = false;  // nobody was left, and it isn't persistent
  };
  Reaped reap();

 private:
  detail::Guard::Hold hold() const;
  detail::Writer join();
  Life life_of(std::uint32_t record) const;

  detail::Place place_;
  std::shared_ptr<detail::Attachment> attachment_;
  std::shared_ptr<detail::Guard> guard_;
};

/// persistent; attached: with a living process; abandoned: with none, so that it counts as gone.
std::string state_of(const Dictionary& dictionary, const std::vector<Process>& processes);

std::uint32_t count(const std::vector<Process>& processes, Life life);

}  // namespace tool
