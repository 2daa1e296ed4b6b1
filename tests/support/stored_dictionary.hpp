// A dictionary without types: keys and values are texts, given to the operations as their bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>

#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/mutation.hpp>

#include "support/eventually.hpp"
#include "support/place.hpp"

namespace shared_dict::test {

/// A dictionary whose keys and values are plain text, used without types.
struct StoredDictionary {
  Place place;
  std::shared_ptr<detail::Attachment> attachment;

  explicit StoredDictionary(const Options& options = {.heap_size = 1 << 20}, detail::TypeShape shape = {0, 0, 1})
      : attachment(detail::Lifecycle("name", place.path(), kHangDeadline)
                       .open(detail::OpenMode::create, options, {"K", "V", shape})) {}

  detail::Segment& segment() const { return attachment->segment(); }
  detail::Writer writer(std::chrono::milliseconds timeout = kHangDeadline) const { return {*attachment, timeout}; }
  static detail::Bytes bytes(const std::string& text) { return std::as_bytes(std::span(text.data(), text.size())); }
  detail::KeyBytes key(const std::string& text) const { return detail::hash_key(segment(), bytes(text)); }

  void put(const std::string& text, const std::string& value, std::chrono::milliseconds timeout = kHangDeadline) const {
    detail::change(writer(timeout), key(text), [&](const detail::Bytes*) { return detail::Decision::store(bytes(value)); });
  }
  void erase(const std::string& text) const {
    detail::change(writer(), key(text), [&](const detail::Bytes*) { return detail::Decision::erase(); });
  }
  std::optional<std::string> get(const std::string& text) const {
    std::string value;
    const bool found = detail::lookup(segment(), attachment->name(), key(text), [&](std::size_t size) {
      value.resize(size);
      return reinterpret_cast<std::byte*>(value.data());
    });
    return found ? std::optional(value) : std::nullopt;
  }
  /// The key's shard, and the slot that refers to the key, which is there.
  std::uint32_t shard_index(const std::string& text) const {
    return detail::hash_shard(key(text).hash, segment().identity().shard_count);
  }
  detail::Shard& shard_of(const std::string& text) const { return segment().shard(shard_index(text)); }
  detail::Word64& slot_of(const std::string& text) const {
    const detail::TableWord table(shard_of(text).table.load());
    detail::Bucket* const buckets = segment().buckets(table);
    const auto found = detail::SlotTable(buckets, table.buckets()).find(segment(), key(text), [] {});
    if (!found.found) throw std::runtime_error("not there: " + text);
    return buckets[found.at.bucket].slots[found.at.slot];
  }
  /// The moment of a clear, and nothing of what follows it.
  void clear_for_readers() const {
    detail::Word64& generation = segment().header().clear_generation;
    generation.store(detail::CheckedCount(generation).next().bits());
  }
  std::uint64_t pages_in_use() const {
    const detail::PagePool pool(writer());
    return pool.frontier() - pool.fields().free_pages;
  }
  std::string problems() const {
    std::string all;
    for (const std::string& problem : detail::Audit(writer()).run().problems) all += problem + "\n";
    return all;
  }
};

}  // namespace shared_dict::test
