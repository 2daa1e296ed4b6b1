// What do the main operations cost in instructions? instructions.sh runs this under callgrind, which counts those of each function whose
// name begins with measured_, and compares them with instructions.txt: counts don't depend on what else the machine does.

#include <shared_dict/shared_dict.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

using Strings = shared_dict::SharedDict<std::string, std::string>;
using Numbers = shared_dict::SharedDict<std::uint64_t, std::uint64_t>;

constexpr std::size_t kItems = 20'000;
constexpr std::size_t kBatch = 50;

using Batch = std::vector<std::pair<std::string, std::string>>;

struct Containers {
  Strings strings;
  Numbers numbers;
  std::vector<std::string> keys;
  std::vector<std::string> missing;
  std::string value;
  std::string out;
  std::vector<Batch> batches{};
  std::uint64_t sum = 0;  // so that nothing is left out
};

std::string key_of(std::size_t i, char last) {
  std::string key = std::to_string(1'000'000 + i * 7);
  key.resize(15, '.');
  key.push_back(last);
  return key;
}

}  // namespace

// A function of its own, with a name that isn't mangled. Each does as many operations as instructions.sh divides by.
#define MEASURED(operation, ...)                                          \
  extern "C" [[gnu::noinline]] void measured_##operation(Containers& c) { \
    for (std::size_t i = 0; i < kItems; ++i) __VA_ARGS__;                 \
  }

MEASURED(insert, c.strings.insert(c.keys[i], c.value))
MEASURED(try_get, c.sum += c.strings.try_get(c.keys[i], c.out) ? c.out.size() : 0)
MEASURED(get, c.sum += c.strings.get(c.keys[i])->size())
MEASURED(contains_missing, c.sum += c.strings.contains(c.missing[i]) ? 1 : 0)
MEASURED(view, c.sum += c.strings.view(c.keys[i])->size())
MEASURED(insert_or_assign, c.strings.insert_or_assign(c.keys[i], c.value))
MEASURED(erase, c.sum += c.strings.erase(c.keys[i]) ? 1 : 0)
MEASURED(insert_again, c.strings.insert(c.keys[i], c.value))
MEASURED(insert_number, c.numbers.insert(i, i))
MEASURED(try_get_number, {
  std::uint64_t number = 0;
  c.sum += c.numbers.try_get(i, number) ? number : 0;
})
MEASURED(insert_or_assign_number, c.numbers.insert_or_assign(i, i + 1))
MEASURED(fetch_add, c.sum += c.numbers.fetch_add(i, 1))

extern "C" [[gnu::noinline]] void measured_get_many(Containers& c) {
  c.strings.get_many(c.keys, [&](std::size_t, const std::string* value) { c.sum += value->size(); });
}

extern "C" [[gnu::noinline]] void measured_for_each(Containers& c) {
  c.strings.for_each([&](const std::string& key, const std::string& value) { c.sum += key.size() + value.size(); });
}

extern "C" [[gnu::noinline]] void measured_iterate(Containers& c) {
  for (const auto& [key, value] : c.strings) c.sum += key.size() + value.size();
}

extern "C" [[gnu::noinline]] void measured_update(Containers& c) {
  for (const Batch& batch : c.batches) c.strings.update(batch);
}

int main() {
  try {
    const std::string name = "instructions." + std::to_string(::getpid());
    Containers c{Strings::create(name + ".strings"), Numbers::create(name + ".numbers"), {}, {}, std::string(100, 'v'), {}};
    for (std::size_t i = 0; i < kItems; ++i) {
      c.keys.push_back(key_of(i, '+'));
      c.missing.push_back(key_of(i, '-'));
      if (i % kBatch == 0) c.batches.emplace_back();
      c.batches.back().emplace_back(c.keys.back(), c.value);
    }
    measured_insert(c);
    measured_try_get(c);
    measured_get(c);
    measured_contains_missing(c);
    measured_view(c);
    measured_insert_or_assign(c);
    measured_get_many(c);
    measured_for_each(c);
    measured_iterate(c);
    measured_update(c);
    measured_erase(c);
    measured_insert_again(c);
    measured_insert_number(c);
    measured_try_get_number(c);
    measured_insert_or_assign_number(c);
    measured_fetch_add(c);
    std::cout << kItems << ' ' << c.sum << '\n';
  } catch (const std::exception& e) {
    std::cerr << "instructions: " << e.what() << '\n';
    return 1;
  }
}
