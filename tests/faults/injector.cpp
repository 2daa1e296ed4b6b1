// The functions of the C library in whose place this program has its own, and operator new.
#include "faults/injector.hpp"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <new>
#include <type_traits>
#include <utility>

namespace shared_dict::test {
namespace {

struct Kind {
  const char* name;
  std::array<int, 4> errors;  // up to the first 0
};

// In the order of FallibleCall. What each call can fail with on a machine that works, as its manual page tells.
constexpr std::array<Kind, kCalls> kKinds{{
    {"allocate", {}},
    {"open", {EMFILE, EINTR, EACCES}},
    {"create", {EMFILE, EINTR, EACCES, ENOSPC}},
    {"close", {EINTR, EIO}},
    {"fcntl", {EINTR, ENOLCK, EDEADLK}},  // EAGAIN: somebody else has the lock
    {"unlock", {EINTR, ENOLCK}},
    {"fstat", {ENOMEM, EIO}},
    {"stat", {EACCES, ENOMEM}},
    {"lstat", {EACCES, ENOMEM, EIO}},
    {"pread", {EINTR, EIO}},
    {"pwrite", {EINTR, ENOSPC, EFBIG, EIO}},
    {"fsync", {EINTR, ENOSPC, EIO}},
    {"flock", {EINTR, ENOLCK}},
    {"ftruncate", {EINTR, EFBIG, EIO}},
    {"fallocate", {ENOSPC, EINTR, EFBIG, EIO}},
    {"mmap", {ENOMEM, EAGAIN}},
    {"munmap", {ENOMEM}},
    {"futex", {EINTR, EAGAIN, ENOMEM}},
    {"unlink", {EACCES, EIO}},
    {"rmdir", {EBUSY, EIO}},
    {"rename", {EACCES, ENOSPC}},
    {"mkdir", {ENOSPC, EACCES}},
    {"fchmodat", {EPERM, EOPNOTSUPP}},
    {"fchmod", {EPERM, EIO}},
    {"faccessat", {EACCES, ENOMEM}},
    {"opendir", {EMFILE, ENOMEM}},
    {"readdir", {EIO}},
    {"fopen", {EMFILE, ENOENT}},
    {"fread", {EINTR, EIO}},
    {"getentropy", {ENOSYS, EIO}},
    {"kill", {EPERM}},
    {"user_code", {}},
}};

struct State {
  bool set;
  Fault fault;
  Outcome outcome;
};
thread_local constinit State state{};
constinit std::array<std::uint64_t, kCalls> totals{};
constinit std::atomic<std::int64_t> live{0};

const Kind& kind_of(FallibleCall call) noexcept { return kKinds[static_cast<std::size_t>(call)]; }

// A lack goes on; all else is over when it has happened.
bool lasts(const Outcome& outcome) noexcept {
  const int error = outcome.error;
  return outcome.call == FallibleCall::allocate || error == ENOMEM || error == ENOSPC || error == EMFILE || error == EFBIG;
}

// Whether this call fails for the reason for which another one has failed.
bool alike(FallibleCall call, const Outcome& outcome) noexcept {
  const auto opens = [](FallibleCall c) {
    return c == FallibleCall::open || c == FallibleCall::create || c == FallibleCall::opendir || c == FallibleCall::fopen;
  };
  return call == outcome.call || (outcome.error == EMFILE && opens(call) && opens(outcome.call));
}

// Whether this call fails; errno is set then.
bool fails(FallibleCall call) noexcept {
  if (!state.set) return false;
  Outcome& outcome = state.outcome;
  ++outcome.calls;
  ++totals[static_cast<std::size_t>(call)];
  if (outcome.struck) {
    if (!state.fault.lasting || !lasts(outcome) || !alike(call, outcome)) return false;
  } else {
    if (outcome.calls != state.fault.place) return false;
    outcome.struck = true;
    outcome.call = call;
    const auto& errors = kind_of(call).errors;
    while (outcome.variants < errors.size() && errors[outcome.variants] != 0) ++outcome.variants;
    if (outcome.variants == 0) outcome.variants = 1;
    outcome.error = errors[state.fault.variant];
  }
  if (outcome.error != 0) errno = outcome.error;
  return true;
}

std::atomic<bool> interrupting{false};
std::atomic<std::uint64_t> interruptions{0};

// Whether this thread lets a timer's signal come.
bool may_be_interrupted() noexcept {
  sigset_t held;
  return ::pthread_sigmask(SIG_SETMASK, nullptr, &held) == 0 && ::sigismember(&held, SIGPROF) == 0;
}

// Whether a call of posix_fallocate is interrupted.
bool interrupts_fallocate() noexcept {
  constexpr std::uint64_t kPatience = 1000;
  return interrupting.load() && may_be_interrupted() && interruptions.fetch_add(1) < kPatience;
}

// The C library's function of this name.
template <class Function>
Function* next(const char* name) noexcept {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

void* allocate(std::size_t size) noexcept {
  if (fails(FallibleCall::allocate)) return nullptr;
  void* const at = std::malloc(size == 0 ? 1 : size);
  if (at != nullptr) live.fetch_add(1, std::memory_order_relaxed);
  return at;
}

void* allocate_or_throw(std::size_t size) {
  void* const at = allocate(size);
  if (at == nullptr) throw std::bad_alloc();
  return at;
}

void release(void* at) noexcept {
  if (at != nullptr) live.fetch_sub(1, std::memory_order_relaxed);
  std::free(at);
}

}  // namespace

const char* name_of(FallibleCall call) noexcept { return call == FallibleCall::count ? "none" : kind_of(call).name; }

void set_fault(const Fault& fault) noexcept { state = {true, fault, {}}; }

Outcome end_fault() noexcept {
  state.set = false;
  return state.outcome;
}

void interrupt_fallocate() noexcept {
  interruptions = 0;
  interrupting = true;
}
std::uint64_t end_interrupting_fallocate() noexcept {
  interrupting = false;
  return interruptions;
}

void user_code() {
  if (fails(FallibleCall::user_code)) throw UserError();
}

const std::array<std::uint64_t, kCalls>& calls_so_far() noexcept { return totals; }

std::int64_t live_allocations() noexcept { return live.load(std::memory_order_relaxed); }

}  // namespace shared_dict::test

using shared_dict::test::FallibleCall;
using shared_dict::test::fails;
using shared_dict::test::interrupts_fallocate;
using shared_dict::test::next;

void* operator new(std::size_t size) { return shared_dict::test::allocate_or_throw(size); }
void* operator new[](std::size_t size) { return shared_dict::test::allocate_or_throw(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return shared_dict::test::allocate(size); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return shared_dict::test::allocate(size); }
void operator delete(void* at) noexcept { shared_dict::test::release(at); }
void operator delete[](void* at) noexcept { shared_dict::test::release(at); }
void operator delete(void* at, std::size_t) noexcept { shared_dict::test::release(at); }
void operator delete[](void* at, std::size_t) noexcept { shared_dict::test::release(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { shared_dict::test::release(at); }
void operator delete[](void* at, const std::nothrow_t&) noexcept { shared_dict::test::release(at); }

// The C library's own declarations say what may not be null, and that some of these can't throw.
extern "C" {

int open(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & O_CREAT) != 0) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return fails((flags & O_CREAT) != 0 ? FallibleCall::create : FallibleCall::open)
             ? -1
             : static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

// Closed it is, whatever it returns.
int close(int descriptor) {
  const auto status = static_cast<int>(::syscall(SYS_close, descriptor));
  return fails(FallibleCall::close) ? -1 : status;
}

int fcntl(int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  static auto* const real = next<int(int, int, ...)>("fcntl");
  if (command == F_SETFD) return real(descriptor, command, argument);  // fails for nobody who has the descriptor
  const bool unlock = command == F_SETLK && static_cast<struct flock*>(argument)->l_type == F_UNLCK;
  return fails(unlock ? FallibleCall::unlock : FallibleCall::fcntl) ? -1 : real(descriptor, command, argument);
}

int fstat(int descriptor, struct stat* to) noexcept {
  static auto* const real = next<int(int, struct stat*)>("fstat");
  return fails(FallibleCall::fstat) ? -1 : real(descriptor, to);
}

int stat(const char* path, struct stat* to) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("stat");
  return fails(FallibleCall::stat) ? -1 : real(path, to);
}

int lstat(const char* path, struct stat* to) noexcept {
  static auto* const real = next<int(const char*, struct stat*)>("lstat");
  return fails(FallibleCall::lstat) ? -1 : real(path, to);
}

ssize_t pread(int descriptor, void* to, size_t size, off_t at) {
  static auto* const real = next<ssize_t(int, void*, size_t, off_t)>("pread");
  return fails(FallibleCall::pread) ? -1 : real(descriptor, to, size, at);
}

ssize_t pwrite(int descriptor, const void* from, size_t size, off_t at) {
  static auto* const real = next<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return fails(FallibleCall::pwrite) ? -1 : real(descriptor, from, size, at);
}

int ftruncate(int descriptor, off_t size) noexcept {
  static auto* const real = next<int(int, off_t)>("ftruncate");
  return fails(FallibleCall::ftruncate) ? -1 : real(descriptor, size);
}

// Returns its error.
int posix_fallocate(int descriptor, off_t at, off_t size) {
  static auto* const real = next<int(int, off_t, off_t)>("posix_fallocate");
  if (interrupts_fallocate()) return EINTR;
  return fails(FallibleCall::fallocate) ? errno : real(descriptor, at, size);
}

void* mmap(void* where, size_t size, int protection, int flags, int descriptor, off_t at) noexcept {
  static auto* const real = next<void*(void*, size_t, int, int, int, off_t)>("mmap");
  return fails(FallibleCall::mmap) ? MAP_FAILED : real(where, size, protection, flags, descriptor, at);
}

// Nobody can do anything about its failure; it goes through all the same.
int munmap(void* at, size_t size) noexcept {
  static auto* const real = next<int(void*, size_t)>("munmap");
  const int status = real(at, size);
  return fails(FallibleCall::munmap) ? -1 : status;
}

// All arguments that there may be: mostly there are fewer, and what stands there instead isn't for AddressSanitizer to judge.
__attribute__((no_sanitize("address"))) long syscall(long number, ...) noexcept {
  va_list arguments;
  va_start(arguments, number);
  long all[6];
  for (long& argument : all) argument = va_arg(arguments, long);
  va_end(arguments);
  static auto* const real = next<long(long, ...)>("syscall");
  if (number == SYS_futex && fails(FallibleCall::futex)) return -1;
  return real(number, all[0], all[1], all[2], all[3], all[4], all[5]);
}

int fsync(int descriptor) {
  static auto* const real = next<int(int)>("fsync");
  return fails(FallibleCall::fsync) ? -1 : real(descriptor);
}

// To let go never fails.
int flock(int descriptor, int operation) noexcept {
  static auto* const real = next<int(int, int)>("flock");
  return operation != LOCK_UN && fails(FallibleCall::flock) ? -1 : real(descriptor, operation);
}

int unlink(const char* path) noexcept {
  static auto* const real = next<int(const char*)>("unlink");
  return fails(FallibleCall::unlink) ? -1 : real(path);
}

int rmdir(const char* path) noexcept {
  static auto* const real = next<int(const char*)>("rmdir");
  return fails(FallibleCall::rmdir) ? -1 : real(path);
}

int rename(const char* from, const char* to) noexcept {
  static auto* const real = next<int(const char*, const char*)>("rename");
  return fails(FallibleCall::rename) ? -1 : real(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  static auto* const real = next<int(const char*, mode_t)>("mkdir");
  return fails(FallibleCall::mkdir) ? -1 : real(path, mode);
}

int fchmodat(int descriptor, const char* path, mode_t mode, int flags) noexcept {
  static auto* const real = next<int(int, const char*, mode_t, int)>("fchmodat");
  return fails(FallibleCall::fchmodat) ? -1 : real(descriptor, path, mode, flags);
}

int fchmod(int descriptor, mode_t mode) noexcept {
  static auto* const real = next<int(int, mode_t)>("fchmod");
  return fails(FallibleCall::fchmod) ? -1 : real(descriptor, mode);
}

int faccessat(int directory, const char* path, int mode, int flags) noexcept {
  static auto* const real = next<int(int, const char*, int, int)>("faccessat");
  return fails(FallibleCall::faccessat) ? -1 : real(directory, path, mode, flags);
}

DIR* opendir(const char* path) {
  static auto* const real = next<DIR*(const char*)>("opendir");
  return fails(FallibleCall::opendir) ? nullptr : real(path);
}

// std::filesystem opens directories so.
DIR* fdopendir(int descriptor) {
  static auto* const real = next<DIR*(int)>("fdopendir");
  return fails(FallibleCall::opendir) ? nullptr : real(descriptor);
}

struct dirent* readdir(DIR* directory) {
  static auto* const real = next<struct dirent*(DIR*)>("readdir");
  return fails(FallibleCall::readdir) ? nullptr : real(directory);
}

FILE* fopen(const char* path, const char* mode) {
  static auto* const real = next<FILE*(const char*, const char*)>("fopen");
  return fails(FallibleCall::fopen) ? nullptr : real(path, mode);
}

size_t fread(void* to, size_t size, size_t count, FILE* file) {
  static auto* const real = next<size_t(void*, size_t, size_t, FILE*)>("fread");
  return fails(FallibleCall::fread) ? 0 : real(to, size, count, file);
}

int getentropy(void* to, size_t size) {
  static auto* const real = next<int(void*, size_t)>("getentropy");
  return fails(FallibleCall::getentropy) ? -1 : real(to, size);
}

int kill(pid_t pid, int signal) noexcept {
  static auto* const real = next<int(pid_t, int)>("kill");
  return fails(FallibleCall::kill) ? -1 : real(pid, signal);
}
}
