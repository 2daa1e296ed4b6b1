// Every system call and every allocation fails once in all that makes, opens, closes and removes dictionaries. What was called has
// happened, or it tells and nothing has changed: no name is in use that wasn't, no file is left over, no member disturbed.
//
// Closing can't tell. If its calls fail there may be files left; but nobody takes them for a dictionary, and the next one of that name
// takes them away.

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"
#include "support/forked.hpp"
#include "support/shared_area.hpp"

using namespace shared_dict;
using namespace shared_dict::test;

namespace {

using Words = SharedDict<std::string, std::string>;

/// A place with a member in another process, and what is done there.
class Scene {
 public:
  explicit Scene(Lifetime lifetime)
      : options_{.heap_size = 1 << 14,
                 .lifetime = lifetime,
                 .lock_timeout = std::chrono::milliseconds(300),  // for calls that go on failing
                 .max_processes = 3,
                 .directory = place_.path()},
        witness_(kName, options_, {{"witnessed", "w"}, {"other", "v"}}) {}

  Witness<Words>& witness() noexcept { return witness_; }
  const Place& place() const noexcept { return place_; }
  bool empty() const { return std::filesystem::is_empty(place_.path()); }
  bool holds_only_guard() const {
    std::error_code error;
    const auto all = detail::paths_in(place_.of(kName), error);
    return !error && all.size() == 1 && all.front().filename() == "guard.lock";
  }
  bool there() const { return exists(kName, place_.path()); }
  bool remove() const { return shared_dict::remove(kName, place_.path()); }
  Words create() const { return Words::create(kName, options_); }
  Words attach() const { return Words::attach(kName, options_); }
  Words open_or_create() const { return Words::open_or_create(kName, options_); }

  /// Somebody has made the dictionary and died.
  void leave_dead_one() const {
    Forked member([this](auto) {
      Words d = create();
      d.insert("witnessed", "w");
      ::raise(SIGKILL);
      return 0;
    });
    demand(member.wait().signal == SIGKILL, "a death");
  }

  /// The name is free, and somebody else can use it.
  void demand_free() {
    demand(!there(), "that there is none");
    witness_.create();
    witness_.check();
    witness_.detach();
    demand(empty(), "no file left over");
  }

 private:
  Place place_{memory()};
  Options options_;
  Witness<Words> witness_;
};

using Round = std::function<void(Scene&, const Fault&, Attempt&)>;

Tally fail_in(const char* name, Lifetime lifetime, const Round& round) {
  Scene scene(lifetime);
  Tally all;
  for (const bool lasting : {false, true}) {
    Attempt first;
    round(scene, {}, first);
    const std::int64_t kept = kept_allocations(scene.place());
    const auto descriptors = open_descriptors();
    all += fail_everywhere(name, lasting, [&](const Fault& fault, Attempt& tried) {
      round(scene, fault, tried);
      demand(scene.empty(), "no file left over");
      demand(open_descriptors() == descriptors, "no descriptor left open");
      const std::int64_t now = kept_allocations(scene.place());
      demand(now == kept, "no memory lost: " + std::to_string(now - kept) + " allocations more than before");
    });
  }
  all.operations = 1;
  return all;
}

constexpr const char* kPromised = "an exception of the kind that is promised, and only for a fault";

/// Opens with `open`, in which something fails; `found` is what a success may have found.
Round opening(Words (Scene::*open)() const, bool attaches) {
  return [=](Scene& scene, const Fault& fault, Attempt& tried) {
    if (attaches) scene.witness().create();
    std::optional<Words> d;
    tried = attempt(fault, [&] { d.emplace((scene.*open)()); });
    demand(tried.as_promised(kName), kPromised);
    if (tried.failed) {
      demand(!d, "no handle");
      if (attaches) {
        scene.witness().check();
        scene.witness().detach();
        demand(scene.empty(), "no file left over");
        scene.witness().create();
      } else {
        // To take away what was made takes memory, and for the guard a descriptor.
        const bool no_memory = tried.no_memory || tried.outcome.error == ENOMEM;
        const bool no_descriptor = tried.outcome.error == EMFILE && scene.holds_only_guard();
        demand(scene.empty() || (fault.lasting && (no_memory || no_descriptor)), "no file left over");
      }
      d.emplace((scene.*open)());
    }
    demand(d->get("witnessed") == (attaches ? std::optional<std::string>("w") : std::nullopt), "the contents");
    if (!attaches) scene.witness().attach();
    demand(d->stats().processes == 2, "two members");
    d->insert("mine", "m");
    scene.witness().check();
    d->close();
    scene.witness().check();
    scene.witness().detach();
  };
}

/// What must be refused, fault or not.
void demand_refusal(Attempt& tried, errc expected) {
  demand(tried.failed, "a refusal");
  if (tried.outcome.struck) {
    demand(tried.as_promised(kName), kPromised);
  } else {
    demand(tried.code == expected, "this refusal");
  }
}

}  // namespace

TEST_CASE("whichever call fails in opening a dictionary, it is open, or nothing is left of it") {
  Tally all;
  all += fail_in("create", Lifetime::attached, opening(&Scene::create, false));
  all += fail_in("attach", Lifetime::attached, opening(&Scene::attach, true));
  all += fail_in("open_or_create that creates", Lifetime::attached, opening(&Scene::open_or_create, false));
  all += fail_in("open_or_create that attaches", Lifetime::attached, opening(&Scene::open_or_create, true));
  all += fail_in("create of a name in use", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.witness().create();
    tried = attempt(fault, [&] { scene.create(); });
    demand_refusal(tried, errc::already_exists);
    scene.witness().check();
    scene.witness().detach();
  });
  all += fail_in("attach to none", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    tried = attempt(fault, [&] { scene.attach(); });
    demand_refusal(tried, errc::not_found);
    demand(scene.empty(), "no file");
  });
  print("faults in opening a dictionary", all);
}

TEST_CASE("whichever call fails, a dictionary whose members have all died is never opened as it was") {
  Tally all;
  for (const auto open : {&Scene::create, &Scene::open_or_create}) {
    all +=
        fail_in("create where one has died", Lifetime::attached, [=](Scene& scene, const Fault& fault, Attempt& tried) {
          scene.leave_dead_one();
          std::optional<Words> d;
          tried = attempt(fault, [&] { d.emplace((scene.*open)()); });
          demand(tried.as_promised(kName), kPromised);
          if (tried.failed) d.emplace((scene.*open)());
          demand(d->empty(), "a new one");
          d->insert("mine", "m");
          scene.witness().attach();
          scene.witness().check();
          scene.witness().detach();
          d->close();
        });
  }
  all += fail_in("attach where one has died", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.leave_dead_one();
    tried = attempt(fault, [&] { scene.attach(); });
    demand_refusal(tried, errc::not_found);
    scene.demand_free();
  });
  all += fail_in("exists where one has died", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.leave_dead_one();
    bool there = false;
    tried = attempt(fault, [&] { there = scene.there(); });
    demand(tried.as_promised(kName), kPromised);
    demand(!there, "the truth, or an error");
    scene.demand_free();
  });
  all += fail_in("remove where one has died", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.leave_dead_one();
    tried = attempt(fault, [&] { scene.remove(); });
    demand(tried.as_promised(kName), kPromised);
    scene.demand_free();
  });
  print("faults where a dictionary's members have died", all);
}

TEST_CASE("whichever call fails in asking for dictionaries, the answer is right or an error") {
  Tally all;
  all += fail_in("exists", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.witness().create();
    bool there = false;
    tried = attempt(fault, [&] { there = scene.there(); });
    demand(tried.as_promised(kName), kPromised);
    demand(there || tried.failed, "the truth, or an error");
    scene.witness().check();
    scene.witness().detach();
  });
  all += fail_in("exists of none", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    bool there = false;
    tried = attempt(fault, [&] { there = scene.there(); });
    demand(tried.as_promised(kName), kPromised);
    demand(!there, "the truth, or an error");
  });
  all += fail_in("list", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.witness().create();
    std::vector<std::string> names;
    tried = attempt(fault, [&] { names = list(scene.place().path()); });
    // It is of no dictionary in particular.
    demand(!tried.failed || tried.outcome.struck, kPromised);
    // What may not be looked at belongs to others.
    const bool others = tried.outcome.error == EACCES && names.empty();
    demand(tried.failed || others || names == std::vector<std::string>{kName}, "the truth, or an error");
    scene.witness().check();
    scene.witness().detach();
  });
  print("faults in asking for dictionaries", all);
}

TEST_CASE("whichever call fails in removing a dictionary, it is gone or there, and the name can be used") {
  Tally all;
  all += fail_in("remove", Lifetime::persistent, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.create().close();
    bool removed = false;
    tried = attempt(fault, [&] { removed = scene.remove(); });
    demand(tried.as_promised(kName), kPromised);
    demand(removed || tried.failed, "the truth, or an error");
    if (!tried.failed) demand(!scene.there(), "that it is gone");
    if (!scene.there()) scene.create().close();
    demand(scene.remove(), "that it can be removed");
  });
  all += fail_in("remove in use", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.witness().create();
    bool removed = false;
    tried = attempt(fault, [&] { removed = scene.remove(); });
    demand(tried.as_promised(kName), kPromised);
    demand(removed || tried.failed, "the truth, or an error");
    if (!tried.failed) demand(!scene.there(), "that it is gone");
    scene.witness().check();
    if (!scene.there()) scene.create().close();
    scene.witness().check();
    scene.witness().detach();
  });
  all += fail_in("remove of none", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    bool removed = false;
    tried = attempt(fault, [&] { removed = scene.remove(); });
    demand(tried.as_promised(kName), kPromised);
    demand(!removed, "the truth, or an error");
  });
  print("faults in removing dictionaries", all);
}

TEST_CASE("whichever call fails in closing a dictionary, it is closed for others too") {
  Tally all;
  all += fail_in("close, others stay", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    scene.witness().create();
    Words d = scene.attach();
    tried = attempt(fault, [&] { d.close(); });
    demand(!tried.failed, "no exception");
    scene.witness().check_after_death();
    d = scene.attach();
    demand(d.stats().processes == 2, "two members");
    d.close();
    scene.witness().check_after_death();
    scene.witness().detach();
  });
  all += fail_in("close, the last one", Lifetime::attached, [](Scene& scene, const Fault& fault, Attempt& tried) {
    Words d = scene.create();
    d.insert("mine", "m");
    tried = attempt(fault, [&] { d.close(); });
    demand(!tried.failed, "no exception");
    demand(scene.empty() || tried.outcome.struck, "no file left over");
    scene.demand_free();
  });
  all += fail_in("close of one that was removed", Lifetime::attached,
                 [](Scene& scene, const Fault& fault, Attempt& tried) {
                   Words d = scene.create();
                   demand(scene.remove(), "that it is removed");
                   d.insert("mine", "m");
                   tried = attempt(fault, [&] { d.close(); });
                   demand(!tried.failed, "no exception");
                   demand(scene.empty() || tried.outcome.struck, "no file left over");
                   scene.demand_free();
                 });
  all += fail_in("create and close, where one was removed and left by the dead", Lifetime::attached,
                 [](Scene& scene, const Fault& fault, Attempt& tried) {
                   {
                     SharedArea<std::atomic<int>> made;
                     Forked member([&](auto) {
                       const Words d = scene.create();
                       made->store(1);
                       ::pause();
                       return 0;
                     });
                     demand(eventually([&] { return made->load() == 1; }), "a member");
                     demand(scene.remove(), "that it is removed");
                   }
                   tried = attempt(fault, [&] { scene.create().close(); });
                   demand(tried.as_promised(kName), kPromised);
                   scene.demand_free();
                 });
  print("faults in closing dictionaries", all);
}
