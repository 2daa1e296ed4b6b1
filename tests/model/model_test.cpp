// Two million random operations, family by family of key and value types: the dictionary must do what a
// std::unordered_map does, on roomy heaps and on ones that are full most of the time. The key sets are small, so that
// erasing, inserting again, growing and tombstones all happen to the same slots many times.

#include <cstdint>
#include <string>
#include <unordered_map>

#include <shared_dict/shared_dict.hpp>

#include "model/agrees.hpp"
#include "support/catch.hpp"
#include "support/families.hpp"
#include "support/model.hpp"
#include "support/unique_name.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

TEST_CASE("integers to integers agree with an unordered_map", "[long]") {
  agrees<Integers>("integers to integers", 450'000, 8000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("strings to strings of any size agree with an unordered_map", "[long]") {
  agrees<Words>("strings to strings of any size", 300'000, 1200, 8192 * kKiB, 96 * kKiB);
}

TEST_CASE("integers to structs agree with an unordered_map", "[long]") {
  agrees<Records>("integers to structs", 300'000, 4000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("strings to vectors of strings agree with an unordered_map", "[long]") {
  agrees<Lists>("strings to vectors of strings", 150'000, 2000, 4096 * kKiB, 40 * kKiB);
}

TEST_CASE("strings to vectors of numbers agree with an unordered_map", "[long]") {
  agrees<Series>("strings to vectors of numbers", 150'000, 300, 4096 * kKiB, 64 * kKiB);
}

TEST_CASE("pairs to optional strings agree with an unordered_map", "[long]") {
  agrees<Pairs>("pairs to optional strings", 150'000, 4000, 2048 * kKiB, 24 * kKiB);
}

TEST_CASE("handles that close and open again in between agree with an unordered_map") {
  const UniqueName name;
  using Dict = SharedDict<std::string, std::string>;
  Dict dict = Dict::create(name.str(), {.heap_size = 200 * kKiB, .lifetime = Lifetime::persistent});
  std::unordered_map<std::string, std::string> model;
  Random random(test_seed());
  INFO("SHARED_DICT_SEED=" << test_seed());
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < 300; ++i) {
      const std::string key = Words::key(below(random, 300));
      const std::string value = Words::value(random);
      if (below(random, 3) == 0) {
        REQUIRE(dict.erase(key) == (model.erase(key) == 1));
      } else if (!error_of([&] { dict.insert_or_assign(key, value); })) {
        model.insert_or_assign(key, value);
      }
    }
    dict.close();
    dict = Dict::attach(name.str());
    REQUIRE(dict.size() == model.size());
    for (const auto& [key, value] : dict) REQUIRE(model.at(key) == value);
    SHARED_DICT_REQUIRE_SOUND(dict);
  }
}
