// A program for the debugger to stop in, with dictionaries whose contents it has to show, whole and damaged.
#include <array>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

#include <shared_dict/detail/mechanisms/place.hpp>
#include <shared_dict/shared_dict.hpp>

extern "C" void stop_here() { std::puts("stopped"); }

namespace {

using shared_dict::SharedDict;
namespace detail = shared_dict::detail;

enum class Colour : std::int16_t { red = 1, blue = -2 };

struct Point {
  std::int32_t x, y;
};

struct Archived {
  std::string text;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
  }
};

std::string full_name(const std::string& name) { return "gdb-" + std::to_string(::getpid()) + "-" + name; }

template <class K, class V>
SharedDict<K, V> make(const std::string& name, const std::map<K, V>& items) {
  auto dictionary = SharedDict<K, V>::create(full_name(name), {.heap_size = std::size_t{1} << 20});
  for (const auto& [key, value] : items) dictionary.insert(key, value);
  return dictionary;
}

// The file behind a dictionary, for damage.
class Segment {
 public:
  explicit Segment(const std::string& name)
      : path_(detail::Place({}, full_name(name)).segment()),
        file_(path_, std::ios::in | std::ios::out | std::ios::binary) {}

  std::uint64_t word(std::uint64_t at) {
    std::uint64_t word = 0;
    file_.seekg(static_cast<std::streamoff>(at)).read(reinterpret_cast<char*>(&word), sizeof word);
    return word;
  }
  void set(std::uint64_t at, std::uint64_t word) {
    file_.seekp(static_cast<std::streamoff>(at)).write(reinterpret_cast<const char*>(&word), sizeof word).flush();
  }

  // Where the table word of the first shard that has one is.
  std::uint64_t table() {
    const auto shards = word(offsetof(detail::Header, identity) + offsetof(detail::Identity, shards_at));
    std::uint64_t at = shards + offsetof(detail::Shard, table);
    while (word(at) == 0) at += sizeof(detail::Shard);
    return at;
  }
  // Where the first slot word of an entry is.
  std::uint64_t slot() {
    std::uint64_t at = detail::TableWord(word(table())).offset() + offsetof(detail::Bucket, slots);
    while (!detail::SlotWord(word(at)).is_entry()) at += detail::kWord;
    return at;
  }
  void cut_off() { static_cast<void>(::truncate(path_.c_str(), 0)); }

 private:
  std::filesystem::path path_;
  std::fstream file_;
};

}  // namespace

int main() {
  using namespace std::string_literals;
  // Shared memory is in core files only if this says so.
  if (std::FILE* filter = std::fopen("/proc/self/coredump_filter", "w")) {
    std::fputs("0x3f", filter);
    std::fclose(filter);
  }
  auto words = make<std::string, std::string>("words", {{"apple", "red \"one\""}, {"lemon", "yellow"}});
  auto numbers = make<std::string, long>("numbers", {{"minus", -7}, {"gone", 8}});
  numbers.erase("gone");

  auto texts = make<int, std::string>(
      "texts", {{1, "nul\0here"s}, {2, "\x1b[31m\n\t\\\x7f"}, {3, "gr\xc3\xbc\xc3\x9f"}, {4, "\xff\xc2\x85"}, {5, ""}});
  auto points = make<Colour, Point>("points", {{Colour::blue, {1, -1}}});
  auto ratios = make<double, char>("ratios", {{-1.5, 'c'}});
  auto lists = make<int, std::vector<int>>("lists", {{1, {1, -2, 3}}, {2, {}}});
  auto octets = make<std::vector<std::int8_t>, std::vector<std::uint8_t>>("octets", {{{-1, 'a'}, {0, 255}}});
  auto doubles = make<std::vector<Colour>, std::vector<double>>("doubles", {{{Colour::red}, {0.5, -4}}});
  auto routes = make<int, std::vector<Point>>("routes", {{1, {{1, 2}, {3, 4}}}});
  auto arrays = make<std::array<int, 2>, std::optional<int>>("arrays", {{{1, 2}, 3}});
  auto wide = make<int, std::u16string>("wide", {{1, u"w\u00fc"}});
  auto letters = make<int, std::vector<char>>("letters", {{1, {'a', '\0'}}});
  // What cereal writes.
  auto archived = make<int, Archived>("archived", {{1, {"ab"}}});
  auto bits = make<int, std::vector<bool>>("bits", {{1, {true}}});
  auto paths = make<std::vector<double>, int>("paths", {{{0.5}, 1}});
  auto large = make<int, std::vector<int>>("large", {{1, std::vector<int>(20'000, 7)}});

  auto closed = std::move(make<int, int>("closed", {}));
  closed.close();
  const std::map<int, int> items{{1, 10}, {2, 20}, {3, 30}};
  auto bad_slot = make("bad_slot", items), bad_entry = make("bad_entry", items), bad_table = make("bad_table", items);
  auto bad_pages = make("bad_pages", items), bad_clears = make("bad_clears", items),
       bad_magic = make("bad_magic", items);
  auto cut_off = make("cut_off", items);
  const auto damage = [](const std::string& name, auto change) {
    Segment segment(name);
    change(segment);
  };
  damage("bad_slot", [](Segment& s) { s.set(s.slot(), 0xfff'ffff'fff8); });
  damage("bad_entry",
         [](Segment& s) { s.set(detail::SlotWord(s.word(s.slot())).offset(), ~std::uint64_t{0} << 24 | 4); });
  damage("bad_table", [](Segment& s) { s.set(s.table(), s.word(s.table()) | 63); });
  damage("bad_pages", [](Segment& s) { s.set(offsetof(detail::Header, committed), 1); });
  damage("bad_clears", [](Segment& s) { s.set(offsetof(detail::Header, clear_generation), 1); });
  damage("bad_magic", [](Segment& s) { s.set(0, 1); });
  damage("cut_off", [](Segment& s) { s.cut_off(); });
  stop_here();
}
