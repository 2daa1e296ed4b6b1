// What the segment holds, byte by byte. No behaviour.
//
//   0            header        one page: identity, geometry, type names; then what changes, grouped by the rule that protects it
//   records_at   records       one ProcessRecord for each process that can be attached
//   shards_at    shards        one Shard for each independent lock
//   pages_at     page table    one Page for each page: the true owner word, and what can be derived from the rest
//   data_at      pages         slot tables, spans of blocks of one size class, runs for large blocks
//
// What is true: slot words, table words, page words up to the frontier, record states, the clear generation. All else (free
// lists, counts) is derived and rebuilt from it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace shared_dict::detail {

using Word32 = std::atomic<std::uint32_t>;
using Word64 = std::atomic<std::uint64_t>;

static_assert(Word32::is_always_lock_free && sizeof(Word32) == 4, "words are shared between processes, so never behind a lock");
static_assert(Word64::is_always_lock_free && sizeof(Word64) == 8, "words are shared between processes, so never behind a lock");

inline constexpr std::uint64_t kMagic = 0x31746369'44726853;  // "ShrDict1" in little-endian byte order
inline constexpr std::uint32_t kByteOrder = 0x01020304;
inline constexpr std::uint64_t kHeaderBytes = 4096;
inline constexpr std::uint64_t kCacheLine = 64;
inline constexpr std::uint32_t kMaxClasses = 96;
inline constexpr std::uint32_t kRunBins = 64;
inline constexpr std::uint32_t kSlotsPerBucket = 7;
inline constexpr std::uint32_t kTypeNameBytes = 1024;

// The part of the header that its creator writes and nobody changes; its checksum is verified on attach.
struct Identity {
  std::uint64_t instance;          // random: tells this dictionary from an earlier one of the same name
  std::uint64_t hash_seed;
  std::uint64_t heap_size;         // bytes that keys and values may add up to
  std::uint64_t max_items;         // 0: no bound
  std::uint64_t records_at;
  std::uint64_t shards_at;
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
  std::uint64_t free_pages;        // derived: in the bins
  Word64 block_pages;              // derived: in spans and large runs; also read without the lock, as a hint
  std::uint64_t bin_bits;          // derived: which bins hold a run
  std::uint32_t bins[kRunBins];    // derived: first free run of each length class, page + 1
};

struct Header {
  Word64 magic;                    // published last; 0: unfinished
  std::uint32_t byte_order;
  std::uint32_t layout_version;
  std::uint64_t checksum;          // of identity
  Identity identity;
  std::byte pad0[3072 - 24 - sizeof(Identity)];

  // Read by everybody, changed rarely.
  Word32 committed;                // pages that memory stands behind; only grows; stored under the pool's lock
  Word32 pad1;
  Word64 clear_generation;         // true: a shard of another generation is empty; stored with all shards locked
  std::byte pad2[48];

  // Taken by writers when max_items or heap_size is near; protects nothing but the comparison with it.
  Word32 limit_lock;               // LockWord
  Word32 limit_sleepers;
  Word32 limit_dirty;              // means nothing: there is nothing to rebuild
  Word32 pad3;
  Word64 recoveries;               // for people; relaxed
  std::byte pad6[40];

  // Room for views and waiting: counters that writers look at.
  Word32 pins;
  std::byte pad4[60];

  Pool pool;
  std::byte pad5[kHeaderBytes - 3072 - 3 * 64 - sizeof(Pool)];
};

// A process that is attached. Written under the guard by the process itself, freed under the guard by it or by whoever finds it
// dead. `intent` and the pins have their place here for batches and views.
struct ProcessRecord {
  Word64 state;                    // RecordState, true: stored last on taking, last on freeing
  Word64 intent;
  Word64 pid_namespace;            // relaxed, as a probe may look while the record changes hands; `state` tells
  Word64 start_time;
  Word64 lock_device;              // which file is this process's lock
  Word64 lock_inode;
  Word32 pid;
  Word32 pad0;
  Word64 forking;                  // generation << 32 | children that haven't got a record of their own yet
  std::uint64_t pins_at;
  std::uint64_t reserved[7];
};

// One independent part of the dictionary: every key belongs to one by its hash.
struct Shard {
  // Taken by writers.
  Word32 lock;                     // LockWord
  Word32 sleepers;                 // a hint: whoever releases the lock wakes one
  Word32 dirty;                    // 1: an owner died in it; whoever has the lock rebuilds first
  Word32 change_sequence;          // room for waiting
  Word64 change_waiters;
  Word64 lock_waits;               // relaxed
  Word64 pending;                  // 1: its owner is about to add an item, and has counted the others
  std::byte pad0[24];

  // Read by readers. Stored under the lock.
  Word64 epoch;                    // steps before a table or an unversioned block is freed; never reset
  Word64 table;                    // TableWord, true
  Word64 generation;               // true: differs from the header's: everything here was cleared
  std::byte pad1[40];

  // Derived. Written under the lock; the words are also read without, as a hint.
  Word64 items;
  Word64 tombstones;
  Word64 stored_bytes;             // of keys and values
  Word64 insertions;               // keys that were added, ever: tells a scan whether one may have moved
  std::uint64_t scan_hint;         // bucket where extract_any goes on
  std::uint64_t retired;           // room for blocks that are still viewed
  std::byte pad2[16];

  std::uint32_t partial[kMaxClasses];  // derived: first span with a free block of each size class, page + 1
  std::uint64_t spare[kMaxClasses];    // derived: the block that was replaced last, for the next replacement; 0: none
};

// Seven slots behind the version that a reader compares; one cache line.
struct Bucket {
  Word64 version;                  // steps after a slot word was replaced and before its old block is freed
  Word64 slots[kSlotsPerBucket];   // SlotWord, true
};

// One page. The word is true; the rest is derived, protected by the lock of the shard that owns the run, or by the pool's.
struct Page {
  Word64 word;                     // PageWord at the head of a run; stored under the pool's lock
  Word32 head;                     // derived, relaxed, of a run's last page and of all pages of a span: the run's first page
  std::uint32_t first_free;        // span: first free block of the list, index + 1
  std::uint32_t live;              // span: blocks in use
  std::uint32_t carved;            // span: blocks that were ever handed out; those behind are free without a link
  std::uint32_t previous;          // list of partial spans or of free runs, page + 1
  std::uint32_t next;
};

static_assert(sizeof(Identity) == 2176, "fixed-width fields without padding: 32- and 64-bit processes share the segment");
static_assert(offsetof(Header, identity) == 24, "layout of record");
static_assert(offsetof(Header, committed) == 3072, "begins a cache line of its own");
static_assert(offsetof(Header, clear_generation) == 3080, "lies beside `committed`, which readers load anyway");
static_assert(offsetof(Header, pool) == 3264, "begins a cache line of its own");
static_assert(sizeof(Header) == kHeaderBytes, "one page");
static_assert(sizeof(ProcessRecord) == 128, "two cache lines: records of different processes don't share one");
static_assert(offsetof(Shard, epoch) == 64 && offsetof(Shard, items) == 128, "lock, read side and write side on three lines");
static_assert(sizeof(Shard) == 1344 && sizeof(Shard) % kCacheLine == 0, "shards don't share cache lines");
static_assert(sizeof(Bucket) == kCacheLine, "a probe touches one cache line");
static_assert(sizeof(Page) == 32, "two to a cache line");
static_assert(sizeof(Pool) == 296, "layout of record");

}  // namespace shared_dict::detail
