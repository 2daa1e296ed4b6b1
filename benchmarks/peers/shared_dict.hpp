// The dictionary under test, with the verbs that every adapter has.
#pragma once

#include <shared_dict/shared_dict.hpp>

#include <cstddef>
#include <string>
#include <utility>

namespace peers {

class SharedDict {
 public:
  using Dict = shared_dict::SharedDict<std::string, std::string>;

  explicit SharedDict(Dict dict) : dict_(std::move(dict)) {}

  // False if the key is there already.
  bool insert(const std::string& key, const std::string& value) { return dict_.insert(key, value); }
  void insert_or_assign(const std::string& key, const std::string& value) { dict_.insert_or_assign(key, value); }
  // Copies the value into memory that is reused; false if the key is missing.
  bool read(const std::string& key, std::string& out) const { return dict_.try_get(key, out); }
  bool erase(const std::string& key) { return dict_.erase(key); }
  bool contains(const std::string& key) const { return dict_.contains(key); }
  std::size_t size() const { return dict_.size(); }
  void clear() { dict_.clear(); }

 private:
  Dict dict_;
};

}  // namespace peers
