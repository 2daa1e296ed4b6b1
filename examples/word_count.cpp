// Counts the words of many files with many processes into one dictionary, one fetch_add per word.
//
// The processes share two dictionaries and nothing else: the counts, and a small one from which each takes the next
// file and in which each says what it does. A worker that dies can't lock either; the parent sees it in waitpid and
// says which file is incomplete.
#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include <poll.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using Counts = shared_dict::SharedDict<std::string, std::uint64_t>;

constexpr std::size_t kMaxWord = 255;  // longer runs of word characters, as binary files have them, are cut
constexpr std::size_t kMaxProcesses = 500;

constexpr const char* kUsage =
    "usage: word_count FILE...|DIR... [--processes N] [--top N] [--check]\n"
    "\n"
    "Counts the words ([A-Za-z0-9_]+, in lower case) of the files, and of all regular files below the directories,\n"
    "with several processes that share one dictionary.\n"
    "\n"
    "  --processes N   worker processes, 1 to 500 (default: one per core)\n"
    "  --top N         how many of the most frequent words to print (default: 10)\n"
    "  --check         count again in one process and compare every count\n"
    "  --help          this text\n"
    "\n"
    "Exit status: 0 done, 1 a file, a worker or the check failed, 2 wrong usage.\n";

struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Arguments {
  std::vector<fs::path> inputs;
  std::size_t processes = std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kMaxProcesses);
  std::size_t top = 10;
  bool check = false;
  bool help = false;
};

std::size_t parse_number(std::string_view option, std::string_view text, std::size_t low, std::size_t high) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < low || number > high) {
    throw UsageError(std::string(option) + " takes a number from " + std::to_string(low) + " to " +
                     std::to_string(high) + ", not '" + std::string(text) + "'");
  }
  return number;
}

Arguments parse_arguments(int argc, char** argv) {
  Arguments result;
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view arg = argv[i];
    const auto value = [&]() -> std::string_view {
      if (i + 1 == argc) throw UsageError(std::string(arg) + " needs a number");
      return argv[++i];
    };
    if (!options || arg.empty() || arg[0] != '-')
      result.inputs.emplace_back(arg);
    else if (arg == "--")
      options = false;
    else if (arg == "--help" || arg == "-h")
      result.help = true;
    else if (arg == "--check")
      result.check = true;
    else if (arg == "--processes")
      result.processes = parse_number(arg, value(), 1, kMaxProcesses);
    else if (arg == "--top")
      result.top = parse_number(arg, value(), 0, 1'000'000);
    else
      throw UsageError("unknown option '" + std::string(arg) + "'");
  }
  if (result.inputs.empty() && !result.help) throw UsageError("no files given");
  return result;
}

std::vector<fs::path> collect_files(const std::vector<fs::path>& inputs) {
  std::vector<fs::path> files;
  for (const fs::path& input : inputs) {
    const fs::file_status status = fs::status(input);
    if (!fs::exists(status)) throw UsageError("no such file or directory: " + input.string());
    if (fs::is_regular_file(status)) {
      files.push_back(input);
      continue;
    }
    if (!fs::is_directory(status)) throw UsageError("neither a regular file nor a directory: " + input.string());
    const auto below = fs::recursive_directory_iterator(input, fs::directory_options::skip_permission_denied);
    for (const fs::directory_entry& entry : below) {
      if (!entry.is_symlink() && entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  return files;
}

// 0 for what doesn't belong to a word, otherwise the character in lower case. Independent of the locale.
constexpr std::array<char, 256> make_word_characters() {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) {
    table[static_cast<unsigned char>(c)] = c;
    table[static_cast<unsigned char>(c - 'a' + 'A')] = c;
  }
  table[static_cast<unsigned char>('_')] = '_';
  return table;
}
constexpr auto kWordCharacters = make_word_characters();

// Calls f(std::string_view) for each word. False if the file can't be read.
template <class F>
bool for_each_word(const fs::path& path, F f) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return false;
  std::vector<char> block(std::size_t{1} << 16);
  std::string word;
  word.reserve(kMaxWord);
  const auto finish = [&] {
    if (!word.empty()) f(std::string_view(word));
    word.clear();
  };
  while (file.read(block.data(), static_cast<std::streamsize>(block.size())), file.gcount() > 0) {
    const auto end = block.begin() + file.gcount();
    for (auto it = block.begin(); it != end; ++it) {
      const char c = kWordCharacters[static_cast<unsigned char>(*it)];
      if (c == 0 || word.size() == kMaxWord) finish();
      if (c != 0) word.push_back(c);
    }
  }
  finish();
  return !file.bad();
}

// Keys of the small dictionary.
constexpr std::string_view kNextFile = "next file";
constexpr std::string_view kWordsSoFar = "words so far";
constexpr std::string_view kUnreadable = "unreadable files";
std::string file_of_worker(std::size_t worker) { return "file of worker " + std::to_string(worker); }

// Takes one file after the other until none is left: nobody deals them out, so a worker with small files takes more.
void count_files(std::size_t worker, const std::vector<fs::path>& files, Counts& counts, Counts& state) {
  const std::string mine = file_of_worker(worker);
  for (;;) {
    const std::uint64_t index = state.fetch_add(kNextFile, 1);
    if (index >= files.size()) break;
    state.insert_or_assign(mine, index);
    std::uint64_t words = 0;
    const bool read = for_each_word(files[index], [&](std::string_view word) {
      counts.fetch_add(word, 1);
      if (++words % 8192 == 0) state.fetch_add(kWordsSoFar, 8192);
    });
    state.fetch_add(kWordsSoFar, words % 8192);
    if (!read) {
      std::cerr << "word_count: can't read " << files[index] << ", its words are missing\n";
      state.fetch_add(kUnreadable, 1);
    }
  }
  state.erase(mine);
}

volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_interrupt(int signal) { interrupted = signal; }

void handle_interrupts(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

struct Workers {
  std::vector<pid_t> pids;
  int alive = -1;  // read end of a pipe of which each worker holds the write end: end of file when all are gone
};

Workers start_workers(std::size_t n, const std::vector<fs::path>& files, Counts& counts, Counts& state) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
  Workers workers{{}, ends[0]};
  std::cout.flush();
  for (std::size_t i = 0; i < n; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int status = 0;
      try {
        handle_interrupts(SIG_DFL);
        ::close(ends[0]);
        // An inherited handle works in the child, which counts as a process of its own.
        count_files(i, files, counts, state);
      } catch (const std::exception& e) {
        std::cerr << "word_count: worker " << i << ": " << e.what() << '\n';
        status = 1;
      }
      counts.close();
      state.close();
      ::_exit(status);
    }
    if (pid > 0) {
      workers.pids.push_back(pid);
    } else if (workers.pids.empty()) {
      throw std::system_error(errno, std::generic_category(), "fork");
    } else {
      std::cerr << "word_count: only " << i << " workers could be started: " << std::strerror(errno) << '\n';
      break;
    }
  }
  ::close(ends[1]);
  return workers;
}

// Until all workers are gone, however they went. Returns false if one didn't finish.
bool wait_for_workers(const Workers& workers, const std::vector<fs::path>& files, const Counts& counts,
                      const Counts& state) {
  const bool terminal = ::isatty(STDERR_FILENO) == 1;
  pollfd poll{workers.alive, POLLIN, 0};
  while (::poll(&poll, 1, 200) <= 0) {
    if (interrupted != 0) {  // even a stopped worker obeys SIGKILL, and the dictionaries don't mind
      for (pid_t pid : workers.pids) ::kill(pid, SIGKILL);
    }
    if (terminal) {
      std::cerr << '\r' << std::min<std::uint64_t>(state.get(kNextFile, 0), files.size()) << " of " << files.size()
                << " files, " << state.get(kWordsSoFar, 0) << " words, " << counts.size() << " different   "
                << std::flush;
    }
  }
  ::close(workers.alive);
  if (terminal) std::cerr << "\r\033[K";

  bool all_finished = interrupted == 0;
  for (std::size_t i = 0; i < workers.pids.size(); ++i) {
    int status = 0;
    while (::waitpid(workers.pids[i], &status, 0) < 0 && errno == EINTR) {
    }
    if (interrupted != 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) continue;
    all_finished = false;
    std::cerr << "word_count: worker " << i << " (process " << workers.pids[i] << ") ";
    if (WIFSIGNALED(status))
      std::cerr << "was killed by signal " << WTERMSIG(status);
    else
      std::cerr << "failed with status " << WEXITSTATUS(status);
    if (const auto index = state.get(file_of_worker(i)); index && *index < files.size()) {
      std::cerr << ": words of " << files[*index] << " are missing";
    }
    std::cerr << '\n';
  }
  // With all workers gone before the end, nobody took the remaining files.
  const std::uint64_t taken = state.get(kNextFile, 0);
  if (interrupted == 0 && taken < files.size()) {
    all_finished = false;
    std::cerr << "word_count: " << files.size() - taken << " files were not counted\n";
  }
  return all_finished;
}

void print_top(const Counts& counts, std::size_t top) {
  std::vector<std::pair<std::string, std::uint64_t>> items = counts.items();
  top = std::min(top, items.size());
  const auto middle = items.begin() + static_cast<std::ptrdiff_t>(top);
  std::partial_sort(items.begin(), middle, items.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  for (auto it = items.begin(); it != middle; ++it)
    std::cout << std::setw(12) << it->second << "  " << it->first << '\n';
}

// Counts again, alone, and compares both ways. True if nothing differs.
bool check_counts(const std::vector<fs::path>& files, const Counts& counts) {
  const auto start = Clock::now();
  std::unordered_map<std::string, std::uint64_t> expected;
  std::string key;
  for (const fs::path& file : files) {
    for_each_word(file, [&](std::string_view word) {
      key = word;
      ++expected[key];
    });
  }
  const std::chrono::duration<double> seconds = Clock::now() - start;
  std::cout << "check: one process with a private std::unordered_map took " << seconds.count() << " s\n";

  std::size_t differences = 0;
  const auto report = [&](const std::string& word, std::uint64_t shared, std::uint64_t alone) {
    if (++differences <= 10) std::cout << "check: '" << word << "' is " << shared << ", should be " << alone << '\n';
  };
  for (const auto& [word, count] : expected) {
    const std::uint64_t shared = counts.get(word, 0);
    if (shared != count) report(word, shared, count);
  }
  counts.for_each([&](const std::string& word, std::uint64_t count) {
    if (!expected.contains(word)) report(word, count, 0);
  });
  if (counts.size() != expected.size()) {
    ++differences;
    std::cout << "check: size() is " << counts.size() << ", should be " << expected.size() << '\n';
  }
  if (differences == 0)
    std::cout << "check: all " << expected.size() << " words equal\n";
  else
    std::cout << "check: " << differences << " differences\n";
  return differences == 0;
}

int run(const Arguments& arguments) {
  const std::vector<fs::path> files = collect_files(arguments.inputs);
  const std::string name = "word_count." + std::to_string(::getpid());
  const auto max_processes = static_cast<unsigned>(arguments.processes + 1);
  // Both are removed when the last process leaves.
  auto counts = Counts::create(name + ".words", {.max_processes = max_processes});
  auto state = Counts::create(name + ".state", {.heap_size = std::size_t{1} << 20, .max_processes = max_processes});
  handle_interrupts(on_interrupt);

  const auto start = Clock::now();
  const Workers workers = start_workers(arguments.processes, files, counts, state);
  bool good = wait_for_workers(workers, files, counts, state);
  const std::chrono::duration<double> seconds = Clock::now() - start;
  if (interrupted != 0) {
    std::cerr << "word_count: interrupted\n";
    return 128 + interrupted;
  }

  std::cout << std::fixed << std::setprecision(2);
  print_top(counts, arguments.top);
  const auto words = state.get(kWordsSoFar, 0);
  std::cout << words << " words, " << counts.size() << " different, in " << files.size() << " files by "
            << workers.pids.size() << " processes: " << seconds.count() << " s, " << std::setprecision(0)
            << static_cast<double>(words) / seconds.count() << " words/s\n"
            << std::setprecision(2);
  if (state.get(kUnreadable, 0) != 0) good = false;
  if (arguments.check && !check_counts(files, counts)) good = false;
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = parse_arguments(argc, argv);
    if (arguments.help) {
      std::cout << kUsage;
      return 0;
    }
    const int status = run(arguments);
    if (!std::cout.flush()) throw std::runtime_error("can't write the output");
    return status;
  } catch (const UsageError& e) {
    std::cerr << "word_count: " << e.what() << "\n(word_count --help explains)\n";
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "word_count: " << e.what() << '\n';
    return 1;
  }
}
