// How an object of a type is stored, decided at compile time; and for a type that can't be stored, which part of it is why.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "shared_dict/detail/mechanisms/cereal_types.hpp"
#include "shared_dict/detail/mechanisms/memory_archive.hpp"
#include "shared_dict/detail/mechanisms/standard_types.hpp"

namespace shared_dict::detail {

enum class Role { value, key };

enum class Storage {
  object,      // the bytes of a trivially copyable object
  string,      // the characters of a std::basic_string
  vector,      // the elements of a std::vector
  archive,     // through cereal
  impossible,  // Fault says why
};

enum class Fault {
  none,
  not_an_object,  // a reference, void, a function, an array, or const or volatile
  incomplete,     // declared only
  immovable,      // its bytes say what it is, but it can't be copied or moved: they mean something in their place only
  address,        // refers to memory of this process
  unordered,      // a key whose elements come in no fixed order: equal keys would differ
  ambiguous,      // a key that is trivially copyable: equal objects may have different bytes
  unknown,        // cereal doesn't know it
};

template <Fault fault_, class Part_>
struct Verdict {
  static constexpr Fault fault = fault_;
  using Part = Part_;  // the part of the type that the fault is in
};

// Types whose bytes are addresses.
template <class T>
inline constexpr bool kIsAddress = std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_reference_v<T> ||
                                   std::is_function_v<T> || std::is_null_pointer_v<T>;
template <class C, class Traits>
inline constexpr bool kIsAddress<std::basic_string_view<C, Traits>> = true;
template <class T, std::size_t N>
inline constexpr bool kIsAddress<std::span<T, N>> = true;
template <class T>
inline constexpr bool kIsAddress<std::reference_wrapper<T>> = true;
template <class T>
inline constexpr bool kIsAddress<std::initializer_list<T>> = true;

// The first of some verdicts that is a fault.
template <class... Vs>
struct FirstFault {
  using type = Verdict<Fault::none, void>;
};
template <class V, class... Vs>
struct FirstFault<V, Vs...> {
  using type = typename std::conditional_t<V::fault != Fault::none, std::type_identity<V>, FirstFault<Vs...>>::type;
};

// Looks for addresses in T and in what the standard types that it is made of hold. The members of a class can't be seen.
template <class T>
struct FindAddress;

template <class... Ts>
auto find_address_in(TypeList<Ts...>) -> typename FirstFault<typename FindAddress<std::remove_cv_t<Ts>>::type...>::type;

template <class T>
constexpr auto find_address() {
  if constexpr (kIsAddress<T>) {
    return std::type_identity<Verdict<Fault::address, T>>{};
  } else if constexpr (StandardType<T>::known) {
    return std::type_identity<decltype(find_address_in(typename StandardType<T>::Elements{}))>{};
  } else {
    return std::type_identity<Verdict<Fault::none, void>>{};
  }
}

template <class T>
struct FindAddress : decltype(find_address<T>()) {};
template <class T, std::size_t N>
struct FindAddress<std::array<T, N>> : FindAddress<std::remove_cv_t<T>> {};
template <class T, std::size_t N>
struct FindAddress<T[N]> : FindAddress<std::remove_cv_t<T>> {};

// Whether cereal can store T and everything in it. cereal itself answers yes for each container and fails on its elements.
template <class T, Role role>
struct AskCereal;

template <Role role, class... Ts>
auto ask_cereal_about(TypeList<Ts...>) ->
    typename FirstFault<typename AskCereal<std::remove_cv_t<Ts>, role>::type...>::type;

template <class T>
inline constexpr bool kCerealKnows = cereal::traits::is_output_serializable<T, OutputArchive>::value &&
                                     (cereal::traits::is_input_serializable<T, InputArchive>::value ||
                                      cereal::traits::has_load_and_construct<T, InputArchive>::value);

template <class T, Role role>
constexpr auto ask_cereal() {
  if constexpr (StandardType<T>::known) {
    if constexpr (role == Role::key && !StandardType<T>::ordered) {
      return std::type_identity<Verdict<Fault::unordered, T>>{};
    } else {
      return std::type_identity<decltype(ask_cereal_about<role>(typename StandardType<T>::Elements{}))>{};
    }
  } else if constexpr (std::is_empty_v<T> || kCerealKnows<T>) {
    return std::type_identity<Verdict<Fault::none, void>>{};
  } else if constexpr (role == Role::key && std::is_trivially_copyable_v<T>) {
    return std::type_identity<Verdict<Fault::ambiguous, T>>{};
  } else {
    return std::type_identity<Verdict<Fault::unknown, T>>{};
  }
}

// What a pointer to a polymorphic class points to is registered with cereal at run time.
template <class T>
concept PolymorphicPointer =
    StandardType<T>::known && StandardType<T>::pointer && std::is_polymorphic_v<typename T::element_type>;

template <class T, Role role>
struct AskCereal : decltype(ask_cereal<T, role>()) {};
template <PolymorphicPointer T, Role role>
struct AskCereal<T, role> : std::type_identity<Verdict<Fault::none, void>> {};
template <class T, std::size_t N, Role role>
struct AskCereal<std::array<T, N>, role> : AskCereal<std::remove_cv_t<T>, role> {};
template <class T, std::size_t N, Role role>
struct AskCereal<T[N], role> : AskCereal<std::remove_cv_t<T>, role> {};
// What a std::unique_ptr<T[]> owns has no length.
template <class T, Role role>
struct AskCereal<T[], role> : std::type_identity<Verdict<Fault::unknown, T[]>> {};

// Whether objects of this type are equal exactly when their bytes are; for a value it doesn't matter.
template <class T, Role role>
inline constexpr bool kPlain = std::is_trivially_copyable_v<T> &&
                               (role == Role::value || std::has_unique_object_representations_v<T>);

template <class T, Role role>
inline constexpr Storage kPlainStorage = kPlain<T, role> ? Storage::object : Storage::archive;
template <class C, class Traits, class A, Role role>
inline constexpr Storage kPlainStorage<std::basic_string<C, Traits, A>, role> =
    kPlain<C, role> ? Storage::string : Storage::archive;
template <class T, class A, Role role>
inline constexpr Storage kPlainStorage<std::vector<T, A>, role> = kPlain<T, role> ? Storage::vector : Storage::archive;
template <class A, Role role>
inline constexpr Storage kPlainStorage<std::vector<bool, A>, role> = Storage::archive;

template <class T, Role role>
constexpr auto judge() {
  if constexpr (!std::is_object_v<T> || std::is_array_v<T> || !std::is_same_v<T, std::remove_cv_t<T>>) {
    return Verdict<Fault::not_an_object, T>{};
  } else if constexpr (!requires { sizeof(T); }) {
    return Verdict<Fault::incomplete, T>{};
  } else if constexpr (FindAddress<T>::type::fault != Fault::none) {
    return typename FindAddress<T>::type{};
  } else if constexpr (kPlainStorage<T, role> == Storage::archive) {
    return typename AskCereal<T, role>::type{};
  } else if constexpr (!std::is_move_constructible_v<T>) {  // nor copied, then
    return Verdict<Fault::immovable, T>{};
  } else {
    return Verdict<Fault::none, void>{};
  }
}

template <class T, Role role>
using VerdictOf = decltype(judge<T, role>());

template <class T, Role role>
constexpr Storage storage_of() {
  if constexpr (VerdictOf<T, role>::fault != Fault::none) {
    return Storage::impossible;
  } else {
    return kPlainStorage<T, role>;
  }
}

}  // namespace shared_dict::detail
