// shared-dict: looks at dictionaries from outside, without knowing their types when it is compiled.
#include <clocale>
#include <iostream>
#include <map>

#include <shared_dict/error.hpp>
#include <shared_dict/version.hpp>

#include "commands.hpp"
#include "json.hpp"
#include "messages.hpp"

namespace {

using namespace tool;

constexpr const char* kUsage = R"(usage: shared-dict COMMAND [ARGUMENT...] [OPTION...]

Looking only; nothing is changed, no lock is taken, and nobody waits:
  list                  all dictionaries: name, state, items, memory, processes, types
  info NAME             types, sizes, load, processes alive and dead, locks held and by whom
  keys NAME [PATTERN]   its keys, one a line, in no order; only those that a shell pattern matches, as they are shown
  get NAME KEY          the value of a key; KEY as `keys` shows it
  watch NAME            a line of figures every second, until Ctrl-C, or until the dictionary has gone

Others:
  audit NAME            checks every invariant of what is stored, and tells what is wrong. It joins the dictionary, cleans up after dead
                        processes first, as every process does that joins, and locks everything while it checks
  reap NAME             cleans up after dead processes now
  remove NAME           takes the dictionary away; processes that are attached go on with what they have
  export NAME FILE      saves all items, as they are at one moment, to a file: as save() does. Joins as audit does
  import NAME FILE      makes the dictionary from such a file, persistent and with the heap_size and max_items of the one that was saved;
                        if there is one, of the same types, replaces what it holds, in one step, as load() does. Made so it has the
                        default permissions and max_processes

Options, anywhere on the line:
  --json                for programs: the result on standard output, watch writes an object a line; what goes to standard error is objects, too:
                        {"status": 1, "message": "..."}, with what the program ends with. What fails has no result, but for what keys and watch had come to
  --dir DIRECTORY       where the dictionaries are: $SHARED_DICT_DIR, or the platform's shared-memory place (/dev/shm)
  --count N             watch: end after N lines
  --interval MS         watch: milliseconds between lines, 1000
  --version             the version of the library, and that of the stored layout, which dictionaries must have
  --                    what follows isn't an option

Values of arithmetic types, strings, enums, vectors of these, and arrays of numbers, enums and characters are shown as such; of all others, the
stored bytes as 0x and hexadecimal digits. Text is shown with \n, \t, \\ and \xHH for what a terminal would obey. Such bytes are {"hex": "..."} in JSON.

A dictionary is "persistent", or "attached" to at least one living process, or "abandoned": not persistent, and its processes have all
died. An abandoned one counts as gone: the next process that creates or attaches under this name removes it. Until then info, keys, get and
list show what it held; audit refuses it, as joining would be that next process; reap and remove take it away. As with every process, the
last one to leave a dictionary that isn't persistent removes it, and while it checks, audit is a process: if all others leave meanwhile,
the dictionary goes with it.

It needs the right to read and write the dictionary's files, also to look only.

Ends with
  0  all is well; watch: also if the dictionary goes while it is watched
  1  no such dictionary or key; audit: problems were found
  2  wrong use
  3  anything else: damaged contents, another layout, no permission, a process that keeps a lock
)";

struct Command {
  int (*run)(const Arguments&);
  std::size_t least, most;  // arguments
};

const std::map<std::string, Command> kCommands{
    {"list", {list, 0, 0}},        {"info", {info, 1, 1}},         {"keys", {keys, 1, 2}}, {"get", {get, 2, 2}},
    {"watch", {watch, 1, 1}},      {"audit", {audit, 1, 1}},       {"reap", {reap, 1, 1}}, {"remove", {remove, 1, 1}},
    {"export", {export_to, 2, 2}}, {"import", {import_from, 2, 2}}};

int version(const Arguments& arguments) {
  std::string number;
  for (const int part : {shared_dict::kVersionMajor, shared_dict::kVersionMinor, shared_dict::kVersionPatch}) {
    number += (number.empty() ? "" : ".") + std::to_string(part);
  }
  if (arguments.json) {
    std::cout << Json::object().text("version", number).number("layout", shared_dict::kLayoutVersion).str() << '\n';
  } else {
    std::cout << "shared-dict " << number << ", of dictionaries with layout " << shared_dict::kLayoutVersion << '\n';
  }
  return kFine;
}

int run(const Arguments& arguments) {
  if (arguments.help) {
    std::cout << kUsage;
    return kFine;
  }
  if (arguments.version) return version(arguments);
  if (arguments.command.empty()) throw WrongUse("which command? See shared-dict --help");
  const auto command = kCommands.find(arguments.command);
  if (command == kCommands.end()) throw WrongUse("no command " + arguments.command + "; see shared-dict --help");
  const auto [function, least, most] = command->second;
  if (arguments.rest.size() < least || arguments.rest.size() > most) {
    throw WrongUse(arguments.command + " takes " + std::to_string(least) +
                   (most == least ? "" : " or " + std::to_string(most)) + (most == 1 ? " argument" : " arguments") + "; see shared-dict --help");
  }
  if (arguments.only_for_watch && arguments.command != "watch") throw WrongUse("--count and --interval are for watch");
  return function(arguments);
}

int exit_of(const shared_dict::Error& error) {
  if (error.code() == shared_dict::errc::not_found) return kNotFound;
  if (error.code() == shared_dict::errc::invalid_name) return kWrongUse;
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  std::setlocale(LC_CTYPE, "");  // what a character is to a pattern
  bool json = wants_json(argc, argv);
  const auto end = [&](const std::string& text, int status) {
    std::cout.flush();
    say(text, status, json);
    return status;
  };
  try {
    const Arguments arguments = parse(argc, argv);
    json = arguments.json;
    const int status = run(arguments);
    return std::cout.flush() ? status : end("can't write the output", kFailed);
  } catch (const WrongUse& error) {
    return end(error.what(), kWrongUse);
  } catch (const NotFound& error) {
    return end(error.what(), kNotFound);
  } catch (const shared_dict::Error& error) {
    return end(for_operators(error.what()), exit_of(error));
  } catch (const std::exception& error) {
    return end(error.what(), kFailed);
  }
}
