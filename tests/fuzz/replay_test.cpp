// What the fuzzers have found worth keeping goes through on every change, without a fuzzer: inputs that reach new code, and those that
// once did harm. In a forked child, so that a crash or a hang names its file.

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "fuzz/operations_body.hpp"
#include "fuzz/segment_body.hpp"
#include "fuzz/values_body.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict::test;

namespace {

struct At {
  std::atomic<std::size_t> next;
};

void replay(const char* target, void (*body)(FuzzInput)) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(SHARED_DICT_FUZZ_CORPUS) / target)) {
    files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE_FALSE(files.empty());
  const SharedArea<At> at;
  // The bodies keep dictionaries until their process ends, and a forked child ends without destructors.
  const Place place(shared_dict::detail::place_of({}, {}));
  const Environment here("SHARED_DICT_DIR", place.path().string());
  while (at->next < files.size()) {
    const Ending ending = run_forked(
        [&](auto say) {
          for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) ::signal(signal, SIG_DFL);
          for (; at->next < files.size(); ++at->next) {
            ::alarm(static_cast<unsigned>(kHangDeadline.count()));
            const std::string bytes = read_file(files[at->next]);
            try {
              body({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
            } catch (const std::exception& error) {
              say(error.what());
              return Forked::kFailed;
            }
          }
          return 0;
        },
        std::chrono::hours(1));
    INFO("input " << (at->next < files.size() ? files[at->next].string() : ""));
    INFO("status " << ending.status << ", signal " << ending.signal << ", " << ending.text);
    CHECK(ending.ok());
    if (!ending.ok()) ++at->next;
  }
  report(std::string("replayed inputs of the fuzzer of ") + target, {{"inputs", files.size()}});
}

}  // namespace

TEST_CASE("operations that a fuzzer found agree with an unordered_map") { replay("operations", operations_body); }

TEST_CASE("damage that a fuzzer found is refused, noticed, or does no harm") { replay("segment", segment_body); }

TEST_CASE("bytes that a fuzzer found are a value or an error") { replay("values", values_body); }
