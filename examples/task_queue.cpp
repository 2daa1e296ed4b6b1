// A crawler's task queue: producers add pages, consumers fetch them, and one consumer is killed with -9 in the middle.
// No page is lost and none is recorded twice, because of how the dictionaries divide the work:
//
//   tasks    page -> owner and attempts   the truth about what is to be done; a task never leaves it
//   queue    page -> nothing              who is to look at it next; only a hint, which may be lost or doubled
//   results  page -> result               a task is done exactly when its result is here
//
// 1. A consumer takes a page out of the queue with extract_any. It then makes the task its own in one atomic step (modify:
//    if it has no owner, the owner is me). Of two consumers with the same page one gets it.
// 2. The result is recorded with insert, which stores it only if there is none. That one step makes the task done.
// 3. When a consumer is dead, and only then, the supervisor takes its name off the tasks without result, and puts all tasks
//    without owner into the queue again: those, and the one that it may have taken out of the queue but not owned yet.
//
// Wherever the consumer dies, its page is thus without owner, or owned by a dead process, or done. A fetch can happen again,
// as the death may come between fetch and record; a second result can't be recorded.
#include <shared_dict/shared_dict.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "program.hpp"

namespace {

using namespace std::chrono_literals;

constexpr const char* kUsage =
    "usage: task_queue\n"
    "\n"
    "Two producers add 300 pages, three consumers fetch them (simulated). One consumer is killed with -9 in the "
    "middle\n"
    "of a page. Checks that each page has exactly one result.\n";

constexpr unsigned kPages = 300;

struct Task {
  std::int32_t owner = 0;  // process id; 0: nobody
  std::uint32_t attempts = 0;
};
struct Result {
  std::int32_t consumer = 0;
  std::uint32_t checksum = 0;
};
using Tasks = shared_dict::SharedDict<std::string, Task>;
using Queue = shared_dict::SharedDict<std::string, std::uint8_t>;
using Results = shared_dict::SharedDict<std::string, Result>;
using State = shared_dict::SharedDict<std::string, bool>;

struct Crawler {
  Tasks tasks = Tasks::create(example::unique_name(".tasks"));
  Queue queue = Queue::create(example::unique_name(".queue"));
  Results results = Results::create(example::unique_name(".results"));
  State state = State::create(example::unique_name(".state"));
};

std::string page(unsigned number) { return "https://example.org/page/" + std::to_string(number); }

std::uint32_t checksum_of(const std::string& url) {
  std::uint32_t sum = 0;
  for (const char c : url) sum = sum * 31 + static_cast<unsigned char>(c);
  return sum;
}

// Both producers know some of the pages: insert adds each only once.
void produce(Crawler& crawler, unsigned first, unsigned last) {
  for (unsigned i = first; i < last; ++i) {
    if (crawler.tasks.insert(page(i), Task{})) crawler.queue.insert(page(i), 0);
  }
}

void consume(Crawler& crawler) {
  const std::int32_t me = ::getpid();
  const auto finished = [](bool value) { return value; };
  for (;;) {
    const auto taken = crawler.queue.extract_any();
    if (!taken) {  // sleep a little, unless the end is announced
      if (crawler.state.wait_until("finished", finished, 2ms)) return;
      continue;
    }
    const std::string& url = taken->first;
    bool mine = false;
    crawler.tasks.modify(url, [&](Task& task) {
      mine = task.owner == 0;
      if (mine) task = {me, task.attempts + 1};
    });
    if (!mine) continue;
    std::this_thread::sleep_for(2ms);  // the fetch
    crawler.results.insert(url, {me, checksum_of(url)});
  }
}

// The page that a consumer has begun and not done, if any.
std::optional<std::string> page_in_progress(const Crawler& crawler, pid_t consumer) {
  std::optional<std::string> found;
  crawler.tasks.for_each([&](const std::string& url, const Task& task) {
    if (task.owner == consumer && !crawler.results.contains(url)) found = url;
  });
  return found;
}

// After the death of a consumer; returns the tasks that were its own.
std::set<std::string> give_back(Crawler& crawler, pid_t dead) {
  std::set<std::string> given_back;
  for (const std::string& url : crawler.tasks.keys()) {
    if (crawler.results.contains(url)) continue;
    bool waiting = false;
    crawler.tasks.modify(url, [&](Task& task) {
      if (task.owner == dead) {
        task.owner = 0;
        given_back.insert(url);
      }
      waiting = task.owner == 0;
    });
    if (waiting) crawler.queue.insert(url, 0);
  }
  return given_back;
}

void task_queue() {
  Crawler crawler;
  auto consumers = example::start(3, [&](unsigned) { consume(crawler); });
  auto producers = example::start(2, [&](unsigned i) { produce(crawler, kPages * i / 3, kPages * (i + 2) / 3); });
  example::join(producers);

  // Stop one in the middle of a page, and kill it. The stop is only there to have a page to show. Reading needs no lock, so
  // it doesn't matter where the consumer stands.
  example::Process& victim = consumers.front();
  const pid_t victim_pid = victim.pid();
  example::poll_until("a page in progress", [&] {
    if (crawler.results.size() < kPages / 3) return false;
    victim.signal(SIGSTOP);
    const bool caught = page_in_progress(crawler, victim_pid) || crawler.results.size() == kPages;
    if (!caught) victim.signal(SIGCONT);
    return caught;
  });
  victim.kill();
  std::cout << "killed consumer " << victim_pid << " after " << crawler.results.size() << " of " << kPages
            << " pages\n";
  const auto given_back = give_back(crawler, victim_pid);
  for (const auto& url : given_back) std::cout << "given back: " << url << '\n';

  example::poll_until("all results", [&] { return crawler.results.size() == crawler.tasks.size(); });
  crawler.state["finished"] = true;
  for (auto& consumer : consumers) {
    if (&consumer != &victim) consumer.join();
  }

  std::map<std::int32_t, int> pages_of;
  for (unsigned i = 0; i < kPages; ++i) {
    const Result result = crawler.results.at(page(i));
    ++pages_of[result.consumer];
    example::require(result.checksum == checksum_of(page(i)), "the result of " + page(i));
    example::require(crawler.tasks.at(page(i)).attempts == (given_back.contains(page(i)) ? 2U : 1U),
                     "the attempts at " + page(i));
  }
  example::require(crawler.results.size() == kPages, "the number of results");
  for (const auto& [consumer, count] : pages_of) {
    std::cout << "consumer " << consumer << ": " << count << " pages"
              << (consumer == victim_pid ? " (killed)\n" : "\n");
  }
  std::cout << "check: " << kPages << " pages, one result each; only what was given back was begun twice\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, task_queue); }
