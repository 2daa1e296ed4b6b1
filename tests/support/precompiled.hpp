// What most test files include, and the dictionaries that most of them use, each compiled once: see tests/precompiled.cmake.
#pragma once

#include <cstdint>
#include <string>

#include <shared_dict/shared_dict.hpp>

#include "support/barrier.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/effort.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/pattern.hpp"
#include "support/place.hpp"
#include "support/sanitized.hpp"
#include "support/seed.hpp"
#include "support/shared_area.hpp"
#include "support/stored_dictionary.hpp"
#include "support/types.hpp"
#include "support/unique_name.hpp"

namespace shared_dict::test {

/// Never called: what it calls is compiled.
template <class K, class V>
void use(const K& key, const V& value) {
  using Dict = SharedDict<K, V>;
  auto dict = Dict::open_or_create("");
  dict = Dict::create("");
  dict = Dict::attach("");
  dict.insert(key, value);
  dict.insert_or_assign(key, value);
  dict.assign(key, value);
  dict.update({{key, value}});
  dict[key] = value;
  V copy = dict.get(key, value);
  bool any = dict[key] == dict.at(key) || dict.get(key).has_value() || dict.try_get(key, copy) || dict.contains(key);
  any = any || dict.view(key) || dict.empty() || dict.keys().empty() || dict.items().empty();
  for (const auto& item : dict) any = any || item.second == copy;
  dict.extract(key);
  dict.extract_any();
  dict.erase(key);
  dict.erase_if([](const auto&, const auto&) { return true; });
  dict.clear();
  dict.save("");
  dict.load("");
  any = any || dict.stats().items == 0 || !dict.audit().ok();
}

inline void use_dictionaries() {
  use<std::uint64_t, std::uint64_t>(1, 1);
  use<std::uint64_t, std::string>(1, "");
  use<std::string, std::uint64_t>("", 1);
  use<std::string, std::string>("", "");
}

}  // namespace shared_dict::test
