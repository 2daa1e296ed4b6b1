// Redis at a Unix socket, through hiredis. One command at a time: a program that needs the answer can't pipeline.
#pragma once

#include "peer.hpp"
#include "server.hpp"

#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <hiredis/hiredis.h>

namespace peers {

class Redis {
 public:
  static constexpr bool kSlow = true;

  static std::string socket(const Setting& setting) { return setting.place / "redis.socket"; }

  explicit Redis(const Setting& setting) : context_(redisConnectUnix(socket(setting).c_str())) {
    if (!context_ || context_->err != 0)
      throw std::runtime_error(std::string("Redis: ") + (context_ ? context_->errstr : "no memory"));
  }

  bool insert(const std::string& key, const std::string& value) {
    return ask({"SET", key, value, "NX"})->type != REDIS_REPLY_NIL;
  }
  void insert_or_assign(const std::string& key, const std::string& value) { ask({"SET", key, value}); }
  bool read(const std::string& key, std::string& out) const {
    const Reply reply = ask({"GET", key});
    if (reply->type != REDIS_REPLY_STRING) return false;
    out.assign(reply->str, reply->len);
    return true;
  }
  bool erase(const std::string& key) { return ask({"DEL", key})->integer == 1; }
  bool contains(const std::string& key) const { return ask({"EXISTS", key})->integer == 1; }
  std::size_t size() const { return static_cast<std::size_t>(ask({"DBSIZE"})->integer); }
  void clear() { ask({"FLUSHALL"}); }

 private:
  struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  using Reply = std::unique_ptr<redisReply, Free>;

  Reply ask(std::initializer_list<std::string_view> words) const {
    std::array<const char*, 4> texts{};
    std::array<std::size_t, 4> sizes{};
    int count = 0;
    for (std::string_view word : words) {
      texts.at(static_cast<std::size_t>(count)) = word.data();
      sizes.at(static_cast<std::size_t>(count++)) = word.size();
    }
    Reply reply(static_cast<redisReply*>(redisCommandArgv(context_.get(), count, texts.data(), sizes.data())));
    if (!reply) throw std::runtime_error(std::string("Redis: ") + context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + reply->str);
    return reply;
  }

  std::unique_ptr<redisContext, Free> context_;
};

// No TCP port, and nothing is written to a disk.
inline std::unique_ptr<Host> redis_server(const Setting& setting) {
  const std::string socket = Redis::socket(setting);
  return std::make_unique<Server>(
      std::vector<std::string>{"redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly",
                               "no", "--daemonize", "no", "--dir", setting.place},
      socket);
}

inline Peer redis() {
  return {"Redis", false, "redis-server", redis_server,
          [](const Setting& s, std::size_t) { return run_with(std::make_shared<Redis>(s), s.data); }};
}

}  // namespace peers
