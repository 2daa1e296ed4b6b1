// As words_test.cpp, for values that are replaced in place, and for a table that grows.

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"
#include "support/growth.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Numbers = SharedDict<std::string, long>;
using Model = Contents<Numbers>;

}  // namespace

TEST_CASE("whichever call fails in an operation on numbers, it happens or it tells, and nothing else suffers") {
  // Three more keys in its shard and the table grows to several pages.
  const Family<Numbers> family{{.heap_size = 1 << 15, .lock_timeout = kHangDeadline, .max_processes = 4},
                               {{"told", 1}, {"other", 2}},
                               [](Numbers& d) { fill_until_growth(d, 3, kSlotsOfPage); }};
  const std::vector<std::pair<std::string, long>> items{{"new 1", 1}, {"new 2", 2}, {"new 3", 3}, {"5", -1}, {"6", -1}};
  const std::vector<FaultyOperation<Numbers>> operations{
      {"get, at, try_get",
       [](Numbers& d, Model&, const Faulty& faulty) {
         long out = 0;
         faulty([&] { demand(d.get("3") == 3 && d.at("4") == 4 && d.try_get("5", out) && out == 5, "the values"); });
       }},
      {"view",
       [](Numbers& d, Model&, const Faulty& faulty) { faulty([&] { demand(*d.view("6") == 6, "the value"); }); }},
      {"inserts until the table grows",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] {
           for (const char* const key : {"a", "b", "c", "d"}) d.insert_or_assign(key, 1);
         });
         for (const char* const key : {"a", "b", "c", "d"}) model[key] = 1;
       }},
      {"fetch_add",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { demand(d.fetch_add("3", 4) == 3, "the old value"); });
         model["3"] = 7;
       }},
      {"fetch_add to a missing key",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { demand(d.fetch_add("new", 4) == 0, "no old value"); });
         model["new"] = 4;
       }},
      {"assign",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { demand(d.assign("7", 77), "the key"); });
         model["7"] = 77;
       }},
      {"compare_exchange",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         long expected = 8;
         faulty([&] { demand(d.compare_exchange("8", expected, 88), "the exchange"); });
         model["8"] = 88;
       }},
      {"d[k] += 1",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { d["9"] += 1; });
         model["9"] = 10;
       }},
      {"update that makes the table grow",
       [&](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.update(items); });
         for (const auto& [key, value] : items) model[key] = value;
       }},
      {"extract_any",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         std::optional<std::pair<std::string, long>> item;
         faulty([&] { item = d.extract_any(); });
         model.erase(item->first);
       }},
      {"clear",
       [](Numbers& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.clear(); });
         model.clear();
       }},
  };
  print("faults in operations on numbers", fail_in_all(family, operations));
}
