// User code that throws at every call: serialisation, construction, copies, comparisons, callbacks; along with allocations and system
// calls that fail between them. The exception comes through as it is, and what was called has not happened.

#include <chrono>
#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

/// Each of its members throws when it is its turn.
class Touchy {
 public:
  Touchy() { user_code(); }
  explicit Touchy(int number) : number_(number) { user_code(); }
  Touchy(const Touchy& other) : number_(other.number_) { user_code(); }
  Touchy(Touchy&& other) : number_(other.number_) { user_code(); }  // NOLINT: not noexcept
  Touchy& operator=(const Touchy& other) {
    user_code();
    number_ = other.number_;
    return *this;
  }
  Touchy& operator=(Touchy&& other) {  // NOLINT: not noexcept
    user_code();
    number_ = other.number_;
    return *this;
  }
  ~Touchy() = default;

  int number() const noexcept { return number_; }

  template <class Archive>
  void serialize(Archive& archive) {
    user_code();
    archive(number_);
  }

  friend bool operator==(const Touchy& a, const Touchy& b) {
    user_code();
    return a.number_ == b.number_;
  }
  friend auto operator<=>(const Touchy& a, const Touchy& b) {
    user_code();
    return a.number_ <=> b.number_;
  }

 protected:
  int number_ = 0;
};

/// Goes through cereal.
struct Record : Touchy {
  using Touchy::Touchy;
  std::vector<std::string> notes{"a note that is too long for a string's own memory", "b"};
  std::map<std::string, Touchy> parts{};

  template <class Archive>
  void serialize(Archive& archive) {
    user_code();
    archive(number_, notes, parts);
    user_code();
  }

  friend bool operator==(const Record&, const Record&) = default;
};

/// Has a codec of its own.
struct Coded : Touchy {
  using Touchy::Touchy;
  friend bool operator==(const Coded&, const Coded&) = default;
  friend auto operator<=>(const Coded&, const Coded&) = default;
};

Record record(int number) {
  Record made(number);
  made.parts.emplace("part", number + 1);
  return made;
}

}  // namespace

template <>
struct shared_dict::codec<Coded> {
  static void encode(const Coded& from, std::vector<std::byte>& out) {
    user_code();
    for (const char c : "number " + std::to_string(from.number())) out.push_back(static_cast<std::byte>(c));
    user_code();
  }
  static void decode(std::span<const std::byte> from, Coded& out) {
    user_code();
    std::string text;
    for (const std::byte b : from) text += static_cast<char>(b);
    out = Coded(std::stoi(text.substr(7)));
  }
};

namespace {

/// What is done with any key and value: key(i) and value(i) make them.
template <class Dict, class Key, class Value>
std::vector<FaultyOperation<Dict>> operations(Key key, Value value) {
  using K = typename Dict::key_type;
  using V = typename Dict::mapped_type;
  using Model = Contents<Dict>;
  return {
      {"get", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(1);
         faulty([&] { demand(d.get(k).has_value(), "a value"); });
       }},
      {"get with a fallback", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(99);
         const V v = value(5);
         faulty([&] { demand(d.get(k, v).number() == 5, "the fallback"); });
       }},
      {"try_get", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(1);
         V v = value(7);
         faulty([&] { demand(d.try_get(k, v), "a value"); });
         demand(v.number() == 1, "the value");
       }},
      {"at", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(2);
         faulty([&] { demand(d.at(k).number() == 2, "the value"); });
       }},
      {"contains, view", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(2);
         faulty([&] { demand(d.contains(k) && d.view(k), "the key"); });
       }},
      {"get_many", [=](Dict& d, Model&, const Faulty& faulty) {
         const std::vector<K> keys{key(1), key(99), key(3)};
         faulty([&] {
           d.get_many(keys, [](std::size_t i, const V* v) {
             user_code();
             demand((v == nullptr) == (i == 1), "the values");
           });
         });
       }},
      {"insert", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(99);
         const V v = value(5);
         faulty([&] { demand(d.insert(k, v), "that it is new"); });
         model.emplace(k, v);
       }},
      {"insert_or_assign", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(3);
         const V v = value(5);
         faulty([&] { d.insert_or_assign(k, v); });
         model.at(k) = v;
       }},
      {"assign", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(3);
         const V v = value(5);
         faulty([&] { d.assign(k, v); });
         model.at(k) = v;
       }},
      {"operator[]", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(3);
         const V v = value(5);
         faulty([&] { d[k] = v; });
         model.at(k) = v;
         faulty([&] { demand(static_cast<V>(d[k]).number() == 5, "the value"); });
       }},
      {"erase", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(4);
         faulty([&] { demand(d.erase(k), "that it was there"); });
         model.erase(k);
       }},
      {"extract", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(4);
         faulty([&] { demand(d.extract(k).has_value(), "a value"); });
         model.erase(k);
       }},
      {"extract_any", [=](Dict& d, Model& model, const Faulty& faulty) {
         int number = 0;
         faulty([&] { number = d.extract_any()->second.number(); });
         model.erase(key(number));
       }},
      {"update", [=](Dict& d, Model& model, const Faulty& faulty) {
         std::vector<std::pair<K, V>> items;
         for (const int i : {1, 50, 2, 51, 1}) items.emplace_back(key(i), value(i + 7));
         faulty([&] { d.update(items); });
         for (const auto& [k, v] : items) model.insert_or_assign(k, v);
       }},
      {"erase_if", [=](Dict& d, Model& model, const Faulty& faulty) {
         const auto odd = [](const auto& v) { return v.number() % 2 != 0; };
         try {
           faulty([&] {
             d.erase_if([&](const K&, const V& v) {
               user_code();
               return odd(v);
             });
           });
         } catch (...) {
           // The items taken so far are gone.
           std::erase_if(model, [&](const auto& item) { return odd(item.second) && !d.contains(item.first); });
           throw;
         }
         std::erase_if(model, [&](const auto& item) { return odd(item.second); });
       }},
      {"modify", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(5);
         faulty([&] {
           d.modify(k, [&](V& v) {
             v = value(500);
             user_code();
           });
         });
         model.at(k) = value(500);
       }},
      {"modify_or_insert", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(99);
         const V initial = value(5);
         faulty([&] {
           d.modify_or_insert(k, initial, [&](V& v) {
             user_code();
             v = value(500);
           });
         });
         model.emplace(k, value(500));
       }},
      {"compare_exchange", [=](Dict& d, Model& model, const Faulty& faulty) {
         const K k = key(6);
         V expected = value(6);
         const V desired = value(7);
         faulty([&] { demand(d.compare_exchange(k, expected, desired), "the exchange"); });
         model.at(k) = desired;
       }},
      {"compare_exchange with another value", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(6);
         V expected = value(7);
         const V desired = value(8);
         faulty([&] { demand(!d.compare_exchange(k, expected, desired), "no exchange"); });
         demand(expected.number() == 6, "the actual value");
       }},
      {"wait_until", [=](Dict& d, Model&, const Faulty& faulty) {
         const K k = key(6);
         faulty([&] {
           const auto v = d.wait_until(k, [](const V& seen) {
             user_code();
             return seen.number() == 7;
           }, 1ms);
           demand(!v, "no value");
         });
       }},
      {"for_each", [](Dict& d, Model& model, const Faulty& faulty) {
         std::size_t met = 0;
         faulty([&] {
           d.for_each([&](const K&, const V&) {
             user_code();
             ++met;
           });
         });
         demand(met == model.size(), "all items");
       }},
      {"keys, values, items, begin, end", [](Dict& d, Model&, const Faulty& faulty) {
         faulty([&] {
           std::size_t n = d.keys().size() + d.values().size() - d.items().size();
           for ([[maybe_unused]] const auto& item : d) --n;
           demand(n == 0, "as many of all");
         });
       }},
  };
}

}  // namespace

TEST_CASE("whatever throws in an operation on objects that go through cereal comes through, and nothing has happened") {
  using Records = SharedDict<std::string, Record>;
  const auto key = [](int i) { return "key " + std::to_string(i); };
  const Family<Records> family{{.heap_size = 1 << 16, .lock_timeout = kHangDeadline, .max_processes = 4},
                               {{"told", record(1)}, {"other", record(2)}},
                               [&](Records& d) {
                                 for (int i = 0; i < 10; ++i) d.insert(key(i), record(i));
                               }};
  print("faults in operations on objects", fail_in_all(family, operations<Records>(key, record)));
}

TEST_CASE("whatever throws in an operation with codecs of the user's comes through, and nothing has happened") {
  using Codeds = SharedDict<Coded, Coded>;
  const auto coded = [](int i) { return Coded(i); };
  const Family<Codeds> family{{.heap_size = 1 << 16, .lock_timeout = kHangDeadline, .max_processes = 4},
                              {{Coded(101), Coded(1)}, {Coded(102), Coded(2)}},
                              [&](Codeds& d) {
                                for (int i = 0; i < 10; ++i) d.insert(coded(i), coded(i));
                              }};
  print("faults in operations with user's codecs", fail_in_all(family, operations<Codeds>(coded, coded)));
}
