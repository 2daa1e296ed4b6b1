// What Boost.Interprocess is used for in the same place: a hash map of strings in a managed segment, and one lock.
#pragma once

#include "peer.hpp"

#include <boost/interprocess/allocators/allocator.hpp>
#include <boost/interprocess/containers/string.hpp>
#include <boost/interprocess/managed_shared_memory.hpp>
#include <boost/interprocess/sync/file_lock.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#include <boost/interprocess/sync/sharable_lock.hpp>
#include <boost/unordered_map.hpp>
#include <cstddef>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace peers {

namespace bi = boost::interprocess;

// A lock in the segment.
template <class Lock>
class SegmentLock {
 public:
  SegmentLock(bi::managed_shared_memory& segment, const std::string&)
      : lock_(segment.find_or_construct<Lock>("lock")()) {}
  Lock& get() const { return *lock_; }

 private:
  Lock* lock_;
};
// A lock on a file, which each process opens itself, and which the kernel releases when its owner dies.
template <>
class SegmentLock<bi::file_lock> {
 public:
  SegmentLock(bi::managed_shared_memory&, const std::string& file) {
    std::ofstream(file, std::ios::app);
    lock_ = std::make_unique<bi::file_lock>(file.c_str());
  }
  bi::file_lock& get() const { return *lock_; }

 private:
  std::unique_ptr<bi::file_lock> lock_;
};

// Readers share the lock where it can be shared. Lookups don't build a string in the segment.
template <class Lock>
class Interprocess {
  using Segment = bi::managed_shared_memory;
  template <class T>
  using Allocator = bi::allocator<T, Segment::segment_manager>;
  using String = bi::basic_string<char, std::char_traits<char>, Allocator<char>>;
  static std::string_view text(const std::string& s) { return s; }
  static std::string_view text(const String& s) { return {s.data(), s.size()}; }
  struct Hash {
    template <class S>
    std::size_t operator()(const S& s) const {
      return std::hash<std::string_view>()(text(s));
    }
  };
  struct Equal {
    template <class S, class T>
    bool operator()(const S& s, const T& t) const {
      return text(s) == text(t);
    }
  };
  using Map = boost::unordered_map<String, String, Hash, Equal, Allocator<std::pair<const String, String>>>;

 public:
  class Segments : public Host {
   public:
    Segments(const Setting& setting, const std::string& tag)
        : segment_(bi::create_only, name(setting, tag).c_str(),
                   // The locks and the map's nodes take more than the strings; such a segment can't grow.
                   setting.bytes() * 2 + setting.data.keys.size() * 400 + (1 << 20)) {}

   private:
    Segment segment_;
  };

  Interprocess(const Setting& setting, const std::string& tag)
      : segment_(bi::open_only, name(setting, tag).c_str()),
        lock_(segment_, setting.place / tag),
        map_(segment_.find_or_construct<Map>("map")(segment_.get_segment_manager())) {}

  bool insert(const std::string& key, const std::string& value) {
    const bi::scoped_lock<Lock> locked(lock_.get());
    return map_->emplace(stored(key), stored(value)).second;
  }
  void insert_or_assign(const std::string& key, const std::string& value) {
    const bi::scoped_lock<Lock> locked(lock_.get());
    if (const auto it = find(key); it != map_->end()) {
      it->second.assign(value.data(), value.size());
    } else {
      map_->emplace(stored(key), stored(value));
    }
  }
  bool read(const std::string& key, std::string& out) const {
    const ReadLock locked(lock_.get());
    const auto it = find(key);
    if (it == map_->end()) return false;
    out.assign(it->second.data(), it->second.size());
    return true;
  }
  bool erase(const std::string& key) {
    const bi::scoped_lock<Lock> locked(lock_.get());
    const auto it = find(key);
    if (it == map_->end()) return false;
    map_->erase(it);
    return true;
  }
  bool contains(const std::string& key) const {
    const ReadLock locked(lock_.get());
    return find(key) != map_->end();
  }
  std::size_t size() const {
    const ReadLock locked(lock_.get());
    return map_->size();
  }
  void clear() {
    const bi::scoped_lock<Lock> locked(lock_.get());
    map_->clear();
  }

 private:
  static constexpr bool kSharable = requires(Lock & lock) { lock.lock_sharable(); };
  using ReadLock = std::conditional_t<kSharable, bi::sharable_lock<Lock>, bi::scoped_lock<Lock>>;

  static std::string name(const Setting& setting, const std::string& tag) {
    return setting.place.filename().string() + "." + tag;
  }
  auto find(const std::string& key) const { return map_->find(key, Hash(), Equal()); }
  String stored(const std::string& text) const {
    return String(text.data(), text.size(), Allocator<char>(segment_.get_segment_manager()));
  }

  Segment segment_;
  SegmentLock<Lock> lock_;
  Map* map_;
};

template <class Lock>
Peer interprocess(const std::string& tag, bool everywhere) {
  return {
      "Interprocess, " + tag, everywhere, "",
      [tag](const Setting& s) { return std::make_unique<typename Interprocess<Lock>::Segments>(s, tag); },
      [tag](const Setting& s, std::size_t) { return run_with(std::make_shared<Interprocess<Lock>>(s, tag), s.data); }};
}

}  // namespace peers
