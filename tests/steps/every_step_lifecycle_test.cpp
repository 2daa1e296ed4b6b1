// A process is killed after each single instruction that changed anything on disk or in the segment, while it creates, attaches, leaves or
// removes. Whatever it had done by then, the dictionary is there whole or not at all, can be opened at once, and leaves no file.
//
// The images are those of the whole directory. Until the child maps the segment only its system calls can change anything; from then on it
// goes one instruction at a time.

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "steps/life.hpp"
#include "support/catch.hpp"
#include "support/distinct.hpp"
#include "support/effort.hpp"
#include "support/stepped.hpp"

using namespace shared_dict::test;

namespace {

bool maps_segment(pid_t process) {
  std::ifstream maps("/proc/" + std::to_string(process) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.ends_with("/segment")) return true;
  }
  return false;
}

Distinct<PlaceImage::Copy> images_of(Scene& scene, const Life& life) {
  Distinct<PlaceImage::Copy> images;
  Stepped child([&] { life.operation(scene); },
                [&] {
                  if (life.before) life.before(scene);
                });
  images.add(scene.image().copy());
  for (bool mapped = false;;) {
    mapped = mapped || maps_segment(child.pid());
    if (!(mapped ? child.step() : child.step_to_system_call())) break;
    if (scene.image().differs(images[images.last()])) images.add(scene.image().copy());
  }
  child.kill();
  return images;
}

std::size_t check_all(Scene& scene, const Life& life, const Distinct<PlaceImage::Copy>& images) {
  LifeDeaths deaths(scene, life);
  for (std::size_t i = 0; i < images.size(); ++i) {
    INFO(life.name << ", image " << i << " of " << images.size() << (scene.has_member() ? ", beside a member" : ""));
    deaths.check(images[i], i == 0, i == images.last());
  }
  return deaths.count();
}

}  // namespace

TEST_CASE("whatever instruction a process is killed at in its life, the dictionary is there whole or not at all",
          "[long]") {
  if (!Stepped::possible()) {
    WARN("ptrace isn't permitted here: only the kill points show what a death leaves");
    report("kill at every instruction: life cycle: left to the kill points, as ptrace isn't permitted",
           {{"images", 0}});
    return;
  }
  std::uint64_t seen = 0;
  std::uint64_t images = 0;
  std::uint64_t recovered = 0;
  const std::vector<Life> all = lives();
  for (const Life& life : all) {
    Scene scene(life.lifetime);
    if (life.prepare) life.prepare(scene);
    const Distinct<PlaceImage::Copy> left = images_of(scene, life);
    REQUIRE(left.size() > 1);
    std::size_t checked = scene.has_member() ? check_all(scene, life, left) : 0;
    scene.end_member();
    checked += check_all(scene, life, left);
    report("kill at every instruction: life cycle: " + life.name,
           {{"states", left.seen()}, {"different images", left.size()}, {"recoveries", checked}});
    seen += left.seen();
    images += left.size();
    recovered += checked;
  }
  report("kill at every instruction: life cycle",
         {{"operations", all.size()}, {"states", seen}, {"different images", images}, {"recoveries", recovered}});
}
