// The names that two programs compare before they share a dictionary: they must not depend on compiler or machine.
#include "shared_dict/detail/mechanisms/type_name.hpp"

#include <functional>
#include <memory_resource>

#include "support/catch.hpp"

using shared_dict::detail::normalised_type_name;
using shared_dict::detail::type_name;
using shared_dict::detail::without_template_arguments;

namespace names {
struct Plain {};
enum class Colour : std::uint16_t { red };
enum Old : long long { first };
template <class... Ts>
struct Box {};
template <class T>
struct Outer {
  template <class U>
  struct Inner {};
  struct Member {};
};
namespace {
struct Hidden {};
template <class T>
struct HiddenBox {};
}  // namespace
}  // namespace names

TEST_CASE("arithmetic types are named by what they store", "[type_name]") {
  CHECK(type_name<bool>() == "bool");
  CHECK(type_name<char>() == "char");
  CHECK(type_name<signed char>() == "int8");
  CHECK(type_name<unsigned char>() == "uint8");
  CHECK(type_name<short>() == "int16");
  CHECK(type_name<std::uint32_t>() == "uint32");
  CHECK(type_name<long long>() == "int64");
  CHECK(type_name<unsigned long>() == (sizeof(long) == 8 ? "uint64" : "uint32"));
  CHECK(type_name<float>() == "float32");
  CHECK(type_name<double>() == "float64");
  CHECK(type_name<long double>().starts_with("float"));
  CHECK((type_name<long double>() == type_name<double>()) == (sizeof(long double) == sizeof(double)));
  CHECK(type_name<char8_t>() == "char8");
  CHECK(type_name<char16_t>() == "char16");
  CHECK(type_name<char32_t>() == "char32");
  CHECK(type_name<wchar_t>() == (sizeof(wchar_t) == 4 ? "wchar32" : "wchar16"));
  CHECK(type_name<std::byte>() == "byte");
  CHECK(type_name<const volatile int>() == "int32");
}

TEST_CASE("long and long long have one name where they have one size", "[type_name]") {
  if (sizeof(long) == sizeof(long long)) {
    CHECK(type_name<std::vector<long>>() == type_name<std::vector<long long>>());
  } else {
    CHECK(type_name<std::vector<long>>() == type_name<std::vector<int>>());
  }
}

TEST_CASE("an enum carries its underlying type", "[type_name]") {
  CHECK(type_name<names::Colour>() == "enum names::Colour:uint16");
  CHECK(type_name<names::Old>() == "enum names::Old:int64");
}

TEST_CASE("standard types are composed from the names of what they hold", "[type_name]") {
  CHECK(type_name<std::string>() == "string");
  CHECK(type_name<std::pmr::string>() == "string");
  CHECK(type_name<std::u16string>() == "basic_string<char16>");
  CHECK(type_name<std::map<std::string, std::vector<std::optional<int>>>>() == "map<string,vector<optional<int32>>>");
  CHECK(type_name<std::unordered_map<char, names::Plain>>() == "unordered_map<char,names::Plain>");
  CHECK(type_name<std::pair<const int, double>>() == "pair<int32,float64>");
  CHECK(type_name<std::tuple<>>() == "tuple<>");
  CHECK(type_name<std::tuple<bool, std::list<short>, std::deque<char>>>() == "tuple<bool,list<int16>,deque<char>>");
  CHECK(type_name<std::variant<std::monostate, std::forward_list<int>>>() ==
        "variant<std::monostate,forward_list<int32>>");
  CHECK(type_name<std::array<std::set<int>, 3>>() == "array<set<int32>,3>");
  CHECK(type_name<std::multiset<int>>() == "multiset<int32>");
  CHECK(type_name<std::multimap<int, int>>() == "multimap<int32,int32>");
  CHECK(type_name<std::unordered_set<int>>() == "unordered_set<int32>");
  CHECK(type_name<std::unique_ptr<const names::Plain>>() == "unique_ptr<names::Plain>");
  CHECK(type_name<std::shared_ptr<std::weak_ptr<int>>>() == "shared_ptr<weak_ptr<int32>>");
  CHECK(type_name<std::complex<float>>() == "complex<float32>");
  CHECK(type_name<std::bitset<12>>() == "bitset<12>");
  CHECK(type_name<std::queue<int>>() == "queue<int32>");
  CHECK(type_name<std::stack<int, std::vector<int>>>() == "stack<int32>");
  CHECK(type_name<std::priority_queue<int>>() == "priority_queue<int32>");
  CHECK(type_name<std::chrono::milliseconds>() == "duration<int64,1/1000>");
  CHECK(
      type_name<std::chrono::time_point<std::chrono::system_clock, std::chrono::duration<double, std::ratio<60>>>>() ==
      "time_point<std::chrono::system_clock,duration<float64,60/1>>");
  CHECK(type_name<int[2][3]>() == "int32[3][2]");
}

TEST_CASE("allocators, comparators and hashers are no part of a name", "[type_name]") {
  CHECK(type_name<std::pmr::vector<int>>() == type_name<std::vector<int>>());
  CHECK(type_name<std::set<int, std::greater<>>>() == type_name<std::set<int>>());
  struct Hash {};
  CHECK(type_name<std::unordered_set<int, Hash>>() == type_name<std::unordered_set<int>>());
}

TEST_CASE("a class of the user's has its qualified name", "[type_name]") {
  CHECK(type_name<names::Plain>() == "names::Plain");
  CHECK(type_name<names::Hidden>() == "names::(anonymous)::Hidden");
  CHECK(type_name<names::Outer<int>::Member>() == "names::Outer<int>::Member");
}

TEST_CASE("a class template of the user's is composed from canonical names", "[type_name]") {
  CHECK(type_name<names::Box<>>() == "names::Box<>");
  CHECK(type_name<names::Box<unsigned long long, std::string>>() == "names::Box<uint64,string>");
  CHECK(type_name<names::Box<names::Box<std::vector<std::string>>, char>>() ==
        "names::Box<names::Box<vector<string>>,char>");
  CHECK(type_name<names::HiddenBox<names::Hidden>>() == "names::(anonymous)::HiddenBox<names::(anonymous)::Hidden>");
  CHECK(type_name<names::Outer<char>::Inner<long long>>() == "names::Outer<char>::Inner<int64>");
}

TEST_CASE("the spellings of different compilers come to one", "[type_name]") {
  CHECK(normalised_type_name("a::{anonymous}::B") == "a::(anonymous)::B");
  CHECK(normalised_type_name("a::(anonymous namespace)::B") == "a::(anonymous)::B");
  CHECK(normalised_type_name("struct a::B") == "a::B");
  CHECK(normalised_type_name("F<3U, -4LL, A, 5>") == "F<3,-4,A,5>");
  CHECK(normalised_type_name("F<G<12ul>>::H<a1U>") == "F<G<12>>::H<a1U>");
  CHECK(normalised_type_name("F<U, L3, x::U>") == "F<U,L3,x::U>");
  CHECK(normalised_type_name("F<__int128 unsigned, __int128>") == "F<unsigned __int128,__int128>");
  CHECK(normalised_type_name("F<std::__cxx11::list<int, X<int> > >") == "F<std::list<int,X<int>>>");
  CHECK(normalised_type_name("F<std::__1::list<int, X<int>>>") == "F<std::list<int,X<int>>>");
  CHECK(normalised_type_name("F<long unsigned int, long int>") == "F<unsigned long,long>");
  CHECK(normalised_type_name("F<long long unsigned int, short int>") == "F<unsigned long long,short>");
  CHECK(without_template_arguments("A<int>::B<C<D>, E<F> >") == "A<int>::B");
  CHECK(without_template_arguments("A::B") == "A::B");
}
