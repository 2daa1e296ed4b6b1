// Log aggregation: several processes read pieces of log files and count by day, level and word into one dictionary.
//
// Nobody deals the pieces out: each process takes the next number with fetch_add until there is none left. What a line adds
// to a count is a fetch_add too, so it doesn't matter who reads which line.
#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "program.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* kUsage =
    "usage: log_aggregation [FILE...]\n"
    "\n"
    "Counts the lines of log files by day (2026-01-31) and level, and their words, with four processes, and compares\n"
    "with one process. Without arguments it takes the logs of dpkg and apt, or a sample of its own if there are "
    "none.\n";

constexpr unsigned kProcesses = 4;
constexpr std::uintmax_t kPieceSize = std::uintmax_t{1} << 16;
constexpr std::array kDefaultLogs = {"/var/log/dpkg.log", "/var/log/alternatives.log", "/var/log/apt/history.log",
                                     "/var/log/apt/term.log"};

using Counts = shared_dict::SharedDict<std::string, std::uint64_t>;

struct Piece {  // the lines of a file that begin in [begin, end)
  fs::path file;
  std::uintmax_t begin = 0;
  std::uintmax_t end = 0;
};

template <class F>
void for_each_line(const Piece& piece, F f) {
  std::ifstream file(piece.file, std::ios::binary);
  std::string line;
  std::uintmax_t at = piece.begin;
  if (at > 0) {  // the rest of a line that began before belongs to the piece before
    file.seekg(static_cast<std::streamoff>(at - 1));
    if (std::getline(file, line)) at += line.size();
  }
  while (at < piece.end && std::getline(file, line)) {
    at += line.size() + 1;
    f(line);
  }
}

// The first "2026-01-31" in a line, or nothing.
std::string_view day_of(std::string_view line) {
  constexpr std::string_view kPattern = "dddd-dd-dd";
  const auto matches = [](char c, char pattern) {
    return pattern == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == pattern;
  };
  const auto* const day = std::search(line.begin(), line.end(), kPattern.begin(), kPattern.end(), matches);
  return day == line.end() ? std::string_view{} : std::string_view(day, kPattern.size());
}

// Calls count(key) for all that is counted in a line.
template <class Count>
void count_line(std::string_view line, Count count) {
  if (const auto day = day_of(line); !day.empty()) count("day " + std::string(day));
  std::string level = "info";
  std::string word;
  for (std::size_t i = 0; i <= line.size(); ++i) {
    const auto c = static_cast<unsigned char>(i < line.size() ? line[i] : ' ');
    if (std::isalpha(c) != 0) {
      word += static_cast<char>(std::tolower(c));
      continue;
    }
    if (word == "error" || word == "failed" || word == "fatal") level = "error";
    if (level == "info" && (word == "warning" || word == "warn")) level = "warning";
    if (word.size() > 3) count("word " + word);
    word.clear();
  }
  count("level " + level);
}

void count_pieces(const std::vector<Piece>& pieces, Counts& counts, Counts& state) {
  for (;;) {
    const std::uint64_t number = state.fetch_add("next piece", 1);
    if (number >= pieces.size()) return;
    for_each_line(pieces[number], [&](const std::string& line) {
      count_line(line, [&](const std::string& key) { counts.fetch_add(key, 1); });
    });
  }
}

void print_counts(const Counts& counts, std::string_view kind, std::size_t most) {
  auto rows = counts.items();
  std::erase_if(rows, [&](const auto& row) { return !row.first.starts_with(kind); });
  std::ranges::sort(rows, [](const auto& a, const auto& b) {
    return a.second > b.second || (a.second == b.second && a.first < b.first);
  });
  std::cout << "by " << kind << ": " << rows.size() << " different\n";
  rows.resize(std::min(rows.size(), most));
  for (const auto& [key, count] : rows)
    std::cout << std::setw(10) << count << "  " << key.substr(kind.size() + 1) << '\n';
}

// The readable ones of the default logs; else a sample, which is removed at the end.
struct Logs {
  std::vector<fs::path> files;
  fs::path sample;

  explicit Logs(const std::vector<std::string>& arguments) : files(arguments.begin(), arguments.end()) {
    for (const auto& file : files) {
      if (!fs::is_regular_file(file)) throw std::runtime_error(file.string() + " is no regular file");
      if (!std::ifstream(file)) throw std::runtime_error("can't read " + file.string());
    }
    if (!files.empty()) return;
    for (const char* file : kDefaultLogs) {
      if (std::error_code error; fs::file_size(file, error) > 0 && !error && std::ifstream(file).good())
        files.emplace_back(file);
    }
    if (!files.empty()) return;
    sample = fs::temp_directory_path() / example::unique_name(".log");
    std::ofstream out(sample);
    for (int i = 0; i < 20'000; ++i) {
      const char* const what = i % 97 == 0 ? "ERROR disk" : i % 11 == 0 ? "WARNING memory" : "INFO request";
      out << "2026-01-" << 10 + i / 2'500 << ' ' << what << " number " << i << '\n';
    }
    files.push_back(sample);
  }
  Logs(const Logs&) = delete;
  Logs& operator=(const Logs&) = delete;
  ~Logs() {
    std::error_code ignored;
    if (!sample.empty()) fs::remove(sample, ignored);
  }
};

void log_aggregation(const std::vector<std::string>& arguments) {
  const Logs logs(arguments);
  std::vector<Piece> whole_files;  // as long as they are now: a log may grow meanwhile
  std::vector<Piece> pieces;
  for (const auto& file : logs.files) {
    const auto size = fs::file_size(file);
    std::cout << file.string() << ": " << size << " bytes\n";
    whole_files.push_back({file, 0, size});
    for (std::uintmax_t at = 0; at < size; at += kPieceSize)
      pieces.push_back({file, at, std::min(at + kPieceSize, size)});
  }

  auto counts = Counts::create(example::unique_name(".counts"));
  auto state = Counts::create(example::unique_name(".state"));
  auto processes = example::start(kProcesses, [&](unsigned) { count_pieces(pieces, counts, state); });
  example::join(processes);
  print_counts(counts, "day", 5);
  print_counts(counts, "level", 5);
  print_counts(counts, "word", 5);

  std::unordered_map<std::string, std::uint64_t> expected;
  for (const Piece& file : whole_files) {
    for_each_line(file,
                  [&](const std::string& line) { count_line(line, [&](const std::string& key) { ++expected[key]; }); });
  }
  for (const auto& [key, count] : expected) example::require(counts.get(key, 0) == count, key);
  example::require(counts.size() == expected.size(), "the number of counts");
  std::cout << "check: " << expected.size() << " counts by " << kProcesses << " processes equal those by one\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, log_aggregation); }
