// The key and value types that tests store.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <cereal/types/map.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>

namespace shared_dict::test {

/// Plain bytes without padding: good as key and as value.
struct Point {
  std::int32_t x = 0;
  std::int32_t y = 0;

  friend bool operator==(const Point&, const Point&) = default;
  friend auto operator<=>(const Point&, const Point&) = default;
};

/// Plain bytes with padding between and behind the members.
struct Padded {
  std::int8_t tag = 0;
  double weight = 0;
  std::int16_t count = 0;

  friend bool operator==(const Padded&, const Padded&) = default;
};

enum class Colour : std::uint8_t { red, green, blue };
enum Weekday { kMonday, kTuesday };

/// Goes through cereal.
struct Person {
  std::string name;
  int age = 0;
  std::vector<std::string> nicknames;
  std::map<std::string, std::vector<double>> scores;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(name, age, nicknames, scores);
  }

  friend bool operator==(const Person&, const Person&) = default;
};

/// Goes through cereal by a pair of save and load, with a member that is not stored.
struct Cached {
  std::string stored;
  std::size_t not_stored = 0;

  template <class Archive>
  void save(Archive& archive) const {
    archive(stored);
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(stored);
    not_stored = stored.size();
  }
};

/// Throws from its serialize when told to.
struct Fragile {
  static inline bool save_throws = false;
  static inline bool load_throws = false;

  std::string text;

  template <class Archive>
  void save(Archive& archive) const {
    archive(text);
    if (save_throws) throw std::runtime_error("save throws");
  }
  template <class Archive>
  void load(Archive& archive) {
    archive(text);
    if (load_throws) throw std::runtime_error("load throws");
  }

  friend bool operator==(const Fragile&, const Fragile&) = default;
};

}  // namespace shared_dict::test
