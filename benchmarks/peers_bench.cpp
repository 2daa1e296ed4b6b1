// What would a user pick instead, and how fast is that? SharedDict beside other ways to share a dictionary between
// processes, and beside private maps as the limit.
//
// The method is that of core_bench. Each worker has all peers open; in each round every row is measured with one peer after
// the other. Each peer has an adapter in peers/.
#include "peers/all.hpp"
#include "peers/place.hpp"
#include "peers/program.hpp"
#include "peers_report.hpp"
#include "peers_rows.hpp"
#include "row_settings.hpp"
#include "support.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using namespace peers_bench;
using peers::Peer;

struct Settings : RowSettings {
  double slow_seconds = 0;  // instead of `seconds` for slow peers, if it isn't 0
  std::string section = "all";
  std::string only_peer;
  std::string only_row;
};

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

class Driver {
 public:
  explicit Driver(const Settings& settings)
      : settings_(settings), data_(make_data(settings.items, settings.value_size)) {
    for (Peer& peer : peers::all_peers()) {
      if (!contains(peer.name, settings.only_peer)) continue;
      if (!peer.open) {
        std::cout << "left out: " << peer.name << ": its library wasn't there when this was built\n";
        continue;
      }
      if (!peer.program.empty() && !peers::is_installed(peer.program)) {
        std::cout << "left out: " << peer.name << ": " << peer.program << " isn't installed\n";
        continue;
      }
      results_.peers.push_back(peer.name);
      peers_.push_back(std::move(peer));
      if (results_.peers.back() == peers::kSharedDict) results_.dictionary = peers_.size() - 1;
    }
    for (Row& row : make_rows()) {
      if (settings.section != "all" && settings.section != row.section) continue;
      if (!contains(row.name, settings.only_row)) continue;
      workers_needed_ = std::max(workers_needed_, row.processes);
      any_zipf_ = any_zipf_ || row.zipf;
      results_.rows.push_back(std::move(row));
    }
    if (peers_.empty()) throw std::runtime_error("no peer has '" + settings.only_peer + "' in its name");
    if (results_.rows.empty()) throw std::runtime_error("no such row has '" + settings.only_row + "' in its name");
    results_.series.assign(results_.rows.size(), std::vector<Series>(peers_.size()));
  }

  void run() {
    std::ofstream json = open_json(settings_);
    const peers::Place place;
    const peers::Setting setting{place.path(), data_};
    // The workers start before this process opens anything, so that they inherit nothing.
    Workers workers("peers_bench", workers_needed_, [&](std::size_t worker) { return open_all(setting, worker); });
    std::vector<std::unique_ptr<peers::Host>> hosts;
    for (const Peer& peer : peers_) hosts.push_back(peer.host(setting));
    workers.prepare();
    for (std::size_t round = 0; round < settings_.rounds; ++round) {
      std::cerr << "round " << round + 1 << " of " << settings_.rounds << std::endl;
      for (std::size_t r = 0; r < results_.rows.size(); ++r) {
        for (std::size_t p = 0; p < peers_.size(); ++p) {
          if (results_.rows[r].section != kEverything && !peers_[p].everywhere) continue;
          results_.series[r][p].ns.push_back(measure_row(workers, *hosts[p], results_.rows[r], p));
        }
      }
    }
    for (auto& host : hosts) host->check();
    print(results_);
    for (const auto& [where, count] : wrong_) std::cout << where << ": " << count << " wrong results\n";
    print_disturbed(std::cout, disturbed_);
    if (json.is_open()) write_json(json, settings_, results_);
  }

 private:
  Workers::Run open_all(const peers::Setting& setting, std::size_t worker) const {
    struct State {
      Operations each_once, zipf;
      std::vector<peers::Run> peers;
    };
    const auto state = std::make_shared<State>();
    state->each_once = each_once(data_, worker);
    if (any_zipf_) state->zipf = zipf_drawn(data_, worker);
    for (const Peer& peer : peers_) state->peers.push_back(peer.open(setting, worker));
    return [state](const Command& command) {
      return state->peers[command.container](command, command.zipf ? state->zipf : state->each_once);
    };
  }

  double measure_row(Workers& workers, peers::Host& host, const Row& row, std::size_t peer) {
    std::vector<int> cores;
    for (std::size_t i = 0; i < row.processes; ++i) cores.push_back(workers.core_of(i));
    host.run_on(cores);
    // Where servers and other workers need the cores as well, waiting for one is no disturbance.
    const bool alone = peers_[peer].program.empty() && row.processes <= usable_cores().size();
    const bool shorter = peers_[peer].slow && settings_.slow_seconds > 0;
    const Command command{row.work, peer, shorter ? settings_.slow_seconds : settings_.seconds, row.writes, row.zipf};
    const Measurement best = least_disturbed(alone ? settings_.repeats : 0, [&] {
      const Measurement measurement = workers.run(command, row.processes);
      if (measurement.wrong != 0) {
        const std::string where = peers_[peer].name + ", " + row.name;
        // Another's mistake is told beside its figures: it shouldn't cost all those of the others.
        if (peers_[peer].name == peers::kSharedDict) {
          throw std::runtime_error(where + ": " + std::to_string(measurement.wrong) + " wrong results");
        }
        wrong_[where] += measurement.wrong;
      }
      return measurement;
    });
    disturbed_ += alone && best.waited > kTolerated ? 1 : 0;
    return best.ns;
  }

  Settings settings_;
  Data data_;
  std::vector<Peer> peers_;
  Results results_;
  std::size_t workers_needed_ = 1;
  bool any_zipf_ = false;
  std::size_t disturbed_ = 0;
  std::map<std::string, std::uint64_t> wrong_;  // by peer and row
};

constexpr const char* kOwnOptions =
    "  --slow-seconds S  length of a measurement of file_lock, Redis, memcached and Manager (default: that of the "
    "others)\n"
    "  --section NAME    rows, processes, writes, zipf or all (default all)\n"
    "  --only-peer TEXT  only the peers whose name contains TEXT\n"
    "  --only-row TEXT   only the rows whose name contains TEXT\n";

std::string section_named(std::string_view name) {
  for (const Section& section : sections()) {
    if (name == section.name || name == "all") return std::string(name);
  }
  throw std::invalid_argument("there is no section '" + std::string(name) + "'");
}

// False if help was asked for.
bool parse_arguments(Arguments arguments, Settings& settings) {
  while (arguments.next()) {
    if (arguments.is("--help") || arguments.is("-h")) return false;
    if (arguments.is("--slow-seconds"))
      settings.slow_seconds = arguments.number(0.001, 60.0);
    else if (arguments.is("--section"))
      settings.section = section_named(arguments.value());
    else if (arguments.is("--only-peer"))
      settings.only_peer = arguments.value();
    else if (arguments.is("--only-row"))
      settings.only_row = arguments.value();
    else if (!take_row_option(arguments, settings))
      arguments.unknown();
  }
  return true;
}

bool run(const Settings& settings) {
  print_headline(std::cout, "peers_bench", settings);
  Driver(settings).run();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  return run_program<Settings>(
      "peers_bench", std::string("usage: peers_bench [OPTION...]\n") + kOwnOptions + kRowOptions,
      [&](Settings& settings) { return parse_arguments(Arguments(argc, argv), settings); }, run);
}
