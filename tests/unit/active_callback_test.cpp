// A callback runs under a shard's lock. A call from it into the same dictionary would wait for itself for ever, so it must be refused,
// and nothing else must be.

#include <memory>
#include <stdexcept>
#include <thread>

#include <shared_dict/detail/mechanisms/active_callback.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/place.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment = Lifecycle("name", place.path(), test::kHangDeadline)
                                               .open(OpenMode::create, {.heap_size = 1 << 16}, {"K", "V", {8, 8, 8}});

  bool refused() const {
    return test::error_of([&] { ActiveCallback::refuse_reentry(*attachment); }) == errc::would_deadlock;
  }
};

}  // namespace

TEST_CASE("a dictionary is refused inside its own callback, and only there") {
  const Dictionary d;
  const Dictionary other;
  REQUIRE_FALSE(d.refused());
  {
    const ActiveCallback active(*d.attachment);
    REQUIRE(d.refused());
    REQUIRE_FALSE(other.refused());
  }
  REQUIRE_FALSE(d.refused());
}

TEST_CASE("the message names the dictionary and the way out") {
  const Dictionary d;
  const ActiveCallback active(*d.attachment);
  const std::string text = test::message_of([&] { ActiveCallback::refuse_reentry(*d.attachment); });
  REQUIRE(text.find("'name'") != std::string::npos);
  REQUIRE(text.find("callback") != std::string::npos);
}

TEST_CASE("callbacks of several dictionaries inside one another refuse all of them") {
  const Dictionary outer;
  const Dictionary inner;
  const ActiveCallback first(*outer.attachment);
  {
    const ActiveCallback second(*inner.attachment);
    REQUIRE(outer.refused());
    REQUIRE(inner.refused());
  }
  REQUIRE(outer.refused());
  REQUIRE_FALSE(inner.refused());
}

TEST_CASE("a callback that throws is over") {
  const Dictionary d;
  try {
    const ActiveCallback active(*d.attachment);
    throw std::runtime_error("from the callback");
  } catch (const std::runtime_error&) {
    REQUIRE_FALSE(d.refused());
  }
}

TEST_CASE("another thread isn't inside this one's callback") {
  const Dictionary d;
  const ActiveCallback active(*d.attachment);
  bool refused = true;
  std::thread([&] { refused = d.refused(); }).join();
  REQUIRE_FALSE(refused);
  REQUIRE(d.refused());
}
