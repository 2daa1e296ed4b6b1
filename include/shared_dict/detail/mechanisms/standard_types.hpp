// The standard library's templates that can be stored, by name and by the types they hold.
//
// Allocators, comparators, hashers and deleters are no part of what is stored: they appear in neither.
#pragma once

#include <complex>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

namespace shared_dict::detail {

template <class... Ts>
struct TypeList {};

template <class... Ts>
struct Holds {
  using Elements = TypeList<Ts...>;
  static constexpr bool known = true;
  static constexpr bool ordered = true;   // equal objects hold their elements in the same order
  static constexpr bool pointer = false;  // what it holds may also be of a class derived from the element
};

template <class... Ts>
struct HoldsUnordered : Holds<Ts...> {
  static constexpr bool ordered = false;
};

template <class T>
struct PointsTo : Holds<T> {
  static constexpr bool pointer = true;
};

// Of a type without cv: known is false for all but the ones below.
template <class T>
struct StandardType {
  static constexpr bool known = false;
};

// clang-format off
template <class T, class A> struct StandardType<std::vector<T, A>> : Holds<T> { static constexpr std::string_view name = "vector"; };
template <class T, class A> struct StandardType<std::deque<T, A>> : Holds<T> { static constexpr std::string_view name = "deque"; };
template <class T, class A> struct StandardType<std::list<T, A>> : Holds<T> { static constexpr std::string_view name = "list"; };
template <class T, class A> struct StandardType<std::forward_list<T, A>> : Holds<T> { static constexpr std::string_view name = "forward_list"; };
template <class T, class C> struct StandardType<std::queue<T, C>> : Holds<T> { static constexpr std::string_view name = "queue"; };
template <class T, class C> struct StandardType<std::stack<T, C>> : Holds<T> { static constexpr std::string_view name = "stack"; };
template <class T, class C, class L> struct StandardType<std::priority_queue<T, C, L>> : HoldsUnordered<T> { static constexpr std::string_view name = "priority_queue"; };

template <class T, class L, class A> struct StandardType<std::set<T, L, A>> : Holds<T> { static constexpr std::string_view name = "set"; };
template <class T, class L, class A> struct StandardType<std::multiset<T, L, A>> : Holds<T> { static constexpr std::string_view name = "multiset"; };
template <class K, class V, class L, class A> struct StandardType<std::map<K, V, L, A>> : Holds<K, V> { static constexpr std::string_view name = "map"; };
template <class K, class V, class L, class A> struct StandardType<std::multimap<K, V, L, A>> : Holds<K, V> { static constexpr std::string_view name = "multimap"; };

template <class T, class H, class E, class A> struct StandardType<std::unordered_set<T, H, E, A>> : HoldsUnordered<T> { static constexpr std::string_view name = "unordered_set"; };
template <class T, class H, class E, class A> struct StandardType<std::unordered_multiset<T, H, E, A>> : HoldsUnordered<T> { static constexpr std::string_view name = "unordered_multiset"; };
template <class K, class V, class H, class E, class A> struct StandardType<std::unordered_map<K, V, H, E, A>> : HoldsUnordered<K, V> { static constexpr std::string_view name = "unordered_map"; };
template <class K, class V, class H, class E, class A> struct StandardType<std::unordered_multimap<K, V, H, E, A>> : HoldsUnordered<K, V> { static constexpr std::string_view name = "unordered_multimap"; };

template <class A, class B> struct StandardType<std::pair<A, B>> : Holds<A, B> { static constexpr std::string_view name = "pair"; };
template <class... Ts> struct StandardType<std::tuple<Ts...>> : Holds<Ts...> { static constexpr std::string_view name = "tuple"; };
template <class... Ts> struct StandardType<std::variant<Ts...>> : Holds<Ts...> { static constexpr std::string_view name = "variant"; };
template <class T> struct StandardType<std::optional<T>> : Holds<T> { static constexpr std::string_view name = "optional"; };
template <class T> struct StandardType<std::complex<T>> : Holds<T> { static constexpr std::string_view name = "complex"; };

template <class T, class D> struct StandardType<std::unique_ptr<T, D>> : PointsTo<T> { static constexpr std::string_view name = "unique_ptr"; };
template <class T> struct StandardType<std::shared_ptr<T>> : PointsTo<T> { static constexpr std::string_view name = "shared_ptr"; };
template <class T> struct StandardType<std::weak_ptr<T>> : PointsTo<T> { static constexpr std::string_view name = "weak_ptr"; };
// clang-format on

}  // namespace shared_dict::detail
