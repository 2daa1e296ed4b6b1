// What the segment holds, byte by byte. No behaviour.
//
//   0            header        one page: identity, geometry, type names; then what changes, grouped by the rule that protects it
//   records_at   records       one ProcessRecord for each process that can be attached
//   shards_at    shards        one Shard for each independent lock
//   areas_at     areas         one ProcessArea for each record: what its process looks at and waits for; committed when it is used
//   pages_at     page table    one Page for each page: the true owner word, and what can be derived from the rest
//   data_at      pages         slot tables, spans of blocks of one size class, runs for large blocks
//
// What is true: slot words, table words, page words up to the frontier, record states, the clear generation, intents, pins, waiters.
// All else (free lists, counts) is derived and rebuilt from it.
#pragma once

#include <cstddef>
#include <cstdint>

#include <shared_dict/detail/bytes/stored.hpp>

namespace shared_dict::detail {

inline constexpr std::uint64_t kMagic = 0x31746369'44726853;  // "ShrDict1" in little-endian byte order
inline constexpr std::uint32_t kByteOrder = 0x01020304;
inline constexpr std::uint64_t kHeaderBytes = 4096;
inline constexpr std::uint64_t kCacheLine = 64;
inline constexpr std::uint32_t kMaxClasses = 96;
inline constexpr std::uint32_t kRunBins = 64;
inline constexpr std::uint32_t kSlotsPerBucket = 7;
inline constexpr std::uint32_t kTypeNameBytes = 1024;
inline constexpr std::uint32_t kSpares = 3;
inline constexpr std::uint32_t kMaxProcesses = 1000;
inline constexpr std::uint32_t kPins = 4096;     // views and loans of a process at once
inline constexpr std::uint32_t kWaiters = 128;   // threads of a process that wait for changes at once
inline constexpr std::uint32_t kUserWords = 16;  // bits for all records

// The part of the header that its creator writes and nobody changes; its checksum is verified on attach.
struct Identity {
  std::uint64_t instance;          // random: tells this dictionary from an earlier one of the same name
  std::uint64_t hash_seed;
  std::uint64_t heap_size;         // bytes that keys and values may add up to
  std::uint64_t max_items;         // 0: no bound
  std::uint64_t records_at;
  std::uint64_t shards_at;
  std::uint64_t areas_at;
  std::uint64_t pages_at;
  std::uint64_t data_at;
  std::uint64_t segment_bytes;
  std::uint32_t page_bytes;
  std::uint32_t page_count;
  std::uint32_t shard_count;
  std::uint32_t max_processes;
  std::uint32_t lifetime;          // 0 attached, 1 persistent
  std::uint32_t permissions;
  std::uint32_t key_fixed_bytes;   // 0: keys vary in size
  std::uint32_t value_alignment;
  std::uint64_t value_fixed_bytes; // 0: values vary in size
  std::uint64_t type_fingerprint;  // of both whole names, sizes and alignments
  std::uint32_t key_name_bytes;    // stored part of the name
  std::uint32_t value_name_bytes;
  char key_name[kTypeNameBytes];
  char value_name[kTypeNameBytes];
};

// The pages that belong to no shard. All fields behind `lock` are protected by it; `frontier` is also read without.
struct Pool {
  Word32 lock;                     // LockWord
  Word32 sleepers;                 // a hint: whoever releases the lock wakes one
  Word32 dirty;                    // 1: its owner died; the derived fields must be rebuilt
  Word32 frontier;                 // true: pages below it have an owner word in their run's head
  Plain64 free_pages;              // derived: in the bins
  Word64 block_pages;              // derived: in spans and large runs; also read without the lock, as a hint
  Plain64 bin_bits;                // derived: which bins hold a run
  Plain32 bins[kRunBins];          // derived: first free run of each length class, page + 1
};

struct Header {
  Word64 magic;                    // published last; 0: unfinished
  std::uint32_t byte_order;
  std::uint32_t layout_version;
  std::uint64_t checksum;          // of identity
  Identity identity;
  std::byte pad0[3072 - 24 - sizeof(Identity)];

  // Read by everybody, changed rarely.
  Word64 committed;                // CheckedCount: pages that memory stands behind; only grows; stored under the pool's lock
  Word64 clear_generation;         // CheckedCount, true: a shard of another generation is empty; stored with all shards locked
  Word32 areas_used;               // bit for bit the words of area_users in which a bit has been set, ever
  std::byte pad2[44];

  // Taken by writers when max_items or heap_size is near; protects nothing but the comparison with it.
  Word32 limit_lock;               // LockWord
  Word32 limit_sleepers;
  Word32 limit_dirty;              // means nothing: there is nothing to rebuild
  Word32 pad3;
  Word64 recoveries;               // for people; relaxed
  std::byte pad6[40];

  // Bit for bit the records whose processes have ever viewed, loaned or waited: whose areas writers must look at.
  Word64 area_users[kUserWords];

  Pool pool;
  std::byte pad5[kHeaderBytes - 3072 - 4 * kCacheLine - sizeof(Pool)];
};

// A process that is attached. Written under the guard by the process itself, freed under the guard by it or by whoever finds it
// dead.
struct ProcessRecord {
  Word64 state;                    // RecordState, true: stored last on taking, last on freeing
  Word64 pid_namespace;            // relaxed, as a probe may look while the record changes hands; `state` tells
  Word64 start_time;
  Word64 lock_device;              // which file is this process's lock
  Word64 lock_inode;
  Word32 pid;
  Word32 pad0;
  Word64 forking;                  // children that have no record of their own yet: mechanisms/forking.hpp
  std::byte pad1[8];

  // Read by writers.
  Word32 pins_used;                // the pins behind are zero; only grows, while the process is attached
  Word32 waiters_used;             // the waiters behind are free; only grows, too
  Word32 pins_live;                // 0: no pin is in use
  Word32 area_committed;           // bit for bit the 4096 bytes of its area that memory was ever put behind
  std::byte pad2[48];
};

// A thread that waits for a change of a key.
struct Waiter {
  Word64 hash;                     // of the key; 0: it was changed
  Word64 entry;                    // what the key's slot said when the wait began: its entry, 0 for none,
  Word64 value;                    // and the value itself where that is replaced in place
  Word32 shard;                    // + 1; 0: nobody waits here. Stored under the shard's lock, but for the 0
  Word32 sequence;                 // steps when the key was changed; the thread sleeps on it
};

// What a process has of its own besides its record.
struct ProcessArea {
  Waiter waiters[kWaiters];
  Word64 pins[kPins];              // offsets of the blocks that must stay as they are; 0: none
};

// One independent part of the dictionary: every key belongs to one by its hash.
struct Shard {
  // Written by writers: all that most changes of a value need, so that it comes to a processor in one piece.
  Word32 lock;                     // LockWord
  Word32 sleepers;                 // a hint: whoever releases the lock wakes one
  Word32 dirty;                    // 1: an owner died in it; whoever has the lock rebuilds first
  Word32 watched;                  // 1: somebody may wait for a change of a key
  Word64 lock_waits;               // relaxed
  Word64 intent;                   // true: the offset of an Intent that has happened but isn't carried out yet; 0: none
  Word64 retired;                  // derived: list of blocks that are viewed or loaned, by offset
  Word64 spare[kSpares];           // derived: SpareWord, a block that was freed, for the next entry; 0: none

  // Read by readers. Stored under the lock.
  Word64 epoch;                    // steps before a table or an unversioned block is freed; never reset
  Word64 table;                    // TableWord, true
  Word64 generation;               // CheckedCount, true: differs from the header's: everything here was cleared
  std::byte pad1[40];

  // Derived. Written under the lock; the words are also read without, as a hint.
  Word64 items;
  Word64 pending;                  // items that its owner is about to add, having counted the others
  Word64 tombstones;
  Word64 stored_bytes;             // of keys and values
  Word64 insertions;               // keys that were added, ever: tells a scan whether one may have moved
  Plain64 scan_hint;               // bucket where extract_any goes on
  Plain64 retired_count;           // on the list
  Plain64 sweep_at;                // so many are worth looking through

  Plain32 partial[kMaxClasses];    // derived: first span with a free block of each size class, page + 1
};

// Stores that are one change together: what a batch is, and what is left to do of it if its process dies. An ordinary block of a
// shard whose lock is held.
struct Intent {
  std::uint64_t checksum;          // of all that follows
  std::uint64_t count;
  struct Store {
    std::uint64_t offset;          // of a word
    std::uint64_t word;
  };
  // Store stores[count];
};

// Seven slots behind the version that a reader compares; one cache line.
struct alignas(kCacheLine) Bucket {
  Word64 version;                  // steps after a slot word was replaced and before its old block is freed
  Word64 slots[kSlotsPerBucket];   // SlotWord, true
};

// One page. The word is true; the rest is derived, protected by the lock of the shard that owns the run, or by the pool's.
struct Page {
  Word64 word;                     // PageWord at the head of a run; stored under the pool's lock
  Word32 head;                     // derived, relaxed, of a run's last page and of all pages of a span: the run's first page
  Plain32 first_free;              // span: first free block of the list, index + 1
  Plain32 live;                    // span: blocks in use
  Plain32 carved;                  // span: blocks that were ever handed out; those behind are free without a link
  Plain32 previous;                // list of partial spans or of free runs, page + 1
  Plain32 next;
};

static_assert(sizeof(Identity) == 2184, "fixed-width fields without padding: 32- and 64-bit processes share the segment");
static_assert(offsetof(Header, identity) == 24, "layout of record");
static_assert(offsetof(Header, committed) == 3072, "begins a cache line of its own");
static_assert(offsetof(Header, clear_generation) == 3080, "lies beside `committed`, which readers load anyway");
static_assert(offsetof(Header, area_users) == 3200, "begins a cache line of its own");
static_assert(offsetof(Header, pool) == 3328, "begins a cache line of its own");
static_assert(sizeof(Header) == kHeaderBytes, "one page");
static_assert(kUserWords * 64 >= kMaxProcesses, "a bit for each record");
static_assert(kUserWords < 32, "a bit of areas_used for each word");
static_assert(sizeof(ProcessRecord) == 128, "two cache lines: records of different processes don't share one");
static_assert(offsetof(ProcessRecord, pins_used) == 64, "what writers read changes rarely");
static_assert(sizeof(ProcessArea) == std::size_t{9} * 4096, "whole pages: each process puts memory behind its own");
static_assert(offsetof(ProcessArea, pins) == 4096, "waiters and pins are committed apart");
static_assert(offsetof(Shard, epoch) == 64 && offsetof(Shard, items) == 128, "lock, read side and write side on three lines");
static_assert(sizeof(Shard) == 576 && sizeof(Shard) % kCacheLine == 0, "shards don't share cache lines");
static_assert(sizeof(Bucket) == kCacheLine, "a probe touches one cache line");
static_assert(sizeof(Page) == 32, "two to a cache line");
static_assert(sizeof(Pool) == 296, "layout of record");
static_assert(sizeof(Intent) == 16 && sizeof(Intent::Store) == 16, "layout of record");

}  // namespace shared_dict::detail
