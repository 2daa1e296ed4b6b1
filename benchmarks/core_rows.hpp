// The rows that only core_bench has, and what its workers do: one side is private, the other one is shared.
#pragma once

#include "peers/private_map.hpp"
#include "peers/shared_dict.hpp"
#include "string_rows.hpp"

#include <shared_dict/shared_dict.hpp>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <unordered_map>

namespace core_bench {

using namespace benchmark_support;
using PrivateNumbers = std::unordered_map<std::uint64_t, std::uint64_t>;
using SharedNumbers = shared_dict::SharedDict<std::uint64_t, std::uint64_t>;

enum Side : std::size_t { kPrivate, kShared };  // which container a command means

inline bool about_numbers(Work work) { return work == Work::fetch_add || work == Work::fetch_add_one; }

inline void add_one(PrivateNumbers& m, std::uint64_t k) { m[k] += 1; }
inline void add_one(SharedNumbers& d, std::uint64_t k) { d.fetch_add(k, 1); }

template <class Map>
Sample run_numbers(const Command& command, Map& map, const Data& data, const Operations& ops) {
  if (command.work == Work::fetch_add_one) {
    return measure(command, 1, [&](std::size_t) { add_one(map, data.numbers[0]); });
  }
  return measure(command, ops.numbers.size(), [&](std::size_t i) { add_one(map, ops.numbers[i]); });
}

// `make_new` makes another, empty map of the same kind.
template <class Map, class MakeNew>
Sample run_strings(const Command& command, Map& map, MakeNew make_new, const Data& data, const Operations& ops) {
  if (command.work != Work::insert_new) return benchmark_support::run_strings(command, map, data, ops);
  Sample sample;
  while (sample.seconds < command.seconds) {
    Map another = make_new();
    insert_all(another, data, 0, std::numeric_limits<double>::infinity(), sample);
  }
  return sample;
}

class Worker {
 public:
  Worker(std::size_t worker, const Data& data, const std::string& name, const shared_dict::Options& options)
      : data_(data),
        name_(name),
        options_(options),
        ops_(each_once(data, worker)),
        strings_(peers::SharedDict::Dict::attach(name + ".strings")),
        numbers_(SharedNumbers::attach(name + ".numbers")) {
    fill(private_strings_, data);
    fill(strings_, data);
    for (std::uint64_t number : data.numbers) {
      private_numbers_.emplace(number, 0);
      numbers_.insert(number, 0);
    }
  }

  Sample run(const Command& command) {
    if (command.container == kShared) {
      if (about_numbers(command.work)) return run_numbers(command, numbers_, data_, ops_);  // the driver checks the sum
      const auto make_new = [&] {
        return peers::SharedDict(peers::SharedDict::Dict::create(name_ + ".new", options_));
      };
      return run_strings(command, strings_, make_new, data_, ops_);
    }
    if (!about_numbers(command.work)) {
      return run_strings(
          command, private_strings_, [] { return peers::UnorderedMap(); }, data_, ops_);
    }
    const auto sum = [&] {
      return std::accumulate(private_numbers_.begin(), private_numbers_.end(), std::uint64_t{0},
                             [](std::uint64_t s, const auto& item) { return s + item.second; });
    };
    const std::uint64_t before = sum();
    Sample sample = run_numbers(command, private_numbers_, data_, ops_);
    sample.wrong += sum() - before != sample.operations;
    return sample;
  }

 private:
  const Data& data_;
  std::string name_;
  shared_dict::Options options_;
  Operations ops_;
  peers::UnorderedMap private_strings_;
  PrivateNumbers private_numbers_;
  peers::SharedDict strings_;
  SharedNumbers numbers_;
};

}  // namespace core_bench
