// What goes to standard error, worded for those who use the inspector.
#pragma once

#include <string>

namespace tool {

/// One line: text, or with --json an object of what the program ends with and the text.
void say(const std::string& text, int status, bool json);

/// A message of the library, whose way out is meant for those who write programs.
std::string for_operators(std::string message);

}  // namespace tool
