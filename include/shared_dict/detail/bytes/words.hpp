// The packed words of the segment: each is read and written as a whole, so that it never contradicts itself.
#pragma once

#include <cstdint>

namespace shared_dict::detail {

// Who holds a lock, in one 32-bit word (a futex sleeps on it): 0 is free.
//
//   31          16 15              0
//  +--------------+-----------------+
//  | record + 1   | generation      |
//  +--------------+-----------------+
class LockWord {
 public:
  constexpr LockWord() noexcept = default;
  constexpr explicit LockWord(std::uint32_t bits) noexcept : bits_(bits) {}
  constexpr LockWord(std::uint32_t record, std::uint32_t generation) noexcept
      : bits_(((record + 1) << 16) | (generation & kGenerationMask)) {}

  constexpr std::uint32_t bits() const noexcept { return bits_; }
  constexpr bool free() const noexcept { return bits_ == 0; }
  constexpr std::uint32_t record() const noexcept { return (bits_ >> 16) - 1; }
  constexpr std::uint32_t generation() const noexcept { return bits_ & kGenerationMask; }

  friend constexpr bool operator==(LockWord, LockWord) noexcept = default;

  static constexpr std::uint32_t kGenerationMask = 0xffff;

 private:
  std::uint32_t bits_ = 0;
};

// What a slot refers to: 0 is empty (ends a search), 1 is erased (a tombstone), all else an entry.
//
//   63        48 47                          3 2 0
//  +------------+-----------------------------+---+
//  | hash tag   | offset of the entry         | 0 |
//  +------------+-----------------------------+---+
class SlotWord {
 public:
  constexpr SlotWord() noexcept = default;
  constexpr explicit SlotWord(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr SlotWord(std::uint64_t offset, std::uint32_t tag) noexcept
      : bits_(offset | (static_cast<std::uint64_t>(tag) << 48)) {}
  static constexpr SlotWord erased() noexcept { return SlotWord(1); }

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool is_empty() const noexcept { return bits_ == 0; }
  constexpr bool is_erased() const noexcept { return bits_ == 1; }
  constexpr bool is_entry() const noexcept { return bits_ > 1; }
  constexpr std::uint32_t tag() const noexcept { return static_cast<std::uint32_t>(bits_ >> 48); }
  constexpr std::uint64_t offset() const noexcept { return bits_ & 0xffff'ffff'ffff; }
  // Another entry of the same tag.
  constexpr SlotWord moved_to(std::uint64_t offset) const noexcept { return SlotWord((bits_ & ~std::uint64_t{0xffff'ffff'ffff}) | offset); }

  friend constexpr bool operator==(SlotWord, SlotWord) noexcept = default;

 private:
  std::uint64_t bits_ = 0;
};

// Where a shard's table lies and how large it is, in one word so that readers see both or neither: 0 is "no table yet".
// Tables begin at page boundaries, so the low bits are free for the size.
//
//   63                              6 5          0
//  +---------------------------------+------------+
//  | offset / 64                     | log2 count |   count: of buckets
//  +---------------------------------+------------+
class TableWord {
 public:
  constexpr TableWord() noexcept = default;
  constexpr explicit TableWord(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr TableWord(std::uint64_t offset, std::uint32_t log2_buckets) noexcept : bits_(offset | log2_buckets) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool none() const noexcept { return bits_ == 0; }
  constexpr std::uint64_t offset() const noexcept { return bits_ & ~std::uint64_t{63}; }
  constexpr std::uint32_t log2_buckets() const noexcept { return static_cast<std::uint32_t>(bits_ & 63); }
  constexpr std::uint64_t buckets() const noexcept { return std::uint64_t{1} << log2_buckets(); }

  friend constexpr bool operator==(TableWord, TableWord) noexcept = default;

 private:
  std::uint64_t bits_ = 0;
};

enum class PageKind : std::uint8_t {
  none = 0,   // never used, or inside a run: what a page is stands at the head of its run
  free = 1,   // in the pool
  span = 2,   // cut into blocks of one size class
  large = 3,  // one block
  table = 4   // a slot table
};

// What a run of pages is and whose. It stands at the first page of the run; the runs lie one behind the other from page 0 to
// the frontier, so each change of owner, cut or merge is one store of one such word.
//
//   63     56 55     48 47        32 31            0
//  +---------+---------+------------+---------------+
//  | kind    | class   | shard      | pages         |   class: of a span; of a table, log2 of how many buckets it has
//  +---------+---------+------------+---------------+
class PageWord {
 public:
  constexpr PageWord() noexcept = default;
  constexpr explicit PageWord(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr PageWord(PageKind kind, std::uint32_t pages, std::uint32_t shard = 0, std::uint32_t size_class = 0) noexcept
      : bits_((static_cast<std::uint64_t>(kind) << 56) | (static_cast<std::uint64_t>(size_class) << 48) |
              (static_cast<std::uint64_t>(shard) << 32) | pages) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr PageKind kind() const noexcept { return static_cast<PageKind>(bits_ >> 56); }
  constexpr std::uint32_t size_class() const noexcept { return static_cast<std::uint32_t>(bits_ >> 48) & 0xff; }
  constexpr std::uint32_t shard() const noexcept { return static_cast<std::uint32_t>(bits_ >> 32) & 0xffff; }
  constexpr std::uint32_t pages() const noexcept { return static_cast<std::uint32_t>(bits_); }

  friend constexpr bool operator==(PageWord, PageWord) noexcept = default;

 private:
  std::uint64_t bits_ = 0;
};

// The first word of an entry: how long its key and its value are.
//
//   63                            24 23           0
//  +--------------------------------+--------------+
//  | value bytes                    | key bytes    |
//  +--------------------------------+--------------+
class EntrySizes {
 public:
  constexpr explicit EntrySizes(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr EntrySizes(std::uint64_t key, std::uint64_t value) noexcept : bits_((value << 24) | key) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr std::uint64_t key() const noexcept { return bits_ & kMaxKey; }
  constexpr std::uint64_t value() const noexcept { return bits_ >> 24; }

  friend constexpr bool operator==(EntrySizes, EntrySizes) noexcept = default;

  static constexpr std::uint64_t kMaxKey = (std::uint64_t{1} << 24) - 1;
  static constexpr std::uint64_t kMaxValue = (std::uint64_t{1} << 40) - kMaxKey - 2;  // so not all of the top 16 bits are set

 private:
  std::uint64_t bits_ = 0;
};

// A block that is kept aside, and its size class: 0 is none.
//
//   63        48 47                             0
//  +------------+--------------------------------+
//  | class + 1  | offset of the block            |
//  +------------+--------------------------------+
class SpareWord {
 public:
  constexpr explicit SpareWord(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr SpareWord(std::uint64_t offset, std::uint32_t size_class) noexcept
      : bits_(offset | (std::uint64_t{size_class} + 1) << 48) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool none() const noexcept { return bits_ == 0; }
  constexpr bool of(std::uint32_t size_class) const noexcept { return bits_ >> 48 == std::uint64_t{size_class} + 1; }
  constexpr std::uint64_t offset() const noexcept { return bits_ & 0xffff'ffff'ffff; }

 private:
  std::uint64_t bits_ = 0;
};

// The first word of a block on a shard's list of retired ones. Its top bits can't be those of an entry's sizes: no value is that large.
//
//   63        48 47                          3 2 1 0
//  +------------+-----------------------------+-----+
//  | 0xffff     | offset of the next one      |large|
//  +------------+-----------------------------+-----+
class RetiredWord {
 public:
  constexpr explicit RetiredWord(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr RetiredWord(std::uint64_t next, bool large) noexcept : bits_(kMark | next | (large ? 1 : 0)) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool valid() const noexcept { return (bits_ & kMark) == kMark && (bits_ & 6) == 0; }
  constexpr std::uint64_t next() const noexcept { return bits_ & 0xffff'ffff'fff8; }
  constexpr bool large() const noexcept { return (bits_ & 1) != 0; }

 private:
  static constexpr std::uint64_t kMark = 0xffff'0000'0000'0000;
  std::uint64_t bits_ = 0;
};

// A process record's state: which use of the record this is, and whether a process has it. One word, so that "the process I
// saw" can be compared in one load.
//
//   63              8 7       0
//  +-----------------+---------+
//  | generation      | in use  |
//  +-----------------+---------+
class RecordState {
 public:
  constexpr explicit RecordState(std::uint64_t bits) noexcept : bits_(bits) {}
  constexpr RecordState(std::uint32_t generation, bool used) noexcept
      : bits_((static_cast<std::uint64_t>(generation) << 8) | (used ? 1 : 0)) {}

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool used() const noexcept { return (bits_ & 1) != 0; }
  constexpr std::uint32_t generation() const noexcept { return static_cast<std::uint32_t>(bits_ >> 8); }
  constexpr RecordState freed() const noexcept { return {generation() + 1, false}; }
  constexpr RecordState taken() const noexcept { return {generation(), true}; }

 private:
  std::uint64_t bits_ = 0;
};

// A count that is said twice, where a flipped bit would be believed: in the number of committed pages, and in that of clears, as a shard of
// another generation is empty.
//
//   63              32 31               0
//  +------------------+------------------+
//  | count            | count            |
//  +------------------+------------------+
class CheckedCount {
 public:
  constexpr explicit CheckedCount(std::uint64_t bits) noexcept : bits_(bits) {}
  static constexpr CheckedCount of(std::uint32_t count) noexcept {
    return CheckedCount(std::uint64_t{count} << 32 | count);
  }

  constexpr std::uint64_t bits() const noexcept { return bits_; }
  constexpr bool valid() const noexcept { return bits_ >> 32 == count(); }
  constexpr std::uint32_t count() const noexcept { return static_cast<std::uint32_t>(bits_); }
  constexpr CheckedCount next() const noexcept { return of(count() + 1); }

 private:
  std::uint64_t bits_ = 0;
};

}  // namespace shared_dict::detail
