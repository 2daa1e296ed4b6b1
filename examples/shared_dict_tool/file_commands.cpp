// export, import: a dictionary's items in a file, without knowing their types.
#include <unistd.h>

#include <iostream>

#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/snapshot.hpp>

#include "commands.hpp"
#include "figures.hpp"
#include "json.hpp"
#include "looking.hpp"

namespace tool {

namespace {

// On a terminal, how far it has come; large dictionaries take a while.
class ShownProgress {
 public:
  explicit ShownProgress(const Arguments& arguments) : for_people_(!arguments.json && ::isatty(STDERR_FILENO) != 0) {}

  detail::Progress progress() {
    if (!for_people_) return {};
    return [this](std::uint64_t done, std::uint64_t total) {
      const auto percent =
          static_cast<int>(total == 0 ? 100 : static_cast<double>(done) * 100 / static_cast<double>(total));
      if (percent == shown_) return;
      shown_ = percent;
      std::cerr << "\r  " << percent << " %" << (percent == 100 ? "\r       \r" : "") << std::flush;
    };
  }

 private:
  bool for_people_;
  int shown_ = -1;
};

int tell(const Arguments& arguments, const char* what, const detail::SavedHeader& header) {
  const std::string& file = arguments.rest.at(1);
  if (arguments.json) {
    Json json = Json::object().text("name", arguments.name()).text("file", file).number("items", header.items);
    std::cout << json.number("bytes", header.file_bytes).str() << '\n';
  } else {
    std::cout << arguments.name() << ": " << grouped(header.items) << " items " << what << ' ' << file << ", "
              << bytes_text(header.file_bytes) << '\n';
  }
  return kFine;
}

}  // namespace

int export_to(const Arguments& arguments) {
  const std::string& file = arguments.rest.at(1);
  ShownProgress shown(arguments);
  Dictionary(arguments.name(), arguments.directory).save(file, shown.progress());
  return tell(arguments, "saved to", detail::SavedFile(arguments.name(), file).header());
}

int import_from(const Arguments& arguments) {
  const std::string& file = arguments.rest.at(1);
  const detail::SavedFile saved(arguments.name(), file);
  shared_dict::Options options;
  options.heap_size = static_cast<std::size_t>(saved.header().heap_size);
  options.max_items = static_cast<std::size_t>(saved.header().max_items);
  options.lifetime = shared_dict::Lifetime::persistent;
  options.directory = arguments.directory;
  options.load_from = file;
  try {
    detail::Lifecycle(arguments.name(), arguments.directory, options.lock_timeout)
        .open(detail::OpenMode::create, options, saved.types(), detail::fill_of(options));
  } catch (const shared_dict::Error& error) {
    if (error.code() != shared_dict::errc::already_exists) throw;
    ShownProgress shown(arguments);
    Dictionary(arguments.name(), arguments.directory).load(file, shown.progress());
  }
  return tell(arguments, "loaded from", saved.header());
}

}  // namespace tool
