// The rows of core_bench, and the worker process that runs them.
#pragma once

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include <sys/socket.h>
#include <sys/types.h>

namespace core_bench {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;
using PrivateStrings = std::unordered_map<std::string, std::string>;
using PrivateNumbers = std::unordered_map<std::uint64_t, std::uint64_t>;
using SharedStrings = shared_dict::SharedDict<std::string, std::string>;
using SharedNumbers = shared_dict::SharedDict<std::uint64_t, std::uint64_t>;

constexpr std::size_t kKeySize = 16;
constexpr std::size_t kChunk = 500;  // operations between two looks at the clock

enum class Work : int { insert, insert_new, read, write, mixed, erase_insert, fetch_add, fetch_add_one, miss };

// ---- The two sides: the same verbs ----

inline bool insert(PrivateStrings& m, const std::string& k, const std::string& v) { return m.emplace(k, v).second; }
inline bool insert(SharedStrings& d, const std::string& k, const std::string& v) { return d.insert(k, v); }

inline bool read(const PrivateStrings& m, const std::string& k, std::string& out) {
  const auto it = m.find(k);
  if (it == m.end()) return false;
  out = it->second;
  return true;
}
inline bool read(const SharedStrings& d, const std::string& k, std::string& out) { return d.try_get(k, out); }

inline bool erase(PrivateStrings& m, const std::string& k) { return m.erase(k) == 1; }
inline bool erase(SharedStrings& d, const std::string& k) { return d.erase(k); }

inline void add_one(PrivateNumbers& m, std::uint64_t k) { m[k] += 1; }
inline void add_one(SharedNumbers& d, std::uint64_t k) { d.fetch_add(k, 1); }

// ---- What is prepared before the clock starts ----

struct Data {
  std::vector<std::string> keys, missing;
  std::vector<std::uint64_t> numbers;
  std::vector<std::string> values;  // 26 for each of two versions, by first letter
};

// The first letter of a value follows from its key, so that a reader can check it whoever wrote it last.
inline char first_letter(std::size_t index) { return static_cast<char>('a' + index % 26); }

inline Data make_data(std::size_t items, std::size_t value_size) {
  Data data;
  std::mt19937_64 random(1);
  const auto key = [&](char last) {
    std::string text(kKeySize, last);
    for (std::size_t i = 0; i + 1 < kKeySize; ++i) text[i] = static_cast<char>('a' + random() % 26);
    return text;
  };
  for (std::size_t i = 0; i < items; ++i) {
    data.keys.push_back(key('+'));
    data.missing.push_back(key('-'));
    data.numbers.push_back(random());
  }
  for (char version : {'1', '2'}) {
    for (std::size_t i = 0; i < 26; ++i) {
      data.values.emplace_back(value_size, version);
      data.values.back()[0] = first_letter(i);
    }
  }
  return data;
}

// What one worker asks for, in its own random order. The keys are copied in that order: reaching them costs little,
// so that the time is the container's.
struct Operations {
  std::vector<std::string> keys, missing;
  std::vector<std::uint64_t> numbers;
  std::vector<const std::string*> values;
  std::vector<std::uint8_t> writes;           // for the mixed rows: 5 in 100
  std::vector<std::uint64_t> letters_before;  // sum of the first letters of all operations before this one
};

inline Operations make_operations(const Data& data, std::size_t worker) {
  std::mt19937_64 random(100 + worker);
  std::vector<std::size_t> order(data.keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::shuffle(order.begin(), order.end(), random);
  Operations ops;
  ops.letters_before.push_back(0);
  for (std::size_t index : order) {
    ops.keys.push_back(data.keys[index]);
    ops.missing.push_back(data.missing[index]);
    ops.numbers.push_back(data.numbers[index]);
    ops.values.push_back(&data.values[index % 26 + 26 * (random() % 2)]);
    ops.writes.push_back(random() % 100 < 5);
    ops.letters_before.push_back(ops.letters_before.back() + static_cast<unsigned char>(first_letter(index)));
  }
  return ops;
}

// ---- Driver and workers ----

struct Barrier {
  std::atomic<unsigned> arrived{0};
};

struct Command {
  Work work;
  bool shared;
  unsigned barrier_target;
  double seconds;
};

struct Sample {
  std::uint64_t operations = 0;
  double seconds = 0;
  std::uint64_t wrong = 0;  // results that weren't what they must be
  double waited = 0;        // seconds without a core, because other programs had it
};

// Seconds that this process has been ready to run without running. 0 where the system doesn't say.
inline double seconds_waited() {
  std::ifstream file("/proc/self/schedstat");
  double ran = 0;
  double waited = 0;
  file >> ran >> waited;
  return waited / 1e9;
}

inline void wait_at(Barrier& barrier, unsigned target) {
  barrier.arrived.fetch_add(1);
  const auto deadline = Clock::now() + std::chrono::seconds(30);
  while (barrier.arrived.load() < target) {
    if (Clock::now() > deadline) throw std::runtime_error("the other worker didn't come to the barrier");
  }
}

// Calls op(i) with i running round 0 .. n-1 until the time is up.
template <class Op>
Sample measure(double seconds, std::size_t n, Op op) {
  Sample sample;
  std::size_t i = 0;
  const auto start = Clock::now();
  const auto end = start + std::chrono::duration_cast<Clock::duration>(Seconds(seconds));
  for (auto now = start; now < end;) {
    for (std::size_t c = 0; c < kChunk; ++c) {
      op(i);
      if (++i == n) i = 0;
    }
    sample.operations += kChunk;
    now = Clock::now();
    sample.seconds = Seconds(now - start).count();
  }
  return sample;
}

// In the order of the data, which is not the order of the operations: otherwise these would walk through the private
// map's nodes as they lie in memory.
template <class Map>
void insert_all(Map& map, const Data& data, Sample& sample) {
  const auto start = Clock::now();
  for (std::size_t i = 0; i < data.keys.size(); ++i) sample.wrong += !insert(map, data.keys[i], data.values[i % 26]);
  sample.seconds += Seconds(Clock::now() - start).count();
  sample.operations += data.keys.size();
}

// `make_new` makes another, empty map of the same kind.
template <class Map, class MakeNew>
Sample run_strings(const Command& command, Map& map, MakeNew make_new, const Data& data, const Operations& ops) {
  const std::size_t n = ops.keys.size();
  const std::size_t value_size = data.values[0].size();
  std::string value;
  std::uint64_t wrong = 0;
  std::uint64_t letters = 0;
  Sample sample;
  switch (command.work) {
    case Work::insert:
      while (sample.seconds < command.seconds) {
        map.clear();
        insert_all(map, data, sample);
      }
      break;
    case Work::insert_new:
      while (sample.seconds < command.seconds) {
        Map another = make_new();
        insert_all(another, data, sample);
      }
      break;
    case Work::read:
      sample = measure(command.seconds, n, [&](std::size_t i) {
        wrong += !read(map, ops.keys[i], value);
        wrong += value.size() != value_size;
        letters += static_cast<unsigned char>(value[0]);
      });
      wrong += letters != sample.operations / n * ops.letters_before[n] + ops.letters_before[sample.operations % n];
      break;
    case Work::write:
      sample = measure(command.seconds, n, [&](std::size_t i) { map.insert_or_assign(ops.keys[i], *ops.values[i]); });
      break;
    case Work::mixed:
      sample = measure(command.seconds, n, [&](std::size_t i) {
        if (ops.writes[i] != 0) {
          map.insert_or_assign(ops.keys[i], *ops.values[i]);
        } else {
          wrong += !read(map, ops.keys[i], value);
          wrong += value.size() != value_size || value[0] != (*ops.values[i])[0];
        }
      });
      break;
    case Work::erase_insert:
      sample = measure(command.seconds, n, [&](std::size_t i) {
        wrong += !erase(map, ops.keys[i]);
        wrong += !insert(map, ops.keys[i], *ops.values[i]);
      });
      break;
    case Work::miss:
      sample = measure(command.seconds, n, [&](std::size_t i) { wrong += map.contains(ops.missing[i]); });
      break;
    case Work::fetch_add:
    case Work::fetch_add_one: break;
  }
  for (std::size_t i = 0; i < n; ++i) {
    wrong += !read(map, ops.keys[i], value) || value.size() != value_size || value[0] != (*ops.values[i])[0];
  }
  wrong += map.size() != n;
  sample.wrong += wrong;
  return sample;
}

template <class Map>
Sample run_numbers(const Command& command, Map& map, const Data& data, const Operations& ops) {
  if (command.work == Work::fetch_add_one) {
    return measure(command.seconds, 1, [&](std::size_t) { add_one(map, data.numbers[0]); });
  }
  return measure(command.seconds, ops.numbers.size(), [&](std::size_t i) { add_one(map, ops.numbers[i]); });
}

inline bool about_numbers(Work work) { return work == Work::fetch_add || work == Work::fetch_add_one; }

template <class T>
bool receive(int socket, T& message) {
  return ::recv(socket, &message, sizeof message, MSG_WAITALL) == static_cast<ssize_t>(sizeof message);
}
template <class T>
void send(int socket, const T& message) {
  if (::send(socket, &message, sizeof message, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof message)) {
    throw std::runtime_error("a worker process is gone");
  }
}

inline void run_worker(std::size_t worker, int socket, Barrier& barrier, const Data& data, const std::string& name,
                       const shared_dict::Options& options) {
  Command command{};
  if (!receive(socket, command)) return;  // the first one says that the dictionaries are there
  auto strings = SharedStrings::attach(name + ".strings");
  auto numbers = SharedNumbers::attach(name + ".numbers");
  const Operations ops = make_operations(data, worker);
  PrivateStrings private_strings;
  PrivateNumbers private_numbers;
  for (std::size_t i = 0; i < data.keys.size(); ++i) {
    private_strings.emplace(data.keys[i], data.values[i % 26]);
    private_numbers.emplace(data.numbers[i], 0);
    strings.insert(data.keys[i], data.values[i % 26]);
    numbers.insert(data.numbers[i], 0);
  }
  send(socket, Sample{});

  while (receive(socket, command)) {
    const double waited_before = seconds_waited();
    wait_at(barrier, command.barrier_target);
    Sample sample;
    if (about_numbers(command.work) && command.shared) {
      sample = run_numbers(command, numbers, data, ops);  // the driver checks the sum
    } else if (about_numbers(command.work)) {
      const auto sum = [&] {
        return std::accumulate(private_numbers.begin(), private_numbers.end(), std::uint64_t{0},
                               [](std::uint64_t s, const auto& item) { return s + item.second; });
      };
      const std::uint64_t before = sum();
      sample = run_numbers(command, private_numbers, data, ops);
      sample.wrong += sum() - before != sample.operations;
    } else if (command.shared) {
      const auto make_new = [&] { return SharedStrings::create(name + ".new", options); };
      sample = run_strings(command, strings, make_new, data, ops);
    } else {
      sample = run_strings(
          command, private_strings, [] { return PrivateStrings(); }, data, ops);
    }
    sample.waited = seconds_waited() - waited_before;
    send(socket, sample);
  }
}

}  // namespace core_bench
