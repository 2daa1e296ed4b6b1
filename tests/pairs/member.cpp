// A member of dictionaries whose other members were built otherwise: by another compiler, for another word size, with another standard
// library. Compiled in each of these ways by run.sh, which starts every two of them together.
//
//   member pair NAME OTHER     creates three dictionaries, has OTHER attach to them, and checks what it does until it is killed
//   member other NAME          what `pair` starts: checks what the creator wrote, writes, and dies with a lock held
//   member crowd NAME MINE ALL one of ALL members of one dictionary, each with a number
//   member word NAME           a 32-bit process is told that it has no room for a large dictionary
//   member life NAME ITSELF    a dictionary comes and goes, also while it is in use, and when its only member dies
//   member alone NAME          what `life` starts: dies with a dictionary that nobody else has
//
// Silent, status 0: all was right. The types are of fixed width: long has another size for another word size, which is refused.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <shared_dict/shared_dict.hpp>

#include "started.hpp"

namespace {

using namespace std::chrono_literals;
using shared_dict::errc;
using shared_dict::SharedDict;

struct Item {
  std::uint64_t number;
  std::int32_t small;
  std::array<char, 20> text;
};

using Counts = SharedDict<std::string, std::uint64_t>;
using Items = SharedDict<std::uint64_t, Item>;
using Trees = SharedDict<std::string, std::map<std::string, std::vector<double>>>;
using Rows = SharedDict<std::uint32_t, std::vector<std::uint64_t>>;

constexpr auto kPatience = 60s;
constexpr std::uint64_t kItems = 500;
constexpr std::uint64_t kRounds = 5000;

#define CHECK(...) check((__VA_ARGS__), #__VA_ARGS__, __LINE__)
void check(bool right, const char* what, int line) {
  if (!right) throw std::runtime_error("line " + std::to_string(line) + ": " + what);
}

Item make_item(std::uint64_t number, int salt) {
  Item item{number * 0x1'0000'0001, static_cast<std::int32_t>(number) - salt, {}};
  std::snprintf(item.text.data(), item.text.size(), "%d of %u", salt, static_cast<unsigned>(number));
  return item;
}
bool same(const Item& a, const Item& b) { return a.number == b.number && a.small == b.small && a.text == b.text; }

Trees::mapped_type make_tree(int salt) { return {{"e", {2.718281828, salt / 3.0}}, {"empty", {}}, {std::string(300, 'n'), {-0.0}}}; }

std::vector<std::uint64_t> make_row(std::uint32_t number) {
  std::vector<std::uint64_t> row(number % 700);
  for (std::size_t i = 0; i < row.size(); ++i) row[i] = i * 0x0123'4567'89ab'cdef + number;
  return row;
}

errc code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const shared_dict::Error& error) {
    for (const errc code : {errc::type_mismatch, errc::heap_full, errc::invalid_option}) {
      if (error.code() == code) return code;
    }
    throw;
  }
  return errc{};
}

// The dictionaries of a pair.
struct Shared {
  Shared(const std::string& name, bool create)
      : counts(open<Counts>(name + ".counts", create)),
        items(open<Items>(name + ".items", create)),
        trees(open<Trees>(name + ".trees", create)),
        rows(open<Rows>(name + ".rows", create)) {}

  void reach(const std::string& point) { counts.insert_or_assign(point, 1); }
  void await(const std::string& point) const {
    CHECK(counts.wait_until(point, [](std::uint64_t reached) { return reached == 1; }, kPatience).has_value());
  }

  Counts counts;
  Items items;
  Trees trees;
  Rows rows;

  template <class Dict>
  static Dict open(const std::string& name, bool create) {
    return create ? Dict::create(name, {.heap_size = 1 << 20}) : Dict::attach(name);
  }
};

void write(Shared& shared, std::uint64_t first, int salt) {
  std::vector<std::pair<std::uint64_t, Item>> batch;
  for (std::uint64_t i = first; i < first + kItems; ++i) {
    if (i % 2 == 0) {
      shared.items.insert_or_assign(i, make_item(i, salt));
    } else {
      batch.emplace_back(i, make_item(i, salt));
    }
  }
  shared.items.update(batch);
  shared.trees.insert_or_assign("tree", make_tree(salt));
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto row = make_row(i * 7 + static_cast<std::uint32_t>(salt));
    auto loan = shared.rows.loan(i, row.size());
    std::copy(row.begin(), row.end(), loan.span().begin());
    loan.publish();
  }
}

void verify(const Shared& shared, std::uint64_t first, int salt) {
  std::vector<std::uint64_t> keys;
  for (std::uint64_t i = first; i < first + kItems; ++i) {
    keys.push_back(i);
    const auto item = shared.items.get(i);
    CHECK(item && same(*item, make_item(i, salt)));
    const auto view = shared.items.view(i);
    CHECK(view && same(*view, make_item(i, salt)));
  }
  std::uint64_t found = 0;
  shared.items.get_many(keys, [&](std::size_t i, const Item* item) { found += item != nullptr && same(*item, make_item(first + i, salt)); });
  CHECK(found == kItems);
  CHECK(shared.trees.at("tree") == make_tree(salt));
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto row = make_row(i * 7 + static_cast<std::uint32_t>(salt));
    const auto view = shared.rows.view(i);
    CHECK(view && std::equal(row.begin(), row.end(), (*view).begin(), (*view).end()));
  }
}

void count(Shared& shared) {
  for (std::uint64_t i = 0; i < kRounds; ++i) {
    shared.counts.fetch_add("sum", 1);
    shared.items.modify_or_insert(0, Item{}, [](Item& item) { ++item.number; });
  }
}

// What has another size for another word size is refused, and what hasn't isn't.
void look_at_long(const std::string& name, std::uint64_t bytes) {
  const auto seen = code_of([&] { CHECK(SharedDict<std::string, long>::attach(name).at("long") == -5); });
  CHECK(seen == (bytes == sizeof(long) ? errc{} : errc::type_mismatch));
}

int other(const std::string& name) {
  Shared shared(name, false);
  look_at_long(name + ".long", shared.counts.at("bytes of long"));
  verify(shared, 1, 1);
  shared.reach("other is there");
  count(shared);
  write(shared, 1000, 2);
  shared.reach("other has written");
  shared.await("the creator has verified");
  const auto view = shared.rows.view(99);  // and so keeps memory from being used again
  shared.items.modify(1, [](Item& item) {
    item.number = 0;
    die();
  });
  return 1;
}

int pair(const std::string& name, const char* program) {
  Shared shared(name, true);
  auto longs = SharedDict<std::string, long>::create(name + ".long", {.heap_size = 1 << 16});
  longs.insert("long", -5);
  shared.counts.insert("bytes of long", sizeof(long));
  write(shared, 1, 1);
  Started started(program, "other", name);
  shared.await("other is there");
  count(shared);
  shared.await("other has written");
  CHECK(shared.counts.at("sum") == 2 * kRounds && shared.items.at(0).number == 2 * kRounds);
  verify(shared, 1000, 2);
  const auto watched = shared.items.get(1);
  shared.reach("the creator has verified");
  CHECK(started.was_killed());
  // The same key: its lock is the dead process's.
  CHECK(same(shared.items.at(1), *watched));
  shared.items.assign(1, make_item(1, 3));
  CHECK(same(shared.items.at(1), make_item(1, 3)));
  for (std::uint32_t i = 0; i < 100; ++i) shared.rows.erase(i);
  CHECK(shared.items.stats().recoveries >= 1);
  CHECK(shared.items.audit().ok() && shared.rows.audit().ok() && shared.trees.audit().ok() && shared.counts.audit().ok());
  return 0;
}

int crowd(const std::string& name, std::uint64_t mine, std::uint64_t all) {
  auto counts = Counts::open_or_create(name, {.heap_size = 1 << 20});
  const auto key = [](std::uint64_t member, std::uint64_t i) { return "member " + std::to_string(member) + " item " + std::to_string(i); };
  counts.fetch_add("members", 1);
  CHECK(counts.wait_until("members", [&](std::uint64_t members) { return members == all; }, kPatience).has_value());
  for (std::uint64_t i = 0; i < kItems; ++i) {
    counts.insert(key(mine, i), mine << 40 | i);
    counts.fetch_add("sum", mine);
  }
  counts.fetch_add("done", 1);
  CHECK(counts.wait_until("done", [&](std::uint64_t done) { return done == all; }, kPatience).has_value());
  CHECK(counts.at("sum") == all * (all + 1) / 2 * kItems);
  for (std::uint64_t member = 1; member <= all; ++member) {
    for (std::uint64_t i = 0; i < kItems; ++i) CHECK(counts.get(key(member, i)) == (member << 40 | i));
  }
  CHECK(counts.audit().ok());
  counts.fetch_add("verified", 1);  // nobody leaves before all have looked
  CHECK(counts.wait_until("verified", [&](std::uint64_t verified) { return verified == all; }, kPatience).has_value());
  return 0;
}

int alone(const std::string& name) {
  auto counts = Counts::create(name, {.heap_size = 1 << 20});
  counts.insert("key", 1);
  die();
}

int life(const std::string& name, const char* program) {
  const auto listed = [&] {
    const auto names = shared_dict::list();
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  const shared_dict::Options lasting{.heap_size = 1 << 20, .lifetime = shared_dict::Lifetime::persistent};
  CHECK(!shared_dict::exists(name) && !listed() && !shared_dict::remove(name));
  Counts::create(name, lasting).insert("key", 1);
  CHECK(shared_dict::exists(name) && listed() && Counts::attach(name).at("key") == 1);
  CHECK(shared_dict::remove(name) && !shared_dict::exists(name) && !listed());

  // Removed while it is looked at: those who have it keep it, and its name is free.
  auto rows = Rows::create(name, lasting);
  rows.insert(1, make_row(99));
  const auto view = rows.view(1);
  CHECK(shared_dict::remove(name) && !shared_dict::exists(name) && !listed());
  auto counts = Counts::create(name, {.heap_size = 1 << 20});
  rows.insert_or_assign(1, make_row(5));
  const auto row = make_row(99);
  CHECK(std::equal(row.begin(), row.end(), (*view).begin(), (*view).end()) && rows.at(1) == make_row(5));
  rows.close();
  CHECK(counts.empty() && shared_dict::exists(name));
  counts.close();
  CHECK(!shared_dict::exists(name));

  CHECK(Started(program, "alone", name).was_killed());
  CHECK(!shared_dict::exists(name) && Counts::create(name, {.heap_size = 1 << 20}).empty());
  CHECK(!shared_dict::exists(name) && !listed());
  return 0;
}

int word(const std::string& name) {
  if (sizeof(void*) != 4) return 0;
  CHECK(code_of([&] { Counts::create(name, {.heap_size = std::size_t{3} << 30}); }) == errc::heap_full);
  CHECK(!shared_dict::exists(name));
  CHECK(code_of([&] { Counts::create(name, {.heap_size = 1 << 24}); }) == errc{});
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::string_view role = argc > 2 ? argv[1] : "";
    if (role == "pair" && argc == 4) return pair(argv[2], argv[3]);
    if (role == "other" && argc == 3) return other(argv[2]);
    if (role == "crowd" && argc == 5) return crowd(argv[2], std::strtoull(argv[3], nullptr, 10), std::strtoull(argv[4], nullptr, 10));
    if (role == "life" && argc == 4) return life(argv[2], argv[3]);
    if (role == "alone" && argc == 3) return alone(argv[2]);
    if (role == "word" && argc == 3) return word(argv[2]);
    std::fputs("usage: see the top of member.cpp\n", stderr);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}
