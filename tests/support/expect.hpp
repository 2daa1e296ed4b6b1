// What nearly every test asks: which error was it, and is the dictionary still sound?
#pragma once

#include <string>
#include <system_error>

#include <shared_dict/error.hpp>
#include <shared_dict/stats.hpp>

#include "support/catch.hpp"

namespace shared_dict::test {

/// The code of the Error that `call` throws; the empty code if it throws none. Other exceptions pass.
template <class F>
std::error_code error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return {};
}

/// The message of the Error that `call` throws; empty if it throws none.
template <class F>
std::string message_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// All problems that audit() reports, one per line; empty if there are none.
template <class Dict>
std::string problems_of(const Dict& dict) {
  std::string all;
  for (const std::string& problem : dict.audit().problems) {
    all += problem;
    all += '\n';
  }
  return all;
}

}  // namespace shared_dict::test

/// The end of every test that writes.
#define SHARED_DICT_REQUIRE_SOUND(dict)                                 \
  do {                                                                  \
    const std::string audit_problems = ::shared_dict::test::problems_of(dict); \
    INFO(audit_problems);                                               \
    REQUIRE((dict).audit().ok());                                       \
  } while (false)
