// The rows about strings, the same for every container.
//
// A container has the verbs of peers/shared_dict.hpp: insert, insert_or_assign, read, erase, contains, size, clear.
// One that says kSlow takes microseconds for each, so that less is asked of it outside the measured time.
#pragma once

#include "data.hpp"
#include "workers.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>

namespace benchmark_support {

template <class Container>
constexpr bool is_slow() {
  if constexpr (requires { Container::kSlow; }) {
    return Container::kSlow;
  } else {
    return false;
  }
}

// From item `from` on, until all are in it or the time is up. In the order of the data, which is not the order of the
// operations: otherwise these would walk through the private map's nodes as they lie in memory. Returns the first item
// that isn't in it.
template <class Container>
std::size_t insert_all(Container& map, const Data& data, std::size_t from, double seconds, Sample& sample) {
  const auto start = Clock::now();
  const std::size_t n = data.keys.size();
  std::size_t i = from;
  do {
    for (const std::size_t stop = std::min(n, i + kChunk); i < stop; ++i)
      sample.wrong += !map.insert(data.keys[i], data.values[i % 26]);
  } while (i < n && Seconds(Clock::now() - start).count() < seconds);
  sample.seconds += Seconds(Clock::now() - start).count();
  sample.operations += i - from;
  return i;
}

template <class Container>
void fill(Container& map, const Data& data) {
  if (map.size() == data.keys.size()) return;  // another worker was here
  Sample sample;
  insert_all(map, data, 0, std::numeric_limits<double>::infinity(), sample);
  if (sample.wrong != 0) throw std::runtime_error("a container could not be filled");
}

// Clears and fills it, again and again; a slow one once, and only as much of that as fits into the time is measured.
template <class Container>
Sample insert_row(const Command& command, Container& map, const Data& data) {
  constexpr double kForever = std::numeric_limits<double>::infinity();
  Sample sample;
  while (sample.seconds < command.seconds) {
    map.clear();
    const std::size_t end = insert_all(map, data, 0, is_slow<Container>() ? command.seconds : kForever, sample);
    if (end == data.keys.size()) continue;
    Sample rest;
    insert_all(map, data, end, kForever, rest);
    sample.wrong += rest.wrong;
  }
  return sample;
}

// What is stored must be what somebody wrote, and all of it.
template <class Container>
std::uint64_t count_wrong(const Container& map, const Data& data, const Operations& ops) {
  std::uint64_t wrong = map.size() != data.keys.size();
  std::string value;
  for (std::size_t i = 0; i < ops.keys.size(); i += is_slow<Container>() ? 97 : 1) {
    wrong += !map.read(ops.keys[i], value) || value.size() != data.values[0].size() || value[0] != (*ops.values[i])[0];
  }
  return wrong;
}

template <class Container>
Sample run_strings(const Command& command, Container& map, const Data& data, const Operations& ops) {
  const std::size_t n = ops.keys.size();
  const std::size_t value_size = data.values[0].size();
  std::string value;
  std::uint64_t wrong = 0;
  std::uint64_t letters = 0;
  Sample sample;
  switch (command.work) {
    case Work::insert: sample = insert_row(command, map, data); break;
    case Work::read:
      sample = measure(command, n, [&](std::size_t i) {
        wrong += !map.read(ops.keys[i], value);
        wrong += value.size() != value_size;
        letters += static_cast<unsigned char>(value[0]);
      });
      wrong += letters != sample.operations / n * ops.letters_before[n] + ops.letters_before[sample.operations % n];
      break;
    case Work::write:
      sample = measure(command, n, [&](std::size_t i) { map.insert_or_assign(ops.keys[i], *ops.values[i]); });
      break;
    case Work::mixed:
      sample = measure(command, n, [&](std::size_t i) {
        if (ops.dice[i] < command.writes) {
          map.insert_or_assign(ops.keys[i], *ops.values[i]);
        } else {
          wrong += !map.read(ops.keys[i], value);
          wrong += value.size() != value_size || value[0] != (*ops.values[i])[0];
        }
      });
      break;
    case Work::erase_insert:
      sample = measure(command, n, [&](std::size_t i) {
        wrong += !map.erase(ops.keys[i]);
        wrong += !map.insert(ops.keys[i], *ops.values[i]);
      });
      break;
    case Work::miss: sample = measure(command, n, [&](std::size_t i) { wrong += map.contains(ops.missing[i]); }); break;
    case Work::insert_new:  // core_bench's own
    case Work::fetch_add:
    case Work::fetch_add_one: break;
  }
  sample.wrong += wrong + count_wrong(map, data, ops);
  return sample;
}

}  // namespace benchmark_support
