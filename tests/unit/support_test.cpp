// The helpers that other tests rely on: a child that hangs or a name that stays would make every other test unreliable.
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/distinct.hpp"
#include "support/image.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

namespace {

using namespace shared_dict::test;
using namespace std::chrono_literals;

const RegisterChild kReturns("support: returns", [](std::vector<std::string> args) { return std::stoi(args.at(0)); });
const RegisterChild kThrows("support: throws",
                            [](std::vector<std::string>) -> int { throw std::runtime_error("thrown on purpose"); });
const RegisterChild kHangs("support: hangs", [](std::vector<std::string>) {
  while (true) ::pause();
  return 0;
});
const RegisterChild kStarts("support: starts", [](std::vector<std::string> args) {
  StartBarrier::from_token(args.at(0)).arrive_and_wait();
  return 0;
});

TEST_CASE("a child process returns its exit status") {
  Child child = Child::start("support: returns", {"7"});
  CHECK(child.wait() == 7);
  CHECK(child.wait() == 7);
}

TEST_CASE("a child process that throws says so by its exit status") {
  CHECK(Child::start("support: throws").wait() == kChildThrew);
}

TEST_CASE("a killed child process returns the signal") {
  Child child = Child::start("support: hangs");
  child.kill(SIGTERM);
  CHECK(child.wait() == -SIGTERM);
}

TEST_CASE("a child process that outlives its deadline is killed") {
  Child child = Child::start("support: hangs");
  CHECK_THROWS_AS(child.wait(20ms), std::runtime_error);
  CHECK(child.wait() == -SIGKILL);
}

TEST_CASE("a child process does not outlive its object") {
  pid_t pid = 0;
  {
    Child child = Child::start("support: hangs");
    pid = child.pid();
    REQUIRE(::kill(pid, 0) == 0);
  }
  CHECK(::kill(pid, 0) == -1);
}

TEST_CASE("an unknown child role is refused") { CHECK_THROWS_AS(Child::start("support: none"), std::invalid_argument); }

TEST_CASE("a start barrier holds every process until all are there") {
  StartBarrier barrier;
  std::vector<Child> children;
  for (int i = 0; i < 3; ++i) children.push_back(Child::start("support: starts", {barrier.token()}));
  CHECK_THROWS_AS(barrier.open_for(4, 100ms), std::runtime_error);
  barrier.open_for(3);
  for (Child& child : children) CHECK(child.wait() == 0);
}

TEST_CASE("a unique name is never given twice and takes its dictionary with it") {
  std::filesystem::path directory;
  {
    const UniqueName first;
    const UniqueName second;
    CHECK(first.str() != second.str());
    shared_dict::Options options;
    options.heap_size = std::size_t{1} << 20;
    options.lifetime = shared_dict::Lifetime::persistent;
    auto dict = shared_dict::SharedDict<std::string, int>::create(first, options);
    directory = first.directory();
    CHECK(std::filesystem::is_directory(directory));
  }
  CHECK_FALSE(std::filesystem::exists(directory));
}

struct OneByte {
  int byte;
  bool operator==(const OneByte&) const = default;
};
/// The same for every second one.
std::uint64_t fingerprint(const OneByte& copy) { return static_cast<std::uint64_t>(copy.byte % 2); }

TEST_CASE("an image that was there before is the same one, and one that has only its fingerprint isn't") {
  Distinct<OneByte> images;
  for (const int byte : {1, 2, 1, 3, 3, 2}) images.add({byte});
  CHECK(images.seen() == 6);
  REQUIRE(images.size() == 3);
  CHECK(images[0].byte == 1);
  CHECK(images[1].byte == 2);
  CHECK(images[2].byte == 3);
  CHECK(images.last() == 1);
}

TEST_CASE("images of the same bytes in other places are different ones") {
  const Image::Copy first{{{0, 2}}, {'a', 'b'}};
  const Image::Copy elsewhere{{{4096, 4098}}, {'a', 'b'}};
  const Image::Copy other{{{0, 2}}, {'a', 'c'}};
  CHECK(first == Image::Copy(first));
  CHECK_FALSE(first == elsewhere);
  CHECK(fingerprint(first) == fingerprint(Image::Copy(first)));
  CHECK(fingerprint(first) != fingerprint(other));
}

TEST_CASE("the seed stays the same during a run") { CHECK(test_seed() == test_seed()); }

}  // namespace
