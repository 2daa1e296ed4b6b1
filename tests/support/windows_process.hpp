// Starting a program, on Windows and under wine.
#pragma once

#if defined(_WIN32)
#include <windows.h>

#include <string>

/// False, with GetLastError(), where it can't be started.
/// wine tells ERROR_INTERNAL_ERROR of a program that was gone before it had come to its own code, which happens now and then where many are
/// started and terminated at the same time. Nothing of it has run then, so that it may be started again.
inline bool start_process(const std::string& command_line, PROCESS_INFORMATION& started) {
  STARTUPINFOA info{};
  info.cb = sizeof info;
  for (int attempts = 5; attempts > 0; --attempts) {
    std::string command = command_line;  // may be written to
    if (::CreateProcessA(nullptr, command.data(), nullptr, nullptr, FALSE, 0, nullptr, nullptr, &info, &started) != 0) return true;
    if (::GetLastError() != ERROR_INTERNAL_ERROR) return false;
  }
  return false;
}
#endif
