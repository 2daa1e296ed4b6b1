// One try of an operation with a fault in it, and the walk over all faults that it can meet.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>

#include <shared_dict/error.hpp>

#include "faults/injector.hpp"
#include "support/catch.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"

namespace shared_dict::test {

/// How a try ended.
struct Attempt {
  Outcome outcome;
  bool failed = false;      ///< in an exception
  std::error_code code;     ///< of an Error
  bool no_memory = false;   ///< std::bad_alloc
  bool user_error = false;  ///< UserError
  char what[400] = "";      ///< no string, as all memory is counted

  /// Whether it ended in what the contract allows: well, in an Error that names the dictionary, in std::bad_alloc if memory ran out, in
  /// the user's own exception if there was one.
  bool as_promised(const std::string& dictionary) const {
    if (outcome.struck && outcome.call == FallibleCall::user_code) return user_error;
    if (!failed) return true;
    if (!outcome.struck || user_error) return false;
    if (no_memory) return outcome.call == FallibleCall::allocate;
    return code && std::strstr(what, ("'" + dictionary + "'").c_str()) != nullptr;
  }
};

/// Calls `operation()` with a fault set.
template <class Operation>
Attempt attempt(const Fault& fault, Operation operation) {
  Attempt tried;
  tried.failed = true;
  const auto note = [&](const std::exception& error) {
    tried.outcome = end_fault();
    std::snprintf(tried.what, sizeof tried.what, "%s", error.what());
  };
  set_fault(fault);
  try {
    operation();
    tried.outcome = end_fault();
    tried.failed = false;
  } catch (const Error& error) {
    note(error);
    tried.code = error.code();
  } catch (const std::bad_alloc& error) {
    note(error);
    tried.no_memory = true;
  } catch (const UserError&) {
    tried.outcome = end_fault();
    tried.user_error = true;
  } catch (const std::exception& error) {
    note(error);
  }
  return tried;
}

inline std::string describe(const Attempt& tried, const Fault& fault) {
  std::ostringstream text;
  text << "place " << fault.place << (fault.lasting ? " and later ones" : "") << ": " << name_of(tried.outcome.call)
       << " failed";
  if (tried.outcome.error != 0) text << " (" << std::generic_category().message(tried.outcome.error) << ")";
  text << (tried.failed ? ", and the operation with " : ", the operation went well");
  if (tried.failed) text << (tried.user_error ? "the user's exception" : tried.what);
  return text.str();
}

/// What a walk met.
struct Tally {
  std::uint64_t operations = 0;
  std::uint64_t faults = 0;
  std::uint64_t errors = 0;  ///< operations that ended in an exception; the others got along
  std::array<std::uint64_t, kCalls> by_call{};

  Tally& operator+=(const Tally& other) noexcept {
    operations += other.operations;
    faults += other.faults;
    errors += other.errors;
    for (std::size_t i = 0; i < kCalls; ++i) by_call[i] += other.by_call[i];
    return *this;
  }
};

/// What a round finds wrong. No string, as it may stand where an allocation fails.
inline void demand(bool holds, std::string_view what) {
  if (!holds) throw std::runtime_error("demanded: " + std::string(what));
}

/// Calls `round(fault, attempt)` for each place that a fault can strike at and each error there, until none strikes. The test fails with
/// what a round throws.
template <class Round>
Tally fail_everywhere(const char* name, bool lasting, Round round) {
  Tally tally;
  tally.operations = 1;
  for (Fault fault{1, 0, lasting};; ++fault.place) {
    if (kSanitized && (fault.place + test_seed()) % 3 != 0) continue;  // takes ten times as long
    std::size_t variants = 1;
    for (fault.variant = 0; fault.variant < variants; ++fault.variant) {
      Attempt tried;
      try {
        round(fault, tried);
      } catch (const std::exception& error) {
        FAIL(name << ", " << describe(tried, fault) << "\n" << error.what());
      }
      if (!tried.outcome.struck) return tally;
      variants = tried.outcome.variants;
      ++tally.faults;
      tally.errors += tried.failed ? 1 : 0;
      ++tally.by_call[static_cast<std::size_t>(tried.outcome.call)];
    }
  }
}

inline void print(std::string_view what, const Tally& tally) {
  std::cout << "proof: " << what << " | operations " << tally.operations << " | faults " << tally.faults << " | errors "
            << tally.errors;
  for (std::size_t i = 0; i < kCalls; ++i) {
    if (tally.by_call[i] != 0) std::cout << " | " << name_of(static_cast<FallibleCall>(i)) << ' ' << tally.by_call[i];
  }
  std::cout << std::endl;
}

/// How many descriptors this process has open.
inline std::ptrdiff_t open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

}  // namespace shared_dict::test
