// The types that a dictionary was created for, or is opened as.
#pragma once

#include <cstdint>
#include <string>

#include <shared_dict/detail/bytes/geometry.hpp>
#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/bytes/layout.hpp>

namespace shared_dict::detail {

// What a dictionary is opened as.
struct StoredTypes {
  std::string key_name;
  std::string value_name;
  TypeShape shape;
  std::uint64_t known_fingerprint = 0;  // of names that are only known in part

  std::uint64_t fingerprint() const {
    if (known_fingerprint != 0) return known_fingerprint;
    const std::string all = key_name + "\n" + value_name + "\n" + std::to_string(shape.key_fixed_bytes) + " " +
                            std::to_string(shape.value_fixed_bytes) + " " + std::to_string(shape.value_alignment);
    return hash_bytes(all.data(), all.size(), 0);
  }
};

inline StoredTypes types_of(const Identity& identity) {
  return {std::string(identity.key_name, identity.key_name_bytes),
          std::string(identity.value_name, identity.value_name_bytes),
          {identity.key_fixed_bytes, identity.value_fixed_bytes, identity.value_alignment},
          identity.type_fingerprint};
}

inline std::string to_text(const StoredTypes& types) {
  const auto size = [](std::uint64_t bytes) { return bytes == 0 ? std::string("any size") : std::to_string(bytes) + " bytes"; };
  return "SharedDict<" + types.key_name + ", " + types.value_name + "> (keys: " + size(types.shape.key_fixed_bytes) +
         ", values: " + size(types.shape.value_fixed_bytes) + ", aligned to " + std::to_string(types.shape.value_alignment) + ")";
}

}  // namespace shared_dict::detail
