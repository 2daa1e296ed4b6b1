// One step in the life of a dictionary, in which processes are killed at every step, and what has to hold after each of these deaths: it
// is there whole or not at all, can be opened at once and be removed, and leaves no file.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"
#include "support/place_image.hpp"
#include "support/shared_area.hpp"

namespace shared_dict::test {

/// Where a dictionary lives, by the name of kName, and a process that is attached to it.
class Scene {
 public:
  using Dict = SharedDict<std::string, std::string>;
  static constexpr const char* kName = "life";
  static constexpr int kItems = 5;

  explicit Scene(Lifetime lifetime)
      : lifetime_(lifetime), place_(memory_place()), names_(memory_place()), image_(place_.path(), names_.path()) {}

  Lifetime lifetime() const noexcept { return lifetime_; }
  const std::filesystem::path& path() const noexcept { return place_.path(); }
  std::filesystem::path directory() const { return place_.of(kName); }
  PlaceImage& image() noexcept { return image_; }

  Dict open(std::chrono::milliseconds patience = kHangDeadline) const {
    return Dict::open_or_create(kName, options(patience));
  }
  Dict create(std::chrono::milliseconds patience = kHangDeadline) const {
    return Dict::create(kName, options(patience));
  }
  Dict open_from(const std::filesystem::path& saved) const {
    Options made = options(kHangDeadline);
    made.load_from = saved;
    return Dict::open_or_create(kName, made);
  }
  bool remove() const { return shared_dict::remove(kName, path()); }

  static void fill(Dict& d) {
    for (int i = 0; i < kItems; ++i) d["key " + std::to_string(i)] = "value";
  }
  /// As long as nobody else writes.
  static bool is_filled(const Dict& d) {
    for (int i = 0; i < kItems; ++i) {
      if (d.get("key " + std::to_string(i)) != "value") return false;
    }
    return d.size() == kItems;
  }
  /// Ten operations; it is as before then.
  static bool works(Dict& d) {
    bool good = d.insert("ten 1", "one") && d.insert("ten 2", std::string(5000, 't')) && d.assign("ten 1", "two") &&
                d.extract("ten 2").has_value();
    d.update({{"ten 2", "three"}, {"ten 3", "four"}});
    good = good && d.modify("ten 2", [](std::string& value) { value += "more"; }) && *d.view("ten 2") == "threemore";
    return d.erase("ten 1") && d.erase("ten 2") && d.erase("ten 3") && good && d.audit().ok();
  }

  /// Another process, which leaves or dies in the middle of what it does.
  static void elsewhere(const std::function<void()>& body) {
    SHARED_DICT_REQUIRE_ENDED_WELL(run_forked([&](auto) {
      body();
      return 0;
    }));
  }

  /// Another process that is attached, to a dictionary that it has filled, until it dies.
  void begin_member() {
    member_ = std::make_unique<Forked>([this](auto) {
      Dict d = open();
      fill(d);
      for (int turn = 1;; ++turn) {
        talk_->answered = turn;
        eventually([&] { return talk_->asked.load() >= turn; }, std::chrono::hours(24));
        talk_->good = is_filled(d) && works(d) ? turn : 0;
      }
      return 0;
    });
    REQUIRE(eventually([&] { return talk_->answered.load() == 1; }));
  }
  void end_member() {
    if (member_ == nullptr) return;
    member_->kill();
    REQUIRE(member_->wait().signal == SIGKILL);
    member_.reset();
  }
  bool has_member() const noexcept { return member_ != nullptr; }
  /// It goes on, with what is there.
  void ask_member() {
    const int turn = ++talk_->asked;
    REQUIRE(eventually([&] { return talk_->answered.load() > turn; }));
    REQUIRE(talk_->good.load() == turn);
  }

 private:
  struct Talk {
    std::atomic<int> asked;
    std::atomic<int> answered;
    std::atomic<int> good;
  };

  Options options(std::chrono::milliseconds patience) const {
    return {
        .heap_size = 1 << 15, .lifetime = lifetime_, .lock_timeout = patience, .max_processes = 4, .directory = path()};
  }

  Lifetime lifetime_;
  Place place_;
  Place names_;
  PlaceImage image_;
  SharedArea<Talk> talk_;
  std::unique_ptr<Forked> member_;
};

/// A process does `operation` and is killed in it.
struct Life {
  std::string name;
  Lifetime lifetime = Lifetime::attached;
  enum class Name { free, taken };
  Name begins = Name::free;  ///< whether there is one under the name that counts as being there, while a member lives
  Name ends = Name::free;
  bool filled = false;  ///< the one that is there
  std::function<void(Scene&)> prepare{};
  std::function<void(Scene&)> before{};  ///< done by the process that dies, before it can die
  std::function<void(Scene&)> operation{};
};

/// Looks at what one death after the other has left; at each in all the ways that somebody can come upon it.
class LifeDeaths {
 public:
  LifeDeaths(Scene& scene, const Life& life) : scene_(scene), life_(life) {}

  /// In the order of the deaths: `first`, `last`.
  void check(const PlaceImage::Copy& image, bool first, bool last) {
    scene_.image().restore(image);
    const bool there = look();
    const bool counts = scene_.has_member() || life_.lifetime == Lifetime::persistent;
    const bool begins = counts && life_.begins == Life::Name::taken;
    const bool ends = counts && life_.ends == Life::Name::taken;
    // From the one to the other, in one moment.
    if (first) REQUIRE(there == begins);
    if (last) REQUIRE(there == ends);
    REQUIRE((count_ == 0 || there == was_there_ || there == ends));
    REQUIRE((there == begins || there == ends));
    was_there_ = there;
    check_use(image, there, life_.filled);
  }

  /// Where the name may be taken or free.
  void check_anyhow(const PlaceImage::Copy& image, bool filled) {
    scene_.image().restore(image);
    check_use(image, look(), filled);
  }

  /// Whether it is there.
  bool look() const {
    const bool there = exists(Scene::kName, scene_.path());
    REQUIRE(list(scene_.path()) == (there ? std::vector<std::string>{Scene::kName} : std::vector<std::string>{}));
    return there;
  }
  std::size_t count() const noexcept { return count_; }

 private:
  static constexpr std::chrono::milliseconds kAtOnce{0};

  void check_use(const PlaceImage::Copy& image, bool there, bool filled) {
    if (scene_.has_member()) scene_.ask_member();
    open(there, filled);
    create_and_leave();

    scene_.image().restore(image);
    const std::error_code error =
        error_of([&] { Scene::Dict::attach(Scene::kName, {.lock_timeout = kAtOnce, .directory = scene_.path()}); });
    REQUIRE(error == (there ? std::error_code() : make_error_code(errc::not_found)));
    create_and_leave();

    scene_.image().restore(image);
    REQUIRE(scene_.remove() == there);
    check_gone();
    create_and_leave();
    ++count_;
  }

  void open(bool there, bool filled) {
    const Scene::Dict at_once = scene_.open(kAtOnce);
    Scene::Dict d = scene_.open();
    REQUIRE((there && filled ? Scene::is_filled(d) : d.empty()));
    REQUIRE(d.stats().processes == (there && filled && scene_.has_member() ? 2 : 1));
    REQUIRE(Scene::works(d));
  }

  // Whatever is there goes, and a new one comes and goes.
  void create_and_leave() {
    scene_.remove();
    check_gone();
    {
      Scene::Dict d = scene_.create(kAtOnce);
      REQUIRE(Scene::works(d));
    }
    REQUIRE(scene_.remove() == (life_.lifetime == Lifetime::persistent));
    check_gone();
    REQUIRE(!scene_.remove());
  }

  // What is left is the member's, put aside.
  void check_gone() const {
    REQUIRE(!exists(Scene::kName, scene_.path()));
    std::vector<std::string> left;
    for (const auto& entry : std::filesystem::directory_iterator(scene_.path()))
      left.push_back(entry.path().filename().string());
    REQUIRE(left.size() == (scene_.has_member() ? 1 : 0));
    if (!left.empty()) REQUIRE(left.front().starts_with(".shared_dict."));
  }

  Scene& scene_;
  const Life& life_;
  std::size_t count_ = 0;
  bool was_there_ = false;
};

/// Every operation that begins, joins, leaves or ends a dictionary, and what it can meet.
std::vector<Life> lives();

}  // namespace shared_dict::test
