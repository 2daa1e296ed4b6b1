// What peers_bench measures: its sections, and the rows of each.
#pragma once

#include "workers.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace peers_bench {

using namespace benchmark_support;

struct Row {
  std::string section;
  std::string name;
  Work work;
  std::size_t processes = 1;
  unsigned writes = 0;  // of 100 operations, in mixed rows
  bool zipf = false;
};

struct Section {
  std::string name;
  std::string title;
};

constexpr std::string_view kEverything = "rows";  // the section in which all peers are measured

inline const std::vector<Section>& sections() {
  static const std::vector<Section> all{{"rows", "operations"},
                                        {"processes", "95 % reads, 5 % writes, by number of processes"},
                                        {"writes", "2 processes, by share of writes"},
                                        {"zipf", "Zipf-distributed keys, s = 0.99"}};
  return all;
}

inline std::vector<Row> make_rows() {
  std::vector<Row> rows{{"rows", "insert", Work::insert},          {"rows", "read x1", Work::read, 1},
                        {"rows", "read x2", Work::read, 2},        {"rows", "write x1", Work::write, 1, 100},
                        {"rows", "write x2", Work::write, 2, 100}, {"rows", "95/5 x1", Work::mixed, 1, 5},
                        {"rows", "95/5 x2", Work::mixed, 2, 5},    {"rows", "erase+insert", Work::erase_insert},
                        {"rows", "contains, miss", Work::miss}};
  for (std::size_t n : {1U, 2U, 4U, 8U}) rows.push_back({"processes", "x" + std::to_string(n), Work::mixed, n, 5});
  for (unsigned w : {0U, 5U, 50U, 100U}) rows.push_back({"writes", std::to_string(w) + " %", Work::mixed, 2, w});
  rows.push_back({"zipf", "Zipf read x2", Work::read, 2, 0, true});
  rows.push_back({"zipf", "Zipf 95/5 x2", Work::mixed, 2, 5, true});
  return rows;
}

}  // namespace peers_bench
