// The one way in which bytes go into and out of the segment: whatever the length, exactly these bytes go, words stay whole, and
// nothing beside them is touched, except that the last word is filled with zeros.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include <shared_dict/detail/bytes/racing_bytes.hpp>

#include "support/catch.hpp"

using namespace shared_dict::detail;

namespace {

constexpr std::size_t kLongest = 5007;
constexpr std::byte kUntouched{0xee};

struct Area {
  alignas(8) std::array<std::byte, kLongest + 100> bytes;
  Area() { bytes.fill(kUntouched); }
  std::byte* at() { return bytes.data() + 32; }
};

std::vector<std::byte> sample(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + 1);
  return bytes;
}

/// Short ones, where long copies begin to go another way (platform/copy.hpp), and longer ones.
std::vector<std::size_t> sizes() {
  std::vector<std::size_t> all;
  for (const auto& [from, to] : {std::pair<std::size_t, std::size_t>{0, 150}, {2040, 2070}, {5000, kLongest}}) {
    for (std::size_t size = from; size <= to; ++size) all.push_back(size);
  }
  return all;
}

}  // namespace

TEST_CASE("bytes of every length go in, zeros behind them, and nothing else changes") {
  for (const std::size_t size : sizes()) {
    Area area;
    const std::vector<std::byte> from = sample(size);
    write_racing(area.at(), from.data(), size);
    INFO("size " << size);
    REQUIRE((size == 0 || std::memcmp(area.at(), from.data(), size) == 0));
    const auto end = static_cast<std::size_t>(round_up(size, kWord));
    for (std::size_t i = size; i < end; ++i) REQUIRE(area.at()[i] == std::byte{0});
    for (std::size_t i = 0; i < 32; ++i) REQUIRE(area.bytes[i] == kUntouched);
    for (std::size_t i = 32 + end; i < area.bytes.size(); ++i) REQUIRE(area.bytes[i] == kUntouched);
  }
}

TEST_CASE("bytes of every length come out at any private place, and nothing else changes") {
  Area area;
  const std::vector<std::byte> stored = sample(kLongest);
  write_racing(area.at(), stored.data(), kLongest);
  for (const std::size_t size : sizes()) {
    for (std::size_t shift = 0; shift < kWord; ++shift) {
      std::vector<std::byte> to(size + 24, kUntouched);
      read_racing(to.data() + 8 + shift, area.at(), size);
      INFO("size " << size << ", shifted by " << shift);
      REQUIRE(std::memcmp(to.data() + 8 + shift, stored.data(), size) == 0);
      for (std::size_t i = 0; i < 8 + shift; ++i) REQUIRE(to[i] == kUntouched);
      for (std::size_t i = 8 + shift + size; i < to.size(); ++i) REQUIRE(to[i] == kUntouched);
    }
  }
}

TEST_CASE("equal bytes are equal, and a change of any single byte is seen") {
  for (std::size_t size = 0; size <= 70; ++size) {
    Area area;
    std::vector<std::byte> bytes = sample(size);
    write_racing(area.at(), bytes.data(), size);
    INFO("size " << size);
    REQUIRE(equal_racing(area.at(), bytes.data(), size));
    for (std::size_t i = 0; i < size; ++i) {
      bytes[i] ^= std::byte{1};
      REQUIRE_FALSE(equal_racing(area.at(), bytes.data(), size));
      bytes[i] ^= std::byte{1};
    }
  }
}

TEST_CASE("bytes that were damaged behind a short key make it unequal, not something else") {
  Area area;
  const std::vector<std::byte> key = sample(3);
  write_racing(area.at(), key.data(), 3);
  area.at()[5] = std::byte{1};
  REQUIRE_FALSE(equal_racing(area.at(), key.data(), 3));
}

TEST_CASE("tails of one to seven bytes go both ways") {
  for (std::size_t size = 1; size < kWord; ++size) {
    const std::vector<std::byte> from = sample(size);
    const std::uint64_t word = load_tail(from.data(), size);
    std::array<std::byte, 16> to{};
    to.fill(kUntouched);
    store_tail(to.data(), word, size);
    REQUIRE(std::memcmp(to.data(), from.data(), size) == 0);
    REQUIRE(to[size] == kUntouched);
    std::array<std::byte, kWord> whole{};
    std::memcpy(whole.data(), &word, kWord);
    for (std::size_t i = size; i < kWord; ++i) REQUIRE(whole[i] == std::byte{0});
  }
}

TEST_CASE("a word that is written meanwhile is read as the old or the new one") {
  alignas(8) std::array<std::byte, 64> shared{};
  std::array<std::byte, 60> zeros{};
  std::array<std::byte, 60> ones{};
  ones.fill(std::byte{0xff});
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    while (!stop.load()) {
      write_racing(shared.data(), ones.data(), ones.size());
      write_racing(shared.data(), zeros.data(), zeros.size());
    }
  });
  int torn = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::byte, 60> copy;
    read_racing(copy.data(), shared.data(), copy.size());
    for (std::size_t at = 0; at < copy.size(); ++at) torn += copy[at] != copy[at / kWord * kWord] ? 1 : 0;
  }
  stop.store(true);
  writer.join();
  REQUIRE(torn == 0);
}

TEST_CASE("rounding up goes to the next multiple and stays where it is one") {
  REQUIRE(round_up(0, 8) == 0);
  REQUIRE(round_up(1, 8) == 8);
  REQUIRE(round_up(8, 8) == 8);
  REQUIRE(round_up(4097, 4096) == 8192);
}
