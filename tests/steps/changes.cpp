#include "steps/changes.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include <shared_dict/detail/operations/waiting.hpp>
#include <shared_dict/shared_dict.hpp>

#include "support/forked.hpp"
#include "support/growth.hpp"

namespace shared_dict::test {
namespace {

using Words = SharedDict<std::string, std::string>;
using Numbers = SharedDict<std::string, long>;

constexpr std::size_t kLarge = 33'000;  // no block of a size class holds it
constexpr std::chrono::nanoseconds kNoTime{0};

std::string value_of(std::size_t size) { return std::string(size, 'n'); }

// Fails loudly, in the child too.
void expect(bool good) {
  if (!good) throw std::runtime_error("an operation returned something else than it should");
}

template <class F>
void expect_refusal(errc code, F f) {
  try {
    f();
  } catch (const Error& error) {
    if (error.code() == code) return;
    throw;
  }
  expect(false);
}

// Whatever size: little is written.
void publish(Words& d, const std::string& key, std::size_t size) {
  auto loan = d.loan(key, size);
  std::memset(loan.span().data(), 'n', std::min<std::size_t>(size, 50));
  std::memset(loan.span().data() + size - 8, 'n', 8);
  loan.publish();
}

// The parent has used its area before there is an image: from then on it takes that for done.
template <class Dict>
void use_area(Dict& d, const std::string& key) {
  d.view(key);
  d.wait_change(key, kNoTime);
}

// A view that shows all the while what it showed at first.
class Watched final : public Beside {
 public:
  Watched(Words& d, const std::string& key) : view_(d.view(key)), expected_(*view_) {}
  void check(bool) override { REQUIRE(*view_ == expected_); }

 private:
  View<std::string> view_;
  std::string expected_;
};

auto view_of(const std::string& key) {
  return [key](Words& d, const Place&) { return std::make_unique<Watched>(d, key); };
}

// Somebody who waits for a change of a key, and is told of it if it happens: by whoever repairs at the latest.
template <class V>
class Awaited final : public Beside {
 public:
  Awaited(const SharedDict<std::string, V>& d, const Place& place, std::string key)
      : key_(std::move(key)),
        attachment_(detail::Lifecycle(d.name(), place.path(), kHangDeadline)
                        .open(detail::OpenMode::attach, {}, detail::stored_types<std::string, V>())),
        waiter_(*attachment_,
                detail::hash_key(attachment_->segment(), std::as_bytes(std::span(key_.data(), key_.size()))),
                detail::Clock::now()) {
    expect(waiter_.arm());
  }
  void check(bool changed) override { REQUIRE(waiter_.sleep() == changed); }

 private:
  std::string key_;
  std::shared_ptr<detail::Attachment> attachment_;
  detail::ChangeWaiter waiter_;
};

template <class V>
auto waiter_for(const std::string& key) {
  return
      [key](SharedDict<std::string, V>& d, const Place& place) { return std::make_unique<Awaited<V>>(d, place, key); };
}

// A process that is gone again has erased the key. The one that is going to die gets its record, so it finds the block that was kept aside.
auto erased_before(const std::string& key) {
  return [=](Words& d) {
    expect(run_forked([&](auto) {
             d.erase(key);
             d.close();
             return 0;
           }).ok());
  };
}

// A process that is gone again has replaced the key's value, twice. The one that is going to die gets its record, so it finds the blocks that it has
// left as spares: overwriting.hpp.
auto replaced_before(const std::string& key, std::size_t first, std::size_t last) {
  return [=](Words& d) {
    expect(run_forked([&](auto) {
             d.assign(key, value_of(first));
             d.assign(key, value_of(last));
             d.close();
             return 0;
           }).ok());
    // The repair puts the spares back to their lists, so that what comes then may lie elsewhere and take a page more at its height.
    d.insert("room", value_of(kLarge));
    d.erase("room");
  };
}

void ten_with_words(Words& d) {
  expect(d.insert("ten 1", std::string(60, 't')));
  expect(d.insert("ten 2", std::string(200, 't')));
  expect(d.assign("ten 1", std::string(300, 't')));
  expect(d.modify("ten 2", [](std::string& value) { value += "more"; }));
  d.update({{"ten 2", "shorter"}, {"ten 3", "another"}});
  publish(d, "ten 4", 70);
  std::string expected = "shorter";
  expect(d.compare_exchange("ten 2", expected, "longer than that"));
  expect(*d.view("ten 2") == "longer than that");
  expect(d.extract("ten 4")->size() == 70);
  expect(d.erase("ten 1"));
}

void ten_with_numbers(Numbers& d) {
  expect(d.insert("ten 1", 1));
  expect(d.insert("ten 2", 2));
  expect(d.assign("ten 1", 3));
  expect(d.modify("ten 2", [](long& value) { value *= 2; }));
  d.update({{"ten 2", 5}, {"ten 3", 6}});
  expect(d.fetch_add("ten 3", 4) == 6);
  long expected = 10;
  expect(d.compare_exchange("ten 3", expected, 11));
  expect(*d.view("ten 3") == 11);
  expect(d.extract("ten 3") == 11);
  expect(d.erase("ten 1"));
}

// Where there may be no room.
void ten_in_place(Words& d) {
  for (int i = 0; i < 4; ++i) expect(d.assign("key " + std::to_string(i), std::string(10, 't')));
  expect(d.erase("key 4"));
  expect(d.insert("key 4", std::string(9, 't')));
  expect(d.modify("key 4", [](std::string& value) { value.pop_back(); }));
  expect(d.extract("key 5").has_value());
  d.update({{"key 5", "t"}, {"key 6", "t"}});
  expect(!d.insert_or_assign("key 7", "t"));
}

void fill_words(Words& d) {
  for (int i = 0; i < 60; ++i) d["key " + std::to_string(i)] = std::string(static_cast<std::size_t>(20 + i), 'v');
  d["alone"] = std::string(3000, 'a');  // in its span
  d["large"] = std::string(kLarge, 'L');
  d.erase("key 7");
  d["key 8"] = "shorter";
  use_area(d, "key 8");
}

// One more and the table grows to several pages.
void fill_numbers(Numbers& d) {
  fill_until_growth(d, 1, kSlotsOfPage);
  use_area(d, "0");
}

// As many slots as before are in use, a third of them by nothing: an item that is erased at the end of a chain takes the erased slots before
// it along, so that may take a second attempt.
void leave_tombstones(Numbers& d) {
  const std::size_t used = d.stats().used_slots;
  std::size_t next = 1;
  do {
    for (std::size_t erased = 0; erased < used / 3; ++next) {
      const std::size_t before = d.stats().used_slots;
      expect(d.erase(std::to_string(next)));
      if (d.stats().used_slots == before) {
        ++erased;
      } else {  // it was the end of a chain
        d[std::to_string(next)] = 1;
      }
    }
    for (std::size_t i = 0; d.stats().used_slots < used; ++i) d["more " + std::to_string(i)] = 1;
  } while ((d.size() + 1) * 8 > d.stats().slot_count * 5);
}

void give_pages_back(Words& d) {
  for (const char* const key : {"a", "b", "c", "d"}) publish(d, key, 17'000);
  for (const char* const key : {"a", "b", "c", "d"}) d.erase(key);
}

// A file for changes that load, for as long as they are there.
class Saved {
 public:
  template <class Dict>
  void save(const Dict& d) const {
    d.save(path());
  }
  template <class Dict>
  void load(Dict& d) const {
    d.load(path());
  }

 private:
  std::filesystem::path path() const { return place_->path() / "saved"; }

  std::shared_ptr<Place> place_ = std::make_shared<Place>();
};

// Nothing but a small table that one more key makes grow to a page.
auto make_small(const Saved& saved) {
  return [saved](Numbers& d) {
    d.clear();
    saved.save(d);
    saved.load(d);  // no table
    fill_until_growth(d, 1, 1);
    expect(d.stats().slot_count < kSlotsOfPage);
  };
}

// Saved without the large value, and with others than are there when it is loaded.
auto save_and_change(const Saved& saved) {
  return [saved](Words& d) {
    const std::string large = *d.extract("large");
    saved.save(d);
    d["large"] = large;
    d["since"] = value_of(40);
    d.erase("key 20");
    d.assign("key 21", value_of(41));
  };
}

void erase_some(Words& d) {
  d.erase_if([](const std::string& key, const std::string&) { return key.ends_with('3'); });
}

}  // namespace

Setting<std::string> words() {
  const Saved saved;
  Setting<std::string> made{
      {.heap_size = 1 << 17, .lock_timeout = kHangDeadline, .max_processes = 4}, fill_words, ten_with_words, {}};
  made.changes = {
      {"insert", [](Words& d) { expect(d.insert("new", value_of(100))); }},
      {"insert of a size that has no span yet", [](Words& d) { d.insert("new", value_of(2000)); }},
      {"insert of a large value", [](Words& d) { d.insert("new", value_of(kLarge)); }},
      {"insert into pages that both shards have given back", [](Words& d) { publish(d, "new", kLarge); },
       give_pages_back},
      {"insert where somebody waits for it",
       [](Words& d) { d.insert("new", value_of(100)); },
       {},
       waiter_for<std::string>("new")},
      {"insert of what is there", [](Words& d) { expect(!d.insert("key 9", "n")); }},
      {"insert_or_assign", [](Words& d) { expect(!d.insert_or_assign("key 9", value_of(100))); }},
      {"d[k] = v", [](Words& d) { d["new"] = value_of(40); }},
      {"replace by the same size", [](Words& d) { expect(d.assign("key 9", value_of(29))); }},
      {"replace by another size", [](Words& d) { d.assign("key 9", value_of(700)); }},
      {"insert where one was erased", [](Words& d) { expect(d.insert("key 9", value_of(29))); }, erased_before("key 9")},
      {"update where one was erased", [](Words& d) { d.update({{"key 9", value_of(29)}, {"key 12", value_of(32)}, {"new", value_of(29)}}); },
       erased_before("key 9")},
      {"erase that puts a block in the place of another one", [](Words& d) { expect(d.erase("key 9")); }, replaced_before("key 9", 29, 53)},
      {"overwrite", [](Words& d) { expect(d.assign("key 9", std::string(29, 'o'))); }, replaced_before("key 9", 29, 29)},
      {"overwrite by less", [](Words& d) { d.assign("key 9", std::string(25, 'o')); }, replaced_before("key 9", 29, 29)},
      {"overwrite by more", [](Words& d) { d.assign("key 9", std::string(32, 'o')); }, replaced_before("key 9", 29, 29)},
      {"overwrite by another size", [](Words& d) { d.assign("key 9", std::string(29, 'o')); }, replaced_before("key 9", 29, 700)},
      {"overwrite what is viewed", [](Words& d) { d.assign("key 9", std::string(29, 'o')); }, replaced_before("key 9", 29, 29),
       view_of("key 9")},
      {"overwrite what somebody waits for", [](Words& d) { d.assign("key 9", std::string(29, 'o')); },
       replaced_before("key 9", 29, 29), waiter_for<std::string>("key 9")},
      {"replace what is viewed", [](Words& d) { d.assign("key 9", value_of(29)); }, {}, view_of("key 9")},
      {"replace a large value", [](Words& d) { d.assign("large", value_of(700)); }},
      {"replace a large value that is viewed",
       [](Words& d) { publish(d, "large", kLarge + 8000); },
       {},
       view_of("large")},
      {"replace what somebody waits for",
       [](Words& d) { d.assign("key 9", "n"); },
       {},
       waiter_for<std::string>("key 9")},
      {"erase", [](Words& d) { expect(d.erase("key 10")); }},
      {"erase the last block of a span", [](Words& d) { d.erase("alone"); }},
      {"erase a large value", [](Words& d) { d.erase("large"); }},
      {"erase what is viewed", [](Words& d) { d.erase("key 10"); }, {}, view_of("key 10")},
      {"erase what somebody waits for", [](Words& d) { d.erase("key 10"); }, {}, waiter_for<std::string>("key 10")},
      {"erase_if", erase_some, {}, {}, true},
      {"extract", [](Words& d) { expect(d.extract("key 11").has_value()); }},
      {"extract_any", [](Words& d) { expect(d.extract_any().has_value()); }, {}, {}, true},
      {"modify", [](Words& d) { d.modify("key 12", [](std::string& value) { value += " and more"; }); }},
      {"modify with an exception",
       [](Words& d) {
         try {
           d.modify("key 12", [](std::string&) { throw 1; });
         } catch (int) {
         }
       }},
      {"modify_or_insert",
       [](Words& d) { d.modify_or_insert("new", "n", [](std::string& value) { value += "more"; }); }},
      {"compare_exchange",
       [](Words& d) {
         std::string expected = "shorter";
         expect(d.compare_exchange("key 8", expected, "longer than it was"));
       }},
      {"compare_exchange that finds another value",
       [](Words& d) {
         std::string expected = "longer";
         expect(!d.compare_exchange("key 8", expected, "n"));
       }},
      {"update",
       [](Words& d) {
         d.update({{"key 1", "u"},
                   {"key 2", std::string(400, 'u')},
                   {"new 1", "u"},
                   {"new 2", std::string(900, 'u')},
                   {"key 1", "w"}});
       }},
      {"update beside a view",
       [](Words& d) {
         d.update({{"key 3", "u"}, {"key 4", "u"}});
       },
       {},
       view_of("key 3")},
      {"update of what somebody waits for",
       [](Words& d) {
         d.update({{"key 3", "u"}, {"new 4", "u"}});
       },
       {},
       waiter_for<std::string>("new 4")},
      {"loan and publish", [](Words& d) { publish(d, "new", 50); }},
      {"loan and publish instead of another value", [](Words& d) { publish(d, "key 13", 50); }},
      {"loan and publish where more memory must be committed",
       [](Words& d) {
         const std::size_t committed = d.stats().heap_committed;
         publish(d, "new", 80'000);
         expect(d.stats().heap_committed > committed + 4096);
       }},
      {"loan, dropped", [](Words& d) { d.loan("new", 50); }},
      {"loan of a large value, dropped", [](Words& d) { d.loan("new", kLarge); }},
      {"view", [](Words& d) { d.view("key 14"); }},
      {"two views of a value, which is replaced meanwhile",
       [](Words& d) {
         const auto first = d.view("key 14");
         const auto second = d.view("key 14");
         d.assign("key 14", value_of(34));
       }},
      {"wait_change", [](Words& d) { d.wait_change("key 15", kNoTime); }},
      {"wait_until",
       [](Words& d) {
         d.wait_until(
             "key 15", [](const std::string&) { return false; }, kNoTime);
       }},
      {"clear", [](Words& d) { d.clear(); }},
      {"clear beside a view", [](Words& d) { d.clear(); }, {}, view_of("key 16")},
      {"clear while somebody waits", [](Words& d) { d.clear(); }, {}, waiter_for<std::string>("key 16")},
      {"load", [saved](Words& d) { saved.load(d); }, save_and_change(saved)},
      {"load beside a view", [saved](Words& d) { saved.load(d); }, save_and_change(saved), view_of("key 22")},
      {"load of what somebody waits for", [saved](Words& d) { saved.load(d); }, save_and_change(saved),
       waiter_for<std::string>("key 21")},
      {"load of what somebody waits for, and it goes", [saved](Words& d) { saved.load(d); }, save_and_change(saved),
       waiter_for<std::string>("since")},
      {"load of nothing", [saved](Words& d) { saved.load(d); },
       [saved](Words& d) {
         d.clear();
         saved.save(d);
         fill_words(d);
       }},
      {"save", [saved](Words& d) { saved.save(d); }},
      {"gc_stats, which frees what was viewed", [](Words& d) { d.gc_stats(); },
       [](Words& d) {
         const auto view = d.view("key 17");
         d.assign("key 17", value_of(37));
       }},
      {"audit", [](Words& d) { expect(d.audit().ok()); }},
  };
  return made;
}

Setting<long> numbers() {
  const Saved saved;
  Setting<long> made{
      {.heap_size = 1 << 15, .lock_timeout = kHangDeadline, .max_processes = 4}, fill_numbers, ten_with_numbers, {}};
  made.changes = {
      {"insert that makes the table grow", [](Numbers& d) { d.insert("new", 1); }},
      {"insert that makes a small table grow", [](Numbers& d) { d.insert("new", 1); }, make_small(saved)},
      {"insert that rebuilds a table of erased slots", [](Numbers& d) { d.insert("new", 1); }, leave_tombstones},
      {"update that makes the table grow",
       [](Numbers& d) {
         d.update({{"new", 1}, {"1", 7}, {"2", 8}});
       }},
      {"fetch_add", [](Numbers& d) { expect(d.fetch_add("3", 1) == 3); }},
      {"fetch_add to nothing", [](Numbers& d) { expect(d.fetch_add("new", 1) == 0); },
       [](Numbers& d) { d.erase("5"); }},
      {"d[k] += v", [](Numbers& d) { d["3"] += 5; }},
      {"replace in place", [](Numbers& d) { d.assign("4", -1); }},
      {"replace in place what somebody waits for", [](Numbers& d) { d.assign("4", -1); }, {}, waiter_for<long>("4")},
      {"compare_exchange in place",
       [](Numbers& d) {
         long expected = 4;
         expect(d.compare_exchange("4", expected, -1));
       }},
      {"update in place",
       [](Numbers& d) {
         d.update({{"5", -1}, {"6", -1}, {"7", -1}});
       }},
      {"load", [saved](Numbers& d) { saved.load(d); },
       [saved](Numbers& d) {
         d["new"] = 1;  // the table has grown
         saved.save(d);
         for (int i = 1; i < 30; ++i) d.erase(std::to_string(i));
         d["4"] = -1;
       }},
      {"erase", [](Numbers& d) { d.erase("8"); }},
      {"extract", [](Numbers& d) { expect(d.extract("8") == 8); }},
  };
  return made;
}

Setting<std::string> limited() {
  const auto fill = [](Words& d) {
    for (int i = 0; i < 20; ++i) d["key " + std::to_string(i)] = std::string(20, 'v');
    use_area(d, "key 1");
  };
  Setting<std::string> made{{.heap_size = 1 << 15, .max_items = 22, .lock_timeout = kHangDeadline, .max_processes = 4},
                            fill,
                            ten_in_place,
                            {}};
  made.changes = {
      {"update up to the last item that there may be",
       [](Words& d) {
         d.update({{"new 1", "n"}, {"new 2", "n"}});
       }},
      {"insert of the last item that there may be", [](Words& d) { d.insert("new 1", "n"); },
       [](Words& d) { d["new"] = "n"; }},
      {"insert of an item too many",
       [](Words& d) { expect_refusal(errc::too_many_items, [&] { d.insert("new 1", "n"); }); },
       [](Words& d) {
         d.update({{"new 2", "n"}, {"new 3", "n"}});
       }},
      {"update with an item too many",
       [](Words& d) { expect_refusal(errc::too_many_items, [&] {
                        d.update({{"new 1", "n"}, {"key 1", "u"}});
                      }); },
       [](Words& d) {
         d.update({{"new 2", "n"}, {"new 3", "n"}});
       }},
  };
  return made;
}

Setting<std::string> full() {
  const auto fill = [](Words& d) {
    for (int i = 0; i < 10; ++i) d["key " + std::to_string(i)] = std::string(20, 'v');
    use_area(d, "key 1");
    for (int i = 0; d.stats().heap_used + 330 < d.stats().heap_size; ++i)
      d["pad " + std::to_string(i)] = std::string(300, 'v');
  };
  Setting<std::string> made{
      {.heap_size = 1 << 14, .lock_timeout = kHangDeadline, .max_processes = 4}, fill, ten_in_place, {}};
  made.changes = {
      {"insert that doesn't fit",
       [](Words& d) { expect_refusal(errc::heap_full, [&] { d.insert("new", value_of(1000)); }); }},
      {"insert that just fits", [](Words& d) { d.insert("new", value_of(20)); }},
      {"loan that doesn't fit", [](Words& d) { expect_refusal(errc::heap_full, [&] { d.loan("new", 1000); }); }},
      {"update that doesn't fit",
       [](Words& d) { expect_refusal(errc::heap_full, [&] {
                        d.update({{"key 1", "u"}, {"new", value_of(1000)}});
                      }); }},
  };
  return made;
}

}  // namespace shared_dict::test
