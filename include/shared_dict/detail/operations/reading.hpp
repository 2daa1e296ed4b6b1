// Reading stored values into objects: one value, and many at once.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
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
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict::detail {

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
  static constexpr bool kCopies = [] {
    if constexpr (kGrows) {
      using Element = typename V::value_type;
      return kCopiesPairs && alignof(Element) <= kWord && std::is_copy_constructible_v<Element> && std::is_copy_assignable_v<Element>;
    }
    return false;
  }();

 public:
  static constexpr std::size_t kPiece = kWord * kElement * std::max<std::size_t>(1, 512 / kElement);  // whole words, whole elements

  explicit Room(V& out) noexcept : out_(out) {}

  bool touched = false;
  bool fits = true;

  SHARED_DICT_HOT std::byte* operator()(std::size_t size) {
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
    if constexpr (kCopies) {
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

// Reads the value of a key into `out`; a string or vector of plain bytes keeps its memory. `look_up` is a look-up of the key, called with `prepare`
// (lookup.hpp). False if it found nothing; then `torn` says whether `out` has bytes in it that belong to nothing.
template <class V, class LookUp>
SHARED_DICT_HOT bool try_read_value(const std::string& name, V& out, bool& torn, LookUp look_up) {
  using Traits = codec_traits<V>;
  if constexpr (Traits::plain && Traits::fixed_size == 0) {
    Room<V> room(out);
    const bool found = look_up(room);
    if (found && !room.fits) fail_corrupted(name, "a value has the wrong size");
    torn = !found && (torn || room.touched);
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

// A user's codec may not be able to make one of no bytes.
template <class V>
void empty_value(V& out) {
  using Traits = codec_traits<V>;
  if constexpr (kIsSequence<V, Traits>) {
    out.clear();
  } else if constexpr (Traits::plain && std::is_move_assignable_v<V>) {
    out = V();
  } else if constexpr (Traits::plain) {
    try {
      Traits::prepare(out, 0);
    } catch (const DecodeError&) {  // it stays as it is, then
    }
  }
}

// The same with a look-up that knows. If the key is missing `out` stays as it was, unless it was erased while it was copied.
template <class V, class LookUp>
SHARED_DICT_HOT bool read_value_by(const std::string& name, V& out, LookUp look_up, bool torn = false) {
  const bool found = try_read_value(name, out, torn, look_up);
  if (torn) [[unlikely]] empty_value(out);
  return found;
}

// The whole search has a function and variables of its own, the key's parts among them: what its call could refer to would have to lie in
// memory for the first guess, too.
template <class V>
SHARED_DICT_COLD bool search_for_value(const Segment& segment, const std::string& name, KeyBytes key, V& out, bool torn) {
  return read_value_by(name, out, [&](auto&& prepare) { return search_value(segment, name, key, copy_to(segment, prepare)); }, torn);
}

template <class V>
SHARED_DICT_APART bool read_value(const Segment& segment, const std::string& name, Bytes bytes, V& out) {
  const KeyBytes key = hash_key(segment, bytes);
  bool torn = false;
  const bool guessed = try_read_value(name, out, torn, [&](auto&& prepare) SHARED_DICT_HOT_LAMBDA {
    return visit_guessed(segment, key, approach_value(segment, key), copy_to(segment, prepare));
  });
  if (guessed) [[likely]] return true;
  return search_for_value(segment, name, key, out, torn);
}

// Reads the bytes of a value of a fixed size; false if the key is missing.
template <std::size_t size, class LookUp>
bool read_exactly(const std::string& name, std::byte* to, LookUp look_up) {
  bool fits = true;
  const bool found = look_up([&](std::size_t stored) -> std::byte* {
    fits = stored == size;
    return fits ? to : nullptr;
  });
  if (found && !fits) fail_corrupted(name, "a value has the wrong size");
  return found;
}

// No memory is allocated and nothing constructed before the bytes are known to be good.
template <class V, class LookUp>
SHARED_DICT_HOT std::optional<V> read_fixed_by(const std::string& name, LookUp look_up) {
  std::array<std::byte, sizeof(V)> bytes;
  if (!read_exactly<sizeof(V)>(name, bytes.data(), look_up)) return std::nullopt;
  if (!valid_object<V>(bytes.data())) fail_corrupted(name, "a bool is neither true nor false");
  return std::bit_cast<V>(bytes);
}

template <class V>
SHARED_DICT_HOT std::optional<V> read_fixed(const Segment& segment, const std::string& name, const KeyBytes& key) {
  return read_fixed_by<V>(name, [&](auto prepare) { return lookup(segment, name, key, prepare); });
}

template <std::size_t size>
std::optional<ValueWord> read_word(const Segment& segment, const std::string& name, const KeyBytes& key) {
  ValueWord bytes{};
  if (!read_exactly<size>(name, bytes.data(), [&](auto prepare) { return lookup(segment, name, key, prepare); })) return std::nullopt;
  return bytes;
}

// Reads the values of many keys. Each goes through three stages: its bucket is asked for, its entry is asked for, its value is read. Between two stages
// of a key lie those of kBetween others, which are worked on while memory is waited for (software-pipelined prefetching: Chen, Ailamaki, Gibbons, Mowry,
// Improving Hash Join Performance through Prefetching, 2004).
template <class K, class V, class Keys, class F>
void read_many(const Segment& segment, const std::string& name, Keys& keys, F f) {
  using Traits = codec_traits<V>;
  using Reference = decltype(*std::begin(keys));
  using Element = std::remove_cvref_t<Reference>;
  // What keys under way are kept as: references to the caller's if these stay and needn't be converted, otherwise copies. What can be gone through once
  // only may have one place for the texts of all its elements.
  constexpr bool kForward = std::forward_iterator<decltype(std::begin(keys))>;
  constexpr bool kStay = std::is_lvalue_reference_v<Reference> && kForward && (kIsStringKey<K> || std::is_same_v<Element, K>);
  using Text = std::conditional_t<kForward, std::decay_t<Element>, std::string>;
  using Copy = std::conditional_t<kIsStringKey<K>, Text, K>;
  struct UnderWay {
    std::optional<std::conditional_t<kStay, const Element*, Copy>> kept;
    std::optional<EncodedKey<K>> encoded;
    KeyBytes key;
    Approach approach;
  };
  constexpr std::size_t kBetween = 7;
  std::array<UnderWay, 2 * (kBetween + 1)> under_way;  // one more than there can be
  const auto of = [&](std::size_t index) -> UnderWay& { return under_way[index % under_way.size()]; };
  std::uint64_t likely_bytes = 2 * kCacheLine;
  [[maybe_unused]] std::conditional_t<Traits::plain && Traits::fixed_size != 0, int, V> value{};

  const auto ask_for_bucket = [&](UnderWay& it, Reference&& key) {
    if constexpr (kStay) {
      it.encoded.emplace(*it.kept.emplace(std::addressof(key)));
    } else if constexpr (kIsStringKey<K> && !std::is_same_v<Copy, std::decay_t<Element>>) {
      const std::string_view text = key;
      it.encoded.emplace(it.kept.emplace(text));
    } else {
      it.encoded.emplace(it.kept.emplace(std::forward<Reference>(key)));
    }
    it.key = hash_key(segment, it.encoded->bytes());
    approach_bucket(segment, it.key, it.approach);
    prefetch(it.approach.bucket);
  };
  const auto ask_for_entry = [&](UnderWay& it) {
    approach_entry(it.key, it.approach);
    prefetch_entry(segment, it.approach.candidate.word, likely_bytes);
  };
  const auto read = [&](UnderWay& it, std::size_t index) {
    const auto look_up = [&](auto&& prepare) { return visit_approached(segment, name, it.key, it.approach, copy_to(segment, prepare)); };
    if constexpr (Traits::plain && Traits::fixed_size != 0) {
      const std::optional<V> found = read_fixed_by<V>(name, look_up);
      std::invoke(f, index, found ? std::addressof(*found) : nullptr);
    } else {
      const bool found = read_value_by(name, value, [&](auto&& prepare) {
        return look_up([&](std::size_t size) {
          likely_bytes = entry_bytes(segment, EntrySizes(it.key.bytes.size(), size));
          return prepare(size);
        });
      });
      std::invoke(f, index, found ? std::addressof(std::as_const(value)) : nullptr);
    }
  };

  auto at = std::begin(keys);
  const auto end = std::end(keys);
  bool ended = !(at != end);
  // How many keys have gone through each stage.
  std::size_t buckets = 0;
  std::size_t entries = 0;
  std::size_t values = 0;
  while (!ended || values != buckets) {
    if (!ended) {
      ask_for_bucket(of(buckets++), *at);
      ++at;
      ended = !(at != end);
    }
    if (buckets - entries > kBetween || (ended && entries != buckets)) ask_for_entry(of(entries++));
    if (entries - values > kBetween || (ended && entries == buckets)) {
      read(of(values), values);
      ++values;
    }
  }
}

}  // namespace shared_dict::detail
