// An operation of an open dictionary, once for each fault that it can meet, each time with a dictionary of its own; and what has to hold
// afterwards, here and for another member.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/attempt.hpp"
#include "faults/witness.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

namespace shared_dict::test {

inline const std::string kName = "faulty";

/// Whether the library calls what only Linux has: see platform/system.hpp.
#if defined(SHARED_DICT_LINUX)
inline constexpr bool kLinuxCalls = true;
#else
inline constexpr bool kLinuxCalls = false;
#endif

template <class Dict>
using Contents = std::map<typename Dict::key_type, typename Dict::mapped_type>;

template <class Dict>
Contents<Dict> contents(const Dict& d) {
  Contents<Dict> all;
  for (auto& [key, value] : d.items()) all.emplace(std::move(key), std::move(value));
  return all;
}

/// What an operation is given to call its part in that something fails.
using Faulty = std::function<void(const std::function<void()>&)>;

template <class Dict>
struct FaultyOperation {
  const char* name;
  /// Changes the model as it changed the dictionary, when it has.
  std::function<void(Dict&, Contents<Dict>&, const Faulty&)> run;
  bool told = false;  ///< the witness writes its first item meanwhile
};

template <class Dict>
struct Family {
  Options options;
  typename Witness<Dict>::Items others;  ///< what the witness writes
  std::function<void(Dict&)> fill;
};

inline std::filesystem::path memory() {
  const std::filesystem::path place = "/dev/shm";
  return std::filesystem::exists(place) ? place : std::filesystem::temp_directory_path();
}

/// How much this process holds when nothing is open; what it keeps of the last dictionary for the next one is always the same.
inline std::int64_t kept_allocations(const Place& place) {
  SharedDict<std::string, long>::create("settle", {.heap_size = 1 << 12, .max_processes = 1, .directory = place.path()})
      .close();
  return live_allocations();
}

template <class Dict>
class Rounds {
 public:
  explicit Rounds(const Family<Dict>& family)
      : family_(family), options_(at(family.options, place_)), witness_(kName, options_, family.others) {}

  Tally all(const FaultyOperation<Dict>& operation, bool lasting) {
    Attempt first;
    round(operation, {}, first);
    const std::int64_t kept = kept_allocations(place_);
    return fail_everywhere(operation.name, lasting, [&](const Fault& fault, Attempt& tried) {
      round(operation, fault, tried);
      const std::int64_t now = kept_allocations(place_);
      demand(now == kept, "no memory lost: " + std::to_string(now - kept) + " allocations more than before");
    });
  }

 private:
  struct Ended {};

  static Options at(Options options, const Place& place) {
    options.directory = place.path();
    return options;
  }

  void round(const FaultyOperation<Dict>& operation, const Fault& fault, Attempt& tried) {
    Dict d = Dict::create(kName, options_);
    family_.fill(d);
    witness_.attach();
    Contents<Dict> model = contents(d);
    const auto descriptors = open_descriptors();

    try {
      run(operation, d, model, [&](const std::function<void()>& part) {
        tried = attempt(fault, part);
        if (tried.failed) throw Ended();
      });
    } catch (const Ended&) {
    }
    demand(tried.as_promised(kName), "an exception of the kind that is promised, and only for a fault");
    demand(open_descriptors() == descriptors, "no descriptor left open");
    demand(contents(d) == model, "the contents before, or those after");
    demand(d.size() == model.size(), "the size");
    const std::string problems = problems_of(d);
    demand(problems.empty(), problems);
    witness_.check();
    if (tried.failed) {
      run(operation, d, model, [](const std::function<void()>& part) { part(); });
      demand(contents(d) == model, "that it works next time");
    }
    d.close();
    witness_.check();
    witness_.detach();
    demand(std::filesystem::is_empty(place_.path()), "no file left over");
  }

  void run(const FaultyOperation<Dict>& operation, Dict& d, Contents<Dict>& model, const Faulty& faulty) {
    if (!operation.told) return operation.run(d, model, faulty);
    witness_.tell();
    try {
      operation.run(d, model, faulty);
    } catch (const Ended&) {
      forget_told(d);
      throw;
    }
    forget_told(d);
  }

  void forget_told(Dict& d) {
    witness_.await();
    d.erase(family_.others.front().first);
  }

  Family<Dict> family_;
  Place place_{memory()};
  Options options_;
  Witness<Dict> witness_;
};

template <class Dict>
Tally fail_in_all(const Family<Dict>& family, const std::vector<FaultyOperation<Dict>>& operations) {
  Rounds<Dict> rounds(family);
  Tally all;
  for (const FaultyOperation<Dict>& operation : operations) {
    all += rounds.all(operation, false);
    Tally lasting = rounds.all(operation, true);
    lasting.operations = 0;
    all += lasting;
  }
  return all;
}

}  // namespace shared_dict::test
