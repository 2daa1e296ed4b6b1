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
  return "SharedDict<" + types.key_name + ", " + types.value_name + "> (key bytes " + std::to_string(types.shape.key_fixed_bytes) +
         ", value bytes " + std::to_string(types.shape.value_fixed_bytes) + ", alignment " +
         std::to_string(types.shape.value_alignment) + "; 0 bytes: any number)";
}

}  // namespace shared_dict::detail
