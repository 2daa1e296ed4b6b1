// What does an access to memory cost on this machine? Of what all other figures are made: a read or a write of an item that is in no near cache
// is two accesses of which the second has to wait for the first, the key's bucket and the entry that it leads to.
//
// A chain goes through all lines of an area in no order, each access by what the one before has read; "known ahead" visits the same lines, but the
// processor knows where the next ones are and fetches several at a time.

#include "sweep.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/mman.h>

using namespace sweep;

namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

// Memory of a kind, all of it written.
class Area {
 public:
  Area(std::size_t bytes, int flags, bool huge) : bytes_(bytes + kHugePage) {
    begin_ = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (begin_ == MAP_FAILED) throw std::runtime_error("no memory");
    const auto address = reinterpret_cast<std::uintptr_t>(begin_);
    lines_ = reinterpret_cast<std::byte*>((address + kHugePage - 1) & ~(kHugePage - 1));
    ::madvise(lines_, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    std::fill(lines_, lines_ + bytes, std::byte{0});
  }
  Area(const Area&) = delete;
  Area& operator=(const Area&) = delete;
  ~Area() { ::munmap(begin_, bytes_); }

  std::uint64_t& line(std::size_t index) const { return *reinterpret_cast<std::uint64_t*>(lines_ + index * kLine); }

 private:
  std::size_t bytes_;
  void* begin_;
  std::byte* lines_;
};

// Each line holds the number of the next one.
void make_chain(const Area& area, const std::vector<std::uint32_t>& order) {
  for (std::size_t i = 0; i < order.size(); ++i) area.line(order[i]) = order[(i + 1) % order.size()];
}

double chain(const Area& area, const std::vector<std::uint32_t>& order, double seconds) {
  std::uint64_t at = order.front();
  const double ns = ns_per_operation(seconds, order.size(), [&] {
    for (std::size_t i = 0; i < order.size(); ++i) at = area.line(at);
  });
  require(at == order.front(), "a chain doesn't come back");
  return ns;
}

double known_ahead(const Area& area, const std::vector<std::uint32_t>& order, double seconds) {
  std::uint64_t sum = 0;
  const double ns = ns_per_operation(seconds, order.size(), [&] {
    sum = 0;
    for (const std::uint32_t line : order) sum += area.line(line);
  });
  require(sum == std::uint64_t{order.size()} * (order.size() - 1) / 2, "a line is missing");
  return ns;
}

void measure(const Settings& settings, Quiet&, Report& report) {
  std::cout << "ns for each access          chain                                 known ahead\n"
               "                   shared    private   huge pages        shared\n";
  std::mt19937_64 random(1);
  std::vector<std::size_t> sizes{1, 2, 4, 8, 16, 64};  // MiB
  if (settings.large) sizes.push_back(256);
  for (const std::size_t megabytes : sizes) {
    const std::size_t bytes = megabytes << 20;
    const Area shared(bytes, MAP_SHARED, false);
    const Area ordinary(bytes, MAP_PRIVATE, false);
    const Area huge(bytes, MAP_PRIVATE, true);
    std::vector<std::uint32_t> order(bytes / kLine);
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint32_t>(i);
    std::shuffle(order.begin(), order.end(), random);
    for (const Area* area : {&shared, &ordinary, &huge}) make_chain(*area, order);
    const double seconds = settings.seconds;
    const std::vector<Series> all = interleave(settings.rounds, {[&] { return chain(shared, order, seconds); },
                                                                 [&] { return chain(ordinary, order, seconds); },
                                                                 [&] { return chain(huge, order, seconds); },
                                                                 [&] { return known_ahead(shared, order, seconds); }});
    std::cout << std::setw(9) << megabytes << " MiB" << std::fixed << std::setprecision(1);
    for (const Series& series : all) std::cout << std::setw(12) << series.median();
    std::cout << std::endl;
    report.point("memory", static_cast<double>(bytes),
                 {{"shared", all[0].median()}, {"private", all[1].median()}, {"huge", all[2].median()}, {"ahead", all[3].median()}});
  }
}

}  // namespace

int main(int argc, char** argv) { return sweep::run("memory_bench", "256 MiB", argc, argv, measure); }
