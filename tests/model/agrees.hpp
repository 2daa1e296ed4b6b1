// The same test for each family of keys and values: a dictionary with space for all keys, one with space for some of them, and one with a
// limit on their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/expect.hpp"
#include "support/families.hpp"
#include "support/model.hpp"
#include "support/seed.hpp"
#include "support/unique_name.hpp"

namespace shared_dict::test {

inline constexpr std::size_t kKiB = 1024;

/// `roomy` and `tight`: the heap sizes of the first two.
template <class Family>
void agrees(const char* what, std::size_t operations, std::size_t keys, std::size_t roomy, std::size_t tight) {
  ModelCounts sum{};
  Effort effort(1);
  while (effort.more()) {
    for (const std::size_t which : {0U, 1U, 2U}) {
      const UniqueName name;
      const std::size_t most_items = which == 2 ? keys / 3 : 0;
      const std::size_t heap_size = which == 1 ? tight : roomy;
      auto dict = SharedDict<typename Family::Key, typename Family::Value>::create(
          name.str(), {.heap_size = heap_size, .max_items = most_items});
      // Each finds its own way, in each round.
      const std::uint64_t salt = effort.done() * 3 + which + std::hash<std::string>{}(what);
      Model<Family> model(dict, {.operations = operations / 3, .keys = keys, .most_items = most_items}, salt);
      model.run();
      const ModelCounts& counts = model.counts();
      INFO("heap_size " << heap_size << ", " << counts.refused << " refused");
      REQUIRE(counts.stored > 0);
      if (which == 0) REQUIRE(counts.refused == 0);
      if (which != 0) REQUIRE(counts.refused > 50);
      SHARED_DICT_REQUIRE_SOUND(dict);
      sum.operations += counts.operations;
      sum.refused += counts.refused;
      sum.batches += counts.batches;
      sum.views += counts.views;
      sum.reads_of_many += counts.reads_of_many;
      sum.processes += counts.processes;
    }
  }
  report(std::string("model, ") + what, {{"operations", sum.operations},
                                         {"refused for want of space", sum.refused},
                                         {"batches", sum.batches},
                                         {"views", sum.views},
                                         {"reads of many", sum.reads_of_many},
                                         {"processes", sum.processes}});
}

}  // namespace shared_dict::test
