// All peers that this build has. CMakeLists.txt defines PEERS_... for those whose libraries it found.
#pragma once

#include "interprocess.hpp"
#include "manager.hpp"
#include "memcached.hpp"
#include "peer.hpp"
#include "private_map.hpp"
#include "shared_dict.hpp"

#ifdef PEERS_UNORDERED_FLAT_MAP
#include <boost/unordered/unordered_flat_map.hpp>
#endif
#ifdef PEERS_LMDB
#include "lmdb.hpp"
#endif
#ifdef PEERS_REDIS
#include "redis.hpp"
#endif

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace peers {

constexpr const char* kSharedDict = "SharedDict";
constexpr const char* kDictionary = "peers";  // its name in the place

class DictHost : public Host {
 public:
  explicit DictHost(const Setting& setting) : dict_(SharedDict::Dict::create(kDictionary, options(setting))) {}
  void check() override {
    const auto report = dict_.audit();
    if (!report.ok()) throw std::runtime_error("audit: " + report.problems.front());
  }

  static shared_dict::Options options(const Setting& setting) {
    shared_dict::Options options;
    options.heap_size = std::max(options.heap_size, setting.bytes() * 2);
    options.directory = setting.place;
    return options;
  }

 private:
  SharedDict::Dict dict_;
};

inline Peer shared_dict_itself() {
  return {kSharedDict, true, "", [](const Setting& s) { return std::make_unique<DictHost>(s); },
          [](const Setting& s, std::size_t) {
            auto dict = SharedDict::Dict::attach(kDictionary, DictHost::options(s));
            return run_with(std::make_shared<SharedDict>(std::move(dict)), s.data);
          }};
}

template <class Map>
Peer private_map(const std::string& name, bool everywhere) {
  return {name, everywhere, "", [](const Setting&) { return std::make_unique<Host>(); },
          [](const Setting& s, std::size_t) { return run_with(std::make_shared<PrivateMap<Map>>(), s.data); }};
}

inline Peer slow(Peer peer) {
  peer.slow = true;
  return peer;
}

inline Peer not_built(const std::string& name) { return {name, false, "", nullptr, nullptr}; }

inline std::vector<Peer> all_peers() {
  std::vector<Peer> all{shared_dict_itself()};
  all.push_back(private_map<std::unordered_map<std::string, std::string>>("private unordered_map", true));
#ifdef PEERS_UNORDERED_FLAT_MAP
  all.push_back(private_map<boost::unordered_flat_map<std::string, std::string>>("private unordered_flat_map", false));
#else
  all.push_back(not_built("private unordered_flat_map"));
#endif
  all.push_back(interprocess<bi::interprocess_mutex>("mutex", true));
  all.push_back(interprocess<bi::interprocess_sharable_mutex>("sharable_mutex", false));
  all.push_back(slow(interprocess<bi::file_lock>("file_lock", false)));
#ifdef PEERS_LMDB
  all.push_back(lmdb());
#else
  all.push_back(not_built("LMDB"));
#endif
#ifdef PEERS_REDIS
  all.push_back(slow(redis()));
#else
  all.push_back(not_built("Redis"));
#endif
  all.push_back(slow(memcached()));
  all.push_back(slow(manager()));
  return all;
}

}  // namespace peers
