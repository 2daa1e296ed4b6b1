// A loan is memory that is nobody's value yet. However it ends, by publish, by going out of scope, by an exception or by a limit that is
// met, the dictionary is as if the value had been stored, or as if the loan had never been, down to the last byte.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/detail/operations/loaning.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/lock_holder.hpp"
#include "support/pattern.hpp"
#include "support/stored_dictionary.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Words = SharedDict<std::string, std::string>;
using Series = SharedDict<std::uint64_t, std::vector<double>>;

static_assert(std::is_nothrow_move_constructible_v<Loan<std::string>>);
static_assert(std::is_nothrow_move_assignable_v<Loan<std::string>>);
static_assert(!std::is_copy_constructible_v<Loan<std::string>>);
static_assert(!std::is_copy_assignable_v<Loan<std::string>>);
static_assert(std::is_same_v<decltype(std::declval<Loan<std::string>&>().span()), std::span<char>>);
static_assert(std::is_same_v<decltype(std::declval<Loan<std::vector<double>>&>().span()), std::span<double>>);

constexpr std::size_t kOneShard = 127 * 1024;
constexpr std::size_t kRoomy = std::size_t{4} << 20;
/// Empty, tiny, odd, larger than a page, and large enough for pages of their own.
constexpr std::size_t kSizes[] = {0, 1, 7, 8, 9, 100, 5000, 50'000, 200'000};

void fill(Loan<std::string>& loan, std::string_view text) {
  const std::span<char> span = loan.span();
  if (span.size() != text.size()) throw std::runtime_error("the span has another size than asked for");
  std::copy(text.begin(), text.end(), span.begin());
}

/// What the memory looks like from outside: equal before and after means that nothing leaked.
struct Memory {
  std::size_t free_blocks;
  std::size_t free_space;
  std::size_t retired;
  std::size_t used;
  std::size_t items;

  template <class Dict>
  static Memory of(const Dict& d) {
    const GcStats gc = d.gc_stats();
    const Stats stats = d.stats();
    return {gc.total_free_blocks, gc.total_free_space, gc.retired_blocks, stats.heap_used, stats.items};
  }
  friend bool operator==(const Memory&, const Memory&) = default;
};

/// `work` leaves the memory as it was. Done once before, as the first time takes pages into use.
template <class Dict, class Work>
void leaves_nothing(Dict& d, Work work) {
  work();
  const Memory before = Memory::of(d);
  REQUIRE(before.retired == 0);
  for (int i = 0; i < 10; ++i) work();
  const Memory after = Memory::of(d);
  INFO("free blocks " << before.free_blocks << ", then " << after.free_blocks << "; free bytes " << before.free_space
                      << ", then " << after.free_space << "; retired then " << after.retired);
  REQUIRE(before == after);
  SHARED_DICT_REQUIRE_SOUND(d);
}

}  // namespace

TEST_CASE("a loan that is published is the value, new or in place of the old one") {
  for (const std::size_t size : kSizes) {
    INFO(size << " bytes");
    const UniqueName name;
    Words d = Words::create(name.str(), {.heap_size = kRoomy});
    std::string text(size, '\0');
    for (const bool is_new : {true, false}) {
      std::iota(text.begin(), text.end(), is_new ? 'a' : 'k');
      auto loan = d.loan("key", size);
      REQUIRE(loan);
      fill(loan, text);
      REQUIRE(d.contains("key") == !is_new);  // nobody sees it before
      REQUIRE(d.size() == (is_new ? 0 : 1));
      REQUIRE(loan.publish() == is_new);
      REQUIRE_FALSE(loan);
      REQUIRE(loan.span().empty());
      REQUIRE(d.at("key") == text);
      REQUIRE(d.size() == 1);
      REQUIRE(d.stats().heap_used == 3 + size);
    }
    REQUIRE(*d.view("key") == text);
    // And it is a value as any other.
    REQUIRE(d.modify("key", [](std::string& value) { value += "!"; }));
    REQUIRE(d.at("key") == text + "!");
    REQUIRE(d.gc_stats().retired_blocks == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
    REQUIRE(d.erase("key"));
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("the span is as long as asked for and aligned for its elements") {
  struct alignas(64) Wide {
    std::uint64_t words[8];
  };
  const auto aligned = []<class V>(V, std::initializer_list<std::size_t> counts) {
    using Element = typename V::value_type;
    const UniqueName name;
    auto d = SharedDict<std::string, V>::create(name.str(), {.heap_size = kRoomy});
    for (const std::size_t count : counts) {
      for (std::size_t key_size = 0; key_size < 20; ++key_size) {
        auto loan = d.loan(std::string(key_size, 'k'), count);
        REQUIRE(loan.span().size() == count);
        REQUIRE(reinterpret_cast<std::uintptr_t>(loan.span().data()) % alignof(Element) == 0);
        if (count != 0) std::memset(static_cast<void*>(loan.span().data()), 7, count * sizeof(Element));
        loan.publish();
        REQUIRE(d.view(std::string(key_size, 'k'))->size() == count);
      }
    }
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  aligned(std::string(), {0, 1, 5, 200'000});
  aligned(std::u16string(), {0, 1, 5, 1000});
  aligned(std::vector<double>(), {0, 1, 5, 20'000});
  aligned(std::vector<Wide>(), {0, 1, 5, 2000});
}

TEST_CASE("a vector is filled element by element") {
  const UniqueName name;
  Series d = Series::create(name.str(), {.heap_size = kRoomy});
  auto loan = d.loan(7, 1000);
  std::iota(loan.span().begin(), loan.span().end(), 0.5);
  REQUIRE(loan.publish());
  const std::vector<double> stored = d.at(7);
  REQUIRE(stored.size() == 1000);
  REQUIRE(stored.front() == 0.5);
  REQUIRE(stored.back() == 999.5);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a loan that is dropped was never there") {
  for (const std::size_t size : kSizes) {
    INFO(size << " bytes");
    const UniqueName name;
    Words d = Words::create(name.str(), {.heap_size = kRoomy});
    d.insert("there", "value");
    leaves_nothing(d, [&] {
      auto loan = d.loan("new", size);
      fill(loan, std::string(size, 'x'));
    });
    leaves_nothing(d, [&] { d.loan("there", size); });
    leaves_nothing(d, [&] {
      try {
        const auto loan = d.loan("there", size);
        throw std::runtime_error("in the middle");
      } catch (const std::runtime_error&) {
      }
    });
    leaves_nothing(d, [&] {
      auto loan = d.loan("there", size);
      loan = d.loan("new", size);  // drops the first
      loan = {};
    });
    leaves_nothing(d, [&] {
      std::vector<Loan<std::string>> several;
      for (int i = 0; i < 5; ++i) several.push_back(d.loan("new", size));
      several.erase(several.begin() + 2);
    });
    leaves_nothing(d, [&] {
      auto loan = d.loan("new", size);
      fill(loan, std::string(size, 'x'));
      loan.publish();
      d.erase("new");
    });
    REQUIRE(d.at("there") == "value");
    REQUIRE(d.size() == 1);
  }
}

TEST_CASE("loans that all are dropped leave no page in use") {
  const StoredDictionary d({.heap_size = std::size_t{1} << 22});
  const detail::Writer writer = d.writer();
  {
    std::vector<detail::LoanedBlock> loans;
    for (int i = 0; i < 200; ++i) {
      loans.push_back(detail::begin_loan(writer, d.key("key" + std::to_string(i)), static_cast<std::size_t>(i) * 700));
    }
    REQUIRE(d.pages_in_use() > 0);
    REQUIRE(detail::pinned_blocks(d.segment()).size() == 200);
    for (std::size_t i = 0; i < loans.size(); ++i) detail::drop_loan(*d.attachment, loans[i * 37 % 200]);
  }
  REQUIRE(detail::pinned_blocks(d.segment()).empty());
  REQUIRE(d.pages_in_use() == 0);
  REQUIRE(d.problems().empty());
}

TEST_CASE("a loan that was published, moved from or never taken is refused") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kRoomy});
  auto loan = d.loan("key", 5);
  fill(loan, "first");
  loan.publish();
  REQUIRE(error_of([&] { loan.publish(); }) == errc::closed);
  REQUIRE_THAT(message_of([&] { loan.publish(); }), Catch::StartsWith("dictionary '" + name.str() + "': publish: "));
  REQUIRE(d.at("key") == "first");

  auto source = d.loan("key", 6);
  fill(source, "second");
  auto target = std::move(source);
  REQUIRE_FALSE(source);  // NOLINT(bugprone-use-after-move)
  REQUIRE(source.span().empty());
  REQUIRE(error_of([&] { source.publish(); }) == errc::closed);
  auto& self = target;
  target = std::move(self);
  REQUIRE(target);
  REQUIRE(target.publish() == false);
  REQUIRE(d.at("key") == "second");

  Loan<std::string> none;
  REQUIRE_FALSE(none);
  REQUIRE(none.span().empty());
  REQUIRE(error_of([&] { none.publish(); }) == errc::closed);
  none = d.loan("key", 5);
  fill(none, "third");
  none.publish();
  REQUIRE(d.at("key") == "third");
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("what can't be stored is refused before there is a loan, and nothing has changed") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  d.insert("there", std::string(60'000, 't'));
  const Memory before = Memory::of(d);
  REQUIRE(error_of([&] { d.loan("new", 100'000); }) == errc::heap_full);
  REQUIRE(error_of([&] { d.loan("there", kOneShard - 4); }) == errc::value_too_large);
  REQUIRE(error_of([&] { d.loan("new", std::numeric_limits<std::size_t>::max()); }) == errc::value_too_large);
  {
    const UniqueName series_name;
    Series series = Series::create(series_name.str(), {.heap_size = kRoomy});
    REQUIRE(error_of([&] { series.loan(1, std::numeric_limits<std::size_t>::max() / 8 + 2); }) ==
            errc::value_too_large);
  }
  REQUIRE(Memory::of(d) == before);
  REQUIRE(d.at("there") == std::string(60'000, 't'));
  SHARED_DICT_REQUIRE_SOUND(d);
  d.close();
  REQUIRE(error_of([&] { d.loan("new", 1); }) == errc::closed);
}

TEST_CASE("a loan that others leave no space for can be published when there is some again") {
  for (const bool replaces : {false, true}) {
    const UniqueName name;
    Words d = Words::create(name.str(), {.heap_size = kOneShard});
    if (replaces) d.insert("key", "old");
    auto loan = d.loan("key", 50'000);
    const std::string text = pattern_of(1, 1, 50'000);
    fill(loan, text);
    d.insert("in the way", std::string(100'000, 'w'));
    const Memory before = Memory::of(d);
    for (int i = 0; i < 3; ++i) REQUIRE(error_of([&] { loan.publish(); }) == errc::heap_full);
    REQUIRE(loan);
    REQUIRE(loan.span().size() == 50'000);
    REQUIRE(Memory::of(d) == before);
    REQUIRE(d.get("key") == (replaces ? std::optional<std::string>("old") : std::nullopt));
    SHARED_DICT_REQUIRE_SOUND(d);
    d.erase("in the way");
    REQUIRE(loan.publish() == !replaces);
    REQUIRE(d.at("key") == text);
    REQUIRE(d.gc_stats().retired_blocks == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
}

TEST_CASE("max_items counts what is published, not what is loaned") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kRoomy, .max_items = 3});
  d.insert("a", "1");
  d.insert("b", "2");
  auto first = d.loan("c", 1);
  auto second = d.loan("d", 1);
  auto replacement = d.loan("a", 1);
  fill(first, "3");
  fill(second, "4");
  fill(replacement, "5");
  REQUIRE(first.publish());
  REQUIRE(error_of([&] { second.publish(); }) == errc::too_many_items);
  REQUIRE(second);
  REQUIRE_FALSE(d.contains("d"));
  REQUIRE_FALSE(replacement.publish());
  d.erase("b");
  REQUIRE(second.publish());
  REQUIRE(d.size() == 3);
  REQUIRE(d.at("a") == "5");
  REQUIRE(d.at("d") == "4");
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a loan lasts through whatever happens to its shard, and is published then") {
  const auto lasts = [](std::size_t size, auto happening) {
    const UniqueName name;
    Words d = Words::create(name.str(), {.heap_size = kRoomy});
    d.insert("key", "old");
    auto loan = d.loan("key", size);
    auto dropped = d.loan("key", size);
    const std::string text(size, 'p');
    fill(loan, text);
    happening(d);
    // Whoever gets memory now doesn't get the loan's.
    for (int i = 0; i < 10; ++i) d.insert_or_assign("other", std::string(size, 'o'));
    SHARED_DICT_REQUIRE_SOUND(d);
    REQUIRE(d.gc_stats().retired_blocks == 2);
    REQUIRE(std::string_view(loan.span().data(), loan.span().size()) == text);
    const bool there = d.contains("key");
    REQUIRE(loan.publish() == !there);
    dropped = {};
    REQUIRE(d.at("key") == text);
    REQUIRE(d.gc_stats().retired_blocks == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
  };
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{200'000}}) {
    INFO(size << " bytes");
    lasts(size, [](Words&) {});
    lasts(size, [](Words& d) { d.clear(); });
    lasts(size, [](Words& d) { d.erase("key"); });
    lasts(size, [](Words& d) { d.assign("key", "another"); });
    lasts(size, [](Words& d) {
      const std::size_t slots = d.stats().slot_count;
      for (int i = 0; i < 20'000; ++i) d.insert("grow " + std::to_string(i), "");
      REQUIRE(d.stats().slot_count > slots);
      for (int i = 0; i < 20'000; ++i) d.erase("grow " + std::to_string(i));
    });
    lasts(size, [](Words& d) {
      LockHolder holder(d, "key");
      holder.die();
      d.assign("key", "repaired");
      REQUIRE(d.stats().recoveries == 1);
    });
    lasts(size, [](Words& d) {
      d.clear();
      d.insert("key", "again");
      LockHolder holder(d, "key");
      holder.die();
      d.erase("key");
    });
  }
}

TEST_CASE("the value that a loan replaces stays for those who view it") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  const std::string old = pattern_of(1, 1, 300);
  d.insert("key", old);
  View<std::string> view = d.view("key");
  auto loan = d.loan("key", 300);
  fill(loan, pattern_of(1, 2, 300));
  REQUIRE(d.gc_stats().retired_blocks == 1);  // the loan
  loan.publish();
  REQUIRE(d.gc_stats().retired_blocks == 1);  // the old value
  REQUIRE(*view == old);
  REQUIRE(version_in(*d.view("key"), 1) == 2);
  view = {};
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("loans inside a callback are refused, dropping one there is allowed and loses nothing") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  d.insert("key", "value");
  auto loan = d.loan("key", 3);
  fill(loan, "new");
  auto dropped = std::optional(d.loan("key", 500));
  d.modify("key", [&](std::string& value) {
    CHECK(error_of([&] { d.loan("other", 5); }) == errc::would_deadlock);
    CHECK(error_of([&] { loan.publish(); }) == errc::would_deadlock);
    dropped.reset();
    value = "changed";
  });
  REQUIRE(d.at("key") == "changed");
  REQUIRE(loan);
  REQUIRE(d.gc_stats().retired_blocks == 1);
  REQUIRE_FALSE(loan.publish());
  REQUIRE(d.at("key") == "new");
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a loan is dropped without waiting, also while a stopped writer has its shard") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard, .lock_timeout = std::chrono::milliseconds(50)});
  d.insert("key", "value");
  auto loan = std::optional(d.loan("key", 100));
  auto kept = d.loan("key", 3);
  fill(kept, "new");
  {
    LockHolder holder(d, "key");
    holder.stop();
    loan.reset();
    REQUIRE(error_of([&] { kept.publish(); }) == errc::lock_timeout);
    REQUIRE(error_of([&] { d.loan("key", 100); }) == errc::lock_timeout);
    REQUIRE(kept);
    holder.die();
  }
  REQUIRE_FALSE(kept.publish());
  REQUIRE(d.at("key") == "new");
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("a loan keeps the dictionary when its handle is closed, and can still be published") {
  const UniqueName name;
  Loan<std::string> loan;
  {
    Words d = Words::create(name.str(), {.heap_size = kOneShard});
    loan = d.loan("key", 5);
    fill(loan, "value");
  }
  REQUIRE(exists(name.str()));
  REQUIRE(loan.publish());
  {
    const Words d = Words::attach(name.str());
    REQUIRE(d.at("key") == "value");
    REQUIRE(d.gc_stats().retired_blocks == 0);
    SHARED_DICT_REQUIRE_SOUND(d);
  }
  loan = {};
  REQUIRE_FALSE(exists(name.str()));
}

TEST_CASE("an inherited loan is the parent's: the child can't publish it, and letting it go does nothing") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kOneShard});
  auto loan = d.loan("key", 300);
  const std::string text = pattern_of(1, 1, 300);
  fill(loan, text);
  SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
    if (error_of([&] { loan.publish(); }) != errc::would_deadlock) return 10;
    loan = {};
    if (d.contains("key")) return 11;
    for (int i = 0; i < 20; ++i) d.insert_or_assign("child's", std::string(300, '#'));
    return d.gc_stats().retired_blocks == 1 ? 0 : 12;
  }));
  REQUIRE(loan);
  REQUIRE(loan.publish());
  REQUIRE(d.at("key") == text);
  REQUIRE(d.gc_stats().retired_blocks == 0);
  SHARED_DICT_REQUIRE_SOUND(d);
}

TEST_CASE("threads that loan, publish and drop at once publish whole values only") {
  const UniqueName name;
  Words d = Words::create(name.str(), {.heap_size = kRoomy});
  constexpr std::uint64_t kKeys = 5;
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::uint64_t self = 0; self < 4; ++self) {
    threads.emplace_back([&, self] {
      std::string text;
      for (std::uint64_t turn = 1; turn <= 1500; ++turn) {
        const std::uint64_t key = (turn * (self + 1)) % kKeys;
        make_pattern(key, turn * 4 + self, 40 + turn % 9 * 60, text);
        auto loan = d.loan(std::to_string(key), text.size());
        fill(loan, text);
        if (turn % 3 != 0) loan.publish();
        if (turn % 7 == 0) d.erase(std::to_string(key));
        if (const auto view = d.view(std::to_string(key)); view && !version_in(*view, key)) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(wrong.load() == 0);
  REQUIRE(d.gc_stats().retired_blocks == 0);
  for (const auto& [key, value] : d) REQUIRE(version_in(value, std::stoull(key)).has_value());
  SHARED_DICT_REQUIRE_SOUND(d);
}
