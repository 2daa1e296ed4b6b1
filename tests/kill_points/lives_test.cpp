// As changes_test.cpp, for a dictionary's life cycle: a child dies behind the n-th store or change of files, for each n. So few are they
// that all are always tried.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "steps/life.hpp"
#include "support/catch.hpp"
#include "support/effort.hpp"
#include "support/killed.hpp"
#include "support/sanitized.hpp"

using namespace shared_dict::test;

namespace {

// What each death in the operation leaves, and what it leaves when it is through.
std::vector<PlaceImage::Copy> images_of(Scene& scene, const std::function<void()>& operation,
                                        const std::function<void()>& before) {
  const PlaceImage::Copy start = scene.image().copy();
  const std::uint64_t count = KillPoints::count(operation, before);
  std::vector<PlaceImage::Copy> images;
  for (std::uint64_t n = 1; n <= count + 1; ++n) {
    scene.image().restore(start);
    KillPoints::kill_at(n, operation, before);
    images.push_back(scene.image().copy());
  }
  return images;
}

std::vector<PlaceImage::Copy> images_of(Scene& scene, const Life& life) {
  return images_of(
      scene, [&] { life.operation(scene); },
      [&] {
        if (life.before) life.before(scene);
      });
}

std::size_t check_all(Scene& scene, const Life& life, const std::vector<PlaceImage::Copy>& images) {
  LifeDeaths deaths(scene, life);
  for (std::size_t i = 0; i < images.size(); ++i) {
    INFO(life.name << ", kill point " << i + 1 << " of " << images.size() - 1
                   << (scene.has_member() ? ", beside a member" : ""));
    deaths.check(images[i], false, i + 1 == images.size());
  }
  return deaths.count();
}

// Whoever is forked takes a record of its own, and counts as attached.
void fork_once() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  while (child > 0 && ::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::vector<Life> lives_and_forks() {
  std::vector<Life> all = lives();
  static std::optional<Scene::Dict> own;
  all.push_back({"fork",
                 shared_dict::Lifetime::persistent,
                 Life::Name::taken,
                 Life::Name::taken,
                 true,
                 {},
                 [](Scene& scene) {
                   own = scene.open();
                   Scene::fill(*own);
                 },
                 [](Scene&) { fork_once(); }});
  return all;
}

// Opening, leaving and removing meet all that can be left. Returns at how many places who does it has died.
std::size_t kill_who_cleans_up(Scene& scene, const Life& life, const PlaceImage::Copy& left) {
  scene.image().restore(left);
  const bool there = LifeDeaths(scene, life).look();
  const auto clean_up = [&] {
    scene.open();
    scene.remove();
  };
  const std::vector<PlaceImage::Copy> again = images_of(scene, clean_up, [] {});
  LifeDeaths deaths(scene, life);
  for (std::size_t k = 0; k < again.size(); ++k) {
    INFO("second death " << k << " of " << again.size());
    deaths.check_anyhow(again[k], there && life.filled);
  }
  return deaths.count();
}

}  // namespace

TEST_CASE(
    "whatever store or change of files a process dies at in its life, the dictionary is there whole or not at all",
    "[long]") {
  std::uint64_t points = 0;
  std::uint64_t recovered = 0;
  const std::vector<Life> all = lives_and_forks();
  for (const Life& life : all) {
    Scene scene(life.lifetime);
    if (life.prepare) life.prepare(scene);
    const std::vector<PlaceImage::Copy> left = images_of(scene, life);
    std::size_t checked = scene.has_member() ? check_all(scene, life, left) : 0;
    scene.end_member();
    checked += check_all(scene, life, left);
    points += left.size() - 1;
    recovered += checked;
  }
  report("kill at every store: life cycle",
         {{"operations", all.size()}, {"kill points", points}, {"recovered", recovered}});
}

TEST_CASE("whoever cleans up after a death in a life cycle may die, too", "[long]") {
  Shares shares(kSanitized ? 200 : 16);
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  while (shares.more()) {
    for (const Life& life : lives()) {
      Scene scene(life.lifetime);
      if (life.prepare) life.prepare(scene);
      const std::vector<PlaceImage::Copy> left = images_of(scene, life);
      scene.end_member();
      for (std::size_t i = 0; i < left.size(); ++i) {
        if (!shares.has(i)) continue;
        INFO(life.name << ", death " << i << " of " << left.size());
        second += kill_who_cleans_up(scene, life, left[i]);
        ++first;
      }
    }
  }
  report("second death in the recovery of a life cycle",
         {{"shares", shares.done()}, {"of", shares.of()}, {"first deaths", first}, {"second deaths", second}});
}
