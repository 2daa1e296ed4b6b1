// What is known of a process.
#pragma once

#include <cstdint>

namespace shared_dict::detail {

struct ProcessIdentity {
  std::uint64_t pid_namespace = 0;  // 0: the system has none, or doesn't tell
  std::uint64_t start_time = 0;     // in the system's own unit; 0: unknown
  std::uint32_t pid = 0;

  friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

// What the system tells of a process. All zero if it tells nothing: there is no such process, or it can't be looked at.
struct ProcessState {
  std::uint64_t start_time = 0;
  bool zombie = false;  // ended, and not waited for
};

}  // namespace shared_dict::detail
