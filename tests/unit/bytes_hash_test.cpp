// Where a key is stored follows from its hash, and a dictionary outlives the program that made it: the hash of given bytes and seed
// is fixed for ever. The golden values are those of XXH3_64bits_withSeed in libxxhash.

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include <shared_dict/detail/bytes/hash.hpp>

#include "support/catch.hpp"

using namespace shared_dict::detail;

namespace {

std::string letters(std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text.push_back(static_cast<char>('a' + i % 26));
  return text;
}

}  // namespace

TEST_CASE("the hash of given bytes and seed is fixed for ever") {
  struct Golden {
    std::size_t size;
    std::uint64_t seed;
    std::uint64_t hash;
  };
  constexpr Golden kGolden[] = {
      {0, 0, 0x2d06800538d394c2},    {0, 1, 0x4dc5b0cc826f6703},    {0, 0x9e3779b97f4a7c15, 0x602b0e2cd6662c8b},
      {1, 0, 0xe6c632b61e964e1f},    {1, 1, 0xd2f6d0996f37a720},    {1, 0x9e3779b97f4a7c15, 0x7b013ec73230c3a1},
      {3, 0, 0x78af5f94892f3950},    {3, 1, 0x6b4467b443c76228},    {3, 0x9e3779b97f4a7c15, 0xfc1ae99bb3de2336},
      {8, 0, 0x6f45a76842a96483},    {8, 1, 0x7cdfdd84a400303c},    {8, 0x9e3779b97f4a7c15, 0x1cf934575fcd0b79},
      {16, 0, 0x3d3ccac9af14d8a8},   {16, 1, 0xa287607c527329b1},   {16, 0x9e3779b97f4a7c15, 0x41009b40303092c1},
      {17, 0, 0xca7f3571df47cacf},   {17, 1, 0x9de4a62b07a56160},   {17, 0x9e3779b97f4a7c15, 0xb62d4358041c3edc},
      {100, 0, 0x7f2b83f8e57a6e24},  {100, 1, 0x38299902142fb041},  {100, 0x9e3779b97f4a7c15, 0x3d24fc1137ed1ba2},
      {240, 0, 0xea0e0f78188232ed},  {240, 1, 0xff1886f922c26393},  {240, 0x9e3779b97f4a7c15, 0x81618881f035418c},
      {241, 0, 0xbb0a906af5b5c211},  {241, 1, 0x29bd37a968ec1dc4},  {241, 0x9e3779b97f4a7c15, 0x25a2c32de75335df},
      {1000, 0, 0xe153425558d7da5d}, {1000, 1, 0x62adcd0cda1fd812}, {1000, 0x9e3779b97f4a7c15, 0x2a8d17c28b05e4ff},
  };
  for (const Golden& golden : kGolden) {
    const std::string text = letters(golden.size);
    INFO("size " << golden.size << ", seed " << golden.seed);
    REQUIRE(hash_bytes(text.data(), text.size(), golden.seed) == golden.hash);
  }
}

TEST_CASE("the hash doesn't depend on where the bytes lie") {
  const std::string text = "..." + letters(100);
  REQUIRE(hash_bytes(text.data() + 3, 100, 0) == 0x7f2b83f8e57a6e24);
}

TEST_CASE("tag, home and shard are taken from these bits of the hash") {
  constexpr std::uint64_t hash = 0x1234'5678'9abc'def0;
  REQUIRE(hash_tag(hash) == 0xdef0);
  REQUIRE(hash_home(hash) == 0x5678'9abc);
  REQUIRE(hash_shard(hash, 1) == 0);
  REQUIRE(hash_shard(hash, 2) == 0);
  REQUIRE(hash_shard(hash, 16) == 4);
  REQUIRE(hash_shard(hash, 64) == 0x34);
  REQUIRE(hash_shard(hash, 256) == 0x34);
}

TEST_CASE("keys in a row spread over shards, buckets and tags") {
  std::set<std::uint32_t> shards;
  std::set<std::uint64_t> homes;
  std::set<std::uint32_t> tags;
  for (std::uint64_t key = 0; key < 4096; ++key) {
    const std::uint64_t hash = hash_bytes(&key, sizeof key, 42);
    shards.insert(hash_shard(hash, 256));
    homes.insert(hash_home(hash) & 1023);
    tags.insert(hash_tag(hash));
  }
  // 4096 thrown into 256, 1024 and 65536 leave about 0, 19 and 61565 empty; the hash is fixed, so this can't fail by chance.
  REQUIRE(shards.size() == 256);
  REQUIRE(homes.size() > 980);
  REQUIRE(tags.size() > 3900);
}
