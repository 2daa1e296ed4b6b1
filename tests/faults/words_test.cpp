// Every system call and every allocation of every operation fails once, in its turn and with each error that it can have. Whatever fails,
// the operation has then happened, or it has told so and nothing has changed; nothing is left locked, open or allocated, other processes
// don't notice, and the next operation works.

#include <algorithm>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

using Words = SharedDict<std::string, std::string>;
using Model = Contents<Words>;

}  // namespace

TEST_CASE("whichever call fails in an operation on words, it happens or it tells, and nothing else suffers") {
  const Family<Words> family{
      {.heap_size = 1 << 17, .lock_timeout = kHangDeadline, .max_processes = 4},
      {{"told", std::string(30, 'w')}, {"other", "w"}, {"a third", std::string(300, 'w')}, {"a fourth", ""}},
      [](Words& d) {
        for (int i = 0; i < 40; ++i) d["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(20 + i), 'v');
        d["large"] = std::string(20'000, 'L');
        d.erase("key 7");
      }};
  const Place files(memory());
  const auto saved = files.path() / "saved";
  const std::string small(29, 'n');
  const std::string large(40'000, 'n');
  const std::vector<std::string> keys{"key 1", "missing", "key 2", "large"};
  const std::vector<std::pair<std::string, std::string>> items{
      {"key 1", "u"}, {"key 2", std::string(400, 'u')}, {"new 1", "u"}, {"new 2", std::string(900, 'u')}, {"key 1", "w"}};
  const std::vector<FaultyOperation<Words>> operations{
      {"get", [](Words& d, Model&, const Faulty& faulty) {
         std::optional<std::string> value;
         faulty([&] { value = d.get("large"); });
         demand(value == std::string(20'000, 'L'), "the right answer");
       }},
      {"try_get", [](Words& d, Model&, const Faulty& faulty) {
         std::string value;
         faulty([&] { d.try_get("key 39", value); });
         demand(value == std::string(59, 'v'), "the right answer");
       }},
      {"at a missing key", [](Words& d, Model&, const Faulty& faulty) {
         faulty([&] {
           try {
             static_cast<void>(d.at("missing"));
           } catch (const std::out_of_range&) {
           }
         });
       }},
      {"contains, size, empty", [](Words& d, Model&, const Faulty& faulty) {
         faulty([&] { static_cast<void>(d.contains("key 1") && d.size() != 0 && d.empty()); });
       }},
      {"get_many", [&](Words& d, Model&, const Faulty& faulty) {
         std::size_t found = 0;
         faulty([&] {
           found = 0;
           d.get_many(keys, [&](std::size_t, const std::string* value) { found += value != nullptr ? 1 : 0; });
         });
         demand(found == 3, "the right answer");
       }},
      {"view", [](Words& d, Model&, const Faulty& faulty) {
         View<std::string> view;
         faulty([&] { view = d.view("key 1"); });
         demand(*view == std::string(21, 'v'), "the right answer");
       }},
      {"replace what is viewed", [&](Words& d, Model& model, const Faulty& faulty) {
         const View<std::string> view = d.view("key 9");
         faulty([&] { d.assign("key 9", small); });
         model["key 9"] = small;
         demand(*view == std::string(29, 'v'), "the right answer");
       }},
      {"loan, publish", [](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] {
           auto loan = d.loan("new", 5000);
           std::fill(loan.span().begin(), loan.span().end(), 'n');
           loan.publish();
         });
         model["new"] = std::string(5000, 'n');
       }},
      {"loan, drop", [](Words& d, Model&, const Faulty& faulty) { faulty([&] { d.loan("new", 5000); }); }},
      {"insert", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.insert("new", small); });
         model["new"] = small;
       }},
      {"insert a large value, for which the file grows", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.insert("new", large); });
         model["new"] = large;
       }},
      {"insert_or_assign", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.insert_or_assign("large", large); });
         model["large"] = large;
       }},
      {"assign", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.assign("key 9", small); });
         model["key 9"] = small;
       }},
      {"erase", [](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.erase("large"); });
         model.erase("large");
       }},
      {"extract", [](Words& d, Model& model, const Faulty& faulty) {
         std::optional<std::string> value;
         faulty([&] { value = d.extract("key 11"); });
         demand(value == model.at("key 11"), "the right answer");
         model.erase("key 11");
       }},
      {"extract_any", [](Words& d, Model& model, const Faulty& faulty) {
         std::optional<std::pair<std::string, std::string>> item;
         faulty([&] { item = d.extract_any(); });
         demand(item->second == model.at(item->first), "the right answer");
         model.erase(item->first);
       }},
      {"clear", [](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.clear(); });
         model.clear();
       }},
      {"update", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.update(items); });
         for (const auto& [key, value] : items) model[key] = value;
       }},
      {"update for which the file grows", [&](Words& d, Model& model, const Faulty& faulty) {
         std::vector<std::pair<std::string, std::string>> many;
         for (int i = 0; i < 4; ++i) many.emplace_back("new " + std::to_string(i), std::string(20'000, 'n'));
         faulty([&] { d.update(many); });
         for (const auto& [key, value] : many) model[key] = value;
       }},
      {"save", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.save(saved); });
         Words copy = Words::create("copy", {.heap_size = 1 << 17, .directory = files.path(), .load_from = saved});
         demand(contents(copy) == model, "what was saved");
       }},
      {"load", [&](Words& d, Model& model, const Faulty& faulty) {
         const Model before = model;
         d.save(saved);
         d["since"] = small;
         d["key 1"] = small;
         d.erase("large");
         model = contents(d);
         faulty([&] { d.load(saved); });
         model = before;
       }},
      {"erase_if", [](Words& d, Model& model, const Faulty& faulty) {
         std::vector<std::string> gone;
         gone.reserve(100);
         try {
           faulty([&] {
             // Items that are gone when it is told that something failed are gone; at most the last one isn't.
             d.erase_if([&](const std::string& key, const std::string&) { return key.ends_with('3'); });
           });
         } catch (...) {
           std::erase_if(model, [&](const auto& item) { return item.first.ends_with('3') && !d.contains(item.first); });
           throw;
         }
         std::erase_if(model, [](const auto& item) { return item.first.ends_with('3'); });
       }},
      {"modify", [](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.modify("key 12", [](std::string& value) { value.append(100, 'm'); }); });
         model["key 12"].append(100, 'm');
       }},
      {"modify_or_insert", [](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d.modify_or_insert("new", "n", [](std::string& value) { value.append(100, 'm'); }); });
         model["new"] = "n" + std::string(100, 'm');
       }},
      {"compare_exchange", [&](Words& d, Model& model, const Faulty& faulty) {
         std::string expected = model.at("key 13");
         faulty([&] { d.compare_exchange("key 13", expected, small); });
         model["key 13"] = small;
       }},
      {"compare_exchange with another value", [&](Words& d, Model& model, const Faulty& faulty) {
         std::string expected = "another";
         faulty([&] { d.compare_exchange("key 39", expected, small); });
         demand(expected == model.at("key 39"), "the right answer");
       }},
      {"wait_change", [](Words& d, Model&, const Faulty& faulty) {
         bool changed = true;
         faulty([&] { changed = d.wait_change("key 15", 1ms); });
         demand(!changed, "the right answer");
       }},
      {"wait_until that is told", [](Words& d, Model&, const Faulty& faulty) {
         std::optional<std::string> value;
         faulty([&] { value = d.wait_until("told", [](const std::string&) { return true; }, kHangDeadline); });
         demand(value == std::string(30, 'w'), "the right answer");
       }, true},
      {"operator[]", [&](Words& d, Model& model, const Faulty& faulty) {
         faulty([&] { d["a key that is a bit longer"] = small; });
         model["a key that is a bit longer"] = small;
       }},
      {"for_each", [](Words& d, Model& model, const Faulty& faulty) {
         std::size_t met = 0;
         faulty([&] {
           met = 0;
           d.for_each([&](const std::string&, const std::string&) { ++met; });
         });
         demand(met == model.size(), "the right answer");
       }},
      {"keys, values, items", [](Words& d, Model&, const Faulty& faulty) {
         faulty([&] { static_cast<void>(d.keys().size() + d.values().size() + d.items().size()); });
       }},
      {"begin, ++, end", [](Words& d, Model& model, const Faulty& faulty) {
         std::size_t met = 0;
         faulty([&] {
           met = 0;
           for ([[maybe_unused]] const auto& item : d) ++met;
         });
         demand(met == model.size(), "the right answer");
       }},
      {"stats, gc_stats, audit", [](Words& d, Model&, const Faulty& faulty) {
         bool ok = false;
         faulty([&] {
           static_cast<void>(d.stats().items + d.gc_stats().total_free_blocks);
           ok = d.audit().ok();
         });
         demand(ok, "the right answer");
       }},
  };
  print("faults in operations on words", fail_in_all(family, operations));
}
