// One change of a dictionary, in which processes are killed at every step, and what has to hold after each of these deaths.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/expect.hpp"
#include "support/image.hpp"
#include "support/place.hpp"

namespace shared_dict::test {

/// What the parent has of the dictionary meanwhile.
struct Beside {
  Beside() = default;
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  virtual ~Beside() = default;
  /// After each recovery.
  virtual void check(bool changed) = 0;
};

template <class V>
struct Change {
  using Dict = SharedDict<std::string, V>;
  std::string name;
  std::function<void(Dict&)> operation;
  std::function<void(Dict&)> prepare{};
  std::function<std::unique_ptr<Beside>(Dict&, const Place&)> beside{};
  bool item_by_item = false;  ///< not one moment but one for each item that goes
};

/// A dictionary and changes of it. `ten` does ten more operations that work whichever change has happened.
template <class V>
struct Setting {
  using Dict = SharedDict<std::string, V>;
  Options options;
  std::function<void(Dict&)> fill;
  std::function<void(Dict&)> ten;
  std::vector<Change<V>> changes;
};

/// Who cleans up after the dead: a process that attaches, or one that waits for a lock. The second takes ten milliseconds.
enum class Recoverer { newcomer, waiter };

/// Where the memory is, when all items have been erased and nothing has been cleared.
struct Figures {
  std::size_t items = 0;
  std::size_t heap_used = 0;
  std::size_t retired = 0;
  std::size_t pages_in_use = 0;  ///< tables aside, which don't shrink
  std::size_t tables = 0;
  std::size_t committed_pages = 0;  ///< an upper bound

  /// As much as `other`, which nobody was killed in, and no more memory behind it than a step of Segment::commit: blocks that a repair has
  /// given back are taken in another order, which can need a page more at the most.
  bool within(const Figures& other) const noexcept {
    constexpr std::size_t kStep = 17;
    return items == other.items && heap_used == other.heap_used && retired == other.retired && pages_in_use == other.pages_in_use &&
           tables == other.tables && committed_pages <= other.committed_pages + kStep;
  }
  friend std::ostream& operator<<(std::ostream& out, const Figures& f) {
    return out << "items " << f.items << ", heap_used " << f.heap_used << ", retired " << f.retired << ", pages in use "
               << f.pages_in_use << ", tables " << f.tables << ", committed pages " << f.committed_pages;
  }
};

/// A dictionary before a change, and the judge of what deaths in that change have left.
template <class V>
class Subject {
 public:
  using Dict = SharedDict<std::string, V>;
  using Contents = std::map<std::string, V>;

  Subject(const Setting<V>& setting, const Change<V>& change)
      : setting_(setting), change_(change), place_(memory_place()), dict_(Dict::create("steps", options())) {
    attachment_ = detail::Lifecycle("steps", place_.path(), kHangDeadline)
                      .open(detail::OpenMode::attach, {}, detail::stored_types<std::string, V>());
    setting_.fill(dict_);
    if (change_.prepare) change_.prepare(dict_);
    clean_up();  // so that who is going to die gets the record of a child that prepared it, and with it the spare blocks
    for (std::uint32_t i = 1; i < attachment_->segment().identity().max_processes; ++i) {
      if (detail::RecordState(attachment_->segment().record(i).state.load()).used()) throw std::runtime_error("a dead process keeps its record");
    }
    image_ = std::make_unique<Image>(place_.of("steps") / "segment");
    if (change_.beside) beside_ = change_.beside(dict_, place_);
    start_ = image_->copy();
    before_ = contents();
    // A dictionary that nobody is killed in says what is right.
    figures_before_ = use_and_empty();
    restore(start_);
    operate();
    after_ = contents();
    figures_after_ = use_and_empty();
    // Who dies before the change may have taken memory for it.
    figures_before_.committed_pages = std::max(figures_before_.committed_pages, figures_after_.committed_pages);
    figures_after_.committed_pages = figures_before_.committed_pages;
    restore(start_);
  }

  const Image::Copy& start() const noexcept { return start_; }
  Image& image() noexcept { return *image_; }
  void restore(const Image::Copy& copy) { image_->restore(copy); }
  void operate() { change_.operation(dict_); }

  /// Nobody holds a lock, and nobody waits to be repaired: a death leaves nothing to do.
  bool at_rest() const {
    const detail::Segment& segment = attachment_->segment();
    bool rest = segment.header().limit_lock.load() == 0 && segment.header().pool.lock.load() == 0;
    for (std::uint32_t i = 0; i < segment.shard_count(); ++i) {
      rest = rest && segment.shard(i).lock.load() == 0 && segment.shard(i).dirty.load() == 0;
    }
    return rest;
  }

  /// Somebody died in a batch that has happened and isn't carried out.
  bool in_batch() const {
    bool any = false;
    for (std::uint32_t i = 0; i < attachment_->segment().shard_count(); ++i)
      any = any || attachment_->segment().shard(i).intent.load() != 0;
    return any;
  }

  /// The dead process's locks come free, then everything is repaired.
  void recover(Recoverer who) {
    if (who == Recoverer::newcomer) clean_up();
    dict_.gc_stats();
  }

  /// What was restored, after the death of whoever worked on it, is sound, and stands before the change or behind it: how far it
  /// has got, up to whole().
  std::size_t check(Recoverer who) {
    recover(who);
    SHARED_DICT_REQUIRE_SOUND(dict_);
    clean_up();  // after those who died without a lock
    REQUIRE(at_rest());
    REQUIRE(dict_.stats().processes == 1);
    REQUIRE(area_users() <= 1);
    const Contents found = contents();
    REQUIRE(dict_.size() == found.size());
    if (change_.item_by_item) {
      REQUIRE(std::includes(before_.begin(), before_.end(), found.begin(), found.end()));
    } else {
      REQUIRE((found == before_ || found == after_));
    }
    if (beside_ != nullptr) beside_->check(found != before_);
    const Figures figures = use_and_empty();
    const Figures expected = found == after_ || change_.item_by_item ? figures_after_ : figures_before_;
    INFO(figures << "; if nobody had been killed: " << expected);
    REQUIRE(figures.within(expected));
    if (change_.item_by_item) return before_.size() - found.size();
    return found == after_ ? 1 : 0;
  }

  /// What check() returns when the change has happened.
  std::size_t whole() const noexcept { return change_.item_by_item ? before_.size() - after_.size() : 1; }

 private:
  Options options() const {
    Options made = setting_.options;
    made.directory = place_.path();
    return made;
  }

  // What a process does that attaches.
  void clean_up() {
    const auto guard = detail::LocalRegistry::instance().guard(place_.of("steps") / "guard.lock");
    const detail::Guard::Hold hold = guard->hold_until(detail::Clock::now() + kHangDeadline);
    attachment_->reap_dead();
  }

  Contents contents() {
    Contents all;
    for (auto& [key, value] : dict_.items()) all.emplace(std::move(key), std::move(value));
    return all;
  }

  std::size_t area_users() const {
    std::size_t users = 0;
    detail::for_each_area_user(attachment_->segment(), [&](std::uint32_t) { ++users; });
    return users;
  }

  Figures use_and_empty() {
    setting_.ten(dict_);
    SHARED_DICT_REQUIRE_SOUND(dict_);
    for (const std::string& key : dict_.keys()) REQUIRE(dict_.erase(key));
    Figures figures;
    figures.retired = dict_.gc_stats().retired_blocks;
    SHARED_DICT_REQUIRE_SOUND(dict_);
    const Stats stats = dict_.stats();
    figures.items = stats.items;
    figures.heap_used = stats.heap_used;
    figures.committed_pages = attachment_->segment().committed_pages().value();
    const detail::Writer all(*attachment_, kHangDeadline);
    detail::PagePool(all).for_each_run([&](std::uint32_t, detail::PageWord word) {
      if (word.kind() == detail::PageKind::table) {
        ++figures.tables;
      } else if (word.kind() != detail::PageKind::free) {
        figures.pages_in_use += word.pages();
      }
    });
    return figures;
  }

  const Setting<V>& setting_;
  const Change<V>& change_;
  Place place_;
  Dict dict_;
  std::shared_ptr<detail::Attachment> attachment_;
  std::unique_ptr<Image> image_;
  std::unique_ptr<Beside> beside_;
  Image::Copy start_;
  Contents before_;
  Contents after_;
  Figures figures_before_;
  Figures figures_after_;
};

}  // namespace shared_dict::test
