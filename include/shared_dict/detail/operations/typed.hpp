// Between types and stored bytes: what the dictionary's member functions share.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

namespace shared_dict::detail {

template <class K>
inline constexpr bool kIsStringKey = false;
template <class Traits, class A>
inline constexpr bool kIsStringKey<std::basic_string<char, Traits, A>> = !kHasUserCodec<std::basic_string<char, Traits, A>>;

// How a key is passed: string keys as anything that converts to std::string_view.
template <class K>
using KeyArgument = std::conditional_t<kIsStringKey<K>, std::string_view, const K&>;

// The stored bytes of an object that outlives this: its own if it is plain, otherwise encoded ones.
template <class T, class Traits>
class Encoded {
 public:
  explicit Encoded(const T& object) {
    if constexpr (Traits::plain) {
      bytes_ = Traits::bytes(object);
    } else {
      Traits::encode(object, buffer_);
      bytes_ = buffer_;
    }
  }
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;

  Bytes bytes() const noexcept { return bytes_; }

 private:
  struct Nothing {};
  [[no_unique_address]] std::conditional_t<Traits::plain, Nothing, std::vector<std::byte>> buffer_;
  Bytes bytes_;
};

template <class K>
class EncodedKey : public Encoded<K, key_codec_traits<K>> {
 public:
  using Encoded<K, key_codec_traits<K>>::Encoded;
};

template <class K>
  requires kIsStringKey<K>
class EncodedKey<K> {
 public:
  explicit EncodedKey(std::string_view key) noexcept : bytes_(std::as_bytes(std::span(key.data(), key.size()))) {}
  Bytes bytes() const noexcept { return bytes_; }

 private:
  Bytes bytes_;
};

// A key whose bytes stay as they are whatever becomes of the caller's: for those who run the caller's code meanwhile.
template <class K>
class KeptKey {
  // Other keys are encoded, which is a copy.
  static constexpr bool kCopied = kIsStringKey<K> || key_codec_traits<K>::plain;

 public:
  explicit KeptKey(KeyArgument<K> key) : key_(key), encoded_(key_) {}
  KeptKey(const KeptKey&) = delete;
  KeptKey& operator=(const KeptKey&) = delete;

  KeyArgument<K> key() const noexcept { return key_; }
  const EncodedKey<K>& encoded() const noexcept { return encoded_; }

 private:
  std::conditional_t<kIsStringKey<K>, std::string, std::conditional_t<kCopied, K, const K&>> key_;
  EncodedKey<K> encoded_;
};

// Whether a key may be part of a value that is read into.
template <class K, class V>
inline constexpr bool kMayAlias = codec_traits<V>::plain && codec_traits<V>::fixed_size == 0 && (kIsStringKey<K> || std::is_same_v<K, V>);

// Whether it is: the bytes that it is searched by would change.
template <class K, class V>
bool lies_in(KeyArgument<K> key, const V& out) noexcept {
  if constexpr (kIsStringKey<K>) {
    const auto first = reinterpret_cast<std::uintptr_t>(out.data());
    return reinterpret_cast<std::uintptr_t>(key.data()) - first < out.size() * sizeof(*out.data());
  } else {
    return std::addressof(key) == std::addressof(out);
  }
}

// The only plain type whose bytes may be none of its objects, as far as can be seen from here.
template <class T>
bool valid_object(const std::byte* bytes) noexcept {
  return !std::is_same_v<T, bool> || std::to_integer<unsigned>(*bytes) <= 1;
}

// Types are known by name and size alone, so bytes that are no object needn't be damaged.
[[noreturn]] SHARED_DICT_COLD inline void fail_undecodable(std::string_view name, const DecodeError& error) {
  fail(errc::corrupted, name,
       std::string(error.what()) + "; either a type has other members here than in the program that wrote this (build all with the same ones, and use "
                                   "another name for what they store), or the stored contents are damaged (audit() tells): nothing was changed");
}

// The object that these bytes are. The bytes don't change.
template <class T, class Traits>
T decode(Bytes bytes, const std::string& name) {
  try {
    if constexpr (Traits::plain && Traits::fixed_size != 0) {
      if (bytes.size() != sizeof(T)) throw DecodeError("a value has the wrong size");
      if (!valid_object<T>(bytes.data())) throw DecodeError("a bool is neither true nor false");
      std::array<std::byte, sizeof(T)> copy;
      std::memcpy(copy.data(), bytes.data(), sizeof(T));
      return std::bit_cast<T>(copy);
    } else {
      T object{};
      if constexpr (Traits::plain) {
        std::byte* const to = Traits::prepare(object, bytes.size());
        if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
      } else {
        Traits::decode(bytes, object);
      }
      return object;
    }
  } catch (const DecodeError& error) {
    fail_undecodable(name, error);
  }
}

template <class K>
K decode_key(Bytes bytes, const std::string& name) {
  return decode<K, key_codec_traits<K>>(bytes, name);
}
template <class V>
V decode_value(Bytes bytes, const std::string& name) {
  return decode<V, codec_traits<V>>(bytes, name);
}

// Makes room for stored bytes in `out`, and notes whether it was asked to and whether they fit. A string or vector sets new elements to
// zero: so that a long one goes through the memory only once, it is made of the shared bytes themselves, or made and filled in pieces that
// stay in the nearest cache.
template <class V>
class Room {
  using Traits = codec_traits<V>;
  // Whether what is there stays when there is to be more room: not so with a codec of its user's, or where elements can't be made of nothing.
  static constexpr bool kGrows = [] {
    if constexpr (!kHasUserCodec<V> && std::is_base_of_v<SequenceCodec<V>, codec<V>>) {
      return std::is_default_constructible_v<typename V::value_type>;
    }
    return false;
  }();
  static constexpr std::size_t kElement = [] {
    if constexpr (kGrows) return sizeof(typename V::value_type);
    return std::size_t{1};
  }();

 public:
  static constexpr std::size_t kPiece = kWord * kElement * std::max<std::size_t>(1, 512 / kElement);  // whole words, whole elements

  explicit Room(V& out) noexcept : out_(out) {}

  bool touched = false;
  bool fits = true;

  std::byte* operator()(std::size_t size) {
    touched = true;
    fits = size % Traits::alignment == 0;  // an element is no shorter than its alignment: most garbage ends here
    try {
      return fits ? Traits::prepare(out_, size) : nullptr;
    } catch (const DecodeError&) {
      fits = false;
      return nullptr;
    }
  }

  // Whether there are to be more elements than there are. If so there is memory for them afterwards, and what was in it may be gone.
  bool is_to_grow(std::size_t size) {
    if constexpr (kGrows) {
      if (size % kElement != 0 || out_.size() >= size / kElement) return false;
      if (out_.capacity() < size / kElement) {
        out_.clear();  // nothing to move
        out_.reserve(size / kElement);
      }
      return true;
    } else {
      return false;
    }
  }

  // Makes it of shared bytes, where they can be copied by a function that no compiler looks into: the library's own, as compilers call it for
  // as many bytes as this. What it copied is not believed before it is validated, like all that is read so (racing_bytes.hpp); between
  // the two hidings nothing but that copy reads the bytes, so that nothing is known of them that others could make untrue.
  bool made_of(const std::byte* shared, std::size_t size) {
    if constexpr (kGrows && kCopiesPairs && alignof(typename V::value_type) <= kWord) {
      touched = true;
      fits = true;  // whatever was found before, which was there no more
      const auto* const first = reinterpret_cast<const typename V::value_type*>(hidden(shared));
      out_.assign(first, first + size / kElement);
      static_cast<void>(hidden(shared));
      return true;
    } else {
      static_cast<void>(shared);
      static_cast<void>(size);
      return false;
    }
  }

 private:
  V& out_;
};

// Reads the value of a key into `out`, which then keeps its memory. If the key is missing `out` stays as it was, except that a
// string or vector may be left empty if the key was erased while it was copied.
// `look_up` is the look-up of the key, called with `prepare` (lookup.hpp).
template <class V, class LookUp>
bool read_value_by(const std::string& name, V& out, LookUp look_up) {
  using Traits = codec_traits<V>;
  if constexpr (Traits::plain && Traits::fixed_size == 0) {
    Room<V> room(out);
    const bool found = look_up(room);
    if (found && !room.fits) fail_corrupted(name, "a value has the wrong size");
    if (!found && room.touched) Traits::prepare(out, 0);
    return found;
  } else {
    std::vector<std::byte> bytes;
    if (!look_up([&](std::size_t size) {
          bytes.resize(size);
          return bytes.data();
        })) {
      return false;
    }
    out = decode_value<V>(bytes, name);  // a new one: what is read into may only be added to
    return true;
  }
}

template <class V>
bool read_value(const Segment& segment, const std::string& name, const KeyBytes& key, V& out) {
  return read_value_by(name, out, [&](auto&& prepare) { return lookup(segment, name, key, prepare); });
}

// For values of a fixed size: no memory is allocated and nothing constructed before the bytes are known to be good.
template <class V, class LookUp>
SHARED_DICT_HOT std::optional<V> read_fixed_by(const std::string& name, LookUp look_up) {
  std::array<std::byte, sizeof(V)> bytes;
  bool fits = true;
  const bool found = look_up([&](std::size_t size) -> std::byte* {
    fits = size == sizeof(V);
    return fits ? bytes.data() : nullptr;
  });
  if (!found) return std::nullopt;
  if (!fits) fail_corrupted(name, "a value has the wrong size");
  if (!valid_object<V>(bytes.data())) fail_corrupted(name, "a bool is neither true nor false");
  return std::bit_cast<V>(bytes);
}

template <class V>
SHARED_DICT_HOT std::optional<V> read_fixed(const Segment& segment, const std::string& name, const KeyBytes& key) {
  return read_fixed_by<V>(name, [&](auto prepare) { return lookup(segment, name, key, prepare); });
}

template <class... Ts>
constexpr bool compare_by_value(TypeList<Ts...>);

// Whether objects are compared with `==`: it has to compile, which some containers' promises and doesn't, and to look at what is stored, which
// that of pointers doesn't.
template <class T>
constexpr bool compares_by_value() {
  using Type = std::remove_cv_t<T>;
  if constexpr (StandardType<Type>::known) {
    return !StandardType<Type>::pointer && compare_by_value(typename StandardType<Type>::Elements());
  } else {
    return requires(const Type& object) { { object == object } -> std::convertible_to<bool>; };
  }
}
template <class... Ts>
constexpr bool compare_by_value(TypeList<Ts...>) {
  return (compares_by_value<Ts>() && ...);
}

// The bytes of a value that takes at most a word.
using ValueWord = std::array<std::byte, kWord>;

template <std::size_t size>
std::optional<ValueWord> read_word(const Segment& segment, const std::string& name, const KeyBytes& key) {
  ValueWord bytes{};
  bool fits = true;
  const bool found = lookup(segment, name, key, [&](std::size_t stored) -> std::byte* {
    fits = stored == size;
    return fits ? bytes.data() : nullptr;
  });
  if (!found) return std::nullopt;
  if (!fits) fail_corrupted(name, "a value has the wrong size");
  return bytes;
}

// Whether the stored value is `expected`, whose bytes are given.
template <class V>
bool same_value(Bytes stored, Bytes expected_bytes, const V& expected, const std::string& name) {
  using Traits = codec_traits<V>;
  constexpr bool kBytesDecide = Traits::plain && std::has_unique_object_representations_v<V>;
  if constexpr (std::is_floating_point_v<V>) {
    const V value = decode_value<V>(stored, name);
    return value == expected || (value != value && expected != expected);
  } else if constexpr (!kBytesDecide && compares_by_value<V>()) {
    return decode_value<V>(stored, name) == expected;
  } else {
    return stored.size() == expected_bytes.size() &&
           (stored.empty() || std::memcmp(stored.data(), expected_bytes.data(), stored.size()) == 0);
  }
}

// Whether values are replaced by one store where they are (replaced_in_place() is the same, of a segment).
template <class V>
inline constexpr bool kInPlace = codec_traits<V>::plain && codec_traits<V>::fixed_size - 1 < kWord;

// The word that stands for such a value in the segment.
template <class V>
std::uint64_t word_of(const V& value) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof value);
  return word;
}

// What integers are added as, so that it wraps around.
template <class V>
using Wrapping = std::common_type_t<std::make_unsigned_t<V>, unsigned>;

template <class V>
V wrapping_add(V a, V b) noexcept {
  if constexpr (std::is_same_v<V, bool>) {
    return a != b;
  } else if constexpr (std::is_integral_v<V>) {
    return static_cast<V>(static_cast<Wrapping<V>>(a) + static_cast<Wrapping<V>>(b));
  } else {
    return static_cast<V>(a + b);
  }
}

template <class V>
V wrapping_negate(V a) noexcept {
  if constexpr (std::is_same_v<V, bool>) {
    return a;
  } else if constexpr (std::is_integral_v<V>) {
    return static_cast<V>(0U - static_cast<Wrapping<V>>(a));
  } else {
    return -a;
  }
}

[[noreturn]] SHARED_DICT_COLD inline void fail_too_large(const Attachment& attachment, std::size_t key, std::size_t value) {
  if (key > EntrySizes::kMaxKey) {
    fail(errc::value_too_large, attachment.name(), "a key of " + std::to_string(key) + " bytes; 16777215 are the most");
  }
  fail(errc::value_too_large, attachment.name(),
       "an item of " + std::to_string(key) + " + " + std::to_string(value) + " bytes can't be stored with a heap_size of " +
           std::to_string(attachment.segment().identity().heap_size) + ": create it with a larger Options::heap_size");
}

// What could never be stored is told before anything is tried.
inline void require_storable(const Writer& writer, std::size_t key, std::size_t value) {
  const bool fits = key <= EntrySizes::kMaxKey && std::uint64_t{value} <= EntrySizes::kMaxValue &&
                    key + value <= writer.attachment.segment().identity().heap_size;
  if (!fits) fail_too_large(writer.attachment, key, value);
}

// The bytes of many items, encoded one behind the other.
template <class K, class V>
class EncodedItems {
 public:
  template <class Range>
  EncodedItems(const Writer& writer, const Range& range) : segment_(writer.attachment.segment()) {
    for (const auto& [given_key, given_value] : range) {
      // Converted, if they have to be, for as long as their bytes are needed.
      const KeyArgument<K> key = given_key;
      const V& value = given_value;
      const EncodedKey<K> key_bytes(key);
      const Encoded<V, codec_traits<V>> value_bytes(value);
      require_storable(writer, key_bytes.bytes().size(), value_bytes.bytes().size());
      sizes_.emplace_back(key_bytes.bytes().size(), value_bytes.bytes().size());
      for (const Bytes bytes : {key_bytes.bytes(), value_bytes.bytes()}) bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }
  }

  // They refer to this.
  std::vector<BatchItem> items() const {
    std::vector<BatchItem> items;
    items.reserve(sizes_.size());
    Bytes rest(bytes_);
    const auto take = [&](std::size_t size) {
      const Bytes taken = rest.first(size);
      rest = rest.subspan(size);
      return taken;
    };
    for (const auto& [key, value] : sizes_) {
      const KeyBytes hashed = hash_key(segment_, take(key));
      items.push_back({hashed, take(value)});
    }
    return items;
  }

 private:
  const Segment& segment_;
  std::vector<std::byte> bytes_;
  std::vector<std::pair<std::size_t, std::size_t>> sizes_;
};

// Reads the values of many keys, a group at a time: hash all and ask for their buckets; ask for their entries; read them.
template <class K, class V, class Keys, class F>
void read_many(const Segment& segment, const std::string& name, const Keys& keys, F f) {
  using Traits = codec_traits<V>;
  using Reference = decltype(*std::begin(keys));
  using Element = std::remove_cvref_t<Reference>;
  // What the group's keys are kept as: references to the caller's if these stay and needn't be converted, otherwise copies.
  constexpr bool kStay = std::is_lvalue_reference_v<Reference> && std::forward_iterator<decltype(std::begin(keys))> &&
                         (kIsStringKey<K> || std::is_same_v<Element, K>);
  using Copy = std::conditional_t<kIsStringKey<K>, std::decay_t<Element>, K>;
  using Kept = std::conditional_t<kStay, const Element*, Copy>;
  constexpr std::size_t kGroup = 32;
  std::array<std::optional<Kept>, kGroup> kept;
  std::array<std::optional<EncodedKey<K>>, kGroup> encoded;
  std::array<KeyBytes, kGroup> hashed;
  std::array<Approach, kGroup> approaches;
  std::uint64_t likely_bytes = 2 * kCacheLine;
  [[maybe_unused]] std::conditional_t<Traits::plain && Traits::fixed_size != 0, int, V> value{};

  std::size_t index = 0;
  auto at = std::begin(keys);
  const auto end = std::end(keys);
  while (at != end) {
    std::size_t count = 0;
    for (; count < kGroup && at != end; ++count, ++at) {
      if constexpr (kStay) {
        encoded[count].emplace(*kept[count].emplace(std::addressof(*at)));
      } else {
        encoded[count].emplace(kept[count].emplace(*at));
      }
      hashed[count] = hash_key(segment, encoded[count]->bytes());
      approach_bucket(segment, hashed[count], approaches[count]);
      prefetch(approaches[count].bucket);
    }
    for (std::size_t i = 0; i < count; ++i) {
      approach_entry(hashed[i], approaches[i]);
      prefetch_entry(segment, approaches[i].candidate.word, likely_bytes);
    }
    for (std::size_t i = 0; i < count; ++i, ++index) {
      const auto look_up = [&](auto&& prepare) {
        return visit_approached(segment, name, hashed[i], approaches[i], copy_to(segment, prepare));
      };
      if constexpr (Traits::plain && Traits::fixed_size != 0) {
        const std::optional<V> found = read_fixed_by<V>(name, look_up);
        std::invoke(f, index, found ? std::addressof(*found) : nullptr);
      } else {
        const bool found = read_value_by(name, value, [&](auto&& prepare) {
          return look_up([&](std::size_t size) {
            likely_bytes = entry_bytes(segment, EntrySizes(hashed[i].bytes.size(), size));
            return prepare(size);
          });
        });
        std::invoke(f, index, found ? std::addressof(std::as_const(value)) : nullptr);
      }
    }
  }
}

template <class K, class V>
StoredTypes stored_types() {
  using Key = key_codec_traits<K>;
  using Value = codec_traits<V>;
  static_assert((Key::plain && Key::fixed_size != 0) || std::is_default_constructible_v<K>,
                "shared_dict: K can't be read back: give it a public constructor without arguments, into whose objects its codec can read");
  static_assert((Value::plain && Value::fixed_size != 0) || std::is_default_constructible_v<V>,
                "shared_dict: V can't be read back: give it a public constructor without arguments, into whose objects its codec can read");
  static_assert(Value::alignment <= 4096, "shared_dict: values aligned to more than a page can't be stored");
  StoredTypes types{Key::type_name(), Value::type_name(), {}};
  types.shape.key_fixed_bytes = static_cast<std::uint32_t>(Key::fixed_size);
  types.shape.value_fixed_bytes = Value::fixed_size;
  // Integers of 64 bits are 4-aligned for 32-bit x86, and 8-aligned elsewhere. All values lie 8-aligned, so it is all the same: structs
  // that are equally long then have no gaps that depend on it. That isn't so where another member asks for more.
  struct Number {
    std::uint64_t bits;
  };
  types.shape.value_alignment = std::max(static_cast<std::uint32_t>(Value::alignment), static_cast<std::uint32_t>(kWord));
  if (types.shape.value_alignment > kWord && alignof(Number) < kWord) types.value_name += " (4-aligned integers of 64 bits)";
  return types;
}

}  // namespace shared_dict::detail
