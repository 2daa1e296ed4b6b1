// The packed words are on disk for as long as a dictionary lives, and other builds read them: each part must come back whole and
// must not spill into its neighbours.

#include <cstdint>
#include <random>

#include <shared_dict/detail/bytes/words.hpp>

#include "support/catch.hpp"
#include "support/seed.hpp"

using namespace shared_dict::detail;

TEST_CASE("a lock word names record and generation, and is never free when it names somebody") {
  REQUIRE(LockWord().free());
  REQUIRE(LockWord(0U).free());
  for (const std::uint32_t record : {0U, 1U, 127U, 999U}) {
    for (const std::uint32_t generation : {0U, 1U, 0xffffU, 0x10000U, 0xffff'ffffU}) {
      const LockWord word(record, generation);
      INFO("record " << record << ", generation " << generation);
      REQUIRE_FALSE(word.free());
      REQUIRE(word.record() == record);
      REQUIRE(word.generation() == (generation & 0xffff));
      REQUIRE(LockWord(word.bits()) == word);
    }
  }
  REQUIRE(LockWord(2, 7).bits() == 0x0003'0007);
  REQUIRE_FALSE(LockWord(2, 7) == LockWord(2, 8));
}

TEST_CASE("a slot word is empty, erased or an entry, and nothing else") {
  REQUIRE(SlotWord().is_empty());
  REQUIRE_FALSE(SlotWord().is_entry());
  REQUIRE(SlotWord::erased().is_erased());
  REQUIRE_FALSE(SlotWord::erased().is_entry());
  REQUIRE_FALSE(SlotWord::erased().is_empty());
  for (const std::uint64_t offset : {std::uint64_t{8}, std::uint64_t{4096}, std::uint64_t{0xffff'ffff'fff8}}) {
    for (const std::uint32_t tag : {0U, 1U, 0x8000U, 0xffffU}) {
      const SlotWord word(offset, tag);
      INFO("offset " << offset << ", tag " << tag);
      REQUIRE(word.is_entry());
      REQUIRE_FALSE(word.is_empty());
      REQUIRE_FALSE(word.is_erased());
      REQUIRE(word.offset() == offset);
      REQUIRE(word.tag() == tag);
    }
  }
  REQUIRE(SlotWord(0x1238, 0xabcd).bits() == 0xabcd'0000'0000'1238);
}

TEST_CASE("a table word holds offset and size") {
  REQUIRE(TableWord().none());
  for (std::uint32_t log2 = 0; log2 < 40; ++log2) {
    const TableWord word(std::uint64_t{12345} * 4096, log2);
    REQUIRE_FALSE(word.none());
    REQUIRE(word.offset() == std::uint64_t{12345} * 4096);
    REQUIRE(word.log2_buckets() == log2);
    REQUIRE(word.buckets() == std::uint64_t{1} << log2);
  }
  REQUIRE(TableWord(4096, 6).bits() == 4102);
}

TEST_CASE("a page word holds kind, class, shard and length") {
  REQUIRE(PageWord().kind() == PageKind::none);
  REQUIRE(PageWord(PageKind::span, 5, 3, 2).bits() == 0x0202'0003'0000'0005);
  std::mt19937_64 random(shared_dict::test::test_seed());
  for (int i = 0; i < 10'000; ++i) {
    const auto kind = static_cast<PageKind>(random() % 5);
    const auto pages = static_cast<std::uint32_t>(random());
    const auto shard = static_cast<std::uint32_t>(random() & 0xffff);
    const auto size_class = static_cast<std::uint32_t>(random() & 0xff);
    const PageWord word(kind, pages, shard, size_class);
    REQUIRE((word.kind() == kind && word.pages() == pages && word.shard() == shard && word.size_class() == size_class));
    REQUIRE(PageWord(word.bits()) == word);
  }
}

TEST_CASE("entry sizes reach to the largest key and value") {
  for (const std::uint64_t key : {std::uint64_t{0}, std::uint64_t{1}, EntrySizes::kMaxKey}) {
    for (const std::uint64_t value : {std::uint64_t{0}, std::uint64_t{1}, EntrySizes::kMaxValue}) {
      const EntrySizes sizes(key, value);
      REQUIRE(sizes.key() == key);
      REQUIRE(sizes.value() == value);
    }
  }
  REQUIRE(EntrySizes(3, 5).bits() == 0x0500'0003);
}

TEST_CASE("a record's state steps its generation when it is freed, and keeps it when it is taken") {
  RecordState state(0);
  REQUIRE_FALSE(state.used());
  REQUIRE(state.generation() == 0);
  for (std::uint32_t use = 0; use < 70'000; ++use) {
    state = state.taken();
    REQUIRE((state.used() && state.generation() == use));
    state = state.freed();
    REQUIRE((!state.used() && state.generation() == use + 1));
  }
  // A record that is used once more than a lock word can tell keeps counting.
  REQUIRE(LockWord(0, state.generation()).generation() == (70'000 & 0xffff));
  REQUIRE(RecordState(0xffff'ffff, true).freed().generation() == 0);
}

TEST_CASE("a count that is said twice is none with a flipped bit") {
  CheckedCount word(0);
  for (std::uint64_t n = 0; n < 1000; ++n) {
    REQUIRE(word.valid());
    REQUIRE(word.bits() == (n << 32 | n));
    for (int bit = 0; bit < 64; ++bit) REQUIRE_FALSE(CheckedCount(word.bits() ^ std::uint64_t{1} << bit).valid());
    word = word.next();
  }
  REQUIRE(CheckedCount(~std::uint64_t{0}).next().bits() == 0);
}
