// A map that no other process can see: the limit of what sharing can reach. Each worker has one of its own.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>

namespace peers {

template <class Map>
class PrivateMap {
 public:
  bool insert(const std::string& key, const std::string& value) { return map_.emplace(key, value).second; }
  void insert_or_assign(const std::string& key, const std::string& value) { map_.insert_or_assign(key, value); }
  bool read(const std::string& key, std::string& out) const {
    const auto it = map_.find(key);
    if (it == map_.end()) return false;
    out = it->second;
    return true;
  }
  bool erase(const std::string& key) { return map_.erase(key) == 1; }
  bool contains(const std::string& key) const { return map_.contains(key); }
  std::size_t size() const { return map_.size(); }
  void clear() { map_.clear(); }

 private:
  Map map_;
};

using UnorderedMap = PrivateMap<std::unordered_map<std::string, std::string>>;

}  // namespace peers
