// watch: what changes, as it changes.
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>

#include "../program.hpp"
#include "commands.hpp"
#include "figures.hpp"
#include "json.hpp"
#include "looking.hpp"
#include "messages.hpp"

namespace tool {

namespace {

using Clock = std::chrono::steady_clock;

struct Sample {
  Clock::time_point at = Clock::now();
  shared_dict::Stats stats;
  std::uint64_t insertions;
  std::vector<Process> processes;

  explicit Sample(const Dictionary& dictionary)
      : stats(dictionary.stats()), insertions(dictionary.insertions()), processes(dictionary.processes()) {}
};

// Of what happened between two samples, in a second. Values that were replaced aren't counted anywhere.
struct Rates {
  double inserted, erased, waits;

  Rates(const Sample& before, const Sample& now) {
    const double seconds = std::max(std::chrono::duration<double>(now.at - before.at).count(), 1e-9);
    const auto difference = [](std::uint64_t from, std::uint64_t to) {
      return static_cast<double>(static_cast<std::int64_t>(to - from));
    };
    const double added = difference(before.insertions, now.insertions);
    inserted = added / seconds;
    erased = std::max(0.0, added - difference(before.stats.items, now.stats.items)) / seconds;
    waits = difference(before.stats.lock_waits, now.stats.lock_waits) / seconds;
  }
};

struct Line {
  std::string items, inserted, erased, stored, memory, alive, dead, waits, recoveries;

  void print() const {
    std::cout << right(items, 14) << right(inserted, 12) << right(erased, 12) << right(stored, 12) << right(memory, 12)
              << right(alive, 7) << right(dead, 6) << right(waits, 10) << right(recoveries, 11) << '\n';
  }
};

void print(const Dictionary& dictionary, const Sample& now, const Rates& rates, bool json) {
  const std::uint32_t alive = count(now.processes, Life::alive);
  const std::uint32_t dead = count(now.processes, Life::dead);
  if (json) {
    Json line = Json::object().text("name", dictionary.name()).number("items", now.stats.items);
    line.add("inserted_per_second", decimals(rates.inserted, 1)).add("erased_per_second", decimals(rates.erased, 1));
    line.number("heap_used", now.stats.heap_used).number("heap_committed", now.stats.heap_committed);
    line.add("load_factor", decimals(now.stats.load_factor, 6))
        .number("processes_alive", alive)
        .number("processes_dead", dead);
    line.add("lock_waits_per_second", decimals(rates.waits, 1)).number("recoveries", now.stats.recoveries);
    std::cout << line.str() << '\n';
  } else {
    Line{grouped(now.stats.items),
         decimals(rates.inserted, 0),
         decimals(rates.erased, 0),
         bytes_text(now.stats.heap_used),
         bytes_text(now.stats.heap_committed),
         std::to_string(alive),
         std::to_string(dead),
         decimals(rates.waits, 0),
         grouped(now.stats.recoveries)}
        .print();
  }
  std::cout.flush();
}

// Until `deadline`, or the end of the watch. In short steps, as a signal can come just before the wait.
void wait_until(Clock::time_point deadline) {
  while (example::interrupted == 0 && Clock::now() < deadline) {
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    ::poll(nullptr, 0, static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 100)));
  }
}

// Processes may come and go while the records are read, so that nobody is left is looked at twice.
bool has_gone(const Dictionary& dictionary, const Sample& now) {
  if (!dictionary.there()) return true;
  return state_of(dictionary, now.processes) == "abandoned" &&
         state_of(dictionary, dictionary.processes()) == "abandoned";
}

}  // namespace

int watch(const Arguments& arguments) {
  const Dictionary dictionary(arguments.name(), arguments.directory);
  example::handle_interrupts([](int signal) { example::interrupted = signal; });
  if (state_of(dictionary, dictionary.processes()) == "abandoned") {
    throw NotFound("dictionary '" + dictionary.name() + "': all its processes have died, so it counts as gone");
  }
  // On a terminal the headline is to stay in view; programs read it once.
  constexpr int kHeadlineEvery = 20;
  Sample before(dictionary);
  for (std::uint64_t shown = 0; arguments.refreshes == 0 || shown < arguments.refreshes; ++shown) {
    wait_until(before.at + arguments.interval);
    if (example::interrupted != 0 || !std::cout) return kFine;
    Sample now(dictionary);
    if (has_gone(dictionary, now)) {
      say("dictionary '" + dictionary.name() + "' has gone", kFine, arguments.json);
      return kFine;
    }
    if (!arguments.json && (shown == 0 || (::isatty(STDOUT_FILENO) == 1 && shown % kHeadlineEvery == 0))) {
      Line{"ITEMS", "INSERTED/s", "ERASED/s", "STORED", "MEMORY", "ALIVE", "DEAD", "WAITS/s", "RECOVERIES"}.print();
    }
    print(dictionary, now, Rates(before, now), arguments.json);
    before = std::move(now);
  }
  return kFine;
}

}  // namespace tool
