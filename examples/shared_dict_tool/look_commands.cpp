// list, info, keys, get.
#include <fnmatch.h>

#include <algorithm>
#include <iostream>

#include <shared_dict/detail/operations/scan.hpp>

#include "commands.hpp"
#include "figures.hpp"
#include "json.hpp"
#include "looking.hpp"
#include "messages.hpp"
#include "values.hpp"

namespace tool {

namespace {

std::string types(const Dictionary& dictionary) {
  return "<" + dictionary.key_type() + ", " + dictionary.value_type() + ">";
}

std::string octal(std::uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

// What lies in the place under a dictionary's name, dictionaries whose processes have died included.
std::vector<std::string> names_in(const std::filesystem::path& place) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& path : detail::paths_in(place, error)) {
    const std::string file = path.filename().string();
    if (!file.starts_with(detail::kDirectoryPrefix)) continue;
    std::string name = file.substr(detail::kDirectoryPrefix.size());
    if (detail::valid_name(name)) names.push_back(std::move(name));
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw shared_dict::Error(error, "can't read " + place.string());
  std::sort(names.begin(), names.end());
  return names;
}

struct Row {
  std::string name, state, items, used, memory, processes, types;

  void print() const {
    std::cout << left(name, 28) << ' ' << left(state, 10) << right(items, 14) << right(used, 12) << right(memory, 12)
              << right(processes, 10) << "  " << types << '\n';
  }
};

void list_one(const std::string& name, const std::filesystem::path& directory, Json* json) {
  try {
    const Dictionary dictionary(name, directory);
    const auto processes = dictionary.processes();
    const auto stats = dictionary.stats();
    const std::string state = state_of(dictionary, processes);
    const std::uint32_t alive = count(processes, Life::alive);
    if (json != nullptr) {
      Json one = Json::object().text("name", name).text("state", state).text("key_type", dictionary.key_type());
      one.text("value_type", dictionary.value_type()).number("items", stats.items).number("heap_used", stats.heap_used);
      one.number("heap_committed", stats.heap_committed).number("processes_alive", alive);
      json->add(one.str());
    } else {
      Row{name,
          state,
          grouped(stats.items),
          bytes_text(stats.heap_used),
          bytes_text(stats.heap_committed),
          std::to_string(alive),
          types(dictionary)}
          .print();
    }
  } catch (const shared_dict::Error& refused) {
    if (refused.code() == shared_dict::errc::not_found) return;  // gone at this moment, or not finished
    const std::string why = refused.code().message();
    if (json != nullptr) {
      json->add(Json::object()
                    .text("name", name)
                    .text("state", "refused")
                    .text("error", for_operators(refused.what()))
                    .str());
    } else {
      Row{name, "refused", "", "", "", "", why}.print();
    }
  }
}

std::string process_json(const Process& process) {
  Json json =
      Json::object().number("record", process.record).number("pid", process.pid).text("state", to_text(process.life));
  json.add("same_pid_namespace", process.counted_here ? "true" : "false").number("views", process.views);
  return json.text("command", printable(process.command)).str();
}

std::string lock_json(const HeldLock& lock) {
  return Json::object().text("lock", lock.lock).number("pid", lock.pid).text("state", to_text(lock.owner)).str();
}

void print_info_json(const Dictionary& dictionary, const std::vector<Process>& processes,
                     const std::vector<HeldLock>& locks) {
  const auto& identity = dictionary.identity();
  const auto stats = dictionary.stats();
  Json process_list = Json::array();
  for (const Process& process : processes) process_list.add(process_json(process));
  Json lock_list = Json::array();
  for (const HeldLock& lock : locks) lock_list.add(lock_json(lock));
  Json json = Json::object().text("name", dictionary.name()).text("directory", dictionary.directory().string());
  json.text("state", state_of(dictionary, processes))
      .text("lifetime", dictionary.persistent() ? "persistent" : "attached");
  json.text("permissions", octal(identity.permissions))
      .text("key_type", dictionary.key_type())
      .text("value_type", dictionary.value_type());
  json.number("key_bytes", identity.key_fixed_bytes).number("value_bytes", identity.value_fixed_bytes);
  json.number("items", stats.items).number("max_items", identity.max_items).number("slot_count", stats.slot_count);
  json.number("used_slots", stats.used_slots)
      .add("load_factor", decimals(stats.load_factor, 6))
      .number("heap_used", stats.heap_used);
  json.number("heap_size", stats.heap_size)
      .number("heap_committed", stats.heap_committed)
      .number("shards", stats.shards);
  json.number("recoveries", stats.recoveries)
      .number("lock_waits", stats.lock_waits)
      .number("dirty_locks", dictionary.dirty_locks());
  json.number("max_processes", identity.max_processes)
      .add("processes", process_list.str())
      .add("locks", lock_list.str());
  std::cout << json.str() << '\n';
}

std::string size_text(const std::string& type, std::uint64_t fixed) {
  return type + (fixed == 0 ? std::string(" (any size)") : " (" + std::to_string(fixed) + " bytes)");
}

void print_info(const Dictionary& dictionary, const std::vector<Process>& processes,
                const std::vector<HeldLock>& locks) {
  const auto& identity = dictionary.identity();
  const auto stats = dictionary.stats();
  const auto line = [](const char* what, const std::string& text) {
    std::cout << "  " << left(what, 12) << text << '\n';
  };
  const std::string state = state_of(dictionary, processes);
  std::cout << dictionary.name() << "  (" << state
            << (state == "abandoned" ? ": its processes have all died, so it counts as gone" : "") << ")\n";
  line("directory", dictionary.directory().string() + ", mode " + octal(identity.permissions));
  line("keys", size_text(dictionary.key_type(), identity.key_fixed_bytes));
  line("values", size_text(dictionary.value_type(), identity.value_fixed_bytes));
  line("items", grouped(stats.items) + (identity.max_items == 0 ? "" : " of at most " + grouped(identity.max_items)));
  line("load", decimals(stats.load_factor, 2) + ": " + grouped(stats.used_slots) + " of " + grouped(stats.slot_count) +
                   " slots");
  line("stored", bytes_text(stats.heap_used) + " of at most " + bytes_text(stats.heap_size));
  line("memory", bytes_text(stats.heap_committed));
  line("recoveries", grouped(stats.recoveries));
  line("locks", grouped(stats.shards) + " shards; waited for " + grouped(stats.lock_waits) + " times");
  if (const auto dirty = dictionary.dirty_locks(); dirty != 0)
    line("", std::to_string(dirty) + " to be repaired by the next writer");
  for (const HeldLock& lock : locks) {
    line("", lock.lock + ": held by " +
                 (lock.pid == 0 ? "a process that has left"
                                : "pid " + std::to_string(lock.pid) + " (" + to_text(lock.owner) + ")"));
  }
  line("processes", std::to_string(count(processes, Life::alive)) + " alive, " +
                        std::to_string(count(processes, Life::dead)) + " dead, of at most " +
                        std::to_string(identity.max_processes));
  for (const Process& process : processes) {
    std::string text = "pid " + left(std::to_string(process.pid), 9) + to_text(process.life);
    if (!process.command.empty()) text += "  " + printable(process.command);
    if (!process.counted_here) text += " (counted in another PID namespace)";
    if (process.views != 0) text += "  " + std::to_string(process.views) + " views";
    line("", text);
  }
}

}  // namespace

int list(const Arguments& arguments) {
  const std::filesystem::path place = detail::place_of(arguments.directory, {});
  std::error_code error;
  const bool directory = std::filesystem::is_directory(place, error);
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
    throw std::system_error(error, "can't look at " + place.string());
  }
  if (!directory) {
    throw WrongUse(place.string() + " is no directory: name the one that the dictionaries lie in, with --dir or SHARED_DICT_DIR");
  }
  Json json = Json::array();
  const auto names = names_in(place);
  if (!arguments.json && !names.empty())
    Row{"NAME", "STATE", "ITEMS", "STORED", "MEMORY", "PROCESSES", "TYPES"}.print();
  for (const std::string& name : names) list_one(name, arguments.directory, arguments.json ? &json : nullptr);
  if (arguments.json) std::cout << json.str() << '\n';
  return kFine;
}

int info(const Arguments& arguments) {
  const Dictionary dictionary(arguments.name(), arguments.directory);
  const auto processes = dictionary.processes();
  const auto locks = dictionary.locks();
  (arguments.json ? print_info_json : print_info)(dictionary, processes, locks);
  return kFine;
}

int keys(const Arguments& arguments) {
  const Dictionary dictionary(arguments.name(), arguments.directory);
  const StoredType type = StoredType::of_key(dictionary.key_type());
  const char* const pattern = arguments.rest.size() > 1 ? arguments.rest[1].c_str() : nullptr;
  bool first = true;
  // What was written is JSON in any case.
  const auto end = [&] {
    if (arguments.json) std::cout << "]\n";
  };
  if (arguments.json) std::cout << '[';
  detail::ShardScan scan(detail::ScanFor::keys);
  for (std::uint32_t shard = 0; shard < dictionary.segment().shard_count() && std::cout; ++shard) try {
    scan.read(dictionary.segment(), dictionary.name(), shard);
    for (std::size_t i = 0; i < scan.size(); ++i) {
      const Shown key = type.show(scan.key(i));
      if (pattern != nullptr && ::fnmatch(pattern, key.text.c_str(), FNM_NOESCAPE) != 0) continue;
      if (arguments.json) {
        std::cout << (first ? "" : ",\n ") << key.json;
      } else {
        std::cout << key.text << '\n';
      }
      first = false;
    }
  } catch (...) {
    end();
    throw;
  }
  end();
  return kFine;
}

int get(const Arguments& arguments) {
  const Dictionary dictionary(arguments.name(), arguments.directory);
  const StoredType type = StoredType::of_key(dictionary.key_type());
  const std::string& written = arguments.rest[1];
  std::vector<std::byte> value;
  const auto look_up = [&](const std::vector<std::byte>& key) {
    return detail::lookup(dictionary.segment(), dictionary.name(), detail::hash_key(dictionary.segment(), key),
                          [&](std::size_t size) {
                            value.resize(size);
                            return value.data();
                          });
  };
  const auto meant = type.parse(written);
  if (meant.empty()) {
    throw WrongUse("'" + printable(written) + "' is no " + dictionary.key_type() + "; as stored bytes it is 0x and hexadecimal digits");
  }
  const auto key = std::find_if(meant.begin(), meant.end(), look_up);
  if (key == meant.end()) {
    throw NotFound("dictionary '" + dictionary.name() + "': no key " + printable(written) + "; `shared-dict keys " +
                   dictionary.name() + "` shows its keys");
  }
  const Shown shown_value = StoredType::of_value(dictionary.value_type()).show(value);
  if (arguments.json) {
    Json json = Json::object()
                    .add("key", type.show(*key).json)
                    .text("type", dictionary.value_type())
                    .number("bytes", value.size());
    std::cout << json.add("value", shown_value.json).str() << '\n';
  } else {
    std::cout << shown_value.text << '\n';
  }
  return kFine;
}

}  // namespace tool
