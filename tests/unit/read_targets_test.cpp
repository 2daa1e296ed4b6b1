// What values are read into: objects that keep what they had, that the key is a part of, that can't be copied or assigned, or whose codec
// can't make one of nothing; and what of it stays when the value is replaced or erased meanwhile.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/sanitized.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;

namespace {

/// Reads into what is there, as cereal permits: it loads into new objects.
struct Appending {
  std::vector<int> parts;

  template <class Archive>
  void save(Archive& archive) const {
    archive(parts);
  }
  template <class Archive>
  void load(Archive& archive) {
    std::vector<int> more;
    archive(more);
    parts.insert(parts.end(), more.begin(), more.end());
  }
};

/// Called when room is made for a value, where the read that makes it can be overtaken by a change.
std::function<void()> on_room;

void room_is_made() {
  if (on_room) std::exchange(on_room, nullptr)();
}

template <class T>
struct TellingAllocator {
  using value_type = T;
  TellingAllocator() = default;
  template <class U>
  TellingAllocator(const TellingAllocator<U>&) noexcept {}
  T* allocate(std::size_t n) {
    room_is_made();
    return std::allocator<T>().allocate(n);
  }
  void deallocate(T* at, std::size_t n) noexcept { std::allocator<T>().deallocate(at, n); }
  friend bool operator==(const TellingAllocator&, const TellingAllocator&) noexcept { return true; }
};
using TellingInts = std::vector<int, TellingAllocator<int>>;

/// Four bytes, and more: its codec can't make one of fewer.
struct Framed {
  std::string stored = "new:";
};

/// Can't be assigned; its codec makes one of nothing.
struct Labelled {
  const int label = 1;
  std::string stored;
};

/// Moves only.
struct Id {
  int number = 0;

  Id() = default;
  explicit Id(int n) : number(n) {}
  Id(Id&&) = default;
  Id& operator=(Id&&) = default;
  bool operator==(const Id&) const = default;
};

/// Can't be assigned.
struct Marked {
  const int mark = 5;
  bool operator==(const Marked&) const = default;
};

/// Holds what can't be copied, although it says that it can.
struct Chain {
  int id = 0;
  std::vector<std::unique_ptr<int>> links;
};

/// The codec of text in an object, which begins with no fewer characters than `least`.
template <class Object, std::size_t least>
struct TextCodec {
  static constexpr bool plain = true;
  static std::span<const std::byte> bytes(const Object& object) noexcept { return std::as_bytes(std::span<const char>(object.stored)); }
  static std::byte* prepare(Object& object, std::size_t n) {
    if (n < least) throw detail::DecodeError("too few bytes");
    if (n != 0) room_is_made();
    object.stored.resize(n);
    return reinterpret_cast<std::byte*>(object.stored.data());
  }
};

using Words = SharedDict<std::string, std::string>;

std::string what_is_behind_a_zero() { return std::string("a\0b", 3); }

}  // namespace

template <>
struct shared_dict::codec<Framed> : TextCodec<Framed, 4> {};

template <>
struct shared_dict::codec<Labelled> : TextCodec<Labelled, 0> {};

template <>
struct shared_dict::codec<Chain> {
  static constexpr bool plain = true;
  static constexpr std::size_t fixed_size = sizeof(int);
  static std::span<const std::byte> bytes(const Chain& chain) noexcept { return std::as_bytes(std::span<const int, 1>(&chain.id, 1)); }
};

TEST_CASE("the key of a read may be part of what is read into") {
  const test::UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = 1 << 20});
  d["a"] = "b";
  d["b"] = what_is_behind_a_zero();
  std::string word = "a";
  REQUIRE(d.try_get(word, word));
  REQUIRE(d.try_get(word, word));
  REQUIRE(word == what_is_behind_a_zero());
  REQUIRE(d.try_get(std::string_view(word).substr(2), word));

  std::string text = "key";
  const auto put = [&](std::size_t size) { d["key"] = std::string(size, 'v'); };
  put(1000);
  std::jthread writer([&](const std::stop_token& stop) {
    for (std::size_t i = 0; !stop.stop_requested(); ++i) put(1000 + i % 5 * 2000);
  });
  for (int i = 0; i < (test::kSanitized ? 2000 : 50000); ++i) {
    text = "key";
    REQUIRE(d.try_get(text, text));
    REQUIRE(text.size() >= 1000);
  }
}

TEST_CASE("the key of a read may be an element of what is read into, also when the value is replaced meanwhile") {
  const test::UniqueName name;
  auto d = SharedDict<int, TellingInts>::create(name.str(), {.heap_size = 1 << 20});
  const TellingInts after = {1, 2, 3};
  d.insert(7, TellingInts(100, 4));
  TellingInts value = {7};
  on_room = [&] { d.insert_or_assign(7, after); };
  REQUIRE(d.try_get(value[0], value));
  REQUIRE(value == after);
}

TEST_CASE("a value whose codec can't make one of nothing is read, also when it is replaced or erased meanwhile") {
  const test::UniqueName name;
  auto d = SharedDict<std::string, Framed>::create(name.str(), {.heap_size = 1 << 20});
  const auto put = [&](const char* text) { d.insert_or_assign("key", Framed{text}); };
  put("one:of a length");
  on_room = [&] { put("two:of another"); };
  REQUIRE(d.get("key")->stored == "two:of another");
  on_room = [&] { put("six:"); };
  REQUIRE(d.at("key").stored == "six:");
  Framed out;
  on_room = [&] { put("ten:more"); };
  REQUIRE(d.try_get("key", out));
  REQUIRE(out.stored == "ten:more");
  on_room = [&] { d.erase("key"); };
  REQUIRE_FALSE(d.try_get("key", out));
  REQUIRE(out.stored == Framed().stored);
  out.stored = "kept";
  REQUIRE_FALSE(d.try_get("key", out));
  REQUIRE(out.stored == "kept");
  put("one:");
  on_room = [&] { d.erase("key"); };
  REQUIRE_FALSE(d.get("key").has_value());
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("nothing is left of a value that can't be assigned when it is erased while it is read") {
  const test::UniqueName name;
  auto d = SharedDict<int, Labelled>::create(name.str(), {.heap_size = 1 << 20});
  d.insert(1, Labelled{1, "text"});
  Labelled out;
  REQUIRE(d.try_get(1, out));
  REQUIRE(out.stored == "text");
  on_room = [&] { d.erase(1); };
  REQUIRE_FALSE(d.try_get(1, out));
  REQUIRE(out.stored.empty());
}

TEST_CASE("vectors of what can't be copied or assigned are read, and their elements can be the key") {
  const test::UniqueName name;
  {
    auto d = SharedDict<Id, std::vector<Id, TellingAllocator<Id>>>::create(name.str(), {.heap_size = 1 << 20});
    std::vector<Id, TellingAllocator<Id>> before(100);
    std::vector<Id, TellingAllocator<Id>> after(1);
    std::vector<Id, TellingAllocator<Id>> value;
    value.emplace_back(7);
    d.insert(Id(7), before);
    on_room = [&] { d.insert_or_assign(Id(7), after); };
    REQUIRE(d.try_get(value[0], value));
    REQUIRE(value == after);
  }
  auto d = SharedDict<int, std::vector<Marked>>::create(name.str(), {.heap_size = 1 << 20});
  std::vector<Marked> marks;
  for (int i = 0; i < 10000; ++i) marks.push_back({i});
  d.insert(1, marks);
  REQUIRE(d.get(1) == marks);
  auto chained = SharedDict<Chain, std::string>::create(name.str() + "_chained", {.heap_size = 1 << 20});
  const Chain chain;
  chained.insert(chain, "value");
  std::string text;
  REQUIRE(chained.try_get(chain, text));
  REQUIRE(text == "value");
}

TEST_CASE("nothing of one value is left in the next one that is read") {
  const test::UniqueName name;
  auto d = SharedDict<std::uint64_t, Appending>::create(name.str(), {.heap_size = 1 << 20});
  d[1] = Appending{{1, 2}};
  d[2] = Appending{{3}};
  std::vector<std::vector<int>> read;
  d.get_many(std::vector<std::uint64_t>{1, 2}, [&](std::size_t, const Appending* value) { read.push_back(value->parts); });
  REQUIRE(read == std::vector<std::vector<int>>{{1, 2}, {3}});
  Appending out{{9}};
  REQUIRE(d.try_get(1, out));
  REQUIRE(out.parts == std::vector<int>{1, 2});
}
