// What SharedDict's operator[] returns.
#pragma once

#include <stdexcept>
#include <type_traits>  // IWYU pragma: keep
#include <utility>

#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict {

template <class K, class V>
class SharedDict;  // IWYU pragma: keep

/// What `d[key]` is: assigning stores, converting reads, and arithmetic changes the value in one step.
///
/// Each operator is one call of the dictionary's, whose requirements, errors, cost, progress and state after a crash are this operator's.
/// A reference holds a copy of the key and refers to the handle, not to an item: it finds what is there when it is used. So it must not
/// outlive the handle, and may be used from any thread. It can't be copied.
template <class K, class V>
class ItemReference {
 public:
  ItemReference(const ItemReference&) = delete;

  /// As insert_or_assign.
  ItemReference& operator=(const V& value) {
    dict_.insert_or_assign(key_, value);
    return *this;
  }

  /// The same for what a V can be made of and assigned from, though not implicitly: a std::string_view where V is std::string.
  template <class U>
    requires(!std::is_convertible_v<U, const V&> && std::is_constructible_v<V, U> && std::is_assignable_v<V&, U>)
  ItemReference& operator=(U&& value) {
    return *this = static_cast<V>(std::forward<U>(value));
  }

  /// Copies the value of another item, of whatever dictionary: at() there, then insert_or_assign() here.
  ItemReference& operator=(const ItemReference& other) { return *this = static_cast<V>(other); }

  /// As at().
  operator V() const { return dict_.at(key_); }  // NOLINT(google-explicit-constructor): `V v = d[k]` is the interface

  /// As fetch_add for numbers, which begin at 0; otherwise as modify. \throws std::out_of_range if the key is missing and V no number.
  ItemReference& operator+=(const V& operand)
    requires requires(V value) { value += operand; }
  {
    if constexpr (std::is_arithmetic_v<V>) {
      dict_.fetch_add(key_, operand);
      return *this;
    } else {
      return apply([&](V& value) { value += operand; });
    }
  }

  /// As `+=`, with a difference.
  ItemReference& operator-=(const V& operand)
    requires requires(V value) { value = static_cast<V>(value - operand); }
  {
    if constexpr (std::is_arithmetic_v<V>) {
      dict_.fetch_add(key_, detail::wrapping_negate(operand));
      return *this;
    } else {
      return apply([&](V& value) { value = static_cast<V>(value - operand); });
    }
  }

  /// As `+= 1`. What it returns reads the value anew.
  ItemReference& operator++()
    requires std::is_arithmetic_v<V>
  {
    return *this += V(1);
  }

  /// As `-= 1`. What it returns reads the value anew.
  ItemReference& operator--()
    requires std::is_arithmetic_v<V>
  {
    return *this -= V(1);
  }

  /// As fetch_add of 1: returns the value from before.
  V operator++(int)
    requires std::is_arithmetic_v<V>
  {
    return dict_.fetch_add(key_, V(1));
  }

  /// As fetch_add of -1: returns the value from before.
  V operator--(int)
    requires std::is_arithmetic_v<V>
  {
    return dict_.fetch_add(key_, detail::wrapping_negate(V(1)));
  }

  /// Reads, as at(), and compares. Requires that values have `==`.
  friend bool operator==(const ItemReference& reference, const V& value) { return static_cast<V>(reference) == value; }

  /// Reads both, one after the other, and compares.
  friend bool operator==(const ItemReference& a, const ItemReference& b) { return static_cast<V>(a) == static_cast<V>(b); }

  /// The same with an item of a dictionary that has other keys.
  template <class OtherKey>
    requires(!std::is_same_v<OtherKey, K>)
  friend bool operator==(const ItemReference& a, const ItemReference<OtherKey, V>& b) {
    return static_cast<V>(a) == static_cast<V>(b);
  }

  /// Reads, as at(), and compares with a number of another type as numbers compare: in the type common to both.
  template <class Number>
    requires(std::is_arithmetic_v<V> && std::is_arithmetic_v<Number> && !std::is_same_v<V, Number>)
  friend bool operator==(const ItemReference& reference, Number value) {
    using Common = std::common_type_t<V, Number>;
    return static_cast<Common>(static_cast<V>(reference)) == static_cast<Common>(value);
  }

  /// The same for what a V can be made of, though not implicitly: a std::string_view where V is std::string.
  template <class U>
    requires(!std::is_arithmetic_v<V> && !std::is_convertible_v<const U&, const V&> && std::is_constructible_v<V, const U&>) &&
            requires(const V& v, const U& u) { v == u; }
  friend bool operator==(const ItemReference& reference, const U& value) {
    return static_cast<V>(reference) == value;
  }

 private:
  friend SharedDict<K, V>;
  ItemReference(SharedDict<K, V>& dict, K key) : dict_(dict), key_(std::move(key)) {}

  template <class F>
  ItemReference& apply(F f) {
    if (!dict_.modify(key_, f)) {
      throw std::out_of_range("dictionary '" + dict_.name() + "': operator[]: no such key; store a value first, or use modify_or_insert()");
    }
    return *this;
  }

  SharedDict<K, V>& dict_;
  K key_;
};

}  // namespace shared_dict
