// A shared-memory place of 4 MiB, filled to the brim: no space is an error and never a SIGBUS, nothing is lost by it, and
// the space of erased items is used again. Each test mounts a tmpfs in a namespace of a child's own.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/small_place.hpp"

#if defined(__linux__)

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = kKiB * 1024;

using Words = SharedDict<std::string, std::string>;

std::string key_of(int i) { return "key " + std::to_string(i); }
std::string value_of(int i) {
  return std::string(200 + static_cast<std::size_t>(i % 300), static_cast<char>('a' + i % 26));
}

/// Inserts from key `from` on until it is refused; the number of the key that was, or -1 if it was for another reason.
int fill(Words& d, int from) {
  for (int i = from;; ++i) {
    const std::error_code code = error_of([&] { d.insert(key_of(i), value_of(i)); });
    if (code) return code == errc::heap_full ? i : -1;
  }
}

void told(const std::string& what, int stored, const char* then, int count) {
  report("small place: " + what,
         {{"items stored", static_cast<std::uint64_t>(stored)}, {then, static_cast<std::uint64_t>(count)}});
}

bool holds(const Words& d, int from, int to) {
  for (int i = from; i < to; ++i) {
    if (d.get(key_of(i)) != value_of(i)) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a place filled to the brim by the dictionary refuses, keeps all, and goes on after an erase") {
  in_small_place([](const fs::path& place, const Say& say) {
    // A heap that the options allow and the place can't hold.
    Words d = Words::create("name", {.heap_size = 128 * kMiB, .directory = place});
    int end = fill(d, 0);
    say("stored " + std::to_string(end));
    if (end < 5000) return 10;
    for (int round = 0; round < 5; ++round) {
      if (!holds(d, 0, end) || d.size() != static_cast<std::size_t>(end)) return 11;
      if (!d.audit().ok()) return 12;
      // What was there fits again, to the last byte.
      for (int i = round; i < end; i += 5) {
        if (!d.erase(key_of(i))) return 13;
      }
      for (int i = round; i < end; i += 5) {
        if (!d.insert(key_of(i), value_of(i))) return 14;
      }
      // The refused one still doesn't.
      if (error_of([&] { d.insert(key_of(end), value_of(end)); }) != errc::heap_full) return 15;
    }
    // Other keys use the space too, though not each of them finds it where it has to go.
    for (int i = 0; i < end; i += 2) d.erase(key_of(i));
    int more = 0;
    for (int i = end; i < end + end / 2; ++i) more += error_of([&] { d.insert(key_of(i), value_of(i)); }) ? 0 : 1;
    say("stored " + std::to_string(end) + ", and " + std::to_string(more) + " in place of " + std::to_string(end / 2));
    if (more < end / 4) return 16;
    told("filled by the dictionary", end, "others stored in place of half of them", more);
    return d.audit().ok() ? 0 : 17;
  });
}

TEST_CASE("a full place lets values be replaced by ones of the same size") {
  in_small_place([](const fs::path& place, const Say& say) {
    Words d = Words::create("name", {.heap_size = 128 * kMiB, .directory = place});
    const int end = fill(d, 0);
    if (end < 5000) return 10;
    int refused = 0;
    for (int i = 0; i < end; ++i) {
      const std::error_code code = error_of([&] { d.assign(key_of(i), value_of(i + 26 * 300)); });
      if (code && code != errc::heap_full) return 11;
      if (code) ++refused;
    }
    say(std::to_string(refused) + " of " + std::to_string(end) + " refused");
    if (!holds(d, 0, end)) return 12;
    told("values replaced", end, "replacements refused", refused);
    return d.audit().ok() ? 0 : 13;
  });
}

TEST_CASE("a place that someone else fills refuses, and serves again when there is space") {
  in_small_place([](const fs::path& place, const Say& say) {
    Words d = Words::create("name", {.heap_size = 128 * kMiB, .directory = place});
    for (int i = 0; i < 100; ++i) d.insert(key_of(i), value_of(i));
    write_ballast(place / "ballast");
    const int end = fill(d, 100);
    say("stored " + std::to_string(end));
    if (end < 100 || !holds(d, 0, end) || !d.audit().ok()) return 10;
    // Reading, erasing and attaching need no space.
    Words other = Words::attach("name", {.directory = place});
    if (!other.erase(key_of(0)) || other.contains(key_of(0))) return 11;
    if (!other.insert(key_of(0), value_of(0))) return 12;
    fs::remove(place / "ballast");
    const int more = fill(d, end);
    if (more < 5000 || !holds(other, 0, more)) return 13;
    told("filled by someone else", end, "stored when there is space", more);
    return d.audit().ok() ? 0 : 14;
  });
}

TEST_CASE("a full place is no place for a new dictionary, and a refused creation leaves nothing") {
  in_small_place([](const fs::path& place, const Say& say) {
    write_ballast(place / "ballast");
    const std::error_code code = error_of([&] { Words::create("name", {.heap_size = kMiB, .directory = place}); });
    say("create gave " + code.message());
    if (code != errc::heap_full && code != std::errc::no_space_on_device) return 10;
    if (exists("name", place) || !list(place).empty()) return 11;
    fs::remove(place / "ballast");
    Words d = Words::create("name", {.heap_size = kMiB, .directory = place});
    if (!d.insert("k", "v")) return 12;
    report("small place: creation in a full one", {{"refused", 1}});
    return d.audit().ok() ? 0 : 13;
  });
}

TEST_CASE("several processes share what a full place has, and none is hurt") {
  in_small_place([](const fs::path& place, const Say& say) {
    Words d = Words::create("name", {.heap_size = 128 * kMiB, .directory = place});
    const auto churn = [&](int first) {
      // Inserts until refused, erases a third, and again: both meet the brim over and over.
      int begin = first;
      int end = first;
      for (int round = 0; round < 10; ++round) {
        end = fill(d, end);
        if (end < 0 || !holds(d, begin, end)) return 20;
        for (const int stop = begin + (end - begin) / 3; begin < stop; ++begin) {
          if (!d.erase(key_of(begin))) return 21;
        }
      }
      return holds(d, begin, end) ? 0 : 22;
    };
    std::vector<std::unique_ptr<Forked>> others;
    for (int i = 1; i <= 3; ++i) {
      others.push_back(std::make_unique<Forked>([&churn, i](auto&& say_other) {
        const int status = churn(i * 1'000'000);
        say_other("churn " + std::to_string(status));
        return status;
      }));
    }
    bool all_well = churn(0) == 0;
    std::string said = all_well ? "here well" : "here ill";
    for (const auto& other : others) {
      const Ending ending = other->wait();
      said += ", there " + std::to_string(ending.status) + " signal " + std::to_string(ending.signal) + " " + ending.text;
      all_well = all_well && ending.ok();
    }
    say(said);
    if (all_well) report("small place: several processes", {{"processes", 4}, {"rounds each", 10}, {"items at the end", d.size()}});
    return all_well && d.audit().ok() ? 0 : 10;
  });
}

#endif
