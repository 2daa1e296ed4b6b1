// save and load: what was saved comes back, whatever it was; a file that isn't exactly what save() wrote is refused whole; and what fails
// leaves both the dictionary and the file as they were.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/families.hpp"
#include "support/place.hpp"
#include "support/small_place.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace fs = std::filesystem;

namespace {

using Texts = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::uint64_t, std::uint64_t>;

constexpr std::size_t kMiB = std::size_t{1} << 20;

template <class K, class V>
std::vector<std::pair<K, V>> sorted_items(const SharedDict<K, V>& d) {
  auto items = d.items();
  std::sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return items;
}

/// A file of its own, and what lies beside it.
struct Files {
  Place place;
  fs::path path = place.path() / "saved";

  std::string bytes() const { return read_file(path); }
  bool alone() const {
    const fs::directory_iterator all(place.path());
    return std::all_of(begin(all), end(all), [&](const auto& entry) { return entry.path() == path; });
  }
};

/// Small, with a value of each kind of size.
void fill(Texts& d) {
  for (int i = 0; i < 20; ++i) d["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(i), 'v');
}

const Options kSmall{.heap_size = kMiB};

struct Stop {};

template <class Family>
void round_trip(std::size_t count) {
  using Dict = SharedDict<typename Family::Key, typename Family::Value>;
  const UniqueName name;
  const UniqueName other_name;
  const Files files;
  Random random(7);
  Dict d = Dict::create(name.str(), {.heap_size = 16 * kMiB});
  for (std::size_t i = 0; i < count; ++i) d.insert(Family::key(i), Family::value(random));
  const auto saved = sorted_items(d);
  d.save(files.path);

  // Into the same one, which has changed since.
  for (std::size_t i = 0; i < count; i += 2) d.insert_or_assign(Family::key(i), Family::value(random));
  for (std::size_t i = 1; i < count; i += 4) d.erase(Family::key(i));
  for (std::size_t i = count; i < count + 50; ++i) d.insert(Family::key(i), Family::value(random));
  d.load(files.path);
  REQUIRE(sorted_items(d) == saved);
  REQUIRE(d.size() == saved.size());
  SHARED_DICT_REQUIRE_SOUND(d);
  // It goes on with what it has.
  for (std::size_t i = 0; i < count + 50; ++i) d.insert_or_assign(Family::key(i), Family::value(random));
  for (std::size_t i = 0; i < count + 50; i += 3) d.erase(Family::key(i));
  SHARED_DICT_REQUIRE_SOUND(d);

  // Into a new one.
  const Dict other = Dict::open_or_create(other_name.str(), {.heap_size = 16 * kMiB, .load_from = files.path});
  REQUIRE(sorted_items(other) == saved);
  SHARED_DICT_REQUIRE_SOUND(other);
  REQUIRE(files.alone());
}

/// How a file is refused, by a dictionary that then is what it was, and by one that then isn't made.
std::error_code refusal(Texts& d, const std::vector<std::pair<std::string, std::string>>& items, const fs::path& path) {
  const std::error_code code = error_of([&] { d.load(path); });
  const UniqueName name;
  if (error_of([&] { Texts::create(name.str(), {.heap_size = kMiB, .load_from = path}); }) != code) return {};
  if (exists(name.str()) || sorted_items(d) != items) return {};
  return code;
}

/// The same dictionary from below.
template <class Dict>
std::shared_ptr<detail::Attachment> attachment_of(const Dict& d) {
  return detail::Lifecycle(d.name(), {}, kHangDeadline)
      .open(detail::OpenMode::attach, {}, detail::stored_types<typename Dict::key_type, typename Dict::mapped_type>());
}

bool is_refusal(const std::error_code& code) { return code == errc::corrupted || code == errc::incompatible_layout; }

}  // namespace

TEST_CASE("what is saved comes back, in each family of types") {
  round_trip<Words>(700);
  round_trip<Integers>(5000);
  round_trip<Records>(1000);
  round_trip<Lists>(500);
  round_trip<Series>(500);
  round_trip<Pairs>(800);
}

TEST_CASE("an empty dictionary is saved, and empties the one that it is loaded into") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  d.save(files.path);
  d.load(files.path);
  REQUIRE(d.empty());
  fill(d);
  d.load(files.path);
  REQUIRE(d.empty());
  REQUIRE_FALSE(d.contains("key 3"));
  SHARED_DICT_REQUIRE_SOUND(d);
  fill(d);
  REQUIRE(d.size() == 20);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("values larger than a block of the file, and keys and values of no bytes, are saved") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), {.heap_size = 32 * kMiB});
  d[""] = "";
  d["large"] = std::string(3 * kMiB + 5, 'L');
  d[std::string(70'000, 'k')] = "long key";
  for (int i = 0; i < 3000; ++i) d[std::to_string(i)] = std::string(1000, 'm');
  const auto saved = sorted_items(d);
  d.save(files.path);
  d.clear();
  d.load(files.path);
  REQUIRE(sorted_items(d) == saved);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a save replaces the file before it, with the dictionary's own permissions, and leaves nothing beside it") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), {.heap_size = kMiB, .permissions = 0640});
  write_file(files.path, "something else");
  // What one that died had begun, and links that somebody else has put there.
  write_file(files.path.string() + ".saving", std::string(100'000, 'x'));
  fill(d);
  d.save(files.path);
  REQUIRE(mode_of(files.path) == 0640);
  REQUIRE(files.alone());
  const std::string first = files.bytes();
  d.save(files.path);
  REQUIRE(files.bytes() == first);
  const fs::path other = files.place.path() / "other";
  write_file(other, "mine");
  fs::create_hard_link(other, files.path.string() + ".saving");
  d.save(files.path);
  REQUIRE(read_file(other) == "mine");
}

TEST_CASE("a file with any byte changed is refused whole") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const std::string whole = files.bytes();
  d["key 1"] = "since";
  d.erase("key 2");
  const auto items = sorted_items(d);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ (1 << at % 8));
    write_file(files.path, bytes);
    const std::error_code code = at % 50 == 0 ? refusal(d, items, files.path) : error_of([&] { d.load(files.path); });
    INFO("byte " << at << ": " << code.message());
    REQUIRE(is_refusal(code));
    // What has no checksum yet says what the file is.
    REQUIRE((at < 16 || code == errc::corrupted));
  }
  REQUIRE(sorted_items(d) == items);
  SHARED_DICT_REQUIRE_SOUND(d);
  write_file(files.path, whole);
  const std::string told = message_of([&] {
    write_file(files.path, whole.substr(0, whole.size() - 1) + "?");
    d.load(files.path);
  });
  REQUIRE(told.find(files.path.string() + " is damaged at byte 2176") != std::string::npos);
}

TEST_CASE("a file that is too short or too long is refused whole") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const std::string whole = files.bytes();
  d["key 1"] = "since";
  const auto items = sorted_items(d);
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_file(files.path, whole.substr(0, length));
    const std::error_code code =
        length % 50 == 0 ? refusal(d, items, files.path) : error_of([&] { d.load(files.path); });
    INFO("length " << length << ": " << code.message());
    REQUIRE(code == errc::corrupted);
  }
  write_file(files.path, whole + '\0');
  REQUIRE(refusal(d, items, files.path) == errc::corrupted);
  write_file(files.path, whole + whole.substr(2176));
  REQUIRE(refusal(d, items, files.path) == errc::corrupted);
  REQUIRE(sorted_items(d) == items);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("blocks of a file that were exchanged, or come from another file, are refused") {
  const UniqueName name;
  const Files files;
  Numbers d = Numbers::create(name.str(), {.heap_size = 16 * kMiB});
  for (std::uint64_t i = 0; i < 100'000; ++i) d.insert(i, i);
  d.save(files.path);
  const std::string whole = files.bytes();
  // Blocks of a megabyte each, filled with items of 24 bytes.
  const std::size_t header = 2176;
  const std::size_t block = 24 + (kMiB - 24) / 24 * 24;
  REQUIRE(whole.size() > header + 2 * block);
  std::string bytes = whole.substr(0, header) + whole.substr(header + block, block) + whole.substr(header, block) +
                      whole.substr(header + 2 * block);
  write_file(files.path, bytes);
  REQUIRE(error_of([&] { d.load(files.path); }) == errc::corrupted);
  d[1] = 2;
  d.erase(2);
  d.save(files.path);
  bytes = files.bytes();
  d.load(files.path);
  REQUIRE(d.at(1) == 2);
  bytes.replace(header, block, whole.substr(header, block));
  write_file(files.path, bytes);
  REQUIRE(error_of([&] { d.load(files.path); }) == errc::corrupted);
  REQUIRE(d.at(1) == 2);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a file of other types is refused, and the message names them all") {
  const UniqueName name;
  const UniqueName other_name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  Numbers other = Numbers::create(other_name.str(), kSmall);
  other[1] = 1;
  const std::string told = message_of([&] { other.load(files.path); });
  REQUIRE(error_of([&] { other.load(files.path); }) == errc::type_mismatch);
  REQUIRE(told.find("SharedDict<string, string>") != std::string::npos);
  REQUIRE(told.find("SharedDict<uint64, uint64>") != std::string::npos);
  REQUIRE(told.find(files.path.string()) != std::string::npos);
  REQUIRE(other.at(1) == 1);
}

TEST_CASE("a file that doesn't fit is refused before anything happens") {
  const UniqueName name;
  const UniqueName other_name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  Texts few = Texts::create(other_name.str(), {.heap_size = kMiB, .max_items = 19});
  few["old"] = "old";
  REQUIRE(error_of([&] { few.load(files.path); }) == errc::too_many_items);
  REQUIRE((few.size() == 1 && few.at("old") == "old"));
  d["large"] = std::string(500'000, 'L');
  d.save(files.path);
  const Options tiny{.heap_size = 100'000, .load_from = files.path};
  const UniqueName tiny_name;
  REQUIRE(error_of([&] { Texts::create(tiny_name.str(), tiny); }) == errc::heap_full);
  REQUIRE_FALSE(exists(tiny_name.str()));
  SHARED_DICT_REQUIRE_SOUND(few);
}

TEST_CASE("where there is no room for the old items and the new ones, the old ones stay") {
  using Pages = SharedDict<std::uint64_t, std::array<char, 4096>>;
  constexpr std::uint64_t kItems = 2000;
  const UniqueName name;
  const Files files;
  Pages d = Pages::create(name.str(), {.heap_size = 8 * kMiB});
  for (std::uint64_t i = 0; i < kItems; ++i) d[i] = {'s'};
  d.save(files.path);
  for (std::uint64_t i = 0; i < kItems; ++i) d[i] = {'n'};
  REQUIRE(error_of([&] { d.load(files.path); }) == errc::heap_full);
  REQUIRE(d.size() == kItems);
  for (std::uint64_t i = 0; i < kItems; ++i) REQUIRE(d.at(i)[0] == 'n');
  SHARED_DICT_REQUIRE_SOUND(d);
  d.clear();
  d.load(files.path);
  for (std::uint64_t i = 0; i < kItems; ++i) REQUIRE(d.at(i)[0] == 's');
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("files that can't be read or written are named, with the system's reason") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  const auto fails = [&](auto call, std::errc reason, const fs::path& path) {
    const std::error_code code = error_of(call);
    INFO(code.message() << ": " << message_of(call));
    return code.category() == std::system_category() && code == reason &&
           message_of(call).find(path.string()) != std::string::npos;
  };
  const fs::path nowhere = files.place.path() / "missing" / "saved";
  REQUIRE(fails([&] { d.save(nowhere); }, std::errc::no_such_file_or_directory, nowhere));
  REQUIRE(fails([&] { d.load(nowhere); }, std::errc::no_such_file_or_directory, nowhere));
  REQUIRE(fails([&] { d.load(files.place.path()); }, std::errc::is_a_directory, files.place.path()));
  fs::create_directory(files.path);
  REQUIRE(fails([&] { d.save(files.path); }, std::errc::is_a_directory, files.path));
  REQUIRE(fs::is_empty(files.path));
  REQUIRE(files.alone());
  const fs::path pipe = files.place.path() / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  REQUIRE(fails([&] { d.load(pipe); }, std::errc::invalid_argument, pipe));
  int begun = 0;
  const auto count = [&](auto, auto) { ++begun; };
  REQUIRE(fails([&] { d.save(pipe, count); }, std::errc::invalid_argument, pipe));
  REQUIRE(fs::is_fifo(pipe));
  REQUIRE(fails([&] { d.save(files.path, count); }, std::errc::is_a_directory, files.path));
  REQUIRE(fails([&] { d.save("", count); }, std::errc::invalid_argument, ""));
  const fs::path target = files.place.path() / "target";
  const fs::path link = files.place.path() / "link";
  write_file(target, "text");
  fs::create_symlink(target, link);
  REQUIRE(fails([&] { d.save(link, count); }, std::errc::too_many_symbolic_link_levels, link));
  REQUIRE(fs::is_symlink(link));
  REQUIRE(read_file(target) == "text");
  REQUIRE(begun == 0);
  write_file(files.place.path() / "text", std::string(5000, 't'));
  REQUIRE(error_of([&] { d.load(files.place.path() / "text"); }) == errc::incompatible_layout);
  write_file(files.place.path() / "text", "short text");
  REQUIRE(error_of([&] { d.load(files.place.path() / "text"); }) == errc::incompatible_layout);
  // Of the format after this one, and shorter than this one's can be.
  std::string later(100, '\0');
  const std::uint64_t beginning[] = {detail::little_endian(detail::kSavedMagic), detail::little_endian(detail::kSavedVersion + 1)};
  std::memcpy(later.data(), beginning, sizeof beginning);
  write_file(files.place.path() / "text", later);
  REQUIRE(error_of([&] { d.load(files.place.path() / "text"); }) == errc::incompatible_layout);
  REQUIRE(d.size() == 20);
}

TEST_CASE("a path with a NUL in it is refused, and the file that it begins with stays") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const std::string before = read_file(files.path);
  const fs::path cut = files.path.string() + std::string(4, '\0');
  const auto stop = [](auto, auto) { throw Stop(); };
  REQUIRE(error_of([&] { d.save(cut, stop); }) == std::errc::invalid_argument);
  REQUIRE(error_of([&] { d.load(cut, stop); }) == std::errc::invalid_argument);
  const UniqueName other;
  REQUIRE(error_of([&] { Texts::create(other.str(), {.heap_size = kMiB, .load_from = cut}); }) == std::errc::invalid_argument);
  REQUIRE(error_of([&] { Texts::create(other.str(), {.directory = cut}); }) == errc::invalid_option);
  REQUIRE_THAT(message_of([&] { d.save(cut); }), Catch::Contains("with a NUL in it"));
  REQUIRE(read_file(files.path) == before);
  REQUIRE(files.alone());
}

TEST_CASE("a block that says it is longer than it can be is refused before memory is got for it") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const std::string good = read_file(files.path);
  constexpr std::uint64_t kLong = std::uint64_t{3} << 30;
  for (const std::uint64_t items : {std::uint64_t{1}, std::uint64_t{20}}) {
    std::string bytes = good;
    detail::SavedHeader header;
    std::memcpy(&header, bytes.data(), sizeof header);
    header.file_bytes = detail::little_endian(sizeof(detail::SavedHeader) + sizeof(detail::SavedBlock) + kLong);
    header.checksum = detail::little_endian(detail::checksum_of(header));
    std::memcpy(bytes.data(), &header, sizeof header);
    const detail::SavedBlock block{detail::little_endian(kLong), detail::little_endian(items), 0};
    std::memcpy(bytes.data() + sizeof header, &block, sizeof block);
    write_file(files.path, bytes);
    fs::resize_file(files.path, sizeof(detail::SavedHeader) + sizeof(detail::SavedBlock) + kLong);  // a hole: it takes no room
    REQUIRE_THAT(message_of([&] { d.load(files.path); }), Catch::Contains("longer than it can be"));
  }
  REQUIRE(d.size() == 20);
}

TEST_CASE("without the file to load from a new dictionary is empty, and one that is there doesn't look for it") {
  const UniqueName name;
  const Files files;
  const Options options{.heap_size = kMiB, .load_from = files.path};
  Texts d = Texts::open_or_create(name.str(), options);
  REQUIRE(d.empty());
  d["a"] = "1";
  write_file(files.path, "no saved dictionary");
  REQUIRE(Texts::open_or_create(name.str(), options).at("a") == "1");
  REQUIRE(Texts::attach(name.str(), options).at("a") == "1");
  d.close();
  REQUIRE_FALSE(exists(name.str()));
  REQUIRE(error_of([&] { Texts::open_or_create(name.str(), options); }) == errc::incompatible_layout);
  REQUIRE_FALSE(fs::exists(name.directory()));
}

TEST_CASE("progress goes up to the end, and an exception of it leaves everything as it was") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), {.heap_size = 32 * kMiB});
  for (int i = 0; i < 4000; ++i) d[std::to_string(i)] = std::string(1000, 'v');
  std::vector<std::uint64_t> steps;
  std::uint64_t last_total = 0;
  const auto note = [&](std::uint64_t done, std::uint64_t total) {
    REQUIRE((steps.empty() || (done > steps.back() && total == last_total)));
    steps.push_back(done);
    last_total = total;
  };
  d.save(files.path, note);
  REQUIRE(steps.size() == 5);
  REQUIRE((steps.back() == last_total && last_total == fs::file_size(files.path)));
  const std::string whole = files.bytes();
  const std::size_t saves = steps.size();
  steps.clear();
  d["0"] = "since";
  d.load(files.path, note);
  REQUIRE((steps.back() == last_total && steps.size() == 2 * saves));
  REQUIRE(d.at("0") == std::string(1000, 'v'));

  d["0"] = "since";
  const auto stop_at = [](std::size_t step) {
    return [step, at = std::size_t{0}](std::uint64_t, std::uint64_t) mutable {
      if (at++ == step) throw Stop{};
    };
  };
  for (std::size_t step = 0; step < saves; ++step) {
    REQUIRE_THROWS_AS(d.save(files.path, stop_at(step)), Stop);
    REQUIRE(files.bytes() == whole);
    REQUIRE(files.alone());
  }
  for (std::size_t step = 0; step < 2 * saves; ++step) {
    REQUIRE_THROWS_AS(d.load(files.path, stop_at(step)), Stop);
    REQUIRE((d.size() == 4000 && d.at("0") == "since"));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("the progress of a save may use the dictionary; that of a load is refused while the locks are held") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path, [&](std::uint64_t, std::uint64_t) { d["key 1"] = "in progress"; });
  REQUIRE(d.at("key 1") == "in progress");
  d.load(files.path, [&](std::uint64_t done, std::uint64_t total) {
    const std::error_code code = error_of([&] { d["key 2"] = "in progress"; });
    REQUIRE((code == errc::would_deadlock) == (done > total / 2));
  });
  REQUIRE((d.at("key 1") == "v" && d.at("key 2") == "vv"));
  d.modify("key 1", [&](std::string&) {
    REQUIRE(error_of([&] { d.save(files.path); }) == errc::would_deadlock);
    REQUIRE(error_of([&] { d.load(files.path); }) == errc::would_deadlock);
  });
  d.close();
  REQUIRE(error_of([&] { d.save(files.path); }) == errc::closed);
  REQUIRE(error_of([&] { d.load(files.path); }) == errc::closed);
}

// Readers who came before look at entries that are freed now.
TEST_CASE("a load steps the epoch of each part that it replaces") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const auto attachment = attachment_of(d);
  std::vector<std::uint64_t> before;
  for (std::uint32_t i = 0; i < attachment->segment().shard_count(); ++i) before.push_back(attachment->segment().shard(i).epoch.load());
  d.load(files.path);
  for (std::uint32_t i = 0; i < attachment->segment().shard_count(); ++i) REQUIRE(attachment->segment().shard(i).epoch.load() > before[i]);
}

TEST_CASE("damage is told by save and load, which then leave file and dictionary as they were") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  const std::string saved = files.bytes();
  const auto items = sorted_items(d);
  const auto attachment = attachment_of(d);
  for (std::uint32_t i = 0; i < attachment->segment().shard_count(); ++i) {
    detail::Word64& table = attachment->segment().shard(i).table;
    if (table.load() == 0) continue;
    for (const int bit : {1, 13, 30, 50}) {
      table.fetch_xor(std::uint64_t{1} << bit);
      CHECK(error_of([&] { d.load(files.path); }) == errc::corrupted);
      CHECK(error_of([&] { d.save(files.path); }) == errc::corrupted);
      table.fetch_xor(std::uint64_t{1} << bit);
    }
  }
  REQUIRE(files.bytes() == saved);
  REQUIRE(sorted_items(d) == items);
  d.load(files.path);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("an item of another size than all of them isn't saved over a good file") {
  const UniqueName name;
  const Files files;
  Numbers d = Numbers::create(name.str(), kSmall);
  for (std::uint64_t i = 0; i < 100; ++i) d.insert(i, i);
  d.save(files.path);
  const std::string saved = files.bytes();
  const auto attachment = attachment_of(d);
  {
    const detail::Writer writer(*attachment, kHangDeadline);
    detail::LockedShard shard(writer, 0);
    detail::store_word(attachment->segment().at(shard.find_any().entry.offset), detail::EntrySizes(8, 0).bits());
  }
  REQUIRE(error_of([&] { d.save(files.path); }) == errc::corrupted);
  REQUIRE(files.bytes() == saved);
}

TEST_CASE("a child forked in the middle of a save leaves it to its parent") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  for (const bool child_throws : {false, true}) {
    pid_t child = 0;
    try {
      d.save(files.path, [&](std::uint64_t, std::uint64_t) {
        if (child != 0) return;
        child = ::fork();
        if (child == 0) child = -1;
        if (child < 0 && child_throws) throw Stop();
      });
    } catch (const Stop&) {
      if (child < 0) ::_exit(0);
    } catch (const Error& error) {
      if (child < 0) ::_exit(error.code() == errc::would_deadlock ? 0 : 1);
      throw;
    }
    if (child < 0) ::_exit(2);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    REQUIRE(files.alone());
    Texts again = Texts::create(name.str() + ".again", {.heap_size = kMiB, .load_from = files.path});
    REQUIRE(sorted_items(again) == sorted_items(d));
  }
}

TEST_CASE("a view stays through a load") {
  const UniqueName name;
  const Files files;
  Texts d = Texts::create(name.str(), kSmall);
  fill(d);
  d.save(files.path);
  d["key 5"] = "viewed";
  const View<std::string> view = d.view("key 5");
  d.load(files.path);
  REQUIRE(*view == "viewed");
  REQUIRE(d.at("key 5") == "vvvvv");
  SHARED_DICT_REQUIRE_SOUND(d);
}

#if defined(__linux__)

TEST_CASE("a disk that is full leaves the file that was saved before, and nothing beside it") {
  in_small_place([](const fs::path& place, const Say& say) {
    const UniqueName name;
    Texts d = Texts::create(name.str(), {.heap_size = 32 * kMiB});
    d["a"] = "saved";
    const fs::path path = place / "saved";
    d.save(path);
    const std::string whole = read_file(path);
    for (int i = 0; i < 6; ++i) d[std::to_string(i)] = std::string(kMiB, 'v');
    const std::error_code code = error_of([&] { d.save(path); });
    say(message_of([&] { d.save(path); }));
    if (code != std::errc::no_space_on_device || code.category() != std::system_category()) return 10;
    if (read_file(path) != whole || std::distance(fs::directory_iterator(place), fs::directory_iterator{}) != 1)
      return 11;
    d.load(path);
    if (d.size() != 1 || d.at("a") != "saved" || !d.audit().ok()) return 12;
    // The place of the dictionary itself has no room: it isn't made.
    for (int i = 0; i < 6; ++i) d[std::to_string(i)] = std::string(kMiB, 'v');
    const Place elsewhere;
    d.save(elsewhere.path() / "large");
    const Options options{.heap_size = 32 * kMiB, .directory = place, .load_from = elsewhere.path() / "large"};
    if (error_of([&] { Texts::create("name", options); }) != errc::heap_full) return 13;
    return exists("name", place) || fs::exists(place / "shared_dict.name") ? 14 : 0;
  });
}

#endif
