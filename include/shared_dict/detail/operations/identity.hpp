// What a new dictionary is: its identity, as options and types make it. It never changes afterwards.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>

#include <shared_dict/detail/bytes/geometry.hpp>
#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/operations/stored_types.hpp>
#include <shared_dict/detail/platform/random.hpp>
#include <shared_dict/options.hpp>

namespace shared_dict::detail {

inline void require_valid(const Options& options, const std::string& name) {
  const auto refuse = [&](const char* text) { fail(errc::invalid_option, name, text); };
  if (options.heap_size == 0) refuse("Options::heap_size must not be 0");
  if (std::uint64_t{options.heap_size} > kMaxHeapSize) refuse("Options::heap_size is larger than 16 TiB");
  if (options.max_processes == 0 || options.max_processes > kMaxProcesses) refuse("Options::max_processes must be 1 to 1000");
  if (options.permissions > 0777) refuse("Options::permissions has bits outside 0777");
  if ((options.permissions & 0600) != 0600) refuse("Options::permissions must let the owner read and write");
  if (options.lock_timeout < std::chrono::milliseconds(0)) refuse("Options::lock_timeout is negative");
  if (options.lifetime != Lifetime::attached && options.lifetime != Lifetime::persistent) {
    refuse("Options::lifetime is none of its values");
  }
}

// With an instance and a hash seed of its own.
inline Identity identity_for(const Options& options, const StoredTypes& types, const std::string& name) {
  Identity identity{};
  std::uint64_t drawn[2];
  if (const std::error_code error = draw(drawn, sizeof drawn)) {
    fail(error, name, "the system has no random numbers to give: let this process call getrandom, or read /dev/urandom");
  }
  identity.instance = drawn[0];
  identity.hash_seed = drawn[1];
  identity.heap_size = options.heap_size;
  identity.max_items = options.max_items;
  identity.max_processes = options.max_processes;
  identity.lifetime = options.lifetime == Lifetime::persistent ? 1 : 0;
  identity.permissions = options.permissions;
  identity.key_fixed_bytes = types.shape.key_fixed_bytes;
  identity.value_fixed_bytes = types.shape.value_fixed_bytes;
  identity.value_alignment = types.shape.value_alignment;
  identity.type_fingerprint = types.fingerprint();
  const auto store_name = [](const std::string& type, char* to, std::uint32_t& bytes) {
    bytes = static_cast<std::uint32_t>(std::min<std::size_t>(type.size(), kTypeNameBytes));
    std::memcpy(to, type.data(), bytes);
  };
  store_name(types.key_name, identity.key_name, identity.key_name_bytes);
  store_name(types.value_name, identity.value_name, identity.value_name_bytes);
  plan(identity, types.shape);
  return identity;
}

}  // namespace shared_dict::detail
