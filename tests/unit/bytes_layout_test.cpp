// The layout on disk is a contract with every other build of this layout version, 32-bit ones included. The offsets are said here a
// second time: whoever moves a field has to raise kLayoutVersion and change this file.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/version.hpp>

#include "support/catch.hpp"

using namespace shared_dict;
using namespace shared_dict::detail;

TEST_CASE("the identity lies where it always lay") {
  REQUIRE(sizeof(Identity) == 2184);
  REQUIRE(offsetof(Identity, instance) == 0);
  REQUIRE(offsetof(Identity, hash_seed) == 8);
  REQUIRE(offsetof(Identity, heap_size) == 16);
  REQUIRE(offsetof(Identity, max_items) == 24);
  REQUIRE(offsetof(Identity, records_at) == 32);
  REQUIRE(offsetof(Identity, shards_at) == 40);
  REQUIRE(offsetof(Identity, areas_at) == 48);
  REQUIRE(offsetof(Identity, pages_at) == 56);
  REQUIRE(offsetof(Identity, data_at) == 64);
  REQUIRE(offsetof(Identity, segment_bytes) == 72);
  REQUIRE(offsetof(Identity, page_bytes) == 80);
  REQUIRE(offsetof(Identity, page_count) == 84);
  REQUIRE(offsetof(Identity, shard_count) == 88);
  REQUIRE(offsetof(Identity, max_processes) == 92);
  REQUIRE(offsetof(Identity, lifetime) == 96);
  REQUIRE(offsetof(Identity, permissions) == 100);
  REQUIRE(offsetof(Identity, key_fixed_bytes) == 104);
  REQUIRE(offsetof(Identity, value_alignment) == 108);
  REQUIRE(offsetof(Identity, value_fixed_bytes) == 112);
  REQUIRE(offsetof(Identity, type_fingerprint) == 120);
  REQUIRE(offsetof(Identity, key_name_bytes) == 128);
  REQUIRE(offsetof(Identity, value_name_bytes) == 132);
  REQUIRE(offsetof(Identity, key_name) == 136);
  REQUIRE(offsetof(Identity, value_name) == 136 + 1024);
}

TEST_CASE("the header begins with what tells whether the rest can be read at all") {
  REQUIRE(kMagic == 0x31746369'44726853);
  REQUIRE(kByteOrder == 0x01020304);
  REQUIRE(kLayoutVersion >= 1);
  REQUIRE(offsetof(Header, magic) == 0);
  REQUIRE(offsetof(Header, byte_order) == 8);
  REQUIRE(offsetof(Header, layout_version) == 12);
  REQUIRE(offsetof(Header, checksum) == 16);
  REQUIRE(offsetof(Header, identity) == 24);
  REQUIRE(sizeof(Header) == 4096);
}

TEST_CASE("what changes in the header is grouped by cache line") {
  REQUIRE(offsetof(Header, committed) == 3072);
  REQUIRE(offsetof(Header, areas_used) == 3088);
  REQUIRE(offsetof(Header, clear_generation) == 3080);
  REQUIRE(offsetof(Header, limit_lock) == 3136);
  REQUIRE(offsetof(Header, limit_sleepers) == 3140);
  REQUIRE(offsetof(Header, limit_dirty) == 3144);
  REQUIRE(offsetof(Header, recoveries) == 3152);
  REQUIRE(offsetof(Header, area_users) == 3200);
  REQUIRE(offsetof(Header, pool) == 3328);
  REQUIRE(offsetof(Pool, lock) == 0);
  REQUIRE(offsetof(Pool, sleepers) == 4);
  REQUIRE(offsetof(Pool, dirty) == 8);
  REQUIRE(offsetof(Pool, frontier) == 12);
  REQUIRE(offsetof(Pool, free_pages) == 16);
  REQUIRE(offsetof(Pool, block_pages) == 24);
  REQUIRE(offsetof(Pool, bin_bits) == 32);
  REQUIRE(offsetof(Pool, bins) == 40);
}

TEST_CASE("a process record lies where it always lay") {
  REQUIRE(sizeof(ProcessRecord) == 128);
  REQUIRE(offsetof(ProcessRecord, state) == 0);
  REQUIRE(offsetof(ProcessRecord, pid_namespace) == 8);
  REQUIRE(offsetof(ProcessRecord, start_time) == 16);
  REQUIRE(offsetof(ProcessRecord, lock_device) == 24);
  REQUIRE(offsetof(ProcessRecord, lock_inode) == 32);
  REQUIRE(offsetof(ProcessRecord, pid) == 40);
  REQUIRE(offsetof(ProcessRecord, forking) == 48);
  REQUIRE(offsetof(ProcessRecord, pins_used) == 64);
  REQUIRE(offsetof(ProcessRecord, waiters_used) == 68);
  REQUIRE(offsetof(ProcessRecord, pins_live) == 72);
  REQUIRE(offsetof(ProcessRecord, area_committed) == 76);
}

TEST_CASE("a process's area is whole pages, the waiters' one and the pins'") {
  REQUIRE(sizeof(ProcessArea) == 9 * 4096);
  REQUIRE(offsetof(ProcessArea, waiters) == 0);
  REQUIRE(offsetof(ProcessArea, pins) == 4096);
  REQUIRE(sizeof(Waiter) == 32);
  REQUIRE(offsetof(Waiter, hash) == 0);
  REQUIRE(offsetof(Waiter, entry) == 8);
  REQUIRE(offsetof(Waiter, value) == 16);
  REQUIRE(offsetof(Waiter, shard) == 24);
  REQUIRE(offsetof(Waiter, sequence) == 28);
}

TEST_CASE("a shard's lock, its read side and its write side are on cache lines of their own") {
  REQUIRE(sizeof(Shard) == 576);
  REQUIRE(offsetof(Shard, lock) == 0);
  REQUIRE(offsetof(Shard, sleepers) == 4);
  REQUIRE(offsetof(Shard, dirty) == 8);
  REQUIRE(offsetof(Shard, watched) == 12);
  REQUIRE(offsetof(Shard, lock_waits) == 16);
  REQUIRE(offsetof(Shard, intent) == 24);
  REQUIRE(offsetof(Shard, retired) == 32);
  REQUIRE(offsetof(Shard, spare) == 40);
  REQUIRE(offsetof(Shard, epoch) == 64);
  REQUIRE(offsetof(Shard, table) == 72);
  REQUIRE(offsetof(Shard, generation) == 80);
  REQUIRE(offsetof(Shard, items) == 128);
  REQUIRE(offsetof(Shard, pending) == 136);
  REQUIRE(offsetof(Shard, tombstones) == 144);
  REQUIRE(offsetof(Shard, stored_bytes) == 152);
  REQUIRE(offsetof(Shard, insertions) == 160);
  REQUIRE(offsetof(Shard, scan_hint) == 168);
  REQUIRE(offsetof(Shard, retired_count) == 176);
  REQUIRE(offsetof(Shard, sweep_at) == 184);
  REQUIRE(offsetof(Shard, partial) == 192);
}

TEST_CASE("an intent is its checksum and the stores that it stands for") {
  REQUIRE(sizeof(Intent) == 16);
  REQUIRE(offsetof(Intent, checksum) == 0);
  REQUIRE(offsetof(Intent, count) == 8);
  REQUIRE(sizeof(Intent::Store) == 16);
  REQUIRE(offsetof(Intent::Store, offset) == 0);
  REQUIRE(offsetof(Intent::Store, word) == 8);
}

TEST_CASE("a bucket is one cache line and a page half of one") {
  REQUIRE(sizeof(Bucket) == 64);
  REQUIRE(offsetof(Bucket, version) == 0);
  REQUIRE(offsetof(Bucket, slots) == 8);
  REQUIRE(sizeof(Page) == 32);
  REQUIRE(offsetof(Page, word) == 0);
  REQUIRE(offsetof(Page, head) == 8);
  REQUIRE(offsetof(Page, first_free) == 12);
  REQUIRE(offsetof(Page, live) == 16);
  REQUIRE(offsetof(Page, carved) == 20);
  REQUIRE(offsetof(Page, previous) == 24);
  REQUIRE(offsetof(Page, next) == 28);
}

TEST_CASE("everything stored has one layout for all compilers") {
  REQUIRE(std::is_standard_layout_v<Identity>);
  REQUIRE(std::is_trivially_copyable_v<Identity>);
  REQUIRE(std::is_standard_layout_v<Header>);
  REQUIRE(std::is_standard_layout_v<ProcessRecord>);
  REQUIRE(std::is_standard_layout_v<Shard>);
  REQUIRE(std::is_standard_layout_v<Bucket>);
  REQUIRE(std::is_standard_layout_v<Page>);
}
