// Another program that runs as long as the object lives, or as this process: a server, or Python.
#pragma once

#include "../support.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace peers {

inline bool is_installed(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    if (::access((folder + "/" + program).c_str(), X_OK) == 0) return true;
  }
  return false;
}

class Program {
 public:
  // What it says goes to `log`. `talk`, unless -1, becomes its standard input and output.
  Program(std::vector<std::string> command, std::filesystem::path log, int talk = -1) : log_(std::move(log)) {
    std::vector<char*> arguments;
    for (std::string& argument : command) arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it must not outlive this process, whatever that dies of
    if (::getppid() != parent) ::_exit(1);
    std::signal(SIGINT, SIG_IGN);
    const int nothing = ::open("/dev/null", O_RDONLY);
    const int output = ::open(log_.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(talk == -1 ? nothing : talk, STDIN_FILENO);
    ::dup2(talk == -1 ? output : talk, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::close_range(3, ~0U, 0);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program() {
    if (has_ended()) return;
    ::kill(pid_, SIGTERM);
    for (int tries = 0; tries < 100; ++tries) {
      if (has_ended()) return;
      ::usleep(20'000);
    }
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }

  bool has_ended() {
    if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = -1;
    return pid_ < 0;
  }

  // All its threads.
  void run_on(const std::vector<int>& cores) const {
    std::error_code ignored;
    for (const auto& thread : std::filesystem::directory_iterator("/proc/" + std::to_string(pid_) + "/task", ignored))
      benchmark_support::pin_to(cores, std::stoi(thread.path().filename()));
  }

  std::string last_words() const {
    std::ifstream file(log_);
    std::string line;
    std::string last = "(nothing)";
    while (std::getline(file, line))
      if (!line.empty()) last = line;
    return last;
  }

 private:
  std::filesystem::path log_;
  pid_t pid_ = -1;
};

}  // namespace peers
