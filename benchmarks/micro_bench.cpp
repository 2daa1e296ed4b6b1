// What does each single operation cost, for a string, a number and a type that goes through cereal? For looking at one
// operation while it is worked on: `micro_bench --benchmark_filter=try_get`. Built where Google Benchmark is.
//
// Each has a dictionary of its own with 10,000 items, which are asked for in a random order that is prepared.
#include <shared_dict/shared_dict.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

namespace {

constexpr std::size_t kItems = 10'000;
constexpr std::size_t kMany = 64;  // keys of one get_many, items of one update

bool failed = false;

struct Measurements {
  std::int64_t id = 0;
  std::string sensor;
  std::vector<double> values;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(id, sensor, values);
  }
  bool operator==(const Measurements&) const = default;
};

// Keys and values by index; the two versions of a value are of the same size.
struct StringTo100Bytes {
  using Key = std::string;
  using Value = std::string;
  static Key key(std::size_t i) { return "key " + std::to_string(1'000'000'000'000 + i); }
  static Value value(std::size_t i, int version) {
    Value value(100, static_cast<char>('0' + version));
    value[0] = static_cast<char>('a' + i % 26);
    return value;
  }
  static void touch(Value& value) { value.back() ^= 1; }
};
struct LongToLong {
  using Key = std::int64_t;
  using Value = std::int64_t;
  static Key key(std::size_t i) { return static_cast<Key>(static_cast<std::uint64_t>(i) * 0x9E37'79B9'7F4A'7C15U); }
  static Value value(std::size_t i, int version) { return static_cast<Value>(2 * i) + version; }
  static void touch(Value& value) { value ^= 1; }
};
struct LongToCereal {
  using Key = std::int64_t;
  using Value = Measurements;
  static Key key(std::size_t i) { return LongToLong::key(i); }
  static Value value(std::size_t i, int version) {
    return {static_cast<std::int64_t>(i), "sensor " + std::to_string(i % 10), std::vector<double>(8, version)};
  }
  static void touch(Value& value) { value.id ^= 1; }
};

template <class Kind>
class Filled {
 public:
  using Key = typename Kind::Key;
  using Value = typename Kind::Value;
  using Dict = shared_dict::SharedDict<Key, Value>;

  Filled() : dict(Dict::create("micro_bench." + std::to_string(::getpid()))) {
    std::vector<std::size_t> order(kItems);
    for (std::size_t i = 0; i < kItems; ++i) order[i] = i;
    for (const std::size_t i : order) dict.insert(Kind::key(i), Kind::value(i, 0));
    std::shuffle(order.begin(), order.end(), std::mt19937_64(1));
    for (const std::size_t i : order) {
      keys.push_back(Kind::key(i));
      missing.push_back(Kind::key(i + kItems));
      for (int version : {0, 1}) values[version].push_back(Kind::value(i, version));
    }
  }

  // The next operation's item: 0 to kItems - 1, and then the other version of the values.
  std::size_t next() {
    if (++at_ == kItems) at_ = 0, version_ = 1 - version_;
    return at_;
  }
  // Where a benchmark replaces all items in this order: what an item is replaced with, and what it is.
  const Value& other(std::size_t i) const { return values[version_][i]; }
  Value& stored(std::size_t i) { return values[1 - version_][i]; }

  // Items that are neither one of the two values nor what modify() makes of them.
  std::size_t wrong() const {
    std::size_t count = 0;
    for (std::size_t i = 0; i < kItems; ++i) {
      auto value = dict.get(keys[i]);
      const auto right = [&] { return value == values[0][i] || value == values[1][i]; };
      if (value && right()) continue;
      if (value) Kind::touch(*value);
      count += !value || !right();
    }
    return count;
  }

  Dict dict;
  std::vector<Key> keys, missing;
  std::vector<Value> values[2];

 private:
  std::size_t at_ = kItems - 1;
  int version_ = 0;
};

// op(filled, i) does one operation, or `items` of them, and says whether the result was right.
template <class Kind, class Op>
void add(const std::string& name, Op op, std::size_t items = 1) {
  benchmark::RegisterBenchmark(name.c_str(), [op, items](benchmark::State& state) {
    try {
      Filled<Kind> filled;
      Op run = op;
      std::size_t wrong = 0;
      for ([[maybe_unused]] auto _ : state) wrong += !run(filled, filled.next());
      state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(items));
      wrong += filled.wrong();
      const auto report = filled.dict.audit();
      if (wrong != 0) state.SkipWithError((std::to_string(wrong) + " wrong results").c_str());
      if (!report.ok()) state.SkipWithError(report.problems.front().c_str());
      failed = failed || wrong != 0 || !report.ok();
    } catch (const std::exception& e) {
      failed = true;
      state.SkipWithError(e.what());
    }
  });
}

template <class Kind>
std::span<const typename Kind::Key> many(const Filled<Kind>& filled, std::size_t i) {
  return std::span(filled.keys).subspan(std::min(i, kItems - kMany), kMany);
}

template <class Kind>
void add_reads(const std::string& kind) {
  using F = Filled<Kind>;
  using Value = typename Kind::Value;
  add<Kind>("try_get/" + kind, [out = Value{}](F& f, std::size_t i) mutable {
    const bool found = f.dict.try_get(f.keys[i], out);
    benchmark::DoNotOptimize(out);
    return found;
  });
  add<Kind>("get/" + kind, [](F& f, std::size_t i) { return f.dict.get(f.keys[i]).has_value(); });
  add<Kind>("contains/" + kind, [](F& f, std::size_t i) { return f.dict.contains(f.keys[i]); });
  add<Kind>("contains, missing/" + kind, [](F& f, std::size_t i) { return !f.dict.contains(f.missing[i]); });
  add<Kind>("view/" + kind, [](F& f, std::size_t i) { return !f.dict.view(f.keys[i]).bytes().empty(); });
  add<Kind>(
      "get_many of 64/" + kind,
      [](F& f, std::size_t i) {
        std::size_t found = 0;
        f.dict.get_many(many(f, i), [&](std::size_t, const Value* value) { found += value != nullptr; });
        return found == kMany;
      },
      kMany);
  add<Kind>(
      "for_each/" + kind,
      [](F& f, std::size_t) {
        std::size_t met = 0;
        f.dict.for_each([&](const auto&, const auto&) { ++met; });
        return met == kItems;
      },
      kItems);
}

template <class Kind>
void add_writes(const std::string& kind) {
  using F = Filled<Kind>;
  using Value = typename Kind::Value;
  add<Kind>("insert_or_assign/" + kind,
            [](F& f, std::size_t i) { return !f.dict.insert_or_assign(f.keys[i], f.other(i)); });
  add<Kind>("erase+insert/" + kind,
            [](F& f, std::size_t i) { return f.dict.erase(f.keys[i]) && f.dict.insert(f.keys[i], f.other(i)); });
  add<Kind>("modify/" + kind, [](F& f, std::size_t i) { return f.dict.modify(f.keys[i], Kind::touch); });
  add<Kind>("compare_exchange/" + kind,
            [](F& f, std::size_t i) { return f.dict.compare_exchange(f.keys[i], f.stored(i), f.other(i)); });
  add<Kind>(
      "update of 64/" + kind,
      [batch = std::vector<std::pair<typename Kind::Key, Value>>()](F& f, std::size_t) mutable {
        if (batch.empty()) {
          for (std::size_t n = 0; n < kMany; ++n) batch.emplace_back(f.keys[n], f.values[1][n]);
        }
        f.dict.update(batch);
        return true;
      },
      kMany);
}

template <class Kind>
void add_all(const std::string& kind) {
  add_reads<Kind>(kind);
  add_writes<Kind>(kind);
}

}  // namespace

int main(int argc, char** argv) {
  add_all<StringTo100Bytes>("string->100 bytes");
  add_all<LongToLong>("long->long");
  add_all<LongToCereal>("long->cereal type");
  add<LongToLong>("fetch_add/long->long", [](Filled<LongToLong>& f, std::size_t i) {
    return f.dict.fetch_add(f.keys[i], f.other(i) - f.stored(i)) == f.stored(i);
  });
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return failed ? 1 : 0;
}
