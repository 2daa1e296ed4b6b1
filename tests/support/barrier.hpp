// A common start for several processes, so that a test of concurrency does not depend on how fast processes start.
#pragma once

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <utility>

#include "support/eventually.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

/// Made by the test; a forked child uses it as it is, a child that starts the program anew gets token() as an argument.
/// For one start only.
class StartBarrier {
 public:
  StartBarrier() = default;
  static StartBarrier from_token(const std::string& token) {
    return StartBarrier(SharedArea<State>::from_token(token));
  }

  std::string token() const { return state_.token(); }

  /// In each child: tells that it is ready and waits for the start.
  void arrive_and_wait(std::chrono::milliseconds deadline = kHangDeadline) const {
    state_->arrived.fetch_add(1);
    if (!eventually([this] { return state_->open.load() != 0; }, deadline)) {
      throw std::runtime_error("the start barrier did not open in time");
    }
  }

  /// In the test: waits until `children` are ready, then starts all of them.
  void open_for(unsigned children, std::chrono::milliseconds deadline = kHangDeadline) const {
    if (!eventually([&] { return state_->arrived.load() >= children; }, deadline)) {
      throw std::runtime_error(std::to_string(state_->arrived.load()) + " of " + std::to_string(children) +
                               " children came to the start barrier in time");
    }
    state_->open.store(1);
  }

 private:
  struct State {
    std::atomic<unsigned> arrived;
    std::atomic<unsigned> open;
  };

  explicit StartBarrier(SharedArea<State> state) : state_(std::move(state)) {}

  SharedArea<State> state_;
};

}  // namespace shared_dict::test
