// A server that listens at a Unix socket.
#pragma once

#include "peer.hpp"
#include "program.hpp"

#include <chrono>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace peers {

// -1 if nobody listens there.
inline int connect_to(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) throw std::runtime_error(path.string() + " is too long");
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return socket;
  ::close(socket);
  return -1;
}

class Server : public Host {
 public:
  // Returns when it listens.
  Server(std::vector<std::string> command, const std::filesystem::path& socket)
      : program_(std::move(command), std::filesystem::path(socket).replace_extension("log")) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    int connection = -1;
    while ((connection = connect_to(socket)) == -1) {
      if (program_.has_ended() || std::chrono::steady_clock::now() > deadline)
        throw std::runtime_error("nobody listens at " + socket.string() +
                                 "; the server said: " + program_.last_words());
      ::usleep(10'000);
    }
    ::close(connection);
  }
  void run_on(const std::vector<int>& cores) override { program_.run_on(cores); }

 private:
  Program program_;
};

}  // namespace peers
