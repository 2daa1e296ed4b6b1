// What does an operation cost as values get larger? Beside it stands memcpy of the same bytes between memory of the same
// kinds: private on one side, shared (MAP_SHARED, as a dictionary's segment) on the other.
//
// Each size has several values, which are used in turn by all sides, so that a value is as cold in the dictionary as its
// copy is in the memory beside it. From 1 MiB on they don't fit into a core's cache. Views are compared with each other:
// what they cost should not depend on the size.
#include "data.hpp"
#include "sweep.hpp"

#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <functional>
#include <iomanip>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <sys/mman.h>

namespace {

using namespace sweep;
using Strings = shared_dict::SharedDict<std::string, std::string>;

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;
constexpr std::array<std::size_t, 8> kSizes{8, 64, 100, kKiB, 16 * kKiB, 256 * kKiB, kMiB, 16 * kMiB};
constexpr std::size_t kSmallSet = 16;         // values of each size, if they are small
constexpr std::size_t kLargeSet = 64 * kMiB;  // bytes of all values, if they are large
constexpr std::size_t kViewed = 4;            // values of each size that views look at

std::size_t count_of(std::size_t size) { return size < kMiB ? kSmallSet : kLargeSet / size; }

// Between two looks at the clock, so that reading it takes no part of the time.
std::size_t operations_of(std::size_t size) { return std::clamp(16 * kMiB / size, count_of(size), 256 * kSmallSet); }

std::string size_name(std::size_t size) {
  if (size >= kMiB) return std::to_string(size / kMiB) + " MiB";
  if (size >= kKiB) return std::to_string(size / kKiB) + " KiB";
  return std::to_string(size) + " B";
}

bool right(std::string_view value, std::size_t index, std::size_t size) {
  return value.size() == size && value.front() == first_letter(index) && value.back() == first_letter(index);
}

// Shared memory for some values of one size, each on pages of its own or packed if they are small.
class SharedMemory {
 public:
  SharedMemory(std::size_t count, std::size_t size)
      : stride_(size < kKiB ? size : (size + 2 * kOffset + kPage - 1) / kPage * kPage),
        length_(count * stride_ + kPage) {
    void* const at = ::mmap(nullptr, length_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::runtime_error("can't map " + std::to_string(length_) + " bytes of shared memory");
    bytes_ = static_cast<char*>(at);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory() { ::munmap(bytes_, length_); }

  char* at(std::size_t index) const { return bytes_ + kOffset + index * stride_; }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kOffset = 64;  // as an allocator's block, not at the beginning of a page

  std::size_t stride_;
  std::size_t length_;
  char* bytes_;
};

enum Variant : std::size_t { copy_out, new_string, try_get, get, copy_in, assign, loan, kVariants };
constexpr std::array<const char*, kVariants> kNames{"memcpy out of shared memory",
                                                    "std::string made of shared memory",
                                                    "try_get",
                                                    "get",
                                                    "memcpy into shared memory",
                                                    "insert_or_assign",
                                                    "loan, memcpy into it, publish"};

// One size: the dictionary, the memory beside it, and the values that are written to both.
class Sized {
 public:
  explicit Sized(std::size_t size)
      : size_(size),
        count_(count_of(size)),
        dict_(Strings::create(name_for("size_bench", std::to_string(size)))),
        source_(count_, size),
        target_(count_, size),
        out_(size, '\0') {
    for (std::size_t i = 0; i < count_; ++i) {
      keys_.push_back("key " + std::to_string(i));
      values_.emplace_back(size, first_letter(i));
      dict_.insert(keys_[i], values_[i]);
      std::memcpy(source_.at(i), values_[i].data(), size);
      std::memcpy(target_.at(i), values_[i].data(), size);
    }
  }

  // In the order of Variant. Each is nanoseconds per operation.
  std::vector<std::function<double()>> variants(double seconds) {
    return {
        timed(seconds,
              [this](std::size_t i) {
                std::memcpy(out_.data(), source_.at(i), size_);
                return right(out_, i, size_);
              }),
        timed(seconds, [this](std::size_t i) { return right(std::string(source_.at(i), size_), i, size_); }),
        timed(seconds, [this](std::size_t i) { return dict_.try_get(keys_[i], out_) && right(out_, i, size_); }),
        timed(seconds,
              [this](std::size_t i) {
                const auto value = dict_.get(keys_[i]);
                return value && right(*value, i, size_);
              }),
        timed(seconds,
              [this](std::size_t i) {
                std::memcpy(target_.at(i), values_[i].data(), size_);
                return true;
              }),
        timed(seconds, [this](std::size_t i) { return !dict_.insert_or_assign(keys_[i], values_[i]); }),
        timed(seconds,
              [this](std::size_t i) {
                auto loaned = dict_.loan(keys_[i], size_);
                std::memcpy(loaned.span().data(), values_[i].data(), size_);
                loaned.publish();
                return true;
              }),
    };
  }

  void check() const {
    for (std::size_t i = 0; i < count_; ++i) {
      require(dict_.get(keys_[i]) == values_[i], "a value in the dictionary");
      require(std::string_view(target_.at(i), size_) == values_[i], "a value beside it");
    }
    const auto report = dict_.audit();
    if (!report.ok()) throw std::runtime_error(report.problems.front());
  }

 private:
  // op(index of the value) says whether it went well.
  template <class Op>
  std::function<double()> timed(double seconds, Op op) {
    return [this, seconds, op] {
      std::size_t wrong = 0;
      const std::size_t operations = operations_of(size_);
      const double ns = ns_per_operation(seconds, operations, [&] {
        for (std::size_t n = 0, i = 0; n < operations; ++n) {
          wrong += !op(i);
          if (++i == count_) i = 0;
        }
      });
      require(wrong == 0, std::to_string(wrong) + " operations on values of " + size_name(size_));
      return ns;
    };
  }

  std::size_t size_;
  std::size_t count_;
  Strings dict_;
  SharedMemory source_, target_;
  std::string out_;
  std::vector<std::string> keys_, values_;
};

std::vector<std::function<double()>> undisturbed(Quiet& quiet, std::vector<std::function<double()>> variants) {
  for (auto& variant : variants) variant = [&quiet, inner = variant] { return quiet(inner); };
  return variants;
}

void print(std::size_t size, std::string_view what, const Series& series, double ratio, std::string_view of) {
  std::cout << std::left << std::setw(10) << size_name(size) << std::setw(34) << what << std::right << std::fixed
            << std::setprecision(1) << std::setw(14) << series.median() << std::setprecision(0) << std::setw(8)
            << series.spread() * 100 << '%';
  if (!of.empty()) std::cout << std::setprecision(2) << std::setw(8) << ratio << " of " << of;
  std::cout << '\n';
}

void copies(const Settings& settings, Quiet& quiet, Report& report) {
  std::cout << "\nsize      operation                                  ns/op  spread   ratio\n";
  for (const std::size_t size : kSizes) {
    Sized sized(size);
    const auto variants = sized.variants(settings.seconds);
    for (const auto& variant : variants) variant();  // each has then had its memory once
    const auto series = interleave(settings.rounds, undisturbed(quiet, variants));
    sized.check();
    for (std::size_t v = 0; v < kVariants; ++v) {
      const std::size_t base = v < copy_in ? copy_out : copy_in;
      const double ratio = median_ratio(series[v], series[base]);
      print(size, kNames[v], series[v], ratio, v == base ? "" : "memcpy");
      report.point(kNames[v], static_cast<double>(size),
                   {{"median_ns", series[v].median()}, {"spread", series[v].spread()}, {"ratio", ratio}});
    }
    if (size != kMiB) continue;
    report.bar("get of 1 MiB, of memcpy", median_ratio(series[get], series[copy_out]), 1.1);
    report.bar("try_get of 1 MiB, of memcpy", median_ratio(series[try_get], series[copy_out]), 1.1);
    report.bar("insert_or_assign of 1 MiB, of memcpy", median_ratio(series[assign], series[copy_in]), 1.2);
  }
}

// All sizes in each round, and the same number of keys of each.
void views(const Settings& settings, Quiet& quiet, Report& report) {
  const Strings dict = [] {
    Strings d = Strings::create(name_for("size_bench", "views"));
    for (const std::size_t size : kSizes) {
      for (std::size_t i = 0; i < kViewed; ++i)
        d.insert(size_name(size) + std::to_string(i), std::string(size, first_letter(i)));
    }
    return d;
  }();
  std::vector<std::function<double()>> variants;
  for (const std::size_t size : kSizes) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < kViewed; ++i) keys.push_back(size_name(size) + std::to_string(i));
    variants.emplace_back([&dict, &settings, size, keys] {
      std::size_t wrong = 0;
      const double ns = ns_per_operation(settings.seconds, 256 * kSmallSet, [&] {
        for (std::size_t n = 0; n < 256 * kSmallSet; ++n) {
          const auto view = dict.view(keys[n % kViewed]);
          wrong += !view || view->size() != size || view->front() != first_letter(n % kViewed);
        }
      });
      require(wrong == 0, "a view of " + size_name(size));
      return ns;
    });
  }
  const auto series = interleave(settings.rounds, undisturbed(quiet, variants));
  std::cout << '\n';
  double slowest = 0;
  const std::size_t base = static_cast<std::size_t>(std::find(kSizes.begin(), kSizes.end(), 100) - kSizes.begin());
  for (std::size_t i = 0; i < kSizes.size(); ++i) {
    const double ratio = median_ratio(series[i], series[base]);
    slowest = std::max(slowest, ratio);
    print(kSizes[i], "view", series[i], ratio, i == base ? "" : "the view of 100 B");
    report.point("view", static_cast<double>(kSizes[i]),
                 {{"median_ns", series[i].median()}, {"spread", series[i].spread()}, {"ratio", ratio}});
  }
  report.bar("view of the slowest size, of the view of 100 B", slowest, 1.1);
}

}  // namespace

int main(int argc, char** argv) {
  return sweep::run("size_bench", "no difference here", argc, argv,
                    [](const Settings& settings, Quiet& quiet, Report& report) {
                      copies(settings, quiet, report);
                      views(settings, quiet, report);
                    });
}
