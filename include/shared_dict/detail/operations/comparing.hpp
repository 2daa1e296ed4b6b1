// Whether two values are equal, for compare_exchange: those of any type that can be stored.
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/standard_types.hpp>
#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict::detail {

template <class... Ts>
constexpr bool are_compared(TypeList<Ts...>);

template <class T>
inline constexpr bool kIsArray = false;
template <class T, std::size_t N>
inline constexpr bool kIsArray<std::array<T, N>> = true;

// Whether objects are compared with `==` (not by their bytes): it has to compile, which some containers' promises and doesn't, and to look at what is stored, which
// that of pointers doesn't.
template <class T>
constexpr bool is_compared() {
  using Type = std::remove_cv_t<T>;
  if constexpr (StandardType<Type>::known) {
    return !StandardType<Type>::pointer && are_compared(typename StandardType<Type>::Elements());
  } else if constexpr (kIsArray<Type>) {
    return is_compared<typename Type::value_type>();
  } else {
    return requires(const Type& object) { { object == object } -> std::convertible_to<bool>; };
  }
}
template <class... Ts>
constexpr bool are_compared(TypeList<Ts...>) {
  return (is_compared<Ts>() && ...);
}

// What lies between members has no value, and compilers needn't copy it: the same object can have other bytes there each time.
#if defined(__has_builtin)
#if __has_builtin(__builtin_clear_padding)
#define SHARED_DICT_CLEAR_PADDING(object) __builtin_clear_padding(object)
#endif
#elif defined(_MSC_VER)
#define SHARED_DICT_CLEAR_PADDING(object) __builtin_zero_non_value_bits(object)
#endif

#ifdef SHARED_DICT_CLEAR_PADDING

// Of trivially copyable objects.
template <class T>
bool same_members(const T& a, const T& b) noexcept {
  alignas(T) std::array<std::byte, sizeof(T)> bytes[2];
  std::memcpy(bytes[0].data(), &a, sizeof(T));
  std::memcpy(bytes[1].data(), &b, sizeof(T));
  for (auto& object : bytes) SHARED_DICT_CLEAR_PADDING(reinterpret_cast<T*>(object.data()));
  return bytes[0] == bytes[1];
}
#undef SHARED_DICT_CLEAR_PADDING

#else

// A compiler without such a function still doesn't take a byte between members for a constant. Where it can't look into a type when it compiles
// (bit fields, unions), all bytes are taken for members', and so they are where a constructor could leave a member without a value.
template <class T, std::size_t... at>
concept ConstantBytes = requires {
  typename std::bool_constant<((std::bit_cast<std::array<std::byte, sizeof(T)>>(T{})[at] == std::byte{}) || ... || true)>;
};
template <class T>
concept ConstantObject = requires { typename std::bool_constant<(static_cast<void>(std::bit_cast<std::array<std::byte, sizeof(T)>>(T{})), true)>; };

template <class T>
bool same_members(const T& a, const T& b) noexcept {
  std::array<std::byte, sizeof(T)> bytes[2];
  std::memcpy(bytes[0].data(), &a, sizeof(T));
  std::memcpy(bytes[1].data(), &b, sizeof(T));
  constexpr std::size_t kLookedInto = 512;
  if constexpr (std::is_trivially_default_constructible_v<T> && ConstantObject<T> && sizeof(T) <= kLookedInto) {
    return [&]<std::size_t... at>(std::index_sequence<at...>) {
      return ((!ConstantBytes<T, at> || bytes[0][at] == bytes[1][at]) && ...);
    }(std::make_index_sequence<sizeof(T)>());
  } else {
    return bytes[0] == bytes[1];
  }
}

#endif

// Whether objects are equal: with `==` where they have one that looks at what is stored, otherwise by what they are made of.
template <class T>
bool same_object(const T& a, const T& b) {
  if constexpr (std::is_floating_point_v<T>) {
    return a == b || (a != a && b != b);
  } else if constexpr (is_compared<T>()) {
    return a == b;
  } else if constexpr (!StandardType<T>::known && !kIsArray<T>) {
    return same_members(a, b);
  } else if constexpr (requires { a.has_value(); }) {  // std::optional
    return a.has_value() == b.has_value() && (!a.has_value() || same_object(*a, *b));
  } else if constexpr (requires { a.valueless_by_exception(); }) {  // std::variant
    return a.index() == b.index() && visit(
                                         []<class A, class B>(const A& one, const B& other) {
                                           if constexpr (std::is_same_v<A, B>) return same_object(one, other);
                                           return false;
                                         },
                                         a, b);
  } else {  // std::array, std::vector
    static_assert(requires { a.size(); });
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!same_object(a[i], b[i])) return false;
    }
    return true;
  }
}

// Whether the stored value is `expected`, whose bytes are given.
template <class V>
bool same_value(Bytes stored, Bytes expected_bytes, const V& expected, const std::string& name) {
  using Traits = codec_traits<V>;
  constexpr bool kBytesDecide = Traits::plain && std::has_unique_object_representations_v<V>;
  if constexpr (!kBytesDecide && (is_compared<V>() || (Traits::plain && !kHasUserCodec<V>))) {
    return same_object(decode_value<V>(stored, name), expected);
  } else {
    return same_bytes(stored, expected_bytes);
  }
}

}  // namespace shared_dict::detail
