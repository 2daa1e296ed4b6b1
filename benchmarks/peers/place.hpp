// A directory in memory for everything that the peers put into files, and somebody who removes it.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace peers {

// A child waits until this process and all workers are gone, however they ended, and sweeps then: the directory, and what
// lies next to it and is called PLACE.something.
class Place {
 public:
  Place() {
    const auto memory = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path();
    std::string pattern = memory / "peers_bench.XXXXXX";
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("can't make a directory in " + memory.string());
    path_ = pattern;
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      sweep();
      throw std::runtime_error("pipe failed");
    }
    sweeper_ = ::fork();
    if (sweeper_ == 0) {
      ::close(ends[1]);
      for (int signal : {SIGINT, SIGTERM, SIGHUP}) std::signal(signal, SIG_IGN);
      char nothing = 0;
      while (::read(ends[0], &nothing, 1) > 0) {
      }
      sweep();
      ::_exit(0);
    }
    ::close(ends[0]);
    held_ = ends[1];
    if (sweeper_ < 0) {
      sweep();
      throw std::runtime_error("fork failed");
    }
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    ::close(held_);
    ::waitpid(sweeper_, nullptr, 0);
  }

  const std::filesystem::path& path() const { return path_; }

 private:
  void sweep() const noexcept {
    std::error_code ignored;
    const std::string prefix = path_.filename().string() + ".";
    for (const auto& entry : std::filesystem::directory_iterator(path_.parent_path(), ignored)) {
      if (entry.path().filename().string().starts_with(prefix)) std::filesystem::remove_all(entry.path(), ignored);
    }
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path path_;
  pid_t sweeper_ = -1;
  int held_ = -1;
};

}  // namespace peers
