// Python's multiprocessing.Manager().dict(): a dictionary in a server process, behind proxies. manager.py has both.
//
// Each worker has a Python process of its own, on its core, that runs the rows and sends back the figures.
#pragma once

#include "line_socket.hpp"
#include "peer.hpp"
#include "program.hpp"

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <sys/socket.h>

namespace peers {

class Python {
 public:
  Python(const Setting& setting, const std::string& name, std::vector<std::string> arguments)
      : Python(setting, name, std::move(arguments), make_ends()) {}

  std::string ask(const std::string& line) {
    socket_.write(line + "\n");
    return answer();
  }
  void run_on(const std::vector<int>& cores) const { program_.run_on(cores); }

 private:
  Python(const Setting& setting, const std::string& name, std::vector<std::string> arguments, std::array<int, 2> ends)
      : program_(command(setting, std::move(arguments)), setting.place / (name + ".log"), ends[1]),
        socket_("Python", ends[0]) {
    ::close(ends[1]);
    if (answer() != "ready") throw std::runtime_error("Python doesn't start");
  }

  static std::vector<std::string> command(const Setting& setting, std::vector<std::string> arguments) {
    std::vector<std::string> all{"python3", PEERS_FOLDER "/manager.py", setting.place / "manager.socket"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }
  static std::array<int, 2> make_ends() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
      throw std::runtime_error("socketpair failed");
    return ends;
  }
  std::string answer() {
    try {
      return std::string(socket_.line());
    } catch (const std::runtime_error& e) {
      throw std::runtime_error(std::string(e.what()) + "; it said: " + program_.last_words());
    }
  }

  Program program_;
  LineSocket socket_;
};

class ManagerServer : public Host {
 public:
  explicit ManagerServer(const Setting& setting) : python_(setting, "manager", {"serve"}) {}
  void run_on(const std::vector<int>& cores) override { python_.run_on(cores); }

 private:
  Python python_;
};

inline std::string manager_row(Work work) {
  switch (work) {
    case Work::insert: return "insert";
    case Work::read: return "read";
    case Work::write: return "write";
    case Work::mixed: return "mixed";
    case Work::erase_insert: return "erase_insert";
    case Work::miss: return "miss";
    case Work::insert_new:
    case Work::fetch_add:
    case Work::fetch_add_one: break;
  }
  throw std::logic_error("manager.py has no such row");
}

inline Run open_manager(const Setting& setting, std::size_t worker) {
  const auto python = std::make_shared<Python>(
      setting, "python" + std::to_string(worker),
      std::vector<std::string>{"measure", std::to_string(setting.data.keys.size()), std::to_string(kKeySize),
                               std::to_string(setting.data.values[0].size()), std::to_string(worker)});
  return [python](const Command& command, const Operations&) {
    std::ostringstream line;
    line << manager_row(command.work) << ' ' << command.seconds << ' ' << command.writes;
    std::istringstream answer(python->ask(line.str()));
    Sample sample;
    if (!(answer >> sample.operations >> sample.seconds >> sample.wrong))
      throw std::runtime_error("Python answers '" + answer.str() + "'");
    return sample;
  };
}

inline Peer manager() {
  return {"Python Manager().dict()", false, "python3",
          [](const Setting& s) { return std::make_unique<ManagerServer>(s); }, open_manager};
}

}  // namespace peers
