// Makes one system call or one allocation fail: the n-th that this thread makes while a fault is set.
//
// The program defines the functions of the C library that the library, Boost's file_lock and std::filesystem call (injector.cpp), so what
// is below the platform layer stays as it is. Only calls of a thread that has set a fault count; a forked child goes on with its parent's.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace shared_dict::test {

enum class FallibleCall : unsigned {
  allocate,
  open,
  create,  // open that may make the file
  close,
  fcntl,
  unlock,  // fcntl as well
  fstat,
  stat,
  lstat,
  pread,
  pwrite,
  fsync,
  flock,
  ftruncate,
  fallocate,
  mmap,
  munmap,
  futex,
  unlink,
  rmdir,
  rename,
  mkdir,
  fchmodat,
  fchmod,
  faccessat,
  opendir,
  readdir,
  fopen,
  fread,
  getentropy,
  kill,
  user_code,
  count
};

inline constexpr std::size_t kCalls = static_cast<std::size_t>(FallibleCall::count);

const char* name_of(FallibleCall call) noexcept;

/// Which call fails, and how.
struct Fault {
  std::uint64_t place = 0;  ///< 1 is the first call; 0: none, they are only counted
  std::size_t variant = 0;  ///< which of the errors that this kind of call can have
  bool lasting = false;     ///< so do all later calls of the same kind, if it is memory, space or descriptors that lack
};

/// What came of it.
struct Outcome {
  bool struck = false;
  FallibleCall call = FallibleCall::count;   ///< the one that failed
  int error = 0;             ///< what it failed with; 0 for an allocation
  std::size_t variants = 0;  ///< how many errors this kind of call can have
  std::uint64_t calls = 0;   ///< how many calls there were
};

/// From here on the calls of this thread count.
void set_fault(const Fault& fault) noexcept;
/// Until here.
Outcome end_fault() noexcept;

/// From here on, in all threads: posix_fallocate is interrupted as long as a signal could come to whoever calls it, as if one came each time. (A
/// thousand times: then it goes through all the same.)
void interrupt_fallocate() noexcept;
/// Until here. How often that was.
std::uint64_t end_interrupting_fallocate() noexcept;

/// What code of the user's throws if it is its turn to fail.
struct UserError {};

/// To be called by all functions that the library calls back.
void user_code();

/// How many calls of each kind have counted in this process so far.
const std::array<std::uint64_t, kCalls>& calls_so_far() noexcept;

/// Allocations by operator new that were not freed yet, of all threads.
std::int64_t live_allocations() noexcept;

}  // namespace shared_dict::test
