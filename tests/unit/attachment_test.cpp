// Membership: each process has a record and a lock that proves it alive. A dead one must be found and its locks released; a live one,
// stopped, forked or cut off from its files, must never be taken for dead.

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
using test::eventually;
using test::Forked;
using test::SharedArea;

namespace {

const StoredTypes kTypes{"K", "V", {8, 8, 8}};

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment;

  explicit Dictionary(Options options = {.heap_size = 1 << 20}) : attachment(open(OpenMode::create, options)) {}

  std::shared_ptr<Attachment> open(OpenMode mode, const Options& options = {}) const {
    return Lifecycle("name", place.path(), test::kHangDeadline).open(mode, options, kTypes);
  }
  std::shared_ptr<Guard> guard() const { return LocalRegistry::instance().guard(place.of("name") / "guard.lock"); }
  Segment& segment() const { return attachment->segment(); }
  RecordState state(std::uint32_t record) const { return RecordState(segment().record(record).state.load()); }

  bool is_dead(std::uint32_t record) const {
    const auto asked = guard();
    const Guard::Hold hold = asked->hold_until(Clock::now() + test::kHangDeadline);
    if (!hold) throw std::runtime_error("the guard can't be had");
    return attachment->is_dead(record);
  }
  void require_sound() const {
    const AuditReport report = Audit({*attachment, test::kHangDeadline}).run();
    for (const std::string& problem : report.problems) UNSCOPED_INFO(problem);
    REQUIRE(report.ok());
  }
};

struct State {
  std::atomic<std::uint32_t> word;  // the child's lock word, once it is registered
  std::atomic<std::uint32_t> stage;
};

/// A child that registers, does `work(its word)`, and stays until it is killed.
template <class Work>
std::unique_ptr<Forked> stay(const Dictionary& dictionary, const SharedArea<State>& state, Work work) {
  auto child = std::make_unique<Forked>([&](auto) {
    const LockWord self = dictionary.attachment->require_registered();
    work(self);
    state->word.store(self.bits());
    for (;;) ::pause();
    return 0;
  });
  REQUIRE(eventually([&] { return state->word.load() != 0; }));
  return child;
}

void end(Forked& child) {
  child.kill();
  REQUIRE(child.wait().signal == SIGKILL);
}

}  // namespace

TEST_CASE("a process takes a record, and all its handles share it") {
  const Dictionary dictionary;
  REQUIRE_FALSE(dictionary.attachment->self().free());
  REQUIRE(dictionary.state(0).used());
  REQUIRE(dictionary.open(OpenMode::attach) == dictionary.attachment);
  REQUIRE(dictionary.attachment->process_count() == 1);
  REQUIRE(dictionary.attachment->pid_of(dictionary.attachment->self()) == static_cast<std::uint32_t>(::getpid()));
  REQUIRE(dictionary.attachment->pid_of(LockWord(0xfffe, 0)) == 0);
}

TEST_CASE("a forked child gets a record of its own, and gives it back with the next generation") {
  const Dictionary dictionary;
  for (std::uint32_t round = 0; round < 3; ++round) {
    REQUIRE(dictionary.state(1).generation() == round);
    SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
      const LockWord self = dictionary.attachment->self();
      if (self != LockWord(1, round) || !dictionary.state(1).used()) return 1;
      if (dictionary.attachment->process_count() != 2) return 2;
      const_cast<Dictionary&>(dictionary).attachment.reset();
      return 0;
    }));
    REQUIRE_FALSE(dictionary.state(1).used());
  }
  REQUIRE(dictionary.attachment->process_count() == 1);
  REQUIRE(dictionary.segment().header().recoveries.load() == 0);
  REQUIRE(dictionary.segment().record(0).forking.load() == 0);
}

TEST_CASE("the record of a dead process that forked stays for a second, or until it is needed, and isn't counted") {
  const Dictionary dictionary({.heap_size = 1 << 20, .max_processes = 2});
  const SharedArea<State> state;
  const auto die_forking = [&](std::uint32_t generation) {
    state->word.store(0);
    const auto child = stay(dictionary, state, [&](LockWord self) {
      dictionary.segment().record(self.record()).forking.fetch_add(1);  // as if its child had died before it was registered
    });
    REQUIRE(dictionary.state(1).generation() == generation);
    end(*child);
  };
  const auto reap = [&] {
    const auto asked = dictionary.guard();
    const Guard::Hold hold = asked->hold_until(Clock::now() + test::kHangDeadline);
    REQUIRE(hold);
    dictionary.attachment->reap_dead();
  };
  die_forking(0);
  REQUIRE(dictionary.attachment->process_count() == 2);
  reap();
  reap();
  REQUIRE(dictionary.state(1).used());
  REQUIRE(dictionary.attachment->expects_child());
  REQUIRE(dictionary.attachment->process_count() == 1);
  REQUIRE(dictionary.segment().header().recoveries.load() == 1);  // once
  // A lock that names it all the same is released, and nobody waits for it for ever.
  Word32& lock = dictionary.segment().shard(0).lock;
  lock.store(LockWord(1, 0).bits());
  REQUIRE(dictionary.attachment->reap_if_dead(LockWord(1, 0)));
  REQUIRE(lock.load() == 0);
  // As if two seconds had passed.
  Word64& forking = dictionary.segment().record(1).forking;
  forking.store(forking.load() ^ (std::uint64_t{1} << 30));
  REQUIRE_FALSE(dictionary.attachment->expects_child());
  reap();
  REQUIRE_FALSE(dictionary.state(1).used());
  // The next newcomer needs it.
  die_forking(1);
  state->word.store(0);
  const auto newcomer = stay(dictionary, state, [](LockWord) {});
  REQUIRE(dictionary.state(1).generation() == 2);
  REQUIRE(dictionary.attachment->process_count() == 2);
  end(*newcomer);
}

TEST_CASE("a killed process is found dead, a stopped one isn't") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [](LockWord) {});
  const std::uint32_t record = LockWord(state->word.load()).record();
  REQUIRE_FALSE(dictionary.is_dead(record));
  child->signal(SIGSTOP);
  REQUIRE_FALSE(dictionary.is_dead(record));
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(LockWord(state->word.load())));
  end(*child);
  REQUIRE(dictionary.is_dead(record));
  REQUIRE(dictionary.attachment->reap_if_dead(LockWord(state->word.load())));
  REQUIRE_FALSE(dictionary.state(record).used());
  REQUIRE(dictionary.state(record).generation() == LockWord(state->word.load()).generation() + 1);
}

TEST_CASE("a process never probes its own lock, and asking after itself doesn't lose it") {
  const Dictionary dictionary;
  REQUIRE_FALSE(dictionary.is_dead(0));
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(dictionary.attachment->self()));
  dictionary.attachment->reap_dead();
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) { return dictionary.is_dead(0) ? 1 : 0; }));
}

TEST_CASE("probing another process doesn't disturb its lock") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [](LockWord) {});
  const std::uint32_t record = LockWord(state->word.load()).record();
  for (int i = 0; i < 50; ++i) REQUIRE_FALSE(dictionary.is_dead(record));
  SHARED_DICT_REQUIRE_ENDED_WELL(
      test::run_forked([&](auto) { return dictionary.is_dead(record) || dictionary.is_dead(0) ? 1 : 0; }));
}

TEST_CASE("recovery marks and frees every lock that the dead process held, and no other") {
  const Dictionary dictionary;
  Segment& segment = dictionary.segment();
  REQUIRE(segment.identity().shard_count >= 4);
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [&](LockWord self) {
    segment.shard(1).lock.store(self.bits());
    segment.shard(3).lock.store(self.bits());
    segment.header().pool.lock.store(self.bits());
    segment.header().limit_lock.store(self.bits());
  });
  const LockWord dead(state->word.load());
  const LockWord other = dictionary.attachment->self();
  segment.shard(2).lock.store(other.bits());
  end(*child);
  REQUIRE(dictionary.attachment->reap_if_dead(dead));
  for (const std::uint32_t shard : {1U, 3U}) {
    REQUIRE(segment.shard(shard).lock.load() == 0);
    REQUIRE(segment.shard(shard).dirty.load() == 1);
  }
  REQUIRE(segment.shard(0).dirty.load() == 0);
  REQUIRE(segment.shard(2).lock.load() == other.bits());
  REQUIRE(segment.shard(2).dirty.load() == 0);
  REQUIRE(segment.header().pool.lock.load() == 0);
  REQUIRE(segment.header().pool.dirty.load() == 1);
  REQUIRE(segment.header().limit_lock.load() == 0);
  REQUIRE(segment.header().recoveries.load() == 1);
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(dead));
  segment.shard(2).lock.store(0);
  dictionary.require_sound();
  REQUIRE(segment.header().pool.dirty.load() == 0);
}

TEST_CASE("a recovery that was interrupted anywhere is completed by the next one") {
  for (int done = 0; done < 4; ++done) {
    INFO("steps done: " << done);
    const Dictionary dictionary;
    Segment& segment = dictionary.segment();
    const SharedArea<State> state;
    const auto child = stay(dictionary, state, [&](LockWord self) {
      segment.shard(0).lock.store(self.bits());
      segment.shard(1).lock.store(self.bits());
    });
    end(*child);
    // What a recoverer does, up to its death.
    if (done > 0) segment.shard(0).dirty.store(1);
    if (done > 1) segment.shard(0).lock.store(0);
    if (done > 2) segment.shard(1).dirty.store(1);
    {
      const auto guard = dictionary.guard();
      const Guard::Hold hold = guard->hold_until(Clock::now() + test::kHangDeadline);
      dictionary.attachment->reap_dead();
    }
    for (const std::uint32_t shard : {0U, 1U}) {
      REQUIRE(segment.shard(shard).lock.load() == 0);
      REQUIRE(segment.shard(shard).dirty.load() == 1);
    }
    REQUIRE_FALSE(dictionary.state(1).used());
    dictionary.require_sound();
  }
}

TEST_CASE("a lock word of an earlier use of the record is nobody's to reap") {
  const Dictionary dictionary;
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [](LockWord) {});
  const LockWord word(state->word.load());
  end(*child);
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(LockWord(word.record(), word.generation() + 1)));
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(LockWord()));
  REQUIRE_FALSE(dictionary.attachment->reap_if_dead(LockWord(0xfff0, 3)));
  REQUIRE(dictionary.state(word.record()).used());
  REQUIRE(dictionary.attachment->reap_if_dead(word));
}

TEST_CASE("a process too many is refused, and let in when another one has died") {
  const Dictionary dictionary({.heap_size = 1 << 20, .max_processes = 2});
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [](LockWord) {});
  const auto registers = [&](auto) {
    return test::error_of([&] { dictionary.attachment->require_registered(); }) == errc::too_many_processes ? 10 : 0;
  };
  REQUIRE(test::run_forked(registers).status == 10);
  REQUIRE_FALSE(dictionary.is_dead(0));
  REQUIRE_FALSE(dictionary.is_dead(1));
  end(*child);
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked(registers));
}

TEST_CASE("when a lock file was taken away or replaced, only a pid that is certainly gone counts as dead") {
  for (const bool replaced : {false, true}) {
    const Dictionary dictionary;
    const SharedArea<State> state;
    const auto child = stay(dictionary, state, [](LockWord) {});
    const std::uint32_t record = LockWord(state->word.load()).record();
    const auto path =
        Place(dictionary.place.path(), "name").process_lock(dictionary.segment().identity().instance, record);
    std::filesystem::remove(path);
    if (replaced) test::write_file(path, "");
    REQUIRE_FALSE(dictionary.is_dead(record));
    end(*child);
    REQUIRE(dictionary.is_dead(record));
  }
}

TEST_CASE("the last process to leave takes the files with it, one before the last doesn't") {
  Dictionary dictionary;
  const SharedArea<State> state;
  const auto child = stay(dictionary, state, [](LockWord) {});
  dictionary.attachment.reset();
  REQUIRE(std::filesystem::exists(dictionary.place.of("name") / "segment"));
  dictionary.attachment = dictionary.open(OpenMode::attach);
  end(*child);
  dictionary.attachment.reset();
  REQUIRE(std::filesystem::is_empty(dictionary.place.path()));
}

TEST_CASE("a process that leaves a removed dictionary leaves the new one of its name alone") {
  Dictionary dictionary;
  REQUIRE(Lifecycle("name", dictionary.place.path(), test::kHangDeadline).remove());
  const auto next = dictionary.open(OpenMode::create, {.heap_size = 1 << 20});
  REQUIRE(next != dictionary.attachment);
  dictionary.attachment.reset();
  REQUIRE(std::filesystem::exists(dictionary.place.of("name") / "segment"));
  dictionary.attachment = next;
  REQUIRE_FALSE(dictionary.is_dead(0));
  SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) { return dictionary.is_dead(0) ? 1 : 0; }));
  dictionary.require_sound();
}

TEST_CASE("a child forked from a removed dictionary keeps its life in the new one of that name") {
  Dictionary dictionary;
  REQUIRE(Lifecycle("name", dictionary.place.path(), test::kHangDeadline).remove());
  const SharedArea<State> creator;
  const SharedArea<State> state;
  const Forked other([&](auto) {
    dictionary.attachment = dictionary.open(OpenMode::create, {.heap_size = 1 << 20});
    creator->word.store(dictionary.attachment->self().bits());
    for (;;) ::pause();
    return 0;
  });
  REQUIRE(eventually([&] { return creator->word.load() != 0; }));
  const Forked child([&](auto) {
    const auto next = dictionary.open(OpenMode::attach);
    dictionary.attachment.reset();  // leaves the old one
    state->word.store(next->self().bits());
    for (;;) ::pause();
    return 0;
  });
  REQUIRE(eventually([&] { return state->word.load() != 0; }));
  dictionary.attachment = dictionary.open(OpenMode::attach);
  REQUIRE(dictionary.attachment->pid_of(LockWord(state->word.load())) == static_cast<std::uint32_t>(child.pid()));
}
