// A process is killed after each single instruction that changed the segment, for each kind of change. Whatever it had stored by then,
// its operation has afterwards happened or not, nothing is lost, no byte leaks, and all goes on.
//
// The child runs under ptrace, one instruction at a time, and whenever the segment's bytes have changed they are kept, unless they were so
// before. When it has been killed each of these images is put back: its record names a dead process then, as it would have been named by a
// kill at that instruction.

#include <cstddef>
#include <cstdint>
#include <string>

#include "steps/changes.hpp"
#include "steps/deaths.hpp"
#include "support/catch.hpp"
#include "support/distinct.hpp"
#include "support/effort.hpp"
#include "support/sanitized.hpp"
#include "support/stepped.hpp"

using namespace shared_dict::test;

namespace {

template <class V>
void kill_everywhere(const std::string& what, const Setting<V>& setting) {
  std::uint64_t seen = 0;
  std::uint64_t images = 0;
  std::uint64_t recovered = 0;
  for (const Change<V>& change : setting.changes) {
    Subject<V> subject(setting, change);
    const Distinct<Image::Copy> left = images_of(subject, [&] { subject.operate(); });
    Deaths<V> deaths(subject);
    for (const std::size_t i : choose(left.size(), left.last(), !kSanitized || Effort(1).timed())) {
      INFO(change.name << ", image " << i << " of " << left.size());
      subject.restore(left[i]);
      i == left.last() ? deaths.check_end() : static_cast<void>(deaths.check());
    }
    report("kill at every instruction: " + what + ": " + change.name,
           {{"states", left.seen()}, {"different images", left.size()}, {"recovered", deaths.count()}});
    seen += left.seen();
    images += left.size();
    recovered += deaths.count();
  }
  report("kill at every instruction: " + what, {{"changes", setting.changes.size()},
                                                {"states", seen},
                                                {"different images", images},
                                                {"recovered", recovered}});
}

template <class V>
void test_setting(const std::string& what, const Setting<V>& setting) {
  if (Stepped::possible()) return kill_everywhere(what, setting);
  WARN("ptrace isn't permitted here: only the kill points show what a death leaves");
  report("kill at every instruction: " + what + ": left to the kill points, as ptrace isn't permitted",
         {{"images", 0}});
}

}  // namespace

TEST_CASE("whatever instruction of a change of words a process is killed at, the change is done or not begun",
          "[long]") {
  test_setting("words", words());
}

TEST_CASE("whatever instruction of a change of numbers a process is killed at, the change is done or not begun",
          "[long]") {
  test_setting("numbers", numbers());
}

TEST_CASE("whatever instruction a process is killed at where items are counted, the count is right", "[long]") {
  test_setting("max_items", limited());
}

TEST_CASE("whatever instruction a process is killed at in a full heap, the heap is full and sound", "[long]") {
  test_setting("full heap", full());
}
