// Two processes, one dictionary: this program starts itself again, and the parent sees the child's update at once.
//
//   two_processes                 the parent: creates a dictionary, starts the child, reads what it wrote
//   two_processes child NAME FD   the child: attaches by name, reads, updates, says so by a byte on the pipe FD
#include <shared_dict/shared_dict.hpp>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using Prices = shared_dict::SharedDict<std::string, std::vector<double>>;

std::string to_text(const std::vector<double>& prices) {
  std::string text;
  for (double price : prices) text += (text.empty() ? "" : ", ") + std::to_string(price).substr(0, 4);
  return "[" + text + "]";
}

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

int child(const std::string& name, int done) {
  auto prices = Prices::attach(name);
  std::cout << "child  " << ::getpid() << ": attached, reads apples = " << to_text(prices.at("apples")) << std::endl;
  prices.modify("apples", [](auto& v) { v.push_back(1.35); });
  prices["pears"] = std::vector<double>{2.5};
  std::cout << "child  " << ::getpid() << ": appended a price to apples and added pears" << std::endl;
  if (::write(done, "!", 1) != 1) fail("write");
  return 0;
}

// Starts this program as the child; `done` becomes the end of a pipe on which the child reports.
pid_t start_child(char* program, const std::string& name, int& done) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) fail("pipe");
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    ::close(ends[0]);
    std::string mode = "child";
    std::string dictionary = name;
    std::string pipe_end = std::to_string(ends[1]);
    std::array<char*, 5> arguments{program, mode.data(), dictionary.data(), pipe_end.data(), nullptr};
    ::execvp(program, arguments.data());
    std::perror("two_processes: exec");
    ::_exit(127);
  }
  ::close(ends[1]);  // ours: with the child's the only one left, its death ends the read below
  done = ends[0];
  return pid;
}

int parent(char* program) {
  const std::string name = "two_processes." + std::to_string(::getpid());
  auto prices = Prices::create(name);
  prices["apples"] = std::vector<double>{1.2, 1.3};
  std::cout << "parent " << ::getpid() << ": created " << name << ", apples = " << to_text(prices.at("apples"))
            << std::endl;

  int done = -1;
  const pid_t pid = start_child(program, name, done);
  char byte = 0;
  ssize_t got = 0;
  do got = ::read(done, &byte, 1);
  while (got < 0 && errno == EINTR);
  bool seen = false;
  if (got == 1) {
    const auto apples = prices.at("apples");
    const auto pears = prices.at("pears");
    std::cout << "parent " << ::getpid() << ": now reads apples = " << to_text(apples) << ", pears = " << to_text(pears)
              << std::endl;
    seen = apples == std::vector<double>{1.2, 1.3, 1.35} && pears == std::vector<double>{2.5};
  }
  ::close(done);

  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) fail("waitpid");
  }
  if (seen && WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  std::cerr << "two_processes: " << (seen ? "the child failed" : "the child's update is missing") << ", its status is "
            << status << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 1) return parent(argv[0]);
    if (argc == 4 && std::string_view(argv[1]) == "child") return child(argv[2], std::stoi(argv[3]));
    const bool help = argc == 2 && (std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h");
    (help ? std::cout : std::cerr) << "usage: two_processes\n(it starts its second process itself)\n";
    return help ? 0 : 2;
  } catch (const std::exception& e) {
    std::cerr << "two_processes: " << e.what() << '\n';
    return 1;
  }
}
