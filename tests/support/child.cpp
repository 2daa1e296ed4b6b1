#include "support/child.hpp"

#if defined(_WIN32)
#include <windows.h>

#include "support/windows_process.hpp"
#else
#include <sys/wait.h>
#include <unistd.h>
#endif

#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <stdexcept>
#include <system_error>
#include <utility>

#if defined(__linux__)
#include <sys/prctl.h>
#elif defined(__APPLE__)
#include <mach-o/dyld.h>
#endif

namespace shared_dict::test {
namespace {

// A function's static, since roles register themselves before main, in any order.
std::map<std::string, ChildMain>& roles() {
  static std::map<std::string, ChildMain> all;
  return all;
}

#if defined(_WIN32)

// As the C library of the started program takes it apart.
std::string quoted(const std::string& word) {
  std::string text = "\"";
  std::size_t backslashes = 0;
  for (const char c : word) {
    if (c == '"') text.append(backslashes + 1, '\\');
    backslashes = c == '\\' ? backslashes + 1 : 0;
    text += c;
  }
  return text.append(backslashes, '\\') + '"';
}

// Ends with the last handle, and its processes with it: so an aborted test run leaves nothing behind.
HANDLE job() {
  static const HANDLE all = [] {
    const HANDLE made = ::CreateJobObjectA(nullptr, nullptr);
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits{};
    limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    ::SetInformationJobObject(made, JobObjectExtendedLimitInformation, &limits, sizeof limits);
    return made;
  }();
  return all;
}

// What TerminateProcess lets a process end with; no test returns it.
constexpr DWORD kKilled = 0x4B1D;

#else

std::string this_program() {
#if defined(__APPLE__)
  std::string path(4096, '\0');
  auto size = static_cast<std::uint32_t>(path.size());
  if (::_NSGetExecutablePath(path.data(), &size) != 0) throw std::runtime_error("the path of this program is too long");
  return path.c_str();
#else
  // By its own path, as valgrind can't start /proc/self/exe; which is for a program that was built anew meanwhile.
  std::error_code none;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", none);
  return std::filesystem::exists(path, none) ? path.string() : "/proc/self/exe";
#endif
}

// The words of a command line, for exec.
class CommandLine {
 public:
  CommandLine(const std::string& role, const std::vector<std::string>& args) : words_{this_program(), "--child", role} {
    words_.insert(words_.end(), args.begin(), args.end());
    for (std::string& word : words_) argv_.push_back(word.data());
    argv_.push_back(nullptr);
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  /// Returns only if it failed.
  void exec() noexcept { ::execv(argv_[0], argv_.data()); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> argv_;
};

// Catch's handlers report a failed test case; in a child that is killed before its exec they would do so in its name.
void drop_signal_handlers() noexcept {
  for (const int signal : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT}) ::signal(signal, SIG_DFL);
}

bool is_main_thread() noexcept {
#if defined(__linux__)
  return ::gettid() == ::getpid();
#else
  return false;
#endif
}

#endif

}  // namespace

RegisterChild::RegisterChild(const char* role, ChildMain child_main) {
  if (!roles().emplace(role, child_main).second) {
    std::fprintf(stderr, "two child roles are called %s\n", role);
    std::abort();
  }
}

int run_child(const std::string& role, std::vector<std::string> args) {
  try {
    return roles().at(role)(std::move(args));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "child %s: %s\n", role.c_str(), error.what());
    return kChildThrew;
  }
}

#if defined(_WIN32)

Child Child::start(const std::string& role, const std::vector<std::string>& args) {
  if (!roles().contains(role)) throw std::invalid_argument("no child role is called " + role);
  char path[4096];
  const DWORD size = ::GetModuleFileNameA(nullptr, path, sizeof path);
  std::string command = quoted({path, size}) + " --child " + quoted(role);
  for (const std::string& arg : args) command += ' ' + quoted(arg);
  std::fflush(nullptr);
  PROCESS_INFORMATION started{};
  if (!start_process(command, started)) {
    throw std::system_error(static_cast<int>(::GetLastError()), std::system_category(), "can't start child " + role);
  }
  ::AssignProcessToJobObject(job(), started.hProcess);
  ::CloseHandle(started.hThread);
  Child child(role, static_cast<pid_t>(started.dwProcessId));
  child.process_ = started.hProcess;
  return child;
}

void Child::kill(int) {
  if (pid_ > 0 && !ended_) ::TerminateProcess(process_, kKilled);
}

// True once the child has ended.
bool Child::reap() noexcept {
  if (ended_) return true;
  DWORD status = 0;
  if (::WaitForSingleObject(process_, 0) != WAIT_OBJECT_0 || ::GetExitCodeProcess(process_, &status) == 0) return false;
  ::CloseHandle(process_);
  ended_ = true;
  status_ = status == kKilled ? -SIGKILL : static_cast<int>(status);
  return true;
}

void Child::end() noexcept {
  if (pid_ < 0 || ended_) return;
  ::TerminateProcess(process_, kKilled);
  ::WaitForSingleObject(process_, INFINITE);
  reap();
}

#else

void die_with(pid_t parent) noexcept {
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
#else
  static_cast<void>(parent);
#endif
}

void become_child(const std::string& role, const std::vector<std::string>& args) {
  CommandLine(role, args).exec();
  throw std::system_error(errno, std::generic_category(), "exec as child " + role);
}

Child Child::start(const std::string& role, const std::vector<std::string>& args) {
  if (!roles().contains(role)) throw std::invalid_argument("no child role is called " + role);
  // All memory is allocated before the fork: another thread may hold the allocator's lock during it.
  CommandLine command(role, args);

  std::fflush(nullptr);
  const pid_t parent = ::getpid();
  const bool bound = is_main_thread();
  // Held back until the child has dropped the handlers that it inherits.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) drop_signal_handlers();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork for child " + role);
  if (pid == 0) {
    if (bound) die_with(parent);
    command.exec();
    ::_exit(127);
  }
  return {role, pid};
}

void Child::kill(int signal) {
  if (pid_ > 0 && !ended_) ::kill(pid_, signal);
}

// True once the child has ended. waitpid never hangs here, so a deadline stays with the caller.
bool Child::reap() noexcept {
  if (ended_) return true;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  ended_ = true;
  status_ = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  return true;
}

void Child::end() noexcept {
  if (pid_ < 0 || ended_) return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  ended_ = true;
  status_ = -SIGKILL;
}

#endif

void Child::take_handle([[maybe_unused]] Child& other) noexcept {
#if defined(_WIN32)
  process_ = std::exchange(other.process_, nullptr);
#endif
}

Child::Child(Child&& other) noexcept
    : role_(std::move(other.role_)),
      pid_(std::exchange(other.pid_, -1)),
      ended_(other.ended_),
      status_(other.status_) {
  take_handle(other);
}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    end();
    role_ = std::move(other.role_);
    pid_ = std::exchange(other.pid_, -1);
    ended_ = other.ended_;
    status_ = other.status_;
    take_handle(other);
  }
  return *this;
}

Child::~Child() { end(); }

int Child::wait(std::chrono::milliseconds deadline) {
  if (pid_ < 0) throw std::logic_error("wait for a child that was moved from");
  if (!eventually([this] { return reap(); }, deadline)) {
    end();
    throw std::runtime_error("child " + role_ + " still ran after " + std::to_string(deadline.count()) +
                             " ms and was killed");
  }
  return status_;
}

}  // namespace shared_dict::test
