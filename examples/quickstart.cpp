// Quick start: a named dictionary, written, read, updated and iterated, and seen through a second handle.
#include <shared_dict/shared_dict.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include <unistd.h>

namespace {

// One dictionary for values of several types, and one for nested containers.
using Value = std::variant<std::int64_t, double, std::string, std::vector<std::string>>;
using Settings = shared_dict::SharedDict<std::string, Value>;
using Scores = shared_dict::SharedDict<std::string, std::map<std::string, std::vector<int>>>;

std::string to_text(const Value& value) {
  return std::visit(
      [](const auto& v) -> std::string {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return '"' + v + '"';
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          std::string text = "[";
          for (const auto& s : v) text += (text.size() > 1 ? ", " : "") + s;
          return text + "]";
        } else {
          return std::to_string(v);
        }
      },
      value);
}

void show_settings(const std::string& name) {
  // create() refuses a name that is in use; open_or_create() takes whatever is there.
  auto d = Settings::create(name);
  d["name"] = Value("Ada");
  d["year"] = Value(std::int64_t{1843});
  d["ratio"] = Value(0.75);
  d["tags"] = Value(std::vector<std::string>{"engine", "notes"});
  std::cout << "created " << d.name() << " with " << d.size() << " items\n";

  const Value name_value = d["name"];  // a copy: nobody can change it under us
  std::cout << "name   = " << to_text(name_value) << '\n';
  std::cout << "colour = " << to_text(d.get("colour", Value("none"))) << "  (missing: the fallback)\n";

  // Read-modify-write is one atomic step, whoever else writes.
  d.modify("tags", [](Value& v) { std::get<std::vector<std::string>>(v).emplace_back("program"); });

  std::cout << "all items, in no particular order:\n";
  for (const auto& [key, value] : d) std::cout << "  " << key << " = " << to_text(value) << '\n';

  // Another process would do just the same: the name is all it needs.
  auto other = Settings::attach(name);
  d["year"] = Value(std::int64_t{1852});
  std::cout << "the second handle reads year = " << to_text(other.at("year")) << '\n';
  if (other.at("year") != Value(std::int64_t{1852})) throw std::logic_error("the second handle missed the update");
  other.erase("ratio");
  std::cout << "after it erased ratio, the first one " << (d.contains("ratio") ? "still has" : "no longer has")
            << " it\n";
}

void show_nested(const std::string& name) {
  auto scores = Scores::create(name);
  scores.insert("monday", {{"ann", {3, 5}}, {"bob", {4}}});
  scores.modify_or_insert("monday", {}, [](auto& day) { day["bob"].push_back(7); });
  const auto monday = scores.at("monday");
  std::cout << "nested: bob's scores on monday:";
  for (int score : monday.at("bob")) std::cout << ' ' << score;
  std::cout << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    const bool help = std::string_view(argv[1]) == "--help" || std::string_view(argv[1]) == "-h";
    (help ? std::cout : std::cerr) << "usage: quickstart\n";
    return help ? 0 : 2;
  }
  try {
    const std::string name = "quickstart." + std::to_string(::getpid());
    show_settings(name);
    show_nested(name + ".nested");
    // Both are gone now: the last handle of the last process removed them (Lifetime::attached).
    const bool left = shared_dict::exists(name) || shared_dict::exists(name + ".nested");
    std::cout << "left behind: " << (left ? "something" : "nothing") << '\n';
    return left ? 1 : 0;
  } catch (const std::exception& e) {
    std::cerr << "quickstart: " << e.what() << '\n';
    return 1;
  }
}
