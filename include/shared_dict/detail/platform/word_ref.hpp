// A word of memory that isn't an atomic object, accessed as one: std::atomic_ref, where the standard library has it (libc++ from version
// 19 on) and the compiler knows that the word is aligned. For 32-bit x86 clang doesn't, and would call a function of libatomic.
#pragma once

#include <atomic>
#include <cstdint>

#include <shared_dict/detail/platform/compiler.hpp>

namespace shared_dict::detail {

#if defined(__cpp_lib_atomic_ref) && !(defined(__clang__) && defined(__i386__))
using WordRef = std::atomic_ref<std::uint64_t>;
#else
class WordRef {
 public:
  SHARED_DICT_HOT explicit WordRef(std::uint64_t& word) noexcept : word_(reinterpret_cast<Aligned*>(&word)) {}
  SHARED_DICT_HOT std::uint64_t load(std::memory_order order) const noexcept {
    return __atomic_load_n(word_, static_cast<int>(order));
  }
  SHARED_DICT_HOT void store(std::uint64_t value, std::memory_order order) const noexcept {
    __atomic_store_n(word_, value, static_cast<int>(order));
  }

 private:
  using Aligned [[gnu::aligned(8)]] = std::uint64_t;

  Aligned* word_;
};
#endif

}  // namespace shared_dict::detail
