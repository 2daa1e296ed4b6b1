// LMDB, a B+ tree in a mapped file, here in memory. One transaction for each operation.
//
// MDB_WRITEMAP and MDB_NOSYNC: writers change the map itself, and nobody asks the kernel to write it to a disk. That is
// its fastest mode; as with SharedDict, what is committed survives processes and not the machine.
#pragma once

#include "peer.hpp"

#include <cstddef>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>

#include <lmdb.h>

namespace peers {

class Lmdb {
 public:
  class Directory : public Host {
   public:
    explicit Directory(const Setting& setting) { std::filesystem::create_directory(setting.place / "lmdb"); }
  };

  explicit Lmdb(const Setting& setting) {
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, setting.bytes() * 8 + (std::size_t{256} << 20)));
    check(mdb_env_open(env_, (setting.place / "lmdb").c_str(), MDB_WRITEMAP | MDB_NOSYNC, 0600));
    write([this](MDB_txn* txn) { return mdb_dbi_open(txn, nullptr, 0, &table_); });
    check(mdb_txn_begin(env_, nullptr, MDB_RDONLY, &reader_));
    mdb_txn_reset(reader_);
  }
  Lmdb(const Lmdb&) = delete;
  Lmdb& operator=(const Lmdb&) = delete;
  ~Lmdb() {
    mdb_txn_abort(reader_);
    mdb_env_close(env_);
  }

  bool insert(const std::string& key, const std::string& value) {
    return write([&](MDB_txn* txn) {
      MDB_val k = bytes(key);
      MDB_val v = bytes(value);
      return mdb_put(txn, table_, &k, &v, MDB_NOOVERWRITE);
    });
  }
  void insert_or_assign(const std::string& key, const std::string& value) {
    write([&](MDB_txn* txn) {
      MDB_val k = bytes(key);
      MDB_val v = bytes(value);
      return mdb_put(txn, table_, &k, &v, 0);
    });
  }
  bool read(const std::string& key, std::string& out) const {
    return look_up(key, [&](const MDB_val& v) { out.assign(static_cast<const char*>(v.mv_data), v.mv_size); });
  }
  bool erase(const std::string& key) {
    return write([&](MDB_txn* txn) {
      MDB_val k = bytes(key);
      return mdb_del(txn, table_, &k, nullptr);
    });
  }
  bool contains(const std::string& key) const {
    return look_up(key, [](const MDB_val&) {});
  }
  std::size_t size() const {
    MDB_stat about{};
    check(mdb_txn_renew(reader_));
    const int result = mdb_stat(reader_, table_, &about);
    mdb_txn_reset(reader_);
    check(result);
    return about.ms_entries;
  }
  void clear() {
    write([this](MDB_txn* txn) { return mdb_drop(txn, table_, 0); });
  }

 private:
  static void check(int result) {
    if (result != MDB_SUCCESS) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(result));
  }
  static MDB_val bytes(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }

  // False if the key was there that must not be, or wasn't there that must be.
  template <class Change>
  bool write(Change change) {
    MDB_txn* txn = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &txn));
    const int result = change(txn);
    if (result == MDB_SUCCESS) {
      check(mdb_txn_commit(txn));
      return true;
    }
    mdb_txn_abort(txn);
    if (result != MDB_KEYEXIST && result != MDB_NOTFOUND) check(result);
    return false;
  }

  // The reading transaction is renewed, which costs less than a new one.
  template <class Found>
  bool look_up(const std::string& key, Found found) const {
    MDB_val k = bytes(key);
    MDB_val v{};
    check(mdb_txn_renew(reader_));
    const int result = mdb_get(reader_, table_, &k, &v);
    if (result == MDB_SUCCESS) found(v);
    mdb_txn_reset(reader_);
    if (result != MDB_NOTFOUND) check(result);
    return result == MDB_SUCCESS;
  }

  MDB_env* env_ = nullptr;
  MDB_dbi table_ = 0;
  MDB_txn* reader_ = nullptr;
};

inline Peer lmdb() {
  return {"LMDB", true, "", [](const Setting& s) { return std::make_unique<Lmdb::Directory>(s); },
          [](const Setting& s, std::size_t) { return run_with(std::make_shared<Lmdb>(s), s.data); }};
}

}  // namespace peers
