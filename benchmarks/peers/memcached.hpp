// memcached at a Unix socket, with its text protocol. One command at a time.
#pragma once

#include "line_socket.hpp"
#include "peer.hpp"
#include "server.hpp"

#include <charconv>
#include <cstddef>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace peers {

class Memcached {
 public:
  static constexpr bool kSlow = true;

  static std::string socket(const Setting& setting) { return setting.place / "memcached.socket"; }

  explicit Memcached(const Setting& setting)
      : socket_(std::make_unique<LineSocket>("memcached", connect_to(socket(setting)))), data_(setting.data) {}

  bool insert(const std::string& key, const std::string& value) { return store("add ", key, value); }
  void insert_or_assign(const std::string& key, const std::string& value) { store("set ", key, value); }
  bool read(const std::string& key, std::string& out) const {
    const std::string_view first = ask("get ", key);
    if (first == "END") return false;
    // VALUE key flags size
    std::size_t size = 0;
    const char* const end = first.data() + first.size();
    if (!first.starts_with("VALUE ") || std::from_chars(first.data() + first.rfind(' ') + 1, end, size).ptr != end)
      refuse(first);
    out = socket_->bytes(size);
    socket_->bytes(2);
    if (const std::string_view last = socket_->line(); last != "END") refuse(last);
    return true;
  }
  bool erase(const std::string& key) { return is("DELETED", "NOT_FOUND", ask("delete ", key)); }
  bool contains(const std::string& key) const { return is("HD", "EN", ask("mg ", key)); }
  std::size_t size() const {
    constexpr std::string_view kItems = "STAT curr_items ";
    std::string_view line = ask("stats", "");
    std::size_t items = 0;
    for (; line.starts_with("STAT "); line = socket_->line()) {
      if (line.starts_with(kItems)) std::from_chars(line.data() + kItems.size(), line.data() + line.size(), items);
    }
    return items;
  }
  // flush_all isn't used: it spares what was written in the same second.
  void clear() {
    for (const std::string& key : data_.keys) erase(key);
  }

 private:
  [[noreturn]] static void refuse(std::string_view answer) {
    throw std::runtime_error("memcached answers '" + std::string(answer) + "'");
  }
  static bool is(std::string_view yes, std::string_view no, std::string_view answer) {
    if (answer != yes && answer != no) refuse(answer);
    return answer == yes;
  }

  std::string_view ask(std::string_view command, std::string_view key) const {
    request_ = command;
    request_ += key;
    request_ += "\r\n";
    socket_->write(request_);
    return socket_->line();
  }
  bool store(std::string_view command, const std::string& key, const std::string& value) {
    request_ = command;
    request_ += key;
    request_ += " 0 0 ";
    request_ += std::to_string(value.size());
    request_ += "\r\n";
    request_ += value;
    request_ += "\r\n";
    socket_->write(request_);
    return is("STORED", "NOT_STORED", socket_->line());
  }

  std::unique_ptr<LineSocket> socket_;
  const Data& data_;
  mutable std::string request_;
};

// With memory for all items, and an error (-M) instead of forgetting some if that isn't enough.
inline std::unique_ptr<Host> memcached_server(const Setting& setting) {
  const std::string socket = Memcached::socket(setting);
  const std::size_t megabytes = (setting.bytes() * 3 + setting.data.keys.size() * 200) / 1'000'000 + 128;
  return std::make_unique<Server>(std::vector<std::string>{"memcached", "-s", socket, "-a", "0700", "-u", "root", "-M",
                                                           "-m", std::to_string(megabytes)},
                                  socket);
}

inline Peer memcached() {
  return {"memcached", false, "memcached", memcached_server,
          [](const Setting& s, std::size_t) { return run_with(std::make_shared<Memcached>(s), s.data); }};
}

}  // namespace peers
