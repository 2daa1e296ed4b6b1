#include "arguments.hpp"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

namespace tool {

namespace {

std::uint64_t number(const std::string& option, const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > 1'000'000'000) {
    throw WrongUse(option + " takes a number from 1 to 1000000000, not '" + text + "'");
  }
  return value;
}

// A key may be a negative number.
bool is_option(const std::string& argument) {
  if (argument.size() < 2 || argument[0] != '-' || argument == "-inf" || argument == "-nan") return false;
  return !(argument[1] >= '0' && argument[1] <= '9') && argument[1] != '.';
}

}  // namespace

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    std::optional<std::string> given;  // --option=value
    if (const std::size_t equals = argument.find('='); options && argument.starts_with("--") && equals != std::string::npos) {
      given = argument.substr(equals + 1);
      argument.resize(equals);
    }
    const auto value = [&]() -> std::string {
      if (given) return *std::exchange(given, std::nullopt);
      if (++i == argc) throw WrongUse(argument + " takes a value");
      return argv[i];
    };
    if (!options || !is_option(argument)) {
      if (arguments.command.empty()) {
        arguments.command = argument;
      } else {
        arguments.rest.push_back(argument);
      }
    } else if (argument == "--") {
      options = false;
    } else if (argument == "--help" || argument == "-h") {
      arguments.help = true;
    } else if (argument == "--version") {
      arguments.version = true;
    } else if (argument == "--json") {
      arguments.json = true;
    } else if (argument == "--dir") {
      arguments.directory = value();
      if (arguments.directory.empty()) throw WrongUse("--dir takes a directory");
    } else if (argument == "--count") {
      arguments.refreshes = number(argument, value());
      arguments.only_for_watch = true;
    } else if (argument == "--interval") {
      arguments.interval = std::chrono::milliseconds(number(argument, value()));
      arguments.only_for_watch = true;
    } else {
      throw WrongUse("unknown option " + argument + " (write -- before what isn't one)");
    }
    if (given) throw WrongUse(argument + " takes no value");
  }
  return arguments;
}

bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc && std::string_view(argv[i]) != "--"; ++i) {
    if (std::string_view(argv[i]) == "--json") return true;
  }
  return false;
}

}  // namespace tool
