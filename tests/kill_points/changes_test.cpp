// The same deaths as under ptrace, where that isn't permitted: a child dies at the n-th store to shared memory, for each n. This program is
// compiled with SHARED_DICT_KILL_POINTS for that. It always runs, so that this way is known to work; where ptrace isn't permitted, and in a
// long run, with each of the thousands of stores of a large value.

#include <cstddef>
#include <cstdint>
#include <string>

#include "steps/changes.hpp"
#include "steps/deaths.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/killed.hpp"
#include "support/stepped.hpp"

using namespace shared_dict::test;

namespace {

template <class V>
void kill_everywhere(const std::string& what, const Setting<V>& setting) {
  const bool all = !Stepped::possible() || Effort(1).timed();
  if (!Stepped::possible()) WARN("ptrace isn't permitted here: the kill points show it all");
  std::uint64_t points = 0;
  std::uint64_t deaths_checked = 0;
  for (const Change<V>& change : setting.changes) {
    Subject<V> subject(setting, change);
    const auto operate = [&] { subject.operate(); };
    const std::uint64_t count = KillPoints::count(operate);
    Deaths<V> deaths(subject);
    for (const std::size_t i : choose(count + 1, count, all)) {
      INFO(change.name << ", kill point " << i + 1 << " of " << count);
      subject.restore(subject.start());
      KillPoints::kill_at(i + 1, operate);
      i == count ? deaths.check_end() : static_cast<void>(deaths.check());
    }
    points += count;
    deaths_checked += deaths.count();
  }
  report("kill at every store: " + what + (all ? "" : " (as ptrace is permitted, too, not all of the large values)"),
         {{"changes", setting.changes.size()}, {"kill points", points}, {"deaths", deaths_checked}});
}

}  // namespace

TEST_CASE("whatever store of a change of words a process dies at, the change is done or not begun", "[long]") {
  kill_everywhere("words", words());
}

TEST_CASE("whatever store of a change of numbers a process dies at, the change is done or not begun", "[long]") {
  kill_everywhere("numbers", numbers());
}

TEST_CASE("whatever store a process dies at where items are counted, the count is right", "[long]") {
  kill_everywhere("max_items", limited());
}

TEST_CASE("whatever store a process dies at in a full heap, the heap is full and sound", "[long]") {
  kill_everywhere("full heap", full());
}
