// An entry is what every slot refers to. What is written must come back; what can't be an entry must be refused before it is followed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/page_pool.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/place.hpp"
#include "support/write_entry.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

namespace {

struct Dictionary {
  test::Place place;
  std::shared_ptr<Attachment> attachment;
  std::uint64_t data = 0;  // some pages to write in

  explicit Dictionary(std::uint32_t alignment = 1)
      : attachment(Lifecycle("name", place.path(), test::kHangDeadline)
                       .open(OpenMode::create, {.heap_size = 1 << 20}, {"K", "V", {0, 0, alignment}})) {
    PagePool pool({*attachment, test::kHangDeadline});
    data = segment().page_offset(pool.take(PageWord(PageKind::large, 8, 0)));
  }
  Segment& segment() const { return attachment->segment(); }
  std::uint64_t committed_end() const { return segment().page_offset(segment().committed_pages().value()); }
};

std::vector<std::byte> sample(std::size_t size, unsigned salt) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 31 + salt);
  return bytes;
}

bool same(Bytes a, const std::vector<std::byte>& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

}  // namespace

TEST_CASE("an entry comes back as it was written, for every length of key and value") {
  for (const std::uint32_t alignment : {1U, 8U, 16U, 64U}) {
    const Dictionary dictionary(alignment);
    for (std::size_t key = 0; key < 20; ++key) {
      for (const std::size_t value : {0U, 1U, 7U, 8U, 9U, 33U, 1000U}) {
        for (const std::uint64_t shift : {0U, 8U, 24U}) {
          const std::uint64_t offset = dictionary.data + shift;
          const auto key_bytes = sample(key, 1);
          const auto value_bytes = sample(value, 2);
          test::write_entry(dictionary.segment(), offset, key_bytes, value_bytes);
          Entry entry;
          REQUIRE(read_entry(dictionary.segment(), offset, entry));
          REQUIRE(same(entry.key(dictionary.segment()), key_bytes));
          REQUIRE(same(entry.value(dictionary.segment()), value_bytes));
          REQUIRE(entry.value_at % alignment == 0);
          REQUIRE(entry.value_at + value <= offset + entry_bytes(dictionary.segment(), entry.sizes));
        }
      }
    }
  }
}

TEST_CASE("an entry has room for its key and its value, each where its alignment wants it, and the plan knows how much that is") {
  for (const std::uint32_t alignment : {1U, 2U, 8U, 16U, 64U, 4096U}) {
    const Dictionary dictionary(alignment);
    const Segment& segment = dictionary.segment();
    for (const std::uint64_t key : {0U, 1U, 7U, 8U, 9U, 1000U}) {
      for (const std::uint64_t value : {0U, 1U, 8U, 9U, 5000U}) {
        const EntryShape shape = shape_of(segment, key, value);
        REQUIRE(shape.bytes == entry_bytes(key, value, alignment));
        for (std::uint64_t entry = 4096; entry < 4096 + 8192; entry += 8) {
          const std::uint64_t at = entry_value_at(segment, entry, shape.head);
          if (at % std::max<std::uint64_t>(alignment, kWord) != 0 || at < entry + kWord + key ||
              at + round_up(value, kWord) > entry + shape.bytes) {
            FAIL("key " << key << ", value " << value << ", alignment " << alignment << ", at " << entry);
          }
        }
      }
    }
  }
}

TEST_CASE("writing an entry touches nothing beside its block") {
  const Dictionary dictionary;
  for (std::size_t key = 0; key < 18; ++key) {
    for (std::size_t value = 0; value < 18; ++value) {
      const std::uint64_t offset = dictionary.data + 64;
      const std::uint64_t size = entry_bytes(dictionary.segment(), EntrySizes(key, value));
      store_word(dictionary.segment().at(offset - 8), 0x1111);
      store_word(dictionary.segment().at(offset + size), 0x2222);
      test::write_entry(dictionary.segment(), offset, sample(key, 0), sample(value, 0));
      REQUIRE(load_word(dictionary.segment().at(offset - 8)) == 0x1111);
      REQUIRE(load_word(dictionary.segment().at(offset + size)) == 0x2222);
    }
  }
}

TEST_CASE("an offset that is no word's, or lies outside the committed pages, is no entry") {
  const Dictionary dictionary;
  const Segment& segment = dictionary.segment();
  Entry entry;
  test::write_entry(segment, dictionary.data, sample(8, 0), sample(8, 0));
  REQUIRE(read_entry(segment, dictionary.data, entry));
  for (std::uint64_t shift = 1; shift < 8; ++shift) REQUIRE_FALSE(read_entry(segment, dictionary.data + shift, entry));
  for (const std::uint64_t offset :
       {std::uint64_t{0}, std::uint64_t{8}, segment.identity().data_at - 8, dictionary.committed_end(),
        segment.identity().segment_bytes, std::uint64_t{0xffff'ffff'fff8}, ~std::uint64_t{7}}) {
    INFO("offset " << offset);
    REQUIRE_FALSE(read_entry(segment, offset, entry));
  }
}

TEST_CASE("sizes that lead behind the committed pages are no entry, however large they are") {
  const Dictionary dictionary;
  const Segment& segment = dictionary.segment();
  const std::uint64_t room = dictionary.committed_end() - dictionary.data;
  Entry entry;
  const auto readable = [&](std::uint64_t key, std::uint64_t value) {
    store_word(segment.at(dictionary.data), EntrySizes(key, value).bits());
    return read_entry(segment, dictionary.data, entry);
  };
  REQUIRE(readable(0, room - 8));
  REQUIRE_FALSE(readable(0, room - 7));
  REQUIRE(readable(8, room - 16));
  REQUIRE_FALSE(readable(9, room - 16));
  REQUIRE_FALSE(readable(EntrySizes::kMaxKey, 0));
  REQUIRE_FALSE(readable(0, EntrySizes::kMaxValue));
  REQUIRE_FALSE(readable(EntrySizes::kMaxKey, EntrySizes::kMaxValue));
}

TEST_CASE("memory that is committed later is known to be there") {
  const Dictionary dictionary;
  Segment& segment = dictionary.segment();
  const std::uint64_t end = dictionary.committed_end();
  REQUIRE_FALSE(segment.holds(end, 8));
  REQUIRE_FALSE(segment.commit(segment.committed_pages().value() + 1));
  REQUIRE(segment.holds(end, 8));
  REQUIRE_FALSE(segment.commit(1));
  REQUIRE(segment.holds(end, 8));
  REQUIRE_FALSE(segment.holds(end, segment.identity().segment_bytes));
  REQUIRE_FALSE(segment.holds(end, ~std::uint64_t{0}));
}

TEST_CASE("a key's hash depends on the segment's seed") {
  const Dictionary one;
  const Dictionary other;
  const auto key = sample(10, 0);
  REQUIRE(hash_key(one.segment(), key).hash == hash_key(one.segment(), key).hash);
  REQUIRE(hash_key(one.segment(), key).hash != hash_key(other.segment(), key).hash);
}
