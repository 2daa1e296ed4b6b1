// Web statistics: several server processes count visits and response times per URL, and all see the totals at any time.
//
// A count is one fetch_add. Response times are four numbers that belong together: modify_or_insert changes all four in one
// step, so nobody sees a sum without its count, and two servers never overwrite each other's change.
#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "program.hpp"

namespace {

constexpr const char* kUsage =
    "usage: web_statistics\n"
    "\n"
    "Four processes serve 20000 simulated requests each and keep visits and response times per URL in shared\n"
    "dictionaries. Prints the table and compares it with the requests.\n";

constexpr unsigned kServers = 4;
constexpr int kRequests = 20'000;
constexpr std::array kUrls = {"/", "/search", "/cart", "/login", "/images/logo.png", "/api/v1/items", "/help"};

struct Timing {  // in microseconds; trivially copyable, so it is stored as its bytes
  std::uint64_t count = 0;
  std::uint64_t sum = 0;
  std::uint64_t min = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t max = 0;

  void add(std::uint64_t time) {
    ++count;
    sum += time;
    min = std::min(min, time);
    max = std::max(max, time);
  }
  friend bool operator==(const Timing&, const Timing&) = default;
};

using Visits = shared_dict::SharedDict<std::string, std::uint64_t>;
using Timings = shared_dict::SharedDict<std::string, Timing>;

// Calls serve(url, microseconds) for each request of one server: the same ones whenever it is called.
template <class Serve>
void for_each_request(unsigned server, Serve serve) {
  std::mt19937_64 random(server);
  std::geometric_distribution<std::size_t> url(0.4);
  std::lognormal_distribution<double> time(7.0, 0.8);
  for (int i = 0; i < kRequests; ++i) {
    const std::size_t which = std::min(url(random), kUrls.size() - 1);
    serve(kUrls[which], static_cast<std::uint64_t>(time(random) * static_cast<double>(1 + which)));
  }
}

void serve_requests(unsigned server, Visits& visits, Timings& timings) {
  for_each_request(server, [&](const std::string& url, std::uint64_t time) {
    visits[url] += 1;  // fetch_add: atomic, and a new URL begins at 0
    timings.modify_or_insert(url, Timing{}, [&](Timing& timing) { timing.add(time); });
  });
}

void print_table(const Visits& visits, const Timings& timings) {
  auto rows = visits.items();
  std::ranges::sort(rows, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::cout << "url                 visits   mean ms    min ms    max ms\n" << std::fixed << std::setprecision(2);
  for (const auto& [url, count] : rows) {
    const Timing timing = timings.at(url);
    const auto ms = [](std::uint64_t us) { return static_cast<double>(us) / 1000; };
    std::cout << std::left << std::setw(18) << url << std::right << std::setw(8) << count << std::setw(10)
              << ms(timing.sum) / static_cast<double>(timing.count) << std::setw(10) << ms(timing.min) << std::setw(10)
              << ms(timing.max) << '\n';
  }
}

void web_statistics() {
  auto visits = Visits::create(example::unique_name(".visits"));
  auto timings = Timings::create(example::unique_name(".timings"));

  auto servers = example::start(kServers, [&](unsigned i) { serve_requests(i, visits, timings); });
  example::join(servers);
  print_table(visits, timings);

  std::map<std::string, Timing> expected;
  for (unsigned i = 0; i < kServers; ++i) {
    for_each_request(i, [&](const std::string& url, std::uint64_t time) { expected[url].add(time); });
  }
  example::require(visits.size() == expected.size() && timings.size() == expected.size(), "the number of URLs");
  for (const auto& [url, timing] : expected) {
    example::require(visits.get(url, 0) == timing.count, "the visits of " + url);
    example::require(timings.at(url) == timing, "the response times of " + url);
  }
  std::cout << "check: all " << kServers * kRequests << " requests of " << kServers << " processes are counted\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, web_statistics); }
