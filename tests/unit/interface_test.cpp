// Programs outside the repository are compiled against these names and meanings: each is used here as the documentation says.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/place.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace std::chrono_literals;

namespace {

template <class T, class U>
constexpr bool kSame = std::is_same_v<T, U>;

using Numbers = SharedDict<std::string, long>;
using Words = SharedDict<long, std::string>;

// What has a fixed type, and can be said without calling it.
static_assert(kSame<decltype(Options::heap_size), std::size_t> && kSame<decltype(Options::max_items), std::size_t> &&
              kSame<decltype(Options::lifetime), Lifetime> && kSame<decltype(Options::lock_timeout), std::chrono::milliseconds> &&
              kSame<decltype(Options::permissions), unsigned> && kSame<decltype(Options::max_processes), unsigned> &&
              kSame<decltype(Options::directory), std::filesystem::path> && kSame<decltype(Options::load_from), std::filesystem::path>);
static_assert(std::is_aggregate_v<Options>);
static_assert(!std::is_copy_constructible_v<Numbers> && !std::is_copy_assignable_v<Numbers> &&
              std::is_nothrow_move_constructible_v<Numbers> && std::is_nothrow_move_assignable_v<Numbers>);
static_assert(static_cast<int>(errc::invalid_name) == 1 && static_cast<int>(errc::invalid_option) == 2 &&
              static_cast<int>(errc::not_found) == 3 && static_cast<int>(errc::already_exists) == 4 &&
              static_cast<int>(errc::type_mismatch) == 5 && static_cast<int>(errc::incompatible_layout) == 6 &&
              static_cast<int>(errc::corrupted) == 7 && static_cast<int>(errc::heap_full) == 8 &&
              static_cast<int>(errc::too_many_items) == 9 && static_cast<int>(errc::too_many_processes) == 10 &&
              static_cast<int>(errc::too_many_views) == 11 && static_cast<int>(errc::value_too_large) == 12 &&
              static_cast<int>(errc::lock_timeout) == 13 && static_cast<int>(errc::would_deadlock) == 14 &&
              static_cast<int>(errc::closed) == 15);
static_assert(std::is_base_of_v<std::system_error, Error> && std::is_error_code_enum_v<errc>);

}  // namespace

TEST_CASE("every name of the interface is there and means what it says") {
  const Options defaults;
  REQUIRE((defaults.heap_size == std::size_t{1} << 30 && defaults.max_items == 0 && defaults.lifetime == Lifetime::attached));
  REQUIRE((defaults.lock_timeout == 10'000ms && defaults.permissions == 0600 && defaults.max_processes == 128));
  REQUIRE((defaults.directory.empty() && defaults.load_from.empty()));

  const test::UniqueName numbers_name;
  const test::UniqueName words_name;
  const Options options{.heap_size = 1 << 20};

  Numbers numbers = Numbers::create(numbers_name.str(), options);
  const Numbers attached = Numbers::attach(numbers_name.str());
  Words words = Words::open_or_create(words_name.str(), options);
  REQUIRE(numbers.is_open());
  REQUIRE(numbers.name() == numbers_name.str());
  REQUIRE(exists(numbers_name.str()));
  REQUIRE_FALSE(list().empty());

  // Writing.
  REQUIRE(numbers.insert("a", 1));
  REQUIRE(numbers.insert_or_assign(std::string("b"), 2));
  REQUIRE(numbers.assign(std::string_view("b"), 3));
  REQUIRE(numbers.erase("a"));
  REQUIRE(numbers.extract("b") == std::optional<long>(3));
  numbers.update(std::vector<std::pair<std::string, long>>{{"c", 4}, {"d", 5}, {"c", 6}});
  REQUIRE(numbers.erase_if([](const std::string& key, const long&) { return key == "d"; }) == 1);
  REQUIRE(numbers.extract_any() == std::optional(std::pair<std::string, long>("c", 6)));
  numbers.clear();

  // Read-modify-write.
  REQUIRE(numbers.fetch_add("n", 5) == 0);
  REQUIRE(numbers.modify("n", [](long& value) { value *= 2; }));
  REQUIRE_FALSE(numbers.modify_or_insert("n", 0, [](long& value) { ++value; }));
  long expected = 0;
  REQUIRE_FALSE(numbers.compare_exchange("n", expected, 1));
  REQUIRE(expected == 11);
  REQUIRE(numbers.compare_exchange("n", expected, 12));

  // Reading.
  const Numbers& reader = numbers;
  long out = 0;
  REQUIRE(reader.get("n") == std::optional<long>(12));
  REQUIRE(reader.get("missing", 7) == 7);
  REQUIRE(reader.try_get("n", out));
  REQUIRE(reader.at("n") == out);
  REQUIRE(reader.contains("n"));
  reader.get_many(std::vector<std::string>{"n", "missing"},
                  [](std::size_t index, const long* value) { REQUIRE((value != nullptr) == (index == 0)); });
  REQUIRE(reader.size() == 1);
  REQUIRE_FALSE(reader.empty());

  // Zero copy.
  {
    const View<long> number = reader.view("n");
    REQUIRE(kSame<decltype(*number), const long&>);
    REQUIRE((number && *number == 12));
    Loan<std::string> loan = words.loan(1, 5);
    REQUIRE(kSame<decltype(loan.span()), std::span<char>>);
    std::string_view("hello").copy(loan.span().data(), 5);
    loan.publish();
    const View<std::string> word = words.view(1);
    REQUIRE(kSame<decltype(*word), std::string_view>);
    REQUIRE(*word == "hello");
    REQUIRE(word.bytes().size() == 5);
    REQUIRE_FALSE(words.view(2));
  }

  // Waiting.
  REQUIRE_FALSE(reader.wait_change("n", 1ms));
  REQUIRE(reader.wait_until("n", [](const long& value) { return value == 12; }, 1s) == std::optional<long>(12));

  // As a dictionary.
  numbers["m"] = 1;
  const long m = numbers["m"];
  REQUIRE(m == 1);
  REQUIRE(reader["m"] == 1);
  long sum = 0;
  reader.for_each([&](const std::string&, const long& value) { sum += value; });
  for (const auto& [key, value] : reader) sum -= value;
  REQUIRE(sum == 0);
  REQUIRE(kSame<decltype(reader.begin()), Numbers::const_iterator>);
  REQUIRE(kSame<std::iterator_traits<Numbers::const_iterator>::value_type, std::pair<std::string, long>>);
  REQUIRE(reader.keys().size() == 2);
  REQUIRE(reader.values().size() == 2);
  REQUIRE(reader.items().size() == 2);

  // Saving it.
  const test::Place saved;
  const Numbers::Progress progress = [](std::uint64_t done, std::uint64_t total) { REQUIRE(done <= total); };
  reader.save(saved.path() / "numbers");
  reader.save(saved.path() / "numbers", progress);
  numbers["m"] = 2;
  numbers.load(saved.path() / "numbers");
  REQUIRE(numbers.at("m") == 1);
  numbers.load(saved.path() / "numbers", progress);

  // Watching it.
  const Stats stats = reader.stats();
  REQUIRE((stats.items == 2 && stats.slot_count != 0 && stats.used_slots >= 2 && stats.load_factor > 0 && stats.processes == 1));
  REQUIRE((stats.heap_size == 1 << 20 && stats.heap_committed != 0 && stats.heap_used != 0 && stats.shards != 0));
  REQUIRE((stats.recoveries == 0 && stats.lock_waits == 0));
  const GcStats gc = reader.gc_stats();
  REQUIRE((gc.total_free_blocks != 0 && gc.total_free_space >= gc.largest_free_block && gc.retired_blocks == 0));
  const AuditReport report = reader.audit();
  REQUIRE(report.ok());
  REQUIRE(report.problems.empty());
  REQUIRE(words.audit().ok());

  numbers.close();
  REQUIRE_FALSE(numbers.is_open());
  try {
    numbers.size();
    FAIL("a closed handle counts");
  } catch (const Error& error) {
    REQUIRE(error.code() == errc::closed);
    REQUIRE(error.code().category() == shared_dict_category());
  }
  REQUIRE(shared_dict::remove(words_name.str()));
  REQUIRE_FALSE(exists(words_name.str()));
}
