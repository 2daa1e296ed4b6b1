// How keys and values become bytes, and bytes become keys and values again.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "shared_dict/detail/mechanisms/decode_error.hpp"
#include "shared_dict/detail/mechanisms/memory_archive.hpp"  // cereal, too, as it must be told before it is included
// IWYU pragma: no_include <cereal/details/helpers.hpp>
#include "shared_dict/detail/mechanisms/storage.hpp"
#include "shared_dict/detail/mechanisms/type_name.hpp"

namespace shared_dict {

namespace detail {

template <class T>
inline constexpr bool kNever = false;

// One error for a type that can't be stored, and nothing that fails after it. Part, which the compiler names along with this
// template, is where the fault is: T itself, or a type that T holds.
template <class T, Fault fault, class Part>
struct CannotBeStored {
  static_assert(
      fault != Fault::not_an_object || kNever<T>,
      "shared_dict: T can't be stored: it has to be an object type without const or volatile. Store an array as "
      "std::array or std::vector, and what a reference refers to as a copy.");
  static_assert(fault != Fault::incomplete || kNever<T>,
                "shared_dict: T can't be stored: it is only declared here. Include or write its definition first.");
  static_assert(
      fault != Fault::immovable || kNever<T>,
      "shared_dict: T can't be stored: it can be neither copied nor moved (a std::mutex, a std::atomic, or something "
      "that holds one), so its bytes mean nothing elsewhere. Store what it holds: fetch_add, modify and compare_exchange are atomic.");
  static_assert(
      fault != Fault::address || kNever<T>,
      "shared_dict: T can't be stored: it is or holds an address (a pointer, a reference, a std::string_view, a "
      "std::span), which means nothing in another process. Store what it refers to: a std::string, a std::vector, "
      "a std::unique_ptr.");
  static_assert(
      fault != Fault::unordered || kNever<T>,
      "shared_dict: T can't be a key: it is or holds an unordered container, and equal ones come in different "
      "orders. Use std::set, std::map or a sorted std::vector, or specialise shared_dict::codec<T>.");
  static_assert(
      fault != Fault::ambiguous || kNever<T>,
      "shared_dict: T can't be a key: it is or holds a trivially copyable type whose equal objects may have "
      "different bytes, because of padding or floating point members. Remove the padding, or give that type a "
      "cereal serialize(Archive&) member or function, or specialise shared_dict::codec<T>.");
  static_assert(
      fault != Fault::unknown || kNever<T>,
      "shared_dict: T can't be stored. Give it (or the type in it that lacks one) a cereal serialize(Archive&) "
      "member or function, or specialise shared_dict::codec<T>. For example:  template <class Archive> void "
      "serialize(Archive& archive) { archive(first_member, second_member); }");
};

// The codec of such a type. Whoever uses it has the error compiled.
template <class T, Fault fault, class Part>
struct NoCodec {
  using Why = CannotBeStored<T, fault, Part>;
  static constexpr bool plain = false;
  static constexpr std::size_t fixed_size = 0;
  static constexpr std::size_t alignment = 1;
  static std::string type_name() { return {}; }
  static void encode(const auto&, std::vector<std::byte>&) {}
  static void decode(std::span<const std::byte>, auto&) {}
};

// The names of a class and of its elements, as far as these are stored as plain bytes, end in their size.
template <class T>
std::string plain_type_name() {
  std::string name = detail::type_name<T>();
  if constexpr (std::is_class_v<T> || std::is_union_v<T>) name += "(size " + std::to_string(sizeof(T)) + ")";
  return name;
}

template <class T>
struct ObjectCodec {
  static constexpr bool plain = true;
  static constexpr std::size_t fixed_size = sizeof(T);
  static constexpr std::size_t alignment = alignof(T);
  static std::string type_name() { return plain_type_name<T>(); }
  static std::span<const std::byte> bytes(const T& object) noexcept {
    return std::as_bytes(std::span<const T, 1>(std::addressof(object), 1));
  }
};

// Of a std::basic_string or a std::vector.
template <class Sequence>
struct SequenceCodec {
  using Element = typename Sequence::value_type;

  static constexpr bool plain = true;
  static constexpr std::size_t fixed_size = 0;
  static constexpr std::size_t alignment = alignof(Element);

  static std::span<const std::byte> bytes(const Sequence& sequence) noexcept {
    return std::as_bytes(std::span<const Element>(sequence.data(), sequence.size()));
  }

  static std::byte* prepare(Sequence& out, std::size_t n) {
    if (n % sizeof(Element) != 0) {
      throw DecodeError(std::to_string(n) + " bytes are no whole number of elements of " +
                        std::to_string(sizeof(Element)));
    }
    const std::size_t count = n / sizeof(Element);
    if constexpr (std::is_default_constructible_v<Element>) {
      if (out.size() != count) [[unlikely]] out.resize(count);
    } else {
      const auto blank = std::bit_cast<Element>(std::array<std::byte, sizeof(Element)>{});
      out.clear();
      out.reserve(count);
      while (out.size() < count) out.push_back(blank);
    }
    return reinterpret_cast<std::byte*>(out.data());
  }
};

template <class T>
struct StringCodec : SequenceCodec<T> {
  static std::string type_name() { return detail::type_name<T>(); }
};

template <class T>
struct VectorCodec : SequenceCodec<T> {
  static std::string type_name() { return "vector<" + plain_type_name<typename T::value_type>() + ">"; }
};

template <class T>
struct ArchiveCodec {
  static constexpr bool plain = false;
  static constexpr std::size_t fixed_size = 0;
  static constexpr std::size_t alignment = 1;
  static std::string type_name() { return detail::type_name<T>(); }

  static void encode(const T& object, std::vector<std::byte>& out) {
    OutputArchive archive(out);
    archive(object);
    archive.finish();
  }

  static void decode(std::span<const std::byte> from, T& out) {
    try {
      InputArchive archive(from);
      archive(out);
      archive.finish();
    } catch (const cereal::Exception& error) {
      throw DecodeError(error.what());
    }
  }
};

template <class T, Role role>
constexpr auto choose_codec() {
  constexpr Storage storage = storage_of<T, role>();
  if constexpr (storage == Storage::object) {
    return std::type_identity<ObjectCodec<T>>{};
  } else if constexpr (storage == Storage::string) {
    return std::type_identity<StringCodec<T>>{};
  } else if constexpr (storage == Storage::vector) {
    return std::type_identity<VectorCodec<T>>{};
  } else if constexpr (storage == Storage::archive) {
    return std::type_identity<ArchiveCodec<T>>{};
  } else {
    using Verdict = VerdictOf<T, role>;
    return std::type_identity<NoCodec<T, Verdict::fault, typename Verdict::Part>>{};
  }
}

template <class T, Role role>
using ChosenCodec = typename decltype(choose_codec<T, role>())::type;

// Tells the primary template of codec from a user's specialisation, also from one that derives from another type's codec.
template <class T>
struct DefaultCodecOf {};

}  // namespace detail

/// How a T is stored. Chosen for T in this order:
///
/// 1. a specialisation that the user has written;
/// 2. a trivially copyable T: its own bytes (also if it has a cereal `serialize`). Pointers, references, `std::string_view`,
///    `std::span` and `std::reference_wrapper` are refused, also inside standard containers; inside the user's own classes they
///    can't be seen and are the user's to avoid;
/// 3. `std::basic_string`, and `std::vector` of a trivially copyable type other than bool: the elements' own bytes;
/// 4. everything that cereal can save and load, nested standard containers included;
/// 5. otherwise a compile error that says what to write.
///
/// Plain bytes (2 and 3) aren't examined when they are read. What cereal reads is: bytes that can't be a T are refused.
/// Objects may own each other through containers and smart pointers some 2000 deep; deeper ones are refused when they are
/// encoded, with std::length_error.
///
/// **Keys** are equal when their encoded bytes are. So a key that is trivially copyable but has padding or floating point
/// members goes through cereal, and unordered containers are refused as keys. `0.0` and `-0.0` are different keys, and a NaN is
/// equal to one with the same bits.
///
/// **To specialise it** write `encode` and `decode`, and `type_name` if the qualified name of T isn't to be what other
/// programs are checked against. The other members get defaults. The specialisation counts for T as a key or a value; for a T
/// inside a container it is cereal that decides.
///
/// ```cpp
/// template <> struct shared_dict::codec<Money> {
///   static void encode(const Money& money, std::vector<std::byte>& out);      // appends
///   static void decode(std::span<const std::byte> from, Money& out);          // throws what it likes for damaged bytes
///   static std::string type_name() { return "money v2"; }                     // optional
/// };
/// ```
///
/// Members (those of the primary template; static):
///
/// - `bool plain`: the stored bytes are the object's own bytes.
/// - `std::size_t fixed_size`: how many bytes, if each T takes the same number; 0 if it varies.
/// - `std::size_t alignment`: at which the bytes have to lie to be used in place; 1 if not plain.
/// - `std::string type_name()`: canonical, the same for all compilers; what is compared when a process attaches.
///   A class that is stored as plain bytes has its size in it. Classes are known by name: changing what `serialize` does
///   under the same name isn't noticed, unless the class is versioned (CEREAL_CLASS_VERSION) and handles it.
/// - `std::span<const std::byte> bytes(const T&) noexcept`: the object's bytes, as long as it lives. Only if plain.
/// - `std::byte* prepare(T& out, std::size_t n)`: makes `out` n bytes long, reusing its memory, and returns where they go.
///   Only if plain and of varying size. Throws detail::DecodeError if n bytes are no whole number of elements.
/// - `void encode(const T&, std::vector<std::byte>& out)`: appends. Not if plain. Linear. What `serialize` throws passes
///   through; `out` then ends in bytes of no meaning.
/// - `void decode(std::span<const std::byte> from, T& out)`: Not if plain. Ignores what follows the T. Linear, also for
///   damaged bytes; throws detail::DecodeError for bytes that can't be a T, and `out` is then valid but unspecified. What
///   `serialize` throws passes through, except cereal::Exception, which counts as damaged bytes.
///
/// Nothing here makes a system call or touches shared memory. Safe from any thread on different objects. For versioned and
/// polymorphic classes this needs cereal's global tables to be locked: define `CEREAL_THREAD_SAFE=1` for the whole program, or
/// include SharedDict before cereal in every file.
template <class T, class = void>
struct codec : detail::ChosenCodec<T, detail::Role::value>, detail::DefaultCodecOf<T> {};

namespace detail {

template <class T>
inline constexpr bool kHasUserCodec = !std::is_base_of_v<DefaultCodecOf<T>, codec<T>>;

// Nothing, or the error that says why there is no such codec.
template <class Codec>
struct Explained {};
template <class Codec>
requires requires { typename Codec::Why; }
struct Explained<Codec> : Codec::Why {};

// Codec's members, with defaults for those that it lacks.
template <class T, class Codec>
struct CompletedCodec : Explained<Codec> {
  static constexpr bool plain = [] {
    if constexpr (requires { Codec::plain; }) return Codec::plain;
    return false;
  }();
  static constexpr std::size_t fixed_size = [] {
    if constexpr (requires { Codec::fixed_size; }) return std::size_t{Codec::fixed_size};
    return std::size_t{0};
  }();
  static constexpr std::size_t alignment = [] {
    if constexpr (requires { Codec::alignment; }) return std::size_t{Codec::alignment};
    return std::size_t{1};
  }();

  static std::string type_name() {
    if constexpr (requires { Codec::type_name(); }) {
      return std::string(Codec::type_name());
    } else {
      return detail::type_name<T>();
    }
  }

  static std::span<const std::byte> bytes(const T& object) noexcept requires plain { return Codec::bytes(object); }
  static std::byte* prepare(T& out, std::size_t n) requires(plain&& fixed_size == 0) { return Codec::prepare(out, n); }
  static void encode(const T& object, std::vector<std::byte>& out) requires(!plain) { Codec::encode(object, out); }
  static void decode(std::span<const std::byte> from, T& out) requires(!plain) { Codec::decode(from, out); }
};

template <class K>
constexpr auto choose_key_codec() {
  // What can't be stored at all has its error from codec<K>, and shall have no second one.
  if constexpr (kHasUserCodec<K> || VerdictOf<K, Role::value>::fault != Fault::none) {
    return std::type_identity<codec<K>>{};
  } else {
    return std::type_identity<ChosenCodec<K, Role::key>>{};
  }
}

/// What the dictionary stores values with: all members of codec<T>, whoever wrote it.
template <class T>
struct codec_traits : CompletedCodec<T, codec<T>> {};

/// What the dictionary stores keys with: as codec_traits, but equal keys have equal bytes.
template <class K>
struct key_codec_traits : CompletedCodec<K, typename decltype(choose_key_codec<K>())::type> {};

// The errors for a dictionary of types that can't be stored; empty for others.
template <class K, class V>
struct WhyNoDictionary {
  static_assert(sizeof(Explained<typename decltype(choose_key_codec<K>())::type>) != 0 &&
                sizeof(Explained<codec<V>>) != 0);
};

template <class T>
concept DeclaredOnly = std::is_class_v<T> && !requires {
  sizeof(T);
};

// A class that is only declared where a dictionary is somebody's member is judged where the member is used.
template <class K, class V>
inline constexpr bool kCanBeStored = [] {
  if constexpr (DeclaredOnly<K> || DeclaredOnly<V>) return true;
  // clang-format off: it takes these for something else
  else return !requires { typename decltype(choose_key_codec<K>())::type::Why; } && !requires { typename codec<V>::Why; };
  // clang-format on
}();
template <class T, class Traits>
inline constexpr bool kCanBeRead = [] {
  if constexpr (DeclaredOnly<T>) return true;
  else return (Traits::plain && Traits::fixed_size != 0) || std::is_default_constructible_v<T>;
}();

}  // namespace detail
}  // namespace shared_dict
