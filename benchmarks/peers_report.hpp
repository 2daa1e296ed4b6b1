// The figures of peers_bench as tables and as JSON.
#pragma once

#include "peers_rows.hpp"
#include "row_settings.hpp"
#include "support.hpp"

#include <cstddef>
#include <iomanip>
#include <iostream>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace peers_bench {

constexpr int kNameWidth = 30;

struct Results {
  std::vector<std::string> peers;
  std::vector<Row> rows;
  std::vector<std::vector<Series>> series;  // by row and peer; empty where nothing was measured
  std::optional<std::size_t> dictionary;    // which of the peers is SharedDict, if it is one

  // How many times as much SharedDict does in the same time: the median over the rounds.
  std::optional<double> factor(std::size_t row, std::size_t peer) const {
    const auto& line = series[row];
    if (!dictionary || line[peer].ns.empty() || line[*dictionary].ns.empty()) return std::nullopt;
    return median_ratio(line[peer], line[*dictionary]);
  }
};

inline std::string three_digits(double figure) {
  std::ostringstream text;
  figure < 100 ? text << std::setprecision(3) << figure : text << std::fixed << std::setprecision(0) << figure;
  return text.str();
}

template <class Cell>
void print_table(const Results& results, const std::string& section, const std::string& title, Cell cell) {
  std::ostringstream table;
  std::vector<std::size_t> columns;
  table << "\n" << std::left << std::setw(kNameWidth) << title << "\n" << std::setw(kNameWidth) << "" << std::right;
  for (std::size_t r = 0; r < results.rows.size(); ++r) {
    if (results.rows[r].section != section) continue;
    columns.push_back(r);
    table << std::setw(15) << results.rows[r].name;
  }
  if (columns.empty()) return;
  table << "\n";
  bool something = false;
  for (std::size_t p = 0; p < results.peers.size(); ++p) {
    std::ostringstream line;
    line << std::left << std::setw(kNameWidth) << results.peers[p] << std::right;
    bool measured = false;
    for (std::size_t r : columns) {
      const std::optional<double> figure = cell(r, p);
      measured = measured || figure;
      line << std::setw(15) << (figure ? three_digits(*figure) : "");
    }
    if (measured) table << line.str() << "\n";
    something = something || measured;
  }
  if (something) std::cout << table.str();
}

inline void print(const Results& results) {
  for (const Section& section : sections()) {
    print_table(results, section.name, section.title + ": million operations per second, all processes together",
                [&](std::size_t row, std::size_t peer) -> std::optional<double> {
                  const Series& series = results.series[row][peer];
                  if (series.ns.empty()) return std::nullopt;
                  return series.mops(results.rows[row].processes);
                });
    print_table(results, section.name, section.title + ": SharedDict's throughput, the peer's being 1",
                [&](std::size_t row, std::size_t peer) {
                  return peer == results.dictionary ? std::nullopt : results.factor(row, peer);
                });
  }
  std::cout
      << "\nMedians of the rounds; a factor is that of two measurements in the same round. x2: two processes. Each "
         "process has a private\nmap of its own. erase+insert is one erase and one insert.\n";
}

inline void write_json(std::ostream& file, const RowSettings& settings, const Results& results) {
  begin_json(file, "peers", settings);
  file << ",\n  \"peers\": [";
  const char* comma = "";
  for (const auto& peer : results.peers) file << std::exchange(comma, ", ") << '"' << peer << '"';
  file << "],\n  \"rows\": [";
  comma = "\n";
  for (std::size_t r = 0; r < results.rows.size(); ++r) {
    const Row& row = results.rows[r];
    file << std::exchange(comma, ",\n") << "    {\"section\": \"" << row.section << "\", \"name\": \"" << row.name
         << "\", \"processes\": " << row.processes << ", \"writes\": " << row.writes
         << ", \"zipf\": " << (row.zipf ? "true" : "false") << ", \"peers\": {";
    const char* between = "\n";
    for (std::size_t p = 0; p < results.peers.size(); ++p) {
      const Series& series = results.series[r][p];
      if (series.ns.empty()) continue;
      file << std::exchange(between, ",\n") << "      \"" << results.peers[p] << "\": ";
      benchmark_support::write_json(file, series);
      file << ", \"mops\": " << series.mops(row.processes);
      if (const auto factor = results.factor(r, p)) file << ", \"factor\": " << *factor;
      file << "}";
    }
    file << "\n    }}";
  }
  end_json(file, settings);
}

}  // namespace peers_bench
