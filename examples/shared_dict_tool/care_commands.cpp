// audit, reap, remove: what joins the dictionary, or changes it.
#include <iostream>

#include <shared_dict/detail/operations/lifecycle.hpp>

#include "commands.hpp"
#include "json.hpp"
#include "looking.hpp"
#include "messages.hpp"

namespace tool {

namespace {

shared_dict::AuditReport report_on(const Arguments& arguments) {
  try {
    return Dictionary(arguments.name(), arguments.directory).audit();
  } catch (const shared_dict::Error& error) {
    if (error.code() != shared_dict::errc::corrupted) throw;
    return {{for_operators(error.what())}};
  }
}

}  // namespace

int audit(const Arguments& arguments) {
  const shared_dict::AuditReport report = report_on(arguments);
  if (arguments.json) {
    Json problems = Json::array();
    for (const std::string& problem : report.problems) problems.add(json_string(problem));
    Json json = Json::object().text("name", arguments.name()).add("ok", report.ok() ? "true" : "false");
    std::cout << json.add("problems", problems.str()).str() << '\n';
  } else {
    for (const std::string& problem : report.problems) std::cout << problem << '\n';
    if (report.ok()) std::cout << arguments.name() << ": no problem found\n";
  }
  return report.ok() ? kFine : kNotFound;
}

int reap(const Arguments& arguments) {
  const Dictionary::Reaped reaped = Dictionary(arguments.name(), arguments.directory).reap();
  if (arguments.json) {
    Json pids = Json::array();
    for (const std::uint32_t pid : reaped.pids) pids.add(std::to_string(pid));
    Json json = Json::object().text("name", arguments.name()).add("pids", pids.str());
    std::cout << json.add("removed", reaped.removed ? "true" : "false").str() << '\n';
    return kFine;
  }
  for (const std::uint32_t pid : reaped.pids) std::cout << "cleaned up after pid " << pid << '\n';
  if (reaped.removed) {
    std::cout << arguments.name() << ": nobody was left, so it was removed\n";
  } else if (reaped.pids.empty()) {
    std::cout << arguments.name() << ": no dead process\n";
  }
  return kFine;
}

int remove(const Arguments& arguments) {
  detail::Lifecycle lifecycle(arguments.name(), arguments.directory, shared_dict::Options{}.lock_timeout);
  // One whose processes have all died is removed as well, but counts as none.
  const detail::Place place(arguments.directory, arguments.name());
  const auto directory = detail::status_of(place.directory());
  const bool there = directory && directory->directory && detail::status_of(place.segment());
  const bool removed = lifecycle.remove() || there;
  if (!removed)
    throw NotFound("dictionary '" + arguments.name() +
                   "': there is none; `shared-dict list` shows those that are there");
  if (arguments.json) {
    std::cout << Json::object().text("name", arguments.name()).add("removed", "true").str() << '\n';
  } else {
    std::cout << arguments.name() << ": removed\n";
  }
  return kFine;
}

}  // namespace tool
