// A socket on which lines are exchanged.
#pragma once

#include <cerrno>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace peers {

class LineSocket {
 public:
  LineSocket(std::string other_end, int socket) : other_end_(std::move(other_end)), socket_(socket) {
    const timeval limit{120, 0};
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;
  ~LineSocket() { ::close(socket_); }

  void write(std::string_view text) {
    while (!text.empty()) {
      const ssize_t n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) throw std::runtime_error(other_end_ + " is gone");
      text.remove_prefix(static_cast<std::size_t>(n));
    }
  }

  // The next line without its end. Valid until the next call, as is what bytes returns.
  std::string_view line() {
    std::size_t end = 0;
    for (std::size_t seen = 0; (end = buffer_.find('\n', taken_ + seen)) == std::string::npos;) {
      seen = buffer_.size() - taken_;
      read_more();
    }
    std::string_view text(buffer_.data() + taken_, end - taken_);
    taken_ = end + 1;
    if (text.ends_with('\r')) text.remove_suffix(1);
    return text;
  }
  std::string_view bytes(std::size_t count) {
    while (buffer_.size() - taken_ < count) read_more();
    taken_ += count;
    return {buffer_.data() + taken_ - count, count};
  }

 private:
  void read_more() {
    buffer_.erase(0, std::exchange(taken_, 0));
    char piece[16384];
    ssize_t n = 0;
    do n = ::recv(socket_, piece, sizeof piece, 0);
    while (n < 0 && errno == EINTR);
    if (n <= 0) throw std::runtime_error(other_end_ + " is gone, or hangs");
    buffer_.append(piece, static_cast<std::size_t>(n));
  }

  std::string other_end_;
  int socket_;
  std::string buffer_;
  std::size_t taken_ = 0;
};

}  // namespace peers
