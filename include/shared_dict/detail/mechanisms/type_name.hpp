// Canonical names of types: the same from every compiler, wherever the stored representation is the same.
//
// Arithmetic types are named by what they store: long is "int64" where it has 64 bits. Standard types are composed from the
// names of what they hold, without allocators, comparators, hashers and deleters. Enums carry their underlying type. Any other
// class has its qualified name, as the compiler spells it and normalised here; a class template with type parameters is
// composed too.
//
// What can't be normalised: whether the name of an inline namespace is part of a name (GCC says so, Clang doesn't), and values
// of an enum or character type as template arguments. Processes that share such types are to be built by the same compiler.
// A class is known by its name alone: the names of its members and what its serialize does are not in it.
#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstddef>
#include <limits>
#include <ratio>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "shared_dict/detail/mechanisms/standard_types.hpp"

namespace shared_dict::detail {

template <class T>
constexpr std::string_view compiler_signature() {
#if defined(_MSC_VER) && !defined(__clang__)
  return __FUNCSIG__;
#else
  return __PRETTY_FUNCTION__;
#endif
}

// T as this compiler spells it. What stands around it is measured with a type that all of them spell alike.
template <class T>
constexpr std::string_view compiler_type_name() {
  constexpr std::string_view known = "double";
  constexpr std::string_view probe = compiler_signature<double>();
  constexpr std::size_t before = probe.find(known);
  constexpr std::size_t after = probe.size() - before - known.size();
  static_assert(before != std::string_view::npos, "the compiler's signature names the template argument");
  std::string_view name = compiler_signature<T>();
  name.remove_prefix(before);
  name.remove_suffix(after);
  return name;
}

// The compilers' spellings brought to one.
inline std::string normalised_type_name(std::string_view spelled) {
  struct Replacement {
    std::string_view from, to;
  };
  static constexpr Replacement kReplacements[] = {
      {"{anonymous}", "(anonymous)"},
      {"(anonymous namespace)", "(anonymous)"},
      {"`anonymous namespace'", "(anonymous)"},
      {"`anonymous-namespace'", "(anonymous)"},
      // Namespaces that carry a standard library's ABI.
      {"std::__cxx11::", "std::"},
      {"std::__1::", "std::"},
      {"std::__ndk1::", "std::"},
      {"std::chrono::_V2::", "std::chrono::"},
      // MSVC says what kind of type it is.
      {"class ", ""},
      {"struct ", ""},
      {"union ", ""},
      {"enum ", ""},
      // GCC's order of the words of an integer type; the longer ones come first.
      {"__int128 unsigned", "unsigned __int128"},
      {"long long unsigned int", "unsigned long long"},
      {"long unsigned int", "unsigned long"},
      {"short unsigned int", "unsigned short"},
      {"long long int", "long long"},
      {"long int", "long"},
      {"short int", "short"},
      {", ", ","},
      {" >", ">"},
      {" &", "&"},
      {" *", "*"}};
  std::string name(spelled);
  for (const auto& [from, to] : kReplacements) {
    for (std::size_t at = name.find(from); at != std::string::npos; at = name.find(from, at)) {
      name.replace(at, from.size(), to);
    }
  }
  // Only some say of a number among the template arguments which type it has: "F<3U>" is "F<3>".
  for (std::size_t end = name.find_first_of(",>"); end != std::string::npos; end = name.find_first_of(",>", end + 1)) {
    const std::size_t digit = name.find_last_not_of("uUlL", end - 1);
    const std::size_t before = digit == std::string::npos ? digit : name.find_last_not_of("0123456789", digit);
    if (before == std::string::npos || before == digit || (name[before] != '<' && name[before] != ',' && name[before] != '-')) continue;
    name.erase(digit + 1, end - digit - 1);
    end = digit + 1;
  }
  return name;
}

// A class template with nothing but type parameters, as far as it isn't a StandardType.
template <class T>
struct TemplateArguments {
  static constexpr bool known = false;
};
template <template <class...> class C, class... Ts>
struct TemplateArguments<C<Ts...>> {
  static constexpr bool known = true;
  using List = TypeList<Ts...>;
};

// "ns::Outer<int>::Inner" of "ns::Outer<int>::Inner<char, std::vector<char> >".
constexpr std::string_view without_template_arguments(std::string_view name) {
  std::size_t open = 0;
  for (std::size_t i = name.size(); i != 0; --i) {
    if (name[i - 1] == '>') ++open;
    if (name[i - 1] == '<' && --open == 0) return name.substr(0, i - 1);
  }
  return name;
}

template <class T>
struct TypeName;

template <class... Ts>
std::string type_names(TypeList<Ts...>) {
  std::string names;
  ((names += names.empty() ? "" : ",", names += TypeName<std::remove_cv_t<Ts>>::get()), ...);
  return names;
}

template <class T>
std::string arithmetic_type_name() {
  const std::string bits = std::to_string(sizeof(T) * 8);
  if constexpr (std::is_same_v<T, bool>) {
    return "bool";
  } else if constexpr (std::is_same_v<T, char>) {
    return "char";
  } else if constexpr (std::is_same_v<T, char8_t> || std::is_same_v<T, char16_t> || std::is_same_v<T, char32_t>) {
    return "char" + bits;
  } else if constexpr (std::is_same_v<T, wchar_t>) {
    return "wchar" + bits;
  } else if constexpr (std::is_floating_point_v<T>) {
    // An 80-bit long double is stored with its padding, which is not the same everywhere.
    constexpr int digits = std::numeric_limits<T>::digits;
    if constexpr (digits == 64) return "float80(size " + std::to_string(sizeof(T)) + ")";
    // A pair of doubles stores its value otherwise than a number of 128 bits.
    if constexpr (digits == 106) return "float64x2";
    return "float" + bits;
  } else {
    return (std::is_signed_v<T> ? "int" : "uint") + bits;
  }
}

template <class T>
struct TypeName {
  static std::string get() {
    if constexpr (std::is_arithmetic_v<T>) {
      return arithmetic_type_name<T>();
    } else if constexpr (std::is_same_v<T, std::byte>) {
      return "byte";
    } else if constexpr (std::is_enum_v<T>) {
      return "enum " + normalised_type_name(compiler_type_name<T>()) + ":" + TypeName<std::underlying_type_t<T>>::get();
    } else if constexpr (StandardType<T>::known) {
      return std::string(StandardType<T>::name) + "<" + type_names(typename StandardType<T>::Elements{}) + ">";
    } else if constexpr (TemplateArguments<T>::known) {
      return normalised_type_name(without_template_arguments(compiler_type_name<T>())) + "<" +
             type_names(typename TemplateArguments<T>::List{}) + ">";
    } else {
      return normalised_type_name(compiler_type_name<T>());
    }
  }
};

template <class Char, class Traits, class Allocator>
struct TypeName<std::basic_string<Char, Traits, Allocator>> {
  static std::string get() {
    if constexpr (std::is_same_v<Char, char>) return "string";
    return "basic_string<" + TypeName<Char>::get() + ">";
  }
};

template <class T, std::size_t N>
struct TypeName<std::array<T, N>> {
  static std::string get() { return "array<" + TypeName<std::remove_cv_t<T>>::get() + "," + std::to_string(N) + ">"; }
};

template <class T, std::size_t N>
struct TypeName<T[N]> {
  static std::string get() { return TypeName<std::remove_cv_t<T>>::get() + "[" + std::to_string(N) + "]"; }
};

template <std::size_t N>
struct TypeName<std::bitset<N>> {
  static std::string get() { return "bitset<" + std::to_string(N) + ">"; }
};

template <class Rep, std::intmax_t Num, std::intmax_t Den>
struct TypeName<std::chrono::duration<Rep, std::ratio<Num, Den>>> {
  static std::string get() {
    return "duration<" + TypeName<Rep>::get() + "," + std::to_string(Num) + "/" + std::to_string(Den) + ">";
  }
};

template <class Clock, class Duration>
struct TypeName<std::chrono::time_point<Clock, Duration>> {
  static std::string get() { return "time_point<" + TypeName<Clock>::get() + "," + TypeName<Duration>::get() + ">"; }
};

/// The canonical name of T, const and volatile apart.
template <class T>
std::string type_name() {
  return TypeName<std::remove_cv_t<T>>::get();
}

}  // namespace shared_dict::detail
