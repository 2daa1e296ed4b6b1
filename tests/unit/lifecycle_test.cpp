// Between a name and a dictionary stand files that others may have left, damaged or replaced. What isn't whole must be refused, what is
// unfinished started over, and whatever threads do at once, nobody may wait for himself.

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;
namespace fs = std::filesystem;

namespace {

const StoredTypes kTypes{"Key", "Value", {8, 8, 8}};

struct Here {
  test::Place place;

  Lifecycle lifecycle(std::chrono::milliseconds timeout = test::kHangDeadline) const {
    return {"name", place.path(), timeout};
  }
  std::shared_ptr<Attachment> open(OpenMode mode, const Options& options = {.heap_size = 1 << 16},
                                   const StoredTypes& types = kTypes) const {
    return lifecycle().open(mode, options, types);
  }
  std::error_code error(OpenMode mode) const {
    return test::error_of([&] { open(mode); });
  }
  fs::path segment() const { return place.of("name") / "segment"; }
  static void require_sound(const std::shared_ptr<Attachment>& attachment) {
    REQUIRE(Audit({*attachment, test::kHangDeadline}).run().ok());
  }
  /// A dictionary that nobody is attached to.
  void leave_one() const { open(OpenMode::create, {.heap_size = 1 << 16, .lifetime = Lifetime::persistent}); }
};

/// The bytes of a file, to be changed one bit at a time.
class Bits {
 public:
  explicit Bits(const fs::path& path) : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
  void flip(std::uint64_t bit) const {
    unsigned char byte = 0;
    if (::pread(file_.get(), &byte, 1, static_cast<off_t>(bit / 8)) != 1) throw std::runtime_error("can't read");
    byte = static_cast<unsigned char>(byte ^ (1U << (bit % 8)));
    if (::pwrite(file_.get(), &byte, 1, static_cast<off_t>(bit / 8)) != 1) throw std::runtime_error("can't write");
  }

 private:
  FileDescriptor file_;
};

}  // namespace

TEST_CASE("each bit of the header that is wrong leads to a refusal, and right again to the dictionary") {
  const Here here;
  here.leave_one();
  const Bits bits(here.segment());
  const auto refused = [&](std::uint64_t first, std::uint64_t bytes, errc expected) {
    for (std::uint64_t bit = first * 8; bit < (first + bytes) * 8; ++bit) {
      bits.flip(bit);
      const std::error_code code = here.error(OpenMode::attach);
      const bool exists = here.lifecycle().exists();
      bits.flip(bit);
      if (code != expected || exists)
        FAIL("bit " << bit % 8 << " of byte " << bit / 8 << ": " << code.message() << (exists ? ", exists" : ""));
    }
  };
  refused(offsetof(Header, magic), 8, errc::incompatible_layout);
  refused(offsetof(Header, byte_order), 4, errc::incompatible_layout);
  refused(offsetof(Header, layout_version), 4, errc::incompatible_layout);
  refused(offsetof(Header, checksum), 8, errc::corrupted);
  refused(offsetof(Header, identity), sizeof(Identity), errc::corrupted);
  Here::require_sound(here.open(OpenMode::attach));
}

TEST_CASE("what is damaged or foreign is not made anew by open_or_create, nor by create, but can be removed") {
  for (const std::uint64_t at : {offsetof(Header, layout_version), offsetof(Header, checksum)}) {
    const Here here;
    here.leave_one();
    Bits(here.segment()).flip(at * 8);
    const auto bytes = test::read_file(here.segment());
    REQUIRE((here.error(OpenMode::open_or_create) == errc::corrupted ||
             here.error(OpenMode::open_or_create) == errc::incompatible_layout));
    REQUIRE(here.error(OpenMode::create) == errc::already_exists);
    REQUIRE(test::read_file(here.segment()) == bytes);
    REQUIRE(here.lifecycle().remove());
    Here::require_sound(here.open(OpenMode::create));
  }
}

TEST_CASE("a dictionary whose magic was never stored is unfinished: not found, and started over") {
  const Here here;
  here.leave_one();
  {
    const FileDescriptor file(::open(here.segment().c_str(), O_RDWR | O_CLOEXEC));
    const std::uint64_t nothing = 0;
    REQUIRE(::pwrite(file.get(), &nothing, sizeof nothing, 0) == sizeof nothing);
  }
  REQUIRE(here.error(OpenMode::attach) == errc::not_found);
  REQUIRE_FALSE(here.lifecycle().exists());
  Here::require_sound(here.open(OpenMode::open_or_create));
}

TEST_CASE("a dictionary whose processes have all died counts as gone, a persistent one doesn't") {
  for (const Lifetime lifetime : {Lifetime::attached, Lifetime::persistent}) {
    const Here here;
    SHARED_DICT_REQUIRE_ENDED_WELL(test::run_forked([&](auto) {
      here.open(OpenMode::create, {.heap_size = 1 << 16, .lifetime = lifetime}).reset();
      static auto* const kept = new std::shared_ptr<Attachment>(
          here.open(OpenMode::open_or_create, {.heap_size = 1 << 16, .lifetime = lifetime}));
      return *kept ? 0 : 1;  // ends without leaving
    }));
    REQUIRE(fs::exists(here.segment()));
    const bool persistent = lifetime == Lifetime::persistent;
    REQUIRE(here.lifecycle().exists() == persistent);
    REQUIRE(here.error(OpenMode::attach) == (persistent ? std::error_code() : make_error_code(errc::not_found)));
    REQUIRE(list_dictionaries(here.place.path()) ==
            (persistent ? std::vector<std::string>{"name"} : std::vector<std::string>{}));
    Here::require_sound(here.open(persistent ? OpenMode::attach : OpenMode::create));
  }
}

TEST_CASE("opening with other types is refused and leaves nothing behind") {
  const Here here;
  const auto attachment = here.open(OpenMode::create);
  for (const StoredTypes& types : {StoredTypes{"Other", "Value", {8, 8, 8}}, StoredTypes{"Key", "Other", {8, 8, 8}},
                                   StoredTypes{"Key", "Value", {4, 8, 8}}, StoredTypes{"Key", "Value", {8, 0, 8}},
                                   StoredTypes{"Key", "Value", {8, 8, 16}}, StoredTypes{"Key\nValue", "", {8, 8, 8}}}) {
    const std::string text = test::message_of([&] { here.open(OpenMode::attach, {}, types); });
    INFO(text);
    REQUIRE(text.find("Key, Value") != std::string::npos);
    REQUIRE(test::error_of([&] { here.open(OpenMode::open_or_create, {.heap_size = 1 << 16}, types); }) ==
            errc::type_mismatch);
  }
  REQUIRE(attachment->process_count() == 1);
  Here::require_sound(attachment);
}

TEST_CASE("long type names are stored in part and compared as a whole") {
  const Here here;
  const std::string name(3000, 'T');
  const auto attachment = here.open(OpenMode::create, {.heap_size = 1 << 16}, {name, name, {8, 8, 8}});
  REQUIRE(here.open(OpenMode::attach, {}, {name, name, {8, 8, 8}}) == attachment);
  REQUIRE(test::error_of([&] {
            here.open(OpenMode::attach, {}, {name, name + "x", {8, 8, 8}});
          }) == errc::type_mismatch);
}

TEST_CASE("a remove makes the name free at once, and who is attached goes on") {
  const Here here;
  const auto old = here.open(OpenMode::create);
  REQUIRE(here.lifecycle().remove());
  REQUIRE_FALSE(here.lifecycle().exists());
  REQUIRE_FALSE(here.lifecycle().remove());
  REQUIRE(here.error(OpenMode::attach) == errc::not_found);
  const auto now = here.open(OpenMode::create);
  REQUIRE(now != old);
  REQUIRE(now->segment().identity().instance != old->segment().identity().instance);
  Here::require_sound(old);
  Here::require_sound(now);
}

TEST_CASE("a guard that somebody keeps ends opening and removing in a time-out") {
  const Here here;
  const auto attachment = here.open(OpenMode::create);
  std::atomic<bool> stop{false};
  std::atomic<bool> held{false};
  std::thread keeper([&] {
    const auto guard = LocalRegistry::instance().guard(here.place.of("name") / "guard.lock");
    const Guard::Hold hold = guard->hold_until(Clock::now() + test::kHangDeadline);
    held.store(true);
    static_cast<void>(test::eventually([&] { return stop.load(); }));
  });
  REQUIRE(test::eventually([&] { return held.load(); }));
  const auto soon = std::chrono::milliseconds(20);
  CHECK(test::error_of([&] { here.lifecycle(soon).open(OpenMode::attach, {}, kTypes); }) == errc::lock_timeout);
  CHECK(test::error_of([&] { here.lifecycle(soon).open(OpenMode::create, {.heap_size = 1 << 16}, kTypes); }) ==
        errc::lock_timeout);
  CHECK(test::error_of([&] { here.lifecycle(soon).remove(); }) == errc::lock_timeout);
  stop.store(true);
  keeper.join();
  CHECK(here.lifecycle().exists());
  Here::require_sound(attachment);
}

// The last handle may go while another thread looks at the dictionary under the guard: then that thread has the last reference, and what
// leaves the dictionary wants the guard that it holds. Here the look is slow, as there are many dead records before this process's own.
TEST_CASE("a thread that looks at a dictionary while another one closes it doesn't wait for itself") {
  const Here here;
  const test::Ending ending = test::run_forked(
      [&](auto) {
        auto attachment = here.lifecycle(std::chrono::milliseconds(100))
                              .open(OpenMode::create, {.heap_size = 1 << 16, .max_processes = 1000}, kTypes);
        Segment& segment = attachment->segment();
        const auto guard = LocalRegistry::instance().guard(here.place.of("name") / "guard.lock");
        test::Forked dead([](auto) { return 0; });
        const auto gone = static_cast<std::uint32_t>(dead.pid());
        dead.wait();
        // This process's record goes to the end of the table; the others say that they are the dead process's.
        const ProcessIdentity self = current_process();
        for (std::uint32_t i = 0; i < 1000; ++i) {
          ProcessRecord& record = segment.record(i);
          record.pid_namespace.store(self.pid_namespace);
          record.start_time.store(1);
          record.pid.store(gone);
          record.state.store(RecordState(0, true).bits());
        }
        std::atomic<bool> done{false};
        std::thread looker([&] {
          while (!done.load()) here.lifecycle(std::chrono::milliseconds(100)).exists();
        });
        // As soon as the looker is in the middle of it, the handle goes.
        for (;;) {
          if (!guard->process_mutex().try_lock()) break;
          guard->process_mutex().unlock();
        }
        attachment.reset();
        done.store(true);
        looker.join();
        return 0;
      },
      std::chrono::seconds(5));
  INFO(ending.text);
  REQUIRE(ending.ok());
}
