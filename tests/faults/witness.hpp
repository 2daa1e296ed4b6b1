// Another member of the dictionary under test: a process in which nothing fails, and which must not notice that elsewhere something does.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"

namespace shared_dict::test {

template <class Dict>
class Witness {
 public:
  using Items = std::vector<std::pair<typename Dict::key_type, typename Dict::mapped_type>>;

  /// To be made while this process has no dictionary open. `items` are what it writes, under keys that nobody else uses.
  Witness(const std::string& name, const Options& options, const Items& items)
      : ends_(make_ends()), child_([&](auto) { return serve(name, options, items); }) {
    ::close(ends_.child);
  }
  Witness(const Witness&) = delete;
  Witness& operator=(const Witness&) = delete;
  ~Witness() { ::close(ends_.parent); }

  void attach() { ask('a'); }
  void detach() { ask('d'); }
  /// It makes the dictionary itself, and stores its first item.
  void create() { ask('n'); }
  /// Reads, writes in all shards, and audits. Throws what it found wrong.
  void check() { ask('c'); }
  /// As check(), for a dictionary in which somebody had died.
  void check_after_death() { ask('C'); }
  /// It stores its first item, soon; await() waits for it.
  void tell() { send('t'); }
  void await() { receive(); }

 private:
  struct Ends {
    int parent;
    int child;
  };
  struct Reply {
    char text[512];
  };

  static Ends make_ends() {
    int both[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, both) != 0) {
      throw std::system_error(errno, std::generic_category(), "socketpair");
    }
    return {both[0], both[1]};
  }

  void ask(char what) {
    send(what);
    receive();
  }

  void send(char what) {
    if (::write(ends_.parent, &what, 1) != 1)
      throw std::system_error(errno, std::generic_category(), "write to the witness");
  }

  void receive() {
    pollfd waiting{ends_.parent, POLLIN, 0};
    Reply reply{};
    if (::poll(&waiting, 1, static_cast<int>(std::chrono::milliseconds(2 * kHangDeadline).count())) != 1 ||
        ::read(ends_.parent, &reply, sizeof reply) != static_cast<ssize_t>(sizeof reply)) {
      throw std::runtime_error("the witness doesn't answer");
    }
    if (reply.text[0] != '\0') throw std::runtime_error(std::string("the witness: ") + reply.text);
  }

  // ---- in the child

  int serve(const std::string& name, const Options& options, const Items& items) {
    ::close(ends_.parent);
    std::optional<Dict> d;
    char what = 0;
    while (::read(ends_.child, &what, 1) == 1) {
      Reply reply{};
      try {
        const std::string wrong = obey(what, d, name, options, items);
        std::snprintf(reply.text, sizeof reply.text, "%s", wrong.c_str());
      } catch (const std::exception& error) {
        std::snprintf(reply.text, sizeof reply.text, "%c: %s", what, error.what());
      }
      if (::write(ends_.child, &reply, sizeof reply) != static_cast<ssize_t>(sizeof reply)) break;
    }
    return 0;
  }

  std::string obey(char what, std::optional<Dict>& d, const std::string& name, const Options& options,
                   const Items& items) {
    switch (what) {
      case 'a': d.emplace(Dict::attach(name, options)); return {};
      case 'n':
        d.emplace(Dict::create(name, options));
        d->insert(items.front().first, items.front().second);
        return {};
      case 'd': d.reset(); return {};
      case 't': d->insert_or_assign(items.front().first, items.front().second); return {};
      case 'c':
      case 'C': return look(*d, items, what == 'C');
      default: return "no such question";
    }
  }

  static std::string look(Dict& d, const Items& items, bool death) {
    for (const auto& [key, value] : items) d.erase(key);
    const auto before = d.size();
    for (const auto& [key, value] : items) d.insert(key, value);
    if (const std::string wrong = problems_of(d); !wrong.empty()) return wrong;
    for (const auto& [key, value] : items) {
      if (!d.erase(key)) return "a key has gone";
    }
    if (d.size() != before) return "the size is wrong";
    if (!death && d.stats().recoveries != 0) return "somebody was taken for dead";
    if (d.gc_stats().retired_blocks != 0) return "a block is retired still";
    return {};
  }

  Ends ends_;
  Forked child_;
};

}  // namespace shared_dict::test
