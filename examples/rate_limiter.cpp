// Rate limiter: several processes serve an API and together grant each client no more than its token bucket allows.
//
// A bucket holds at most 20 tokens, a request takes one, and 0.1 tokens come back per tick. The decision is one
// modify_or_insert: fill up by the time that has passed, then take a token if there is one. A new client begins with a full
// bucket.
//
// The clock is a shared counter that each request steps, so that the result can be checked to the token. A real service
// reads std::chrono::steady_clock, which all processes of a machine share.
#include <shared_dict/shared_dict.hpp>

#include <algorithm>
#include <cstdint>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "program.hpp"

namespace {

constexpr const char* kUsage =
    "usage: rate_limiter\n"
    "\n"
    "Four processes send 50000 requests of three clients through one shared token bucket per client. Checks that no\n"
    "client was granted more than its bucket allows in any stretch of time, and none less than it should get.\n";

constexpr unsigned kProcesses = 4;
constexpr std::uint64_t kRequests = 50'000;  // per process
constexpr std::uint64_t kToken = 1000;       // in thousandths, to count in whole numbers
constexpr std::uint64_t kCapacity = 20 * kToken;
constexpr std::uint64_t kPerTick = kToken / 10;

struct Bucket {
  std::uint64_t tokens = kCapacity;
  std::uint64_t filled_at = 0;
};
using Buckets = shared_dict::SharedDict<std::string, Bucket>;
using Clock = shared_dict::SharedDict<std::string, std::uint64_t>;
using Ticks = std::vector<std::uint64_t>;
using Log = shared_dict::SharedDict<std::string, Ticks>;

// The limiter. Returns whether the request is granted, and sets `now` to the time at which that was decided.
bool allow(Buckets& buckets, const std::string& client, std::uint64_t& now) {
  bool granted = false;
  buckets.modify_or_insert(client, Bucket{kCapacity, now}, [&](Bucket& bucket) {
    now = std::max(now, bucket.filled_at);  // another process may have read the clock later and been here before
    bucket.tokens = std::min(kCapacity, bucket.tokens + (now - bucket.filled_at) * kPerTick);
    bucket.filled_at = now;
    granted = bucket.tokens >= kToken;
    if (granted) bucket.tokens -= kToken;
  });
  return granted;
}

const char* client_of(std::uint64_t request) {
  if (request % 100 == 0) return "carol, modest";
  return request % 4 == 0 ? "bob, eager" : "alice, greedy";
}

void send_requests(unsigned process, Clock& clock, Buckets& buckets, Log& log) {
  std::map<std::string, Ticks> granted;
  for (std::uint64_t i = 0; i < kRequests; ++i) {
    const std::string client = client_of(i);
    std::uint64_t now = clock.fetch_add("now", 1);
    if (allow(buckets, client, now)) granted[client].push_back(now);
  }
  for (const auto& [client, ticks] : granted) log.insert(client + '/' + std::to_string(process), ticks);
}

// In any stretch of time a bucket grants at most what it can hold and what comes back meanwhile. So of the balance "granted
// minus come back", which each grant raises, no later value exceeds an earlier one by more than the capacity.
bool within_limit(const Ticks& sorted) {
  std::int64_t lowest = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto back = static_cast<std::int64_t>(sorted[i] * kPerTick);
    const auto before = static_cast<std::int64_t>(i * kToken) - back;
    lowest = i == 0 ? before : std::min(lowest, before);
    if (before + static_cast<std::int64_t>(kToken) - lowest > static_cast<std::int64_t>(kCapacity)) return false;
  }
  return true;
}

void rate_limiter() {
  auto clock = Clock::create(example::unique_name(".clock"));
  auto buckets = Buckets::create(example::unique_name(".buckets"));
  auto log = Log::create(example::unique_name(".log"));

  auto processes = example::start(kProcesses, [&](unsigned i) { send_requests(i, clock, buckets, log); });
  example::join(processes);

  const std::uint64_t end = clock.at("now");
  example::require(end == kProcesses * kRequests, "the clock");
  std::map<std::string, std::uint64_t> asked;
  for (std::uint64_t i = 0; i < kRequests; ++i) asked[client_of(i)] += kProcesses;
  const std::uint64_t most = (kCapacity + end * kPerTick) / kToken;
  std::cout << end << " ticks; a bucket allows at most 20 + " << end << " / 10 = " << most << " requests\n";

  for (const auto& [client, requests] : asked) {
    Ticks granted;
    for (unsigned i = 0; i < kProcesses; ++i) {
      const Ticks part = log.get(client + '/' + std::to_string(i), {});
      granted.insert(granted.end(), part.begin(), part.end());
    }
    std::ranges::sort(granted);
    std::cout << client << ": asked " << requests << " times, granted " << granted.size() << '\n';
    example::require(granted.size() <= most && within_limit(granted), client + " was granted too much");
    // Who asks for more than comes back gets all that comes back; who asks for less gets all it asks for.
    const std::uint64_t least = std::min(requests, most - 2 * kCapacity / kToken);
    example::require(granted.size() >= least, client + " was granted too little");
  }
  std::cout << "check: no stretch of time has more grants than its bucket allows\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, rate_limiter); }
