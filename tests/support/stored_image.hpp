// The bytes of a stored dictionary, which a test damages, uses and puts back as they were, thousands of times a second.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include <shared_dict/shared_dict.hpp>

#include "support/eventually.hpp"
#include "support/forked.hpp"
#include "support/place.hpp"

namespace shared_dict::test {

/// Keys lie where they do because of the seed that a dictionary gets when it is created. Gives another one to a dictionary that is still
/// empty and isn't open, so that a round can be repeated.
inline void set_hash_seed(const std::filesystem::path& segment, std::uint64_t seed) {
  std::fstream file(segment, std::ios::in | std::ios::out | std::ios::binary);
  detail::Identity identity{};
  file.seekg(offsetof(detail::Header, identity)).read(reinterpret_cast<char*>(&identity), sizeof identity);
  identity.hash_seed = seed;
  const std::uint64_t checksum = detail::checksum_of(identity);
  file.seekp(offsetof(detail::Header, identity)).write(reinterpret_cast<const char*>(&identity), sizeof identity);
  file.seekp(offsetof(detail::Header, checksum)).write(reinterpret_cast<const char*>(&checksum), sizeof checksum);
  if (!file.flush()) throw std::runtime_error("can't write to " + segment.string());
}

/// A part of the segment that a test may want to damage.
struct Region {
  std::string name;
  std::uint64_t begin = 0;
  std::uint64_t bytes = 0;
};

/// How a process has left the dictionary before its bytes are taken: as it should, or dead, with a view, a lock, and a batch that isn't
/// carried out.
enum class Left { closed, dead };

template <class Family>
class StoredImage {
 public:
  using Key = typename Family::Key;
  using Value = typename Family::Value;
  using Dict = SharedDict<Key, Value>;
  using Contents = std::unordered_map<Key, Value, typename Family::Hash>;

  /// `fill(dict)` stores what the dictionary holds.
  template <class Fill>
  StoredImage(Options options, Left left, std::uint64_t seed, Fill fill)
      : place_(detail::place_of({}, {})), options_(std::move(options)) {
    options_.directory = place_.path();
    options_.lifetime = Lifetime::persistent;
    {
      Dict::create("name", options_).close();
      set_hash_seed(segment_path(), seed);
      Dict dict = attach();
      fill(dict);
      dict.for_each([&](const Key& key, const Value& value) { contents_.emplace(key, value); });
      const auto attachment = open_without_types();
      if (left == Left::dead) leave_dead(dict, *attachment);
      find_regions(*attachment);
    }
    open_file();
    take_bytes();
  }
  StoredImage(const StoredImage&) = delete;
  StoredImage& operator=(const StoredImage&) = delete;
  ~StoredImage() { close_file(); }

  Dict attach() const { return Dict::attach("name", options_); }
  std::shared_ptr<detail::Attachment> open_without_types() const {
    return detail::Lifecycle("name", place_.path(), kHangDeadline)
        .open(detail::OpenMode::attach, options_, detail::stored_types<Key, Value>());
  }

  const Options& options() const noexcept { return options_; }
  const Contents& contents() const noexcept { return contents_; }
  const std::vector<Region>& regions() const noexcept { return regions_; }
  std::uint64_t size() const noexcept { return size_; }

  /// The byte at `offset` of the file, to be damaged.
  std::byte& operator[](std::uint64_t offset) const { return bytes_[offset]; }
  void truncate(std::uint64_t size) const { resize(size); }

  /// All as it was.
  void put_back() {
    struct stat status = {};
    if (::fstat(descriptor_, &status) != 0) fail("fstat");
    if (status.st_nlink == 0) {  // somebody has removed it
      close_file();
      std::filesystem::create_directories(segment_path().parent_path());
      open_file();
    }
    resize(size_);
    std::uint64_t end = 0;
    for (const Extent& extent : extents_) {
      empty(end, extent.begin);
      std::copy(extent.bytes.begin(), extent.bytes.end(), bytes_ + extent.begin);
      end = extent.begin + extent.bytes.size();
    }
    empty(end, size_);
  }

  /// What it holds when byte `offset` reads `now`: a flipped bit of a value is a value, all else must not make a difference.
  Contents contents_with(std::uint64_t offset, std::byte now) const {
    Contents changed = contents_;
    for (const ValuePlace& place : values_) {
      if (offset < place.begin || offset - place.begin >= place.bytes.size()) continue;
      std::vector<std::byte> bytes = place.bytes;
      bytes[offset - place.begin] = now;
      changed.insert_or_assign(place.key, detail::decode_value<Value>(bytes, "name"));
    }
    return changed;
  }

 private:
  struct Extent {
    std::uint64_t begin;
    std::vector<std::byte> bytes;
  };
  struct ValuePlace {
    Key key;
    std::uint64_t begin;
    std::vector<std::byte> bytes;
  };

  [[noreturn]] static void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

  std::filesystem::path segment_path() const { return place_.of("name") / "segment"; }

  static void leave_dead(Dict& dict, detail::Attachment& attachment) {
    const auto ending = run_forked([&](auto) {
      const Key key = dict.begin()->first;
      new View<Value>(dict.view(key));
      const detail::Writer writer(attachment, kHangDeadline);
      detail::LockedShard shard(writer, 0);
      const detail::Segment& segment = attachment.segment();
      const std::uint64_t at = shard.heap().allocate(detail::intent_bytes(2));
      detail::Intent& intent = detail::intent_at(segment, at);
      intent.count = 2;
      for (std::uint32_t i = 0; i < 2; ++i) {  // what it stores is there already
        const detail::Word64& word = shard.table().at({0, i});
        detail::intent_stores(intent)[i] = {segment.offset_of(&word), word.load()};
      }
      intent.checksum = detail::checksum_of(intent);
      detail::publish_intent(shard.fields(), at);
      ::_exit(0);
      return 1;
    });
    if (!ending.ok()) throw std::runtime_error("the process that should leave a dead one's traces: " + ending.text);
  }

  void find_regions(detail::Attachment& attachment) {
    const detail::Segment& segment = attachment.segment();
    const detail::Identity& identity = segment.identity();
    size_ = identity.segment_bytes;
    const detail::Writer writer(attachment, kHangDeadline);
    const detail::PagePool pool(writer);
    const std::uint64_t used = pool.frontier() * sizeof(detail::Page);
    find_occupied(segment);
    regions_ = {
        {"header", 0, detail::kHeaderBytes},
        {"records", identity.records_at, identity.max_processes * sizeof(detail::ProcessRecord)},
        {"shards", identity.shards_at, identity.shard_count * sizeof(detail::Shard)},
        {"areas", identity.areas_at, identity.max_processes * sizeof(detail::ProcessArea)},
        {"page table", identity.pages_at, used},
        {"rest of the page table", identity.pages_at + used, identity.page_count * sizeof(detail::Page) - used}};
    const auto end = pool.frontier();
    pool.for_each_run([&](std::uint32_t page, detail::PageWord word) {
      const std::uint64_t begin = segment.page_offset(page);
      const std::uint64_t run = std::uint64_t{word.pages()} * identity.page_bytes;
      if (word.kind() != detail::PageKind::table) {
        regions_.push_back({"heap", begin, run});
      } else {
        const std::uint64_t buckets = std::uint64_t{sizeof(detail::Bucket)} << word.size_class();
        regions_.push_back({"slot table", begin, buckets});
        regions_.push_back({"unused", begin + buckets, run - buckets});
      }
    });
    regions_.push_back({"unused", segment.page_offset(end), size_ - segment.page_offset(end)});
    for (std::uint32_t i = 0; i < identity.shard_count; ++i) {
      const detail::TableWord table(segment.shard(i).table.load());
      if (!table.none()) find_values(segment, table);
    }
  }

  /// What has memory behind it, so that no other memory is ever needed.
  void find_occupied(const detail::Segment& segment) {
    const detail::Identity& identity = segment.identity();
    occupied_ = {{0, identity.areas_at}};
    for (std::uint32_t i = 0; i < identity.max_processes; ++i) {
      const std::uint32_t area_pages = segment.record(i).area_committed;
      for (std::uint32_t page = 0; page < sizeof(detail::ProcessArea) / 4096; ++page) {
        const std::uint64_t begin = identity.areas_at + i * sizeof(detail::ProcessArea) + page * 4096;
        if ((area_pages >> page & 1) != 0) occupied_.emplace_back(begin, begin + 4096);
      }
    }
    const std::uint32_t pages = segment.committed_pages().value();
    occupied_.emplace_back(identity.pages_at, identity.pages_at + pages * sizeof(detail::Page));
    occupied_.emplace_back(identity.data_at, segment.page_offset(pages));
  }

  void find_values(const detail::Segment& segment, detail::TableWord table) {
    const detail::SlotTable slots(segment.buckets(table), table.buckets());
    for (std::uint64_t bucket = 0; bucket < table.buckets(); ++bucket) {
      for (std::uint32_t slot = 0; slot < detail::kSlotsPerBucket; ++slot) {
        const detail::SlotWord word = slots.word({bucket, slot});
        detail::Entry entry;
        if (!word.is_entry() || !detail::read_entry(segment, word.offset(), entry)) continue;
        const detail::Bytes value = entry.value(segment);
        values_.push_back(
            {detail::decode_key<Key>(entry.key(segment), "name"), entry.value_at, {value.begin(), value.end()}});
      }
    }
  }

  void open_file() {
    descriptor_ = ::open(segment_path().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor_ < 0) fail("open");
    resize(size_);
    void* const at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, 0);
    if (at == MAP_FAILED) fail("mmap");
    bytes_ = static_cast<std::byte*>(at);
  }
  void close_file() noexcept {
    if (bytes_ != nullptr) ::munmap(bytes_, size_);
    if (descriptor_ >= 0) ::close(descriptor_);
    bytes_ = nullptr;
    descriptor_ = -1;
  }
  void resize(std::uint64_t size) const {
    if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail("ftruncate");
  }

  void take_bytes() {
    for (const auto& [begin, end] : occupied_) extents_.push_back({begin, {bytes_ + begin, bytes_ + end}});
  }

  void empty(std::uint64_t begin, std::uint64_t end) const {
    if (begin == end) return;
    const auto mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    if (::fallocate(descriptor_, mode, static_cast<off_t>(begin), static_cast<off_t>(end - begin)) != 0)
      fail("fallocate");
  }

  Place place_;
  Options options_;
  Contents contents_;
  std::vector<Region> regions_;
  std::vector<ValuePlace> values_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> occupied_;  ///< begin and end
  std::vector<Extent> extents_;
  std::uint64_t size_ = 0;
  int descriptor_ = -1;
  std::byte* bytes_ = nullptr;
};

}  // namespace shared_dict::test
