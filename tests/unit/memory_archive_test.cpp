// The archives by themselves: what is written, what is refused, and that damaged bytes do no harm.
#include "shared_dict/detail/mechanisms/memory_archive.hpp"

#include <cereal/types/bitset.hpp>
#include <cereal/types/polymorphic.hpp>
#include <cstdlib>
#include <iostream>
#include <random>

#include "shared_dict/detail/mechanisms/cereal_types.hpp"
#include "support/catch.hpp"

using Bytes = std::vector<std::byte>;
using shared_dict::detail::DecodeError;
using shared_dict::detail::InputArchive;
using shared_dict::detail::OutputArchive;

namespace archived {

struct Nothing {
  template <class Archive>
  void serialize(Archive&) {}
  bool operator==(const Nothing&) const = default;
};

struct Link {
  std::unique_ptr<Link> next;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(next);
  }
};

struct Tree {
  std::vector<Tree> children;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(CEREAL_NVP(children));
  }
};

struct Pointers {
  std::shared_ptr<std::string> text, again;
  std::shared_ptr<std::uint64_t> number;
  std::weak_ptr<std::string> weak;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(text, again, number, weak);
  }
};

struct Versioned {
  int x = 0;
  std::uint32_t seen = 0;
  template <class Archive>
  void serialize(Archive& archive, std::uint32_t version) {
    archive(x);
    seen = version;
  }
};

struct Base {
  virtual ~Base() = default;
  virtual int value() const = 0;
};
struct Derived : Base {
  int x = 0;
  int value() const override { return x; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(x);
  }
};

struct NoDefault {
  explicit NoDefault(int n) : x(n) {}
  int x;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(x);
  }
  template <class Archive>
  static void load_and_construct(Archive& archive, cereal::construct<NoDefault>& construct) {
    int n = 0;
    archive(n);
    construct(n);
  }
};

struct Blocks {
  bool flags[3] = {};
  std::uint16_t numbers[2][2] = {};
  long double wide[2] = {};
  template <class Archive>
  void serialize(Archive& archive) {
    archive(flags, numbers, wide);
  }
};

struct Deferring {
  std::string first, last;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(cereal::defer(last), first);
  }
};

enum class Flag : bool { off, on };

}  // namespace archived

CEREAL_CLASS_VERSION(archived::Versioned, 7)
CEREAL_REGISTER_TYPE(archived::Derived)
CEREAL_REGISTER_POLYMORPHIC_RELATION(archived::Base, archived::Derived)

namespace {

template <class T>
Bytes save(const T& object) {
  Bytes out;
  OutputArchive archive(out);
  archive(object);
  archive.finish();
  return out;
}

template <class T>
T load(std::span<const std::byte> from) {
  T object{};
  InputArchive archive(from);
  archive(object);
  archive.finish();
  return object;
}

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

std::uint64_t seed() {
  static const std::uint64_t value = [] {
    const char* given = std::getenv("SHARED_DICT_SEED");
    const std::uint64_t s = given != nullptr ? std::strtoull(given, nullptr, 0) : 20240229;
    std::cout << "SHARED_DICT_SEED=" << s << '\n';
    return s;
  }();
  return value;
}

// Returns how many of the damaged encodings were refused. The others must have become some object that can be saved again.
template <class T>
int damage(const T& object, int rounds) {
  std::mt19937_64 random(seed());
  const Bytes good = save(object);
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    Bytes bad = good;
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    if (below(4) == 0) bad.resize(below(bad.size() + 1));
    for (std::size_t flips = below(4); flips != 0 && !bad.empty(); --flips) {
      std::byte& victim = bad[below(bad.size())];
      victim =
          below(2) == 0 ? static_cast<std::byte>(random() & 0xff) : victim ^ static_cast<std::byte>(1U << below(8));
    }
    if (below(8) == 0) bad.resize(bad.size() + below(20), static_cast<std::byte>(random() & 0xff));
    try {
      const T survivor = load<T>(bad);
      static_cast<void>(save(survivor));
    } catch (const DecodeError&) {
      ++refused;
    } catch (const cereal::Exception&) {
      ++refused;
    }
  }
  return refused;
}

}  // namespace

TEST_CASE("arithmetic types are their own bytes", "[archive]") {
  CHECK(save(std::uint32_t{0x01010101}) == bytes({1, 1, 1, 1}));
  CHECK(save(true) == bytes({1}));
  CHECK(save('x') == bytes({'x'}));
  CHECK(save(archived::Flag::on) == bytes({1}));
  const double pi = 3.25;
  REQUIRE(save(pi).size() == sizeof(double));
  CHECK(load<double>(save(pi)) == pi);
  CHECK(load<long double>(save(1.5L)) == 1.5L);
}

TEST_CASE("a container begins with its size in 64 bits", "[archive]") {
  CHECK(save(std::vector<std::uint8_t>{5, 6}) ==
        save(std::pair<std::uint64_t, std::array<std::uint8_t, 2>>{2, {5, 6}}));
  CHECK(save(std::string("ab")).size() == 10);
  CHECK(save(std::wstring(L"ab")).size() == 8 + 2 * sizeof(wchar_t));
}

TEST_CASE("what is written comes after what is there", "[archive]") {
  Bytes out = bytes({9});
  OutputArchive archive(out);
  archive(std::uint8_t{1}, std::vector<archived::Nothing>(30));
  archive.finish();
  REQUIRE(out.size() == 1 + 30);
  CHECK(out[0] == std::byte{9});
  CHECK(out[1] == std::byte{1});
}

TEST_CASE("the padding of a long double is zero", "[archive]") {
  long double dirty = 0;
  long double clean = 0;
  std::memset(&dirty, 0xff, sizeof(dirty));
  std::memset(&clean, 0, sizeof(clean));
  const long double value = 2.5L;
  const std::size_t used = std::numeric_limits<long double>::digits == 64 ? 10 : sizeof(long double);
  std::memcpy(&dirty, &value, used);
  std::memcpy(&clean, &value, used);
  CHECK(save(dirty) == save(clean));
  archived::Blocks a, b;
  std::memcpy(&a.wide[1], &dirty, sizeof(dirty));
  std::memcpy(&b.wide[1], &clean, sizeof(clean));
  CHECK(save(a) == save(b));
}

TEST_CASE("elements that take no bytes come back in full number", "[archive]") {
  const std::vector<archived::Nothing> many(1000);
  CHECK(load<std::vector<archived::Nothing>>(save(many)).size() == 1000);
  const std::vector<std::vector<archived::Nothing>> nested(5, many);
  CHECK(load<std::vector<std::vector<archived::Nothing>>>(save(nested)) == nested);
  const std::pair<std::list<archived::Nothing>, std::string> followed(std::list<archived::Nothing>(3), "end");
  CHECK(load<std::pair<std::list<archived::Nothing>, std::string>>(save(followed)) == followed);
}

TEST_CASE("shared pointers that share do so again", "[archive]") {
  archived::Pointers p;
  p.text = p.again = std::make_shared<std::string>("shared");
  p.weak = p.text;
  p.number = std::make_shared<std::uint64_t>(5);
  const auto q = load<archived::Pointers>(save(p));
  REQUIRE(q.text);
  CHECK(*q.text == "shared");
  CHECK(q.text == q.again);
  CHECK(q.weak.lock() == q.text);
  CHECK(*q.number == 5);
}

TEST_CASE("a shared pointer never refers to an object of another type", "[archive]") {
  archived::Pointers p;
  p.text = std::make_shared<std::string>("t");
  p.number = std::make_shared<std::uint64_t>(5);
  Bytes stored = save(p);
  // text: 4 bytes id, 9 bytes string; again: 4 bytes null; number: 4 bytes id, 8 bytes that only a new object has.
  stored.erase(stored.begin() + 21, stored.begin() + 29);
  const std::uint32_t id_of_text = 1;
  std::memcpy(stored.data() + 17, &id_of_text, sizeof(id_of_text));
  CHECK_THROWS_AS(load<archived::Pointers>(stored), DecodeError);
  const std::uint32_t id_of_none = 77;
  std::memcpy(stored.data() + 17, &id_of_none, sizeof(id_of_none));
  CHECK_THROWS_AS(load<archived::Pointers>(stored), DecodeError);
}

TEST_CASE("a shared pointer may refer to an object of its own type that is stored elsewhere", "[archive]") {
  const auto number = std::make_shared<int>(6);
  const std::map<int, std::shared_ptr<const int>> many{{1, number}, {2, number}, {3, nullptr}};
  const auto again = load<std::map<int, std::shared_ptr<const int>>>(save(many));
  CHECK(again.at(1) == again.at(2));
  CHECK(*again.at(1) == 6);
  CHECK(again.at(3) == nullptr);
}

TEST_CASE("a class gets the version that it was written with", "[archive]") {
  archived::Versioned v;
  v.x = 3;
  const Bytes stored = save(v);
  CHECK(stored.size() == 8);
  const auto w = load<archived::Versioned>(stored);
  CHECK(w.x == 3);
  CHECK(w.seen == 7);
}

TEST_CASE("a pointer to a base class keeps the derived object", "[archive]") {
  auto object = std::make_unique<archived::Derived>();
  object->x = 11;
  const std::unique_ptr<archived::Base> owner = std::move(object);
  CHECK(load<std::unique_ptr<archived::Base>>(save(owner))->value() == 11);
  auto shared = std::make_shared<archived::Derived>();
  shared->x = 12;
  const std::pair<std::shared_ptr<archived::Base>, std::shared_ptr<archived::Base>> twice(shared, shared);
  const auto again = load<std::pair<std::shared_ptr<archived::Base>, std::shared_ptr<archived::Base>>>(save(twice));
  REQUIRE(again.first);
  CHECK(again.first->value() == 12);
  CHECK(again.first == again.second);
}

TEST_CASE("a class without default constructor is constructed from the archive", "[archive]") {
  CHECK(load<std::unique_ptr<archived::NoDefault>>(save(std::make_unique<archived::NoDefault>(8)))->x == 8);
  CHECK(load<std::shared_ptr<archived::NoDefault>>(save(std::make_shared<archived::NoDefault>(9)))->x == 9);
}

TEST_CASE("deferred members are written last and read back", "[archive]") {
  const archived::Deferring d{"first", "last"};
  const auto e = load<archived::Deferring>(save(d));
  CHECK(e.first == "first");
  CHECK(e.last == "last");
}

TEST_CASE("a bitset takes a bit for a bit, also where cereal's own support is included", "[archive]") {
  std::bitset<11> bits;
  bits[0] = bits[9] = bits[10] = true;
  CHECK(save(bits) == bytes({1, 6}));
  CHECK(load<std::bitset<11>>(save(bits)) == bits);
  CHECK(load<std::bitset<70>>(save(std::bitset<70>().set())).all());
}

TEST_CASE("bytes that are short or impossible are refused", "[archive]") {
  CHECK_THROWS_AS(load<std::uint32_t>(bytes({1, 2, 3})), DecodeError);
  CHECK_THROWS_AS(load<std::string>(bytes({3, 0, 0, 0, 0, 0, 0, 0, 'a', 'b'})), DecodeError);
  CHECK_THROWS_AS(load<bool>(bytes({2})), DecodeError);
  CHECK_THROWS_AS(load<archived::Flag>(bytes({2})), DecodeError);
  CHECK_THROWS_AS((load<std::pair<std::array<bool, 2>, int>>(bytes({1, 3, 0, 0, 0, 0}))), DecodeError);
  CHECK_THROWS_AS(load<std::optional<int>>(bytes({7, 0, 0, 0, 0})), DecodeError);
  CHECK_THROWS_AS((load<std::variant<int, char>>(bytes({2, 0, 0, 0, 0, 0, 0, 0}))), cereal::Exception);
  CHECK_THROWS_AS((load<std::variant<int, char>>(bytes({255, 255, 255, 255, 0, 0, 0, 0}))), cereal::Exception);
}

TEST_CASE("a size tag can't claim more elements than there are bytes", "[archive]") {
  Bytes huge = bytes({255, 255, 255, 255, 255, 255, 255, 15, 0, 0});
  CHECK_THROWS_AS(load<std::vector<std::string>>(huge), DecodeError);
  CHECK_THROWS_AS(load<std::vector<double>>(huge), DecodeError);
  CHECK_THROWS_AS(load<std::wstring>(huge), DecodeError);
  CHECK_THROWS_AS(load<std::vector<bool>>(huge), DecodeError);
  CHECK_THROWS_AS((load<std::unordered_map<int, int>>(huge)), DecodeError);
  CHECK_THROWS_AS(load<std::forward_list<int>>(huge), DecodeError);
  // Each of the inner ones alone would be small enough.
  Bytes together = save(std::vector<std::uint64_t>(100, 700));
  CHECK_THROWS_AS(load<std::vector<std::vector<archived::Nothing>>>(together), DecodeError);
}

TEST_CASE("objects nest as deep for the reader as for the writer, and no deeper", "[archive]") {
  const auto chain = [](int links) {
    archived::Link head;
    for (archived::Link* last = &head; links != 0; --links)
      last = (last->next = std::make_unique<archived::Link>()).get();
    return head;
  };
  const auto unlink = [](archived::Link link) {
    while (link.next) link = std::move(*std::exchange(link.next, nullptr));
  };
  auto deep = chain(1500);
  auto again = load<archived::Link>(save(deep));
  int links = 0;
  for (const archived::Link* at = again.next.get(); at != nullptr; at = at->next.get()) ++links;
  CHECK(links == 1500);
  unlink(std::move(deep));
  unlink(std::move(again));

  auto deeper = chain(20'000);
  CHECK_THROWS_AS(save(deeper), std::length_error);
  unlink(std::move(deeper));
  CHECK_THROWS_AS(load<archived::Link>(Bytes(1'000'000, std::byte{1})), DecodeError);

  Bytes nested;
  for (int i = 0; i < 100'000; ++i) {
    const Bytes one = bytes({1, 0, 0, 0, 0, 0, 0, 0});
    nested.insert(nested.end(), one.begin(), one.end());
  }
  CHECK_THROWS_AS(load<archived::Tree>(nested), DecodeError);
}

TEST_CASE("many objects side by side are not a deep one", "[archive]") {
  const std::vector<std::optional<std::string>> many(100'000, "x");
  CHECK(load<std::vector<std::optional<std::string>>>(save(many)) == many);
}

TEST_CASE("bytes that an object leaves are an error, as are bytes that it lacks", "[archive]") {
  const std::tuple<std::string, int, std::vector<short>> longer("text", 5, {1, 2});
  CHECK(load<std::tuple<std::string, int, std::vector<short>>>(save(longer)) == longer);
  CHECK_THROWS_AS((load<std::tuple<std::string, int>>(save(longer))), DecodeError);
  CHECK_THROWS_AS((load<std::tuple<std::string, int, std::vector<short>, bool>>(save(longer))), DecodeError);
  Bytes more = save(longer);
  more.push_back(std::byte{0});
  CHECK_THROWS_AS((load<std::tuple<std::string, int, std::vector<short>>>(more)), DecodeError);
}

TEST_CASE("damaged bytes become an error or some valid object", "[archive]") {
  constexpr int kRounds = 3000;
  const std::string text = "some text, long enough for the heap";
  CHECK(damage(std::vector<std::string>{text, "", "b"}, kRounds) > 0);
  CHECK(damage(std::map<std::string, std::vector<std::optional<int>>>{{text, {1, {}, 3}}, {"k", {}}}, kRounds) > 0);
  CHECK(damage(std::vector<std::variant<int, std::string, std::vector<double>>>{1, text, std::vector<double>{1, 2}},
               kRounds) > 0);
  CHECK(damage(std::tuple<bool, archived::Flag, std::vector<bool>, std::deque<bool>>(true, archived::Flag::on,
                                                                                     {true, false}, {true}),
               kRounds) > 0);
  CHECK(damage(std::pair<std::bitset<70>, std::wstring>(5, L"wide"), kRounds) > 0);
  CHECK(damage(std::unordered_map<int, std::list<std::set<short>>>{{1, {{1, 2}, {}}}, {2, {}}}, kRounds) > 0);
  CHECK(damage(std::unordered_multimap<std::string, char>{{"a", 'a'}, {"a", 'b'}}, kRounds) > 0);
  CHECK(damage(std::vector<std::vector<archived::Nothing>>(3, std::vector<archived::Nothing>(40)), kRounds) > 0);
  CHECK(damage(std::pair<std::string, std::chrono::milliseconds>(text, std::chrono::milliseconds(5)), kRounds) > 0);
  CHECK(damage(std::pair<std::u16string, std::complex<float>>(u"x", {1, 2}), kRounds) > 0);
  CHECK(damage(std::vector<archived::Blocks>(2), kRounds) > 0);
  CHECK(damage(std::vector<archived::Versioned>(3), kRounds) > 0);
  CHECK(damage(archived::Deferring{"first", "last"}, kRounds) > 0);
  CHECK(damage(std::stack<std::forward_list<int>>({{1, 2, 3}, {4}}), kRounds) > 0);
  CHECK(damage(archived::Tree{{archived::Tree{{archived::Tree{}, archived::Tree{}}}, archived::Tree{}}}, kRounds) > 0);

  archived::Link list;
  list.next = std::make_unique<archived::Link>();
  list.next->next = std::make_unique<archived::Link>();
  CHECK(damage(list, kRounds) > 0);

  archived::Pointers p;
  p.text = p.again = std::make_shared<std::string>(text);
  p.weak = p.text;
  p.number = std::make_shared<std::uint64_t>(5);
  CHECK(damage(std::vector<archived::Pointers>{p, p}, kRounds) > 0);

  const auto object = std::make_shared<archived::Derived>();
  CHECK(damage(std::vector<std::shared_ptr<archived::Base>>{object, object, std::make_shared<archived::Derived>()},
               kRounds) > 0);
  CHECK(damage(std::vector<std::shared_ptr<archived::NoDefault>>(2, std::make_shared<archived::NoDefault>(4)),
               kRounds) > 0);
}
