#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "steps/life.hpp"

namespace shared_dict::test {
namespace {

using Name = Life::Name;

void create(Scene& scene) { scene.create(); }
void begin_member(Scene& scene) { scene.begin_member(); }

void leave_filled(Scene& scene) {
  Scene::elsewhere([&] {
    Scene::Dict d = scene.open();
    Scene::fill(d);
  });
}

void die_attached(Scene& scene) {
  Scene::elsewhere([&] {
    Scene::Dict d = scene.open();
    Scene::fill(d);
    ::_exit(0);
  });
}

void die_with_lock(Scene& scene) {
  Scene::elsewhere([&] {
    Scene::Dict d = scene.open();
    Scene::fill(d);
    d.modify("key 1", [](std::string&) { ::_exit(0); });
  });
}

// Its own area of the segment in use.
void view_and_wait(Scene::Dict& d) {
  d.view("key 1");
  d.wait_change("key 1", std::chrono::nanoseconds(0));
}

void die_with_views(Scene& scene) {
  Scene::elsewhere([&] {
    Scene::Dict d = scene.open();
    Scene::fill(d);
    view_and_wait(d);
    const auto view = d.view("key 2");
    const auto loan = d.loan("key 3", 40);
    ::_exit(0);
  });
}

// As if it had never come to publish it.
void die_creating(Scene& scene) {
  die_attached(scene);
  std::fstream(scene.directory() / "segment", std::ios::in | std::ios::out | std::ios::binary)
      .write("\0\0\0\0\0\0\0\0", 8);
}

void die_removing(Scene& scene) {
  leave_filled(scene);
  std::filesystem::remove(scene.directory() / "segment");
}

void remove_beside_member(Scene& scene) {
  scene.begin_member();
  scene.remove();
}

void save(Scene& scene, const std::filesystem::path& path) {
  Scene::elsewhere([&] {
    Scene::Dict d = scene.open();
    Scene::fill(d);
    d.save(path);
  });
  scene.remove();
}

// Of the process that dies.
std::optional<Scene::Dict> own;
void attach_own(Scene& scene) { own = scene.open(); }
void attach_filled(Scene& scene) {
  attach_own(scene);
  Scene::fill(*own);
}
void attach_and_remove(Scene& scene) {
  attach_own(scene);
  scene.remove();
}
void attach_and_view(Scene& scene) {
  attach_own(scene);
  view_and_wait(*own);
}
void close_own(Scene&) { own->close(); }

}  // namespace

std::vector<Life> lives() {
  constexpr auto kPersistent = Lifetime::persistent;
  constexpr auto kAttached = Lifetime::attached;
  const auto place = std::make_shared<Place>();
  const auto save_before = [place](Scene& scene) { save(scene, place->path() / "saved"); };
  return {
      {"create", kAttached, Name::free, Name::taken, false, {}, {}, create},
      {"create a persistent one", kPersistent, Name::free, Name::taken, false, {}, {}, create},
      {"create where a creator has died", kPersistent, Name::free, Name::taken, false, die_creating, {}, create},
      {"create where all members have died", kAttached, Name::free, Name::taken, false, die_attached, {}, create},
      {"create where one was removed whose member has died",
       kPersistent,
       Name::free,
       Name::taken,
       false,
       [](Scene& scene) {
         remove_beside_member(scene);
         scene.end_member();
       },
       {},
       create},
      {"create where one was removed whose member lives",
       kPersistent,
       Name::free,
       Name::taken,
       false,
       remove_beside_member,
       {},
       create},
      {"open_or_create", kPersistent, Name::free, Name::taken, false, {}, {}, [](Scene& scene) { scene.open(); }},
      {"open_or_create that loads",
       kPersistent,
       Name::free,
       Name::taken,
       true,
       save_before,
       {},
       [place](Scene& scene) { scene.open_from(place->path() / "saved"); }},
      {"attach", kPersistent, Name::taken, Name::taken, true, leave_filled, {}, attach_own},
      {"attach beside a member", kAttached, Name::taken, Name::taken, true, begin_member, {}, attach_own},
      {"attach where a process has died with a lock",
       kPersistent,
       Name::taken,
       Name::taken,
       true,
       die_with_lock,
       {},
       attach_own},
      {"attach where a process has died with views and a loan",
       kPersistent,
       Name::taken,
       Name::taken,
       true,
       die_with_views,
       {},
       attach_own},
      {"leave", kPersistent, Name::taken, Name::taken, true, leave_filled, attach_own, close_own},
      {"leave beside a member", kAttached, Name::taken, Name::taken, true, begin_member, attach_own, close_own},
      {"leave after views and waits", kPersistent, Name::taken, Name::taken, true, leave_filled, attach_and_view,
       close_own},
      {"leave as the last", kAttached, Name::free, Name::free, true, {}, attach_filled, close_own},
      {"leave what was removed", kAttached, Name::free, Name::free, true, {}, attach_and_remove, close_own},
      {"leave what was removed, beside a member", kAttached, Name::free, Name::free, true, begin_member,
       attach_and_remove, close_own},
      {"remove", kPersistent, Name::taken, Name::free, true, leave_filled, {}, [](Scene& scene) { scene.remove(); }},
      {"remove beside a member",
       kAttached,
       Name::taken,
       Name::free,
       true,
       begin_member,
       {},
       [](Scene& scene) { scene.remove(); }},
      {"remove a persistent one beside a member",
       kPersistent,
       Name::taken,
       Name::free,
       true,
       begin_member,
       {},
       [](Scene& scene) { scene.remove(); }},
      {"remove where all members have died",
       kAttached,
       Name::free,
       Name::free,
       true,
       die_attached,
       {},
       [](Scene& scene) { scene.remove(); }},
      {"remove where a remover has died",
       kPersistent,
       Name::free,
       Name::free,
       true,
       die_removing,
       {},
       [](Scene& scene) { scene.remove(); }},
  };
}

}  // namespace shared_dict::test
