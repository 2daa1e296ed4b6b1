// What do save and load cost beside a plain copy of the file that they write and read?
//
// A dictionary is filled, saved, cleared and loaded, loaded once more over what it holds, and loaded into a new one; between them the file is
// copied with read and write, a megabyte at a time. What is written is brought to the disk in both cases, and the time of that is in both. After
// each load the contents are checked.
#include "support.hpp"

#include <shared_dict/shared_dict.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace {

using namespace benchmark_support;
using Clock = std::chrono::steady_clock;
using Dict = shared_dict::SharedDict<std::uint64_t, std::string>;

struct Settings {
  std::size_t megabytes = 1024;
  std::size_t rounds = 3;
  std::filesystem::path directory;  // of the dictionaries; empty: the usual one
  std::filesystem::path files = std::filesystem::temp_directory_path();
};

double seconds_of(const std::function<void()>& what) {
  const auto start = Clock::now();
  what();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(what);
}

void copy_plainly(const std::filesystem::path& from, const std::filesystem::path& to) {
  const int in = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
  const int out = ::open(to.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  bool good = in >= 0 && out >= 0;
  std::vector<char> buffer(std::size_t{1} << 20);
  for (ssize_t got = 1; good && got > 0;) {
    got = ::read(in, buffer.data(), buffer.size());
    good = got >= 0 && ::write(out, buffer.data(), static_cast<std::size_t>(got)) == got;
  }
  good = good && ::fsync(out) == 0;
  ::close(in);
  ::close(out);
  require(good, "can't copy the file");
}

std::string value_of(std::uint64_t i, std::size_t size) {
  std::string value(size, static_cast<char>('a' + i % 26));
  return value.replace(0, 8, reinterpret_cast<const char*>(&i), 8);
}

void check(const Dict& d, std::uint64_t items, std::size_t size) {
  require(d.size() == items, "items are missing");
  for (std::uint64_t i = 0; i < items; i += 997) require(d.at(i) == value_of(i, size), "a value is wrong");
}

void print(const std::string& what, const Series& took, const Series& copied, std::size_t bytes) {
  const double seconds = took.median() / 1e9;
  std::cout << "  " << std::left << std::setw(34) << what << std::right << std::fixed << std::setprecision(3)
            << std::setw(9) << seconds << std::setprecision(0) << std::setw(9)
            << static_cast<double>(bytes) / seconds / 1e6 << std::setprecision(2) << std::setw(9)
            << median_ratio(took, copied) << '\n';
}

bool run_shape(const Settings& settings, std::size_t value_size) {
  const std::string mark = "snapshot_bench." + std::to_string(::getpid());
  const std::filesystem::path saved = settings.files / (mark + ".saved");
  const std::filesystem::path copied = settings.files / (mark + ".copied");
  struct Files {
    std::vector<std::filesystem::path> all;
    ~Files() {
      for (const auto& path : all) ::unlink(path.c_str());
    }
  } const files{{saved, copied}};

  const std::uint64_t items = (settings.megabytes << 20) / (8 + value_size);
  shared_dict::Options options;
  options.heap_size = (settings.megabytes << 20) * 2;
  options.directory = settings.directory;
  Dict d = Dict::create(mark, options);
  for (std::uint64_t i = 0; i < items; ++i) d.insert(i, value_of(i, value_size));

  Series saves, copies, loads, loads_over, makes;
  const auto time = [](Series& series, const std::function<void()>& what) {
    series.ns.push_back(seconds_of(what) * 1e9);
  };
  for (std::size_t round = 0; round < settings.rounds; ++round) {
    time(saves, [&] { d.save(saved); });
    time(copies, [&] { copy_plainly(saved, copied); });
    ::unlink(copied.c_str());
    d.clear();
    time(loads, [&] { d.load(saved); });
    check(d, items, value_size);
    time(loads_over, [&] { d.load(saved); });
    check(d, items, value_size);
    d.close();
    options.load_from = saved;
    time(makes, [&] { d = Dict::create(mark, options); });
    options.load_from.clear();
    check(d, items, value_size);
  }
  const auto bytes = static_cast<std::size_t>(std::filesystem::file_size(saved));
  std::cout << items << " items of 8 + " << value_size << " bytes, a file of " << bytes / 1000000
            << " MB\n                                       seconds     MB/s  / copy\n";
  print("copy", copies, copies, bytes);
  print("save", saves, copies, bytes);
  print("load into an empty one", loads, copies, bytes);
  print("load over what was there", loads_over, copies, bytes);
  print("create with load_from", makes, copies, bytes);
  return true;
}

constexpr const char* kUsage =
    "usage: snapshot_bench [--megabytes N] [--rounds N] [--directory DIR] [--files DIR] [--quick]\n"
    "  --megabytes N    keys and values (default 1024)\n"
    "  --rounds N       of which the median is shown (default 3)\n"
    "  --directory DIR  where the dictionaries lie (default $SHARED_DICT_DIR, or /dev/shm)\n"
    "  --files DIR      where the files are written (default: that of temporary files)\n"
    "  --quick          32 megabytes, once\n";

// False if help was asked for.
bool parse_arguments(Arguments arguments, Settings& settings) {
  while (arguments.next()) {
    if (arguments.is("--help") || arguments.is("-h")) return false;
    if (arguments.is("--megabytes"))
      settings.megabytes = arguments.number<std::size_t>(1, 1'000'000);
    else if (arguments.is("--rounds"))
      settings.rounds = arguments.number<std::size_t>(1, 1000);
    else if (arguments.is("--directory"))
      settings.directory = arguments.value();
    else if (arguments.is("--files"))
      settings.files = arguments.value();
    else if (arguments.is("--quick")) {
      settings.megabytes = 32;
      settings.rounds = 1;
    } else
      arguments.unknown();
  }
  return true;
}

bool run(const Settings& settings) { return run_shape(settings, 1000) && run_shape(settings, 100); }

}  // namespace

int main(int argc, char** argv) {
  return run_program<Settings>(
      "snapshot_bench", kUsage, [&](Settings& settings) { return parse_arguments(Arguments(argc, argv), settings); },
      run);
}
