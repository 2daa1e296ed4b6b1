// What the driver knows of a peer: how to start it, and how a worker opens it.
#pragma once

#include "../string_rows.hpp"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace peers {

using namespace benchmark_support;

struct Setting {
  std::filesystem::path place;  // a directory in memory that goes away at the end, with everything named after it
  const Data& data;

  std::size_t bytes() const { return data.keys.size() * (kKeySize + data.values[0].size()); }
};

// What must be there before workers can open the peer. The driver has it, and its end is the peer's.
class Host {
 public:
  Host() = default;
  Host(const Host&) = delete;
  Host& operator=(const Host&) = delete;
  virtual ~Host() = default;
  virtual void run_on(const std::vector<int>&) {}  // the cores of the workers that take part in what comes next
  virtual void check() {}                          // at the end; throws if the contents are damaged
};

using Run = std::function<Sample(const Command&, const Operations&)>;

struct Peer {
  std::string name;
  bool everywhere = false;  // measured in all sections, not only in the rows
  std::string program;      // which has to be installed, and competes with the workers for the cores; empty: none
  std::function<std::unique_ptr<Host>(const Setting&)> host;
  std::function<Run(const Setting&, std::size_t worker)> open;  // in the worker; what it opens has all items then
  bool slow = false;  // so many times slower than the others that less time tells as much
};

// How a worker runs the rows with a container.
template <class Container>
Run run_with(std::shared_ptr<Container> container, const Data& data) {
  fill(*container, data);
  return [container, &data](const Command& command, const Operations& operations) {
    return run_strings(command, *container, data, operations);
  };
}

}  // namespace peers
