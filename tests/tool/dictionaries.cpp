// Makes what the inspector's test looks at, in $SHARED_DICT_DIR.
//   make          one persistent dictionary for each kind of type
//   hold NAME     an attached one, with a lock held, until standard input ends
//   change NAME   sets 7 of an int32 to string dictionary to "changed"
//   die NAME      a process that dies with a lock held in NAME, which it creates unless it is there
#include <array>
#include <cstdint>
#include <exception>
#include <iostream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include <signal.h>
#include <unistd.h>

#include <shared_dict/shared_dict.hpp>

namespace {

using shared_dict::SharedDict;

enum class Colour : std::int16_t { red = 1, blue = -2 };

struct Point {
  std::int32_t x, y;
};

shared_dict::Options small(shared_dict::Lifetime lifetime) {
  shared_dict::Options options;
  options.heap_size = std::size_t{1} << 20;
  options.max_processes = 8;
  options.lifetime = lifetime;
  return options;
}

template <class K, class V>
void make(const std::string& name, const std::map<K, V>& items) {
  auto dictionary = SharedDict<K, V>::create(name, small(shared_dict::Lifetime::persistent));
  for (const auto& [key, value] : items) dictionary.insert(key, value);
}

void make_all() {
  make<std::string, std::uint64_t>("numbers",
                                   {{"one", 1}, {"many", std::numeric_limits<std::uint64_t>::max()}, {"-x", 7}});
  make<std::int32_t, std::string>("texts",
                                  {{-5, "minus\tfive"}, {7, "gr\xc3\xbc\xc3\x9f\"e\""}, {8, "\x1b[31m\xff"}, {9, ""}});
  make<std::string, double>("ratios",
                            {{"half", 0.5}, {"tiny", 1e-300}, {"none", std::numeric_limits<double>::quiet_NaN()}});
  make<double, bool>("flags", {{0.25, true}, {-1.5, false}});
  make<std::string, std::vector<std::int16_t>>("lists",
                                               {{"three", {1, -2, 3}}, {"empty", {}}, {"line\nbreak\xfe", {4}}});
  make<std::uint8_t, std::vector<std::string>>("words", {{1, {"a", "b c", "d\"e"}}});
  make<std::string, std::vector<bool>>("bits", {{"k", {true, false}}});
  make<Colour, std::array<float, 2>>("colours", {{Colour::blue, {0.5F, -4.0F}}});
  make<std::string, Point>("points", {{"p", {1, -1}}});
  make<std::array<std::int32_t, 2>, char>("cells", {{{1, 2}, 'c'}});
  make<std::vector<std::int32_t>, int>("paths", {{{1, -2}, 1}, {{}, 2}});
  make<std::vector<std::string>, int>("phrases", {{{"a", "b, \"c\"", "d\\e\n"}, 1}, {{""}, 2}});
  make<std::array<char, 4>, int>("codes", {{{'a', '\\', '\xff', '\0'}, 1}});
  make<std::string, int>("escapes", {{"a\\nb", 1}, {"a\nb", 2}, {"a\\\\nb", 3}, {"\\", 4}, {"caf\xc3\xa9", 5}});
  make<double, int>("limits", {{-std::numeric_limits<double>::infinity(), 1}});
}

// Calls `body` with a shard of the dictionary locked.
template <class Body>
void with_lock(const std::string& name, Body body) {
  auto dictionary = SharedDict<std::string, int>::open_or_create(name, small(shared_dict::Lifetime::attached));
  dictionary.insert_or_assign("a", 1);
  dictionary.insert_or_assign("b", 2);
  dictionary.modify("a", [&](int&) { body(); });
}

int run(const std::vector<std::string>& arguments) {
  if (arguments == std::vector<std::string>{"make"}) {
    make_all();
  } else if (arguments.size() == 2 && arguments[0] == "hold") {
    with_lock(arguments[1], [] {
      std::cout << "ready" << std::endl;
      while (std::cin.get() != std::char_traits<char>::eof()) {
      }
    });
  } else if (arguments.size() == 2 && arguments[0] == "change") {
    SharedDict<std::int32_t, std::string>::attach(arguments[1]).insert_or_assign(7, "changed");
  } else if (arguments.size() == 2 && arguments[0] == "die") {
    with_lock(arguments[1], [] { ::kill(::getpid(), SIGKILL); });
  } else {
    std::cerr << "usage: dictionaries make | hold NAME | change NAME | die NAME\n";
    return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << "dictionaries: " << error.what() << '\n';
    return 1;
  }
}
