// How a type is stored, what the choice is for keys and for values, and that a user can make another.
#include "shared_dict/codec.hpp"

#include <cstring>
#include <functional>

#include "support/catch.hpp"

using Bytes = std::vector<std::byte>;
using shared_dict::codec;
using shared_dict::detail::codec_traits;
using shared_dict::detail::DecodeError;
using shared_dict::detail::key_codec_traits;

namespace stored {

struct Point {
  int x, y;
  bool operator==(const Point&) const = default;
};

struct Padded {
  char c;
  int i;
};

// Both trivially copyable and known to cereal.
struct PaddedArchived {
  char c = 0;
  int i = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(c, i);
  }
};

struct NoDefault {
  explicit NoDefault(int n) : x(n) {}
  const int x;
};

struct alignas(32) Aligned {
  char data[32];
};

struct Person {
  std::string name;
  std::vector<std::string> tags;
  bool operator==(const Person&) const = default;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, tags);
  }
};

struct Split {
  std::string text;
  template <class Archive>
  void save(Archive& archive) const {
    archive(text + "!");
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text);
  }
};

struct Outside {
  std::string text;
};
template <class Archive>
void serialize(Archive& archive, Outside& outside) {
  archive(outside.text);
}

struct Objects {
  std::string text;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text);
    if (text == "refuse") throw std::domain_error("the user's own");
    if (text == "cereal") throw cereal::Exception("the user's, through cereal");
  }
};

struct Special {
  int value = 0;
};
struct SpecialNamed {
  std::string text;
};
struct Meters {
  double value = 0;
};
struct Empty {
  bool operator==(const Empty&) const = default;
};

}  // namespace stored

template <>
struct shared_dict::codec<stored::Special> {
  static void encode(const stored::Special& special, std::vector<std::byte>& out) {
    out.push_back(static_cast<std::byte>(special.value));
  }
  static void decode(std::span<const std::byte> from, stored::Special& out) {
    if (from.size() != 1) throw std::range_error("not a Special");
    out.value = static_cast<int>(from[0]);
  }
};

template <>
struct shared_dict::codec<stored::SpecialNamed> {
  static void encode(const stored::SpecialNamed& special, std::vector<std::byte>& out) {
    for (const char c : special.text) out.push_back(static_cast<std::byte>(c));
  }
  static void decode(std::span<const std::byte> from, stored::SpecialNamed& out) {
    out.text.clear();
    for (const std::byte b : from) out.text.push_back(static_cast<char>(b));
  }
  static std::string type_name() { return "special v2"; }
};

// A specialisation that takes another type's codec over is still the user's.
template <>
struct shared_dict::codec<stored::Meters> : shared_dict::codec<std::string> {
  static constexpr bool plain = false;
  static void encode(const stored::Meters&, std::vector<std::byte>& out) { out.push_back(std::byte{42}); }
  static void decode(std::span<const std::byte>, stored::Meters& out) { out.value = 42; }
};

namespace {

template <class T, template <class> class Traits = codec_traits>
Bytes encode(const T& object) {
  Bytes out;
  if constexpr (Traits<T>::plain) {
    const auto own = Traits<T>::bytes(object);
    out.assign(own.begin(), own.end());
  } else {
    Traits<T>::encode(object, out);
  }
  return out;
}

template <class T, template <class> class Traits = codec_traits>
T decode(const Bytes& from) {
  if constexpr (Traits<T>::fixed_size != 0) {
    std::array<std::byte, sizeof(T)> image{};
    std::memcpy(image.data(), from.data(), sizeof(T));
    return std::bit_cast<T>(image);
  } else {
    T out{};
    if constexpr (Traits<T>::plain) {
      std::byte* to = Traits<T>::prepare(out, from.size());
      if (!from.empty()) std::memcpy(to, from.data(), from.size());
    } else {
      Traits<T>::decode(from, out);
    }
    return out;
  }
}

template <class T>
bool comes_back(const T& object) {
  return decode<T>(encode(object)) == object &&
         decode<T, key_codec_traits>(encode<T, key_codec_traits>(object)) == object;
}

}  // namespace

TEST_CASE("a trivially copyable type is stored as its own bytes", "[codec]") {
  using Traits = codec_traits<stored::Point>;
  STATIC_REQUIRE(Traits::plain);
  STATIC_REQUIRE(Traits::fixed_size == sizeof(stored::Point));
  STATIC_REQUIRE(Traits::alignment == alignof(stored::Point));
  const stored::Point point{1, 2};
  const auto bytes = Traits::bytes(point);
  CHECK(static_cast<const void*>(bytes.data()) == &point);
  CHECK(bytes.size() == sizeof(point));
  CHECK(comes_back(point));
  CHECK(comes_back(17));
  CHECK(comes_back(2.5));
  CHECK(comes_back(stored::Empty{}));
  CHECK(comes_back(std::optional<int>(4)));
  CHECK(comes_back(std::array<char, 3>{'a', 'b', 'c'}));
  CHECK(decode<stored::NoDefault>(encode(stored::NoDefault(7))).x == 7);
  STATIC_REQUIRE(codec_traits<stored::Aligned>::alignment == 32);
  STATIC_REQUIRE(codec_traits<std::variant<int, double>>::plain);
  STATIC_REQUIRE(codec_traits<stored::PaddedArchived>::plain);
}

TEST_CASE("strings and vectors of trivially copyable types are stored as their elements' bytes", "[codec]") {
  STATIC_REQUIRE(codec_traits<std::string>::plain);
  STATIC_REQUIRE(codec_traits<std::string>::fixed_size == 0);
  STATIC_REQUIRE(codec_traits<std::string>::alignment == 1);
  STATIC_REQUIRE(codec_traits<std::u32string>::alignment == alignof(char32_t));
  STATIC_REQUIRE(codec_traits<std::vector<stored::Point>>::plain);
  STATIC_REQUIRE(codec_traits<std::vector<double>>::alignment == alignof(double));
  CHECK(encode(std::string("abc")).size() == 3);
  CHECK(comes_back(std::string()));
  CHECK(comes_back(std::string("with\0zero", 9)));
  CHECK(comes_back(std::u32string(U"abc")));
  CHECK(comes_back(std::vector<int>{1, 2, 3}));
  CHECK(comes_back(std::vector<int>{}));
  CHECK(comes_back(std::vector<stored::Point>{{1, 2}, {3, 4}}));
}

TEST_CASE("a vector whose elements have no default constructor is prepared too", "[codec]") {
  const std::vector<stored::NoDefault> three{stored::NoDefault(1), stored::NoDefault(2), stored::NoDefault(3)};
  const auto again = decode<std::vector<stored::NoDefault>>(encode(three));
  REQUIRE(again.size() == 3);
  CHECK(again[2].x == 3);
}

TEST_CASE("prepare reuses the memory that is there and refuses half elements", "[codec]") {
  std::vector<int> out(100);
  const int* before = out.data();
  CHECK(reinterpret_cast<const int*>(codec<std::vector<int>>::prepare(out, 8 * sizeof(int))) == before);
  CHECK(out.size() == 8);
  CHECK_THROWS_AS(codec<std::vector<int>>::prepare(out, 7), DecodeError);
  std::u16string text;
  CHECK_THROWS_AS(codec<std::u16string>::prepare(text, 3), DecodeError);
}

TEST_CASE("everything else goes through cereal", "[codec]") {
  STATIC_REQUIRE_FALSE(codec_traits<std::vector<bool>>::plain);
  STATIC_REQUIRE_FALSE(codec_traits<std::pair<int, int>>::plain);
  STATIC_REQUIRE_FALSE(codec_traits<stored::Person>::plain);
  STATIC_REQUIRE(codec_traits<stored::Person>::fixed_size == 0);
  STATIC_REQUIRE(codec_traits<stored::Person>::alignment == 1);
  CHECK(comes_back(std::vector<bool>{true, false, true}));
  CHECK(comes_back(std::pair<int, int>(1, 2)));
  CHECK(comes_back(stored::Person{"Ada", {"a", "b"}}));
  CHECK(comes_back(std::map<std::string, std::vector<std::optional<int>>>{{"a", {1, {}}}, {"b", {}}}));
  CHECK(comes_back(std::tuple<std::set<int>, std::list<std::string>, std::deque<bool>>({1}, {"x"}, {true})));
  CHECK(comes_back(std::variant<std::monostate, std::string>("x")));
  CHECK(comes_back(std::optional<std::string>("x")));
  CHECK(comes_back(std::pair<std::chrono::seconds, std::complex<double>>(std::chrono::seconds(3), {1, 2})));
  CHECK(comes_back(std::array<std::string, 2>{"a", "b"}));
  CHECK(comes_back(std::vector<std::vector<stored::Empty>>(3, std::vector<stored::Empty>(9))));
  const std::unordered_map<std::string, std::unordered_set<int>> unordered{{"a", {1, 2}}, {"b", {}}};
  CHECK(decode<std::unordered_map<std::string, std::unordered_set<int>>>(encode(unordered)) == unordered);
  CHECK(decode<stored::Split>(encode(stored::Split{"x"})).text == "x!");
  CHECK(decode<stored::Outside>(encode(stored::Outside{"y"})).text == "y");
  CHECK(*decode<std::unique_ptr<std::string>>(encode(std::make_unique<std::string>("z"))) == "z");
}

TEST_CASE("cereal's global tables are locked, so that several threads can store versioned classes", "[codec]") {
  STATIC_REQUIRE(CEREAL_THREAD_SAFE != 0);
}

TEST_CASE("encode appends", "[codec]") {
  Bytes out{std::byte{1}};
  codec<stored::Person>::encode({"n", {}}, out);
  const Bytes alone = encode(stored::Person{"n", {}});
  REQUIRE(out.size() == 1 + alone.size());
  CHECK(std::equal(alone.begin(), alone.end(), out.begin() + 1));
}

TEST_CASE("decode replaces what was there, and refuses bytes that follow", "[codec]") {
  Bytes stored = encode(stored::Person{"Ada", {"t"}});
  stored::Person out{"somebody else", {"1", "2", "3"}};
  codec<stored::Person>::decode(stored, out);
  CHECK(out == stored::Person{"Ada", {"t"}});
  // Of a class with more members, as another version of the program may have it.
  stored.resize(stored.size() + 100, std::byte{7});
  CHECK_THROWS_AS(codec<stored::Person>::decode(stored, out), DecodeError);
}

TEST_CASE("bytes that can't be a T are a DecodeError, whoever notices it", "[codec]") {
  stored::Person person;
  Bytes stored = encode(stored::Person{"Ada", {"t"}});
  stored.pop_back();
  CHECK_THROWS_AS(codec<stored::Person>::decode(stored, person), DecodeError);
  std::variant<std::string, int> variant;
  CHECK_THROWS_AS((codec<std::variant<std::string, int>>::decode(Bytes(4, std::byte{9}), variant)), DecodeError);
}

TEST_CASE("what the user's serialize throws passes through", "[codec]") {
  const auto with = [](std::string text) {
    Bytes bytes;
    codec<std::tuple<std::string>>::encode({std::move(text)}, bytes);
    return bytes;
  };
  stored::Objects out;
  CHECK_NOTHROW(codec<stored::Objects>::decode(with("fine"), out));
  CHECK_THROWS_AS(codec<stored::Objects>::decode(with("refuse"), out), std::domain_error);
  CHECK_THROWS_AS(codec<stored::Objects>::decode(with("cereal"), out), DecodeError);
  Bytes bytes;
  CHECK_THROWS_AS(codec<stored::Objects>::encode({"refuse"}, bytes), std::domain_error);
}

TEST_CASE("a key is plain only if its value determines its bytes", "[codec]") {
  STATIC_REQUIRE(key_codec_traits<int>::plain);
  STATIC_REQUIRE(key_codec_traits<stored::Point>::plain);
  STATIC_REQUIRE(key_codec_traits<std::string>::plain);
  STATIC_REQUIRE(key_codec_traits<std::vector<stored::Point>>::plain);
  STATIC_REQUIRE_FALSE(key_codec_traits<double>::plain);
  STATIC_REQUIRE_FALSE(key_codec_traits<std::vector<double>>::plain);
  STATIC_REQUIRE_FALSE(key_codec_traits<stored::PaddedArchived>::plain);
  STATIC_REQUIRE_FALSE(key_codec_traits<std::optional<int>>::plain);
  STATIC_REQUIRE_FALSE(key_codec_traits<long double>::plain);
  STATIC_REQUIRE(codec_traits<std::optional<int>>::plain);
}

TEST_CASE("equal keys have equal bytes whatever their padding holds", "[codec]") {
  stored::PaddedArchived a, b;
  std::memset(static_cast<void*>(&a), 0xaa, sizeof(a));
  std::memset(static_cast<void*>(&b), 0x55, sizeof(b));
  a.c = b.c = 'c';
  a.i = b.i = 5;
  CHECK(encode<stored::PaddedArchived, key_codec_traits>(a) == encode<stored::PaddedArchived, key_codec_traits>(b));
  std::optional<std::string> none, emptied("x");
  emptied.reset();
  CHECK(encode<std::optional<std::string>, key_codec_traits>(none) ==
        encode<std::optional<std::string>, key_codec_traits>(emptied));
  const std::set<int> up{1, 2, 3}, down{3, 2, 1};
  CHECK(encode<std::set<int>, key_codec_traits>(up) == encode<std::set<int>, key_codec_traits>(down));
  std::vector<int> roomy{1};
  roomy.reserve(100);
  CHECK(encode<std::vector<int>, key_codec_traits>(roomy) == encode<std::vector<int>, key_codec_traits>({1}));
  CHECK(encode<double, key_codec_traits>(0.0) != encode<double, key_codec_traits>(-0.0));
}

TEST_CASE("different keys have different bytes", "[codec]") {
  using Key = std::pair<std::string, std::string>;
  CHECK(encode<Key, key_codec_traits>({"ab", "c"}) != encode<Key, key_codec_traits>({"a", "bc"}));
  using Nested = std::vector<std::vector<std::string>>;
  CHECK(encode<Nested, key_codec_traits>({{}, {"a"}}) != encode<Nested, key_codec_traits>({{"a"}, {}}));
  using Nothing = std::vector<std::vector<stored::Empty>>;
  CHECK(encode<Nothing, key_codec_traits>({{{}, {}}, {}}) != encode<Nothing, key_codec_traits>({{}, {{}, {}}}));
}

TEST_CASE("a user's specialisation needs encode and decode only", "[codec]") {
  using Traits = codec_traits<stored::Special>;
  STATIC_REQUIRE_FALSE(Traits::plain);
  STATIC_REQUIRE(Traits::fixed_size == 0);
  STATIC_REQUIRE(Traits::alignment == 1);
  STATIC_REQUIRE_FALSE(key_codec_traits<stored::Special>::plain);
  CHECK(Traits::type_name() == "stored::Special");
  CHECK(encode(stored::Special{5}) == Bytes{std::byte{5}});
  CHECK(decode<stored::Special>(Bytes{std::byte{6}}).value == 6);
  CHECK(decode<stored::Special, key_codec_traits>(Bytes{std::byte{6}}).value == 6);
  CHECK_THROWS_AS(decode<stored::Special>(Bytes{}), std::range_error);
  CHECK(codec_traits<stored::SpecialNamed>::type_name() == "special v2");
  CHECK(key_codec_traits<stored::SpecialNamed>::type_name() == "special v2");
  CHECK(decode<stored::SpecialNamed>(encode(stored::SpecialNamed{"t"})).text == "t");
}

TEST_CASE("a specialisation may derive from another type's codec", "[codec]") {
  CHECK(encode<stored::Meters, key_codec_traits>({1.5}) == Bytes{std::byte{42}});
}

TEST_CASE("names say how large a class is that is stored as plain bytes", "[codec]") {
  CHECK(codec_traits<int>::type_name() == "int32");
  CHECK(codec_traits<std::string>::type_name() == "string");
  CHECK(codec_traits<stored::Point>::type_name() == "stored::Point(size 8)");
  CHECK(codec_traits<std::vector<stored::Point>>::type_name() == "vector<stored::Point(size 8)>");
  CHECK(codec_traits<std::vector<short>>::type_name() == "vector<int16>");
  CHECK(codec_traits<std::optional<int>>::type_name() == "optional<int32>(size 8)");
  CHECK(key_codec_traits<std::optional<int>>::type_name() == "optional<int32>");
  CHECK(codec_traits<stored::Person>::type_name() == "stored::Person");
  CHECK(codec_traits<stored::PaddedArchived>::type_name() == "stored::PaddedArchived(size 8)");
  CHECK(key_codec_traits<stored::PaddedArchived>::type_name() == "stored::PaddedArchived");
  CHECK(codec_traits<std::map<std::string, std::vector<bool>>>::type_name() == "map<string,vector<bool>>");
}
