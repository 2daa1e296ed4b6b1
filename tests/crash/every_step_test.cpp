// A process is killed after each single instruction that changed the segment, for each kind of change. Whatever it had stored by then,
// its operation has afterwards happened or not, nothing is lost, no byte leaks, and all goes on.
//
// The child runs under ptrace, one instruction at a time, and whenever the segment's bytes differ they are kept. When it has been killed each
// of these images is put back: its record names a dead process then, as it would have been named by a kill at that instruction.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

/// All bytes of a dictionary's segment, seen past the library. The file is sparse: only what has memory is looked at.
class Image {
 public:
  struct Extent {
    std::size_t begin;
    std::size_t end;
    bool operator==(const Extent&) const = default;
  };
  struct Copy {
    std::vector<Extent> extents;
    std::vector<char> bytes;  // one behind the other
  };

  explicit Image(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)), size_(std::filesystem::file_size(path)) {
    if (file_ < 0) throw std::system_error(errno, std::generic_category(), path.string());
    void* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (at == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    bytes_ = static_cast<char*>(at);
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;
  ~Image() {
    ::munmap(bytes_, size_);
    ::close(file_);
  }

  Copy copy() {
    find_extents();
    Copy made{extents_, {}};
    for (const Extent& extent : extents_) made.bytes.insert(made.bytes.end(), bytes_ + extent.begin, bytes_ + extent.end);
    return made;
  }

  bool differs(const Copy& from) {
    find_extents();
    if (extents_ != from.extents) return true;
    const char* other = from.bytes.data();
    for (const Extent& extent : extents_) {
      if (std::memcmp(bytes_ + extent.begin, other, extent.end - extent.begin) != 0) return true;
      other += extent.end - extent.begin;
    }
    return false;
  }

  void restore(const Copy& from) {
    find_extents();
    for (const Extent& extent : extents_) std::memset(bytes_ + extent.begin, 0, extent.end - extent.begin);
    const char* other = from.bytes.data();
    for (const Extent& extent : from.extents) {
      std::memcpy(bytes_ + extent.begin, other, extent.end - extent.begin);
      other += extent.end - extent.begin;
    }
  }

 private:
  void find_extents() {
    extents_.clear();
    for (off_t at = 0; (at = ::lseek(file_, at, SEEK_DATA)) >= 0;) {
      const off_t end = ::lseek(file_, at, SEEK_HOLE);
      extents_.push_back({static_cast<std::size_t>(at), static_cast<std::size_t>(end)});
      at = end;
    }
  }

  int file_;
  std::size_t size_;
  char* bytes_ = nullptr;
  std::vector<Extent> extents_;
};

/// A child that does something one instruction at a time.
class Stepped {
 public:
  explicit Stepped(const std::function<void()>& operation)
      : child_([&operation](auto) {
          if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) return Forked::kSkipped;
          ::raise(SIGSTOP);
          operation();
          ::raise(SIGSTOP);
          return 0;
        }) {
    permitted_ = wait() == SIGSTOP;
  }

  bool permitted() const noexcept { return permitted_; }

  /// False when the operation is through.
  bool step() {
    if (::ptrace(PTRACE_SINGLESTEP, child_.pid(), nullptr, nullptr) != 0) {
      throw std::system_error(errno, std::generic_category(), "PTRACE_SINGLESTEP");
    }
    const int signal = wait();
    if (signal == SIGTRAP) return true;
    if (signal == SIGSTOP) return false;
    throw std::runtime_error("the child ended with signal or status " + std::to_string(signal));
  }

  void kill() {
    child_.kill();
    child_.wait();
  }

 private:
  // The signal that stopped it; otherwise minus what it ended with.
  int wait() const {
    int status = 0;
    while (::waitpid(child_.pid(), &status, __WALL) < 0) {
      if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "waitpid");
    }
    if (WIFSTOPPED(status)) return WSTOPSIG(status);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : -WEXITSTATUS(status) - 1000;
  }

  Forked child_;
  bool permitted_ = false;
};

template <class V>
struct Case {
  const char* name;
  std::function<void(SharedDict<std::string, V>&)> operation;
  /// What the parent holds meanwhile, and is checked when it is destroyed.
  std::function<std::shared_ptr<void>(SharedDict<std::string, V>&)> beside = [](auto&) { return nullptr; };
};

template <class V>
using Contents = std::map<std::string, V>;

template <class V>
Contents<V> contents(const SharedDict<std::string, V>& d) {
  Contents<V> all;
  for (auto& [key, value] : d.items()) all.emplace(std::move(key), std::move(value));
  return all;
}

/// What each instruction of each case leaves, beginning with what `fill` stores, is recovered by the parent.
template <class V>
void kill_everywhere(const Options& options, const std::function<void(SharedDict<std::string, V>&)>& fill,
                     const std::vector<Case<V>>& cases, const std::function<void(SharedDict<std::string, V>&, int)>& write) {
  for (const Case<V>& c : cases) {
    const std::filesystem::path memory = "/dev/shm";
    const Place place(std::filesystem::exists(memory) ? memory : std::filesystem::temp_directory_path());
    Options here = options;
    here.directory = place.path();
    auto d = SharedDict<std::string, V>::create("steps", here);
    fill(d);
    const Contents<V> before = contents(d);
    Image image(place.of("steps") / "segment");
    const auto beside = c.beside(d);

    std::vector<Image::Copy> images;
    {
      Stepped child([&] { c.operation(d); });
      if (!child.permitted()) {
        child.kill();
        WARN("ptrace isn't permitted here: nothing was killed");
        return;
      }
      for (images.push_back(image.copy()); child.step();) {
        if (image.differs(images.back())) images.push_back(image.copy());
      }
      child.kill();
    }
    REQUIRE(images.size() > 1);
    const Contents<V> after = contents(d);

    std::size_t recovered = 0;
    for (std::size_t i = 0; i < images.size(); ++i) {
      // The thousands of words of a large value, which nobody sees yet, are all alike.
      if (i > 300 && i + 300 < images.size() && i % 20 != 0) continue;
      ++recovered;
      image.restore(images[i]);
      INFO(c.name << ", image " << i << " of " << images.size());
      const AuditReport report = d.audit();  // takes all locks, and so recovers
      INFO((report.ok() ? "" : report.problems.front()));
      REQUIRE(report.ok());
      const Contents<V> found = contents(d);
      REQUIRE((found == before || found == after));
      REQUIRE(d.size() == found.size());
      if (beside == nullptr) REQUIRE(d.gc_stats().retired_blocks == 0);
      for (int n = 0; n < 10; ++n) write(d, n);
      REQUIRE(d.audit().ok());
    }
    std::cout << c.name << ": " << images.size() << " images, " << recovered << " of them recovered\n";
  }
}

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::string, long>;

/// A view that must show at its end what it showed at first.
class Watched {
 public:
  Watched(Words& d, const std::string& key) : view_(d.view(key)), expected_(*view_) {}
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() { CHECK(*view_ == expected_); }

 private:
  View<std::string> view_;
  std::string expected_;
};

std::shared_ptr<void> view_of(Words& d, const std::string& key) { return std::make_shared<Watched>(d, key); }

}  // namespace

TEST_CASE("whatever instruction of a change of words a process is killed at, the change is done or not begun") {
  const Options options{.heap_size = 1 << 17, .lock_timeout = kHangDeadline, .max_processes = 4};
  const auto fill = [](Words& d) {
    for (int i = 0; i < 60; ++i) d["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(20 + i), 'v');
    d["large"] = std::string(40'000, 'L');
    d.erase("key 7");
    d["key 8"] = "shorter";
  };
  const std::vector<Case<std::string>> cases{
      {"insert", [](Words& d) { d.insert("new", std::string(100, 'n')); }},
      {"insert of a size that has no span yet", [](Words& d) { d.insert("new", std::string(3000, 'n')); }},
      {"insert of a large value", [](Words& d) { d.insert("new", std::string(40'000, 'n')); }},
      {"replace by the same size", [](Words& d) { d.assign("key 9", std::string(29, 'n')); }},
      {"replace by another size", [](Words& d) { d.assign("key 9", std::string(700, 'n')); }},
      {"replace what is viewed", [](Words& d) { d.assign("key 9", std::string(29, 'n')); },
       [](Words& d) { return view_of(d, "key 9"); }},
      {"replace a large value", [](Words& d) { d.assign("large", std::string(30'000, 'n')); }},
      {"replace a large value that is viewed", [](Words& d) { d.assign("large", std::string(30'000, 'n')); },
       [](Words& d) { return view_of(d, "large"); }},
      {"erase", [](Words& d) { d.erase("key 10"); }},
      {"erase a large value", [](Words& d) { d.erase("large"); }},
      {"erase what is viewed", [](Words& d) { d.erase("key 10"); }, [](Words& d) { return view_of(d, "key 10"); }},
      {"extract", [](Words& d) { d.extract("key 11"); }},
      {"extract_any", [](Words& d) { d.extract_any(); }},
      {"modify", [](Words& d) { d.modify("key 12", [](std::string& value) { value += " and more"; }); }},
      {"modify_or_insert", [](Words& d) { d.modify_or_insert("new", "n", [](std::string& value) { value += "more"; }); }},
      {"compare_exchange",
       [](Words& d) {
         std::string expected = "shorter";
         d.compare_exchange("key 8", expected, "longer than it was");
       }},
      {"update", [](Words& d) {
         d.update({{"key 1", "u"}, {"key 2", std::string(400, 'u')}, {"new 1", "u"}, {"new 2", std::string(900, 'u')}, {"key 1", "w"}});
       }},
      {"update beside a view", [](Words& d) { d.update({{"key 3", "u"}, {"key 4", "u"}}); },
       [](Words& d) { return view_of(d, "key 3"); }},
      {"loan and publish", [](Words& d) {
         auto loan = d.loan("new", 50);
         std::memset(loan.span().data(), 'n', 50);
         loan.publish();
       }},
      {"loan and publish instead of another value", [](Words& d) {
         auto loan = d.loan("key 13", 50);
         std::memset(loan.span().data(), 'n', 50);
         loan.publish();
       }},
      {"loan of a large value, dropped", [](Words& d) { d.loan("new", 30'000); }},
      {"view", [](Words& d) { d.view("key 14"); }},
      {"wait", [](Words& d) { d.wait_change("key 15", std::chrono::nanoseconds(0)); }},
      {"clear", [](Words& d) { d.clear(); }},
      {"clear beside a view", [](Words& d) { d.clear(); }, [](Words& d) { return view_of(d, "key 16"); }},
  };
  kill_everywhere<std::string>(options, fill, cases, [](Words& d, int i) { d["ten " + std::to_string(i)] = std::string(60, 't'); });
}

TEST_CASE("whatever instruction of a change of numbers a process is killed at, the change is done or not begun") {
  const Options options{.heap_size = 1 << 15, .lock_timeout = kHangDeadline, .max_processes = 4};
  // One more and the table grows.
  const auto fill = [](Numbers& d) {
    const std::size_t slots = (d.fetch_add("0", 0), d.stats().slot_count);
    for (std::size_t i = 1; (i + 1) * 5 <= slots * 4; ++i) d[std::to_string(i)] = static_cast<long>(i);
  };
  const std::vector<Case<long>> cases{
      {"insert that makes the table grow", [](Numbers& d) { d.insert("new", 1); }},
      {"update that makes the table grow", [](Numbers& d) { d.update({{"new", 1}, {"1", 7}, {"2", 8}}); }},
      {"fetch_add", [](Numbers& d) { d.fetch_add("3", 1); }},
      {"replace in place", [](Numbers& d) { d.assign("4", -1); }},
      {"update in place", [](Numbers& d) { d.update({{"5", -1}, {"6", -1}, {"7", -1}}); }},
      {"erase", [](Numbers& d) { d.erase("8"); }},
  };
  kill_everywhere<long>(options, fill, cases, [](Numbers& d, int i) { d["ten " + std::to_string(i)] = i; });
}
