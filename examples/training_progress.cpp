// Training progress: one process trains a model and publishes where it is, another one shows it live.
//
// The trainer stores one small struct per step and doesn't wait for viewers. The viewer sleeps in wait_change, and wakes
// when a step is stored. It skips steps if it is slow: what it reads is always one whole step, the newest.
#include <shared_dict/shared_dict.hpp>

#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "program.hpp"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr const char* kUsage =
    "usage: training_progress\n"
    "\n"
    "A process fits y = 3a - 2b + 1 to 2000 noisy points by gradient descent and publishes its progress; another one\n"
    "shows it, in place on a terminal and as lines elsewhere. Checks the model and that the viewer saw the end.\n";

constexpr std::uint32_t kSteps = 120;
constexpr std::array kTrue = {3.0, -2.0, 1.0};
constexpr const char* kRun = "run 1";

struct Progress {
  std::uint32_t step = 0;
  std::uint32_t shown = 0;  // in the viewer's report: how many steps it has shown
  double loss = 0;
  std::array<double, 3> weights{};
};
using Runs = shared_dict::SharedDict<std::string, Progress>;

void train(Runs& runs) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal;
  struct Point {
    std::array<double, 3> x;
    double y;
  };
  std::vector<Point> points(2000);
  for (Point& p : points) {
    p.x = {normal(random), normal(random), 1};
    p.y = kTrue[0] * p.x[0] + kTrue[1] * p.x[1] + kTrue[2] + 0.1 * normal(random);
  }

  Progress now;
  for (now.step = 1; now.step <= kSteps; ++now.step) {
    std::array<double, 3> gradient{};
    now.loss = 0;
    for (const Point& p : points) {
      double error = -p.y;
      for (std::size_t i = 0; i < 3; ++i) error += now.weights[i] * p.x[i];
      now.loss += error * error / static_cast<double>(points.size());
      for (std::size_t i = 0; i < 3; ++i) gradient[i] += 2 * error * p.x[i] / static_cast<double>(points.size());
    }
    for (std::size_t i = 0; i < 3; ++i) now.weights[i] -= 0.05 * gradient[i];
    runs[kRun] = now;                   // published: everybody who waits wakes up
    std::this_thread::sleep_for(10ms);  // a larger model would take its time
  }
}

void show(const Progress& p, bool terminal) {
  const auto filled = static_cast<std::size_t>(p.step * 30 / kSteps);
  std::cout << (terminal ? "\r\033[K" : "") << '[' << std::string(filled, '#') << std::string(30 - filled, '.')
            << "] step " << std::setw(3) << p.step << "  loss " << std::fixed << std::setprecision(4) << std::setw(7)
            << p.loss << "  y = " << std::setprecision(2) << p.weights[0] << " a + " << p.weights[1] << " b + "
            << p.weights[2];
  if (!terminal || p.step == kSteps) std::cout << '\n';
  std::cout.flush();
}

void watch(Runs& runs) {
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  Progress seen;
  std::uint32_t shown = 0;
  auto last_news = Clock::now();
  while (seen.step < kSteps) {
    if (const auto progress = runs.get(kRun); progress && progress->step > seen.step) {
      // On a terminal every change, elsewhere a line for every 12th step.
      if (terminal || progress->step / 12 != seen.step / 12) {
        show(*progress, terminal);
        ++shown;
      }
      seen = *progress;
      last_news = Clock::now();
    }
    example::require(Clock::now() - last_news < 10s, "no progress for 10 seconds");
    // It tells of what is stored from now on. What came since the look above is seen at the next one: with the next
    // step, or after these 100 ms. So the end isn't missed.
    if (seen.step < kSteps) runs.wait_change(kRun, 100ms);
  }
  seen.shown = shown;
  runs["viewer"] = seen;
}

void training_progress() {
  auto runs = Runs::create(example::unique_name());
  example::Process viewer([&] { watch(runs); });  // it may be there before the first step
  example::Process trainer([&] { train(runs); });
  trainer.join();
  viewer.join();

  const Progress last = runs.at(kRun);
  const Progress seen = runs.at("viewer");
  for (std::size_t i = 0; i < 3; ++i) {
    example::require(std::abs(last.weights[i] - kTrue[i]) < 0.02, "weight " + std::to_string(i));
  }
  example::require(seen.step == kSteps && seen.loss == last.loss && seen.weights == last.weights,
                   "the viewer's last step");
  std::cout << "check: the model is right, and the viewer, which showed " << seen.shown << " of " << kSteps
            << " steps, has the same\n";
}

}  // namespace

int main(int argc, char** argv) { return example::run(argc, argv, kUsage, training_progress); }
