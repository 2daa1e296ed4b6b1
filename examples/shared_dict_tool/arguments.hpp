// The command line.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace tool {

/// What the program ends with.
inline constexpr int kFine = 0;
inline constexpr int kNotFound = 1;
inline constexpr int kWrongUse = 2;
inline constexpr int kFailed = 3;

struct WrongUse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct NotFound : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Arguments {
  std::string command;
  std::vector<std::string> rest;  // what follows the command, without options
  bool help = false;
  bool version = false;
  bool json = false;
  std::filesystem::path directory;  // empty: the usual one
  std::uint64_t refreshes = 0;      // 0: no end
  std::chrono::milliseconds interval{1000};
  bool only_for_watch = false;  // an option was given that only watch has

  const std::string& name() const { return rest.at(0); }
};

/// \throws WrongUse
Arguments parse(int argc, char** argv);

/// Whether --json is among the options, also of a line that can't be parsed.
bool wants_json(int argc, char** argv);

}  // namespace tool
