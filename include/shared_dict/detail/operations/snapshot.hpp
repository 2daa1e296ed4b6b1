// save and load, on stored bytes: nothing is encoded or decoded.
//
// Save: what a file holds is the dictionary at one moment, that at which the last lock was taken.
//
//   begin the file | lock all shards, ascending | copy the last one, unlock it, the one before it, ... | checksums, write, fsync, rename
//
// A shard that isn't copied yet is locked, and one that is copied was locked since that moment, so each is copied as it was then; an update
// of several shards is in all of the copies or in none. Nobody waits in a circle, as no further lock is taken while shards are given back. The
// copy goes to private memory that was got before: writers wait for a copy of their shard and of those behind it, as fast as memory
// is, and never for a disk. The price is memory for all that is stored, given back as it is written. Readers notice
// nothing. A process that dies has changed nothing in the dictionary; its locks come free as always, and the file that it had begun goes with
// the next save to the same path.
//
// Load: the whole file is checked before anything is locked or taken. Then it is read once more, each block checked again, and what it holds
// replaces what is there in one step (replacement.hpp), with all shards locked.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include <shared_dict/detail/mechanisms/active_callback.hpp>
#include <shared_dict/detail/mechanisms/local_registry.hpp>
#include <shared_dict/detail/operations/replacement.hpp>
#include <shared_dict/detail/operations/saved_file.hpp>
#include <shared_dict/detail/platform/pause.hpp>
#include <shared_dict/options.hpp>

namespace shared_dict::detail {

// Called with the bytes that are done, and all there are.
using Progress = std::function<void(std::uint64_t, std::uint64_t)>;

// Items in private memory, as they lie in the file.
template <class>
class BasicSavedBlocks {
 public:
  // Gets memory for so many bytes, and has the system give it: that takes longer than filling it.
  void prepare(std::uint64_t all) {
    for (std::uint64_t at = 0; at < all; at += kSavedBlockBytes - sizeof(SavedBlock)) {
      Block block = make_block(kSavedBlockBytes);
      const std::uint64_t used = std::min<std::uint64_t>(kSavedBlockBytes, all - at);
      for (std::size_t page = 0; page < used; page += 4096) block.bytes[page] = std::byte{0};
      prepared_.push_back(std::move(block));
    }
  }

  void add(Bytes key, Bytes value) {
    const std::size_t size = kWord + key.size() + value.size();
    if (blocks_.empty() || blocks_.back().capacity - blocks_.back().size < size) begin_block(size);
    Block& block = blocks_.back();
    std::byte* const to = block.bytes.get() + block.size;
    const std::uint64_t sizes = little_endian(EntrySizes(key.size(), value.size()).bits());
    std::memcpy(to, &sizes, kWord);
    if (!key.empty()) std::memcpy(to + kWord, key.data(), key.size());
    if (!value.empty()) std::memcpy(to + kWord + key.size(), value.data(), value.size());
    block.size += size;
    ++block.items;
    content_bytes_ += key.size() + value.size();
  }

  // What was prepared and isn't needed goes.
  void end() noexcept { prepared_.clear(); }

  // The sums of the header.
  void count(SavedHeader& header) const noexcept {
    header.content_bytes = content_bytes_;
    for (const Block& block : blocks_) {
      header.items += block.items;
      header.file_bytes += block.size;
    }
  }

  // f(bytes) for each block, complete; it is gone afterwards.
  template <class F>
  void give_out(std::uint64_t header_checksum, F f) {
    for (std::uint64_t number = 0; number < blocks_.size(); ++number) {
      const Block block = std::move(blocks_[static_cast<std::size_t>(number)]);
      SavedBlock head{block.size - sizeof(SavedBlock), block.items, 0};
      head.checksum = little_endian(checksum_of(head, header_checksum, number, block.bytes.get() + sizeof head));
      head.bytes = little_endian(head.bytes);
      head.items = little_endian(head.items);
      std::memcpy(block.bytes.get(), &head, sizeof head);
      f(Bytes(block.bytes.get(), block.size));
    }
  }

 private:
  struct Block {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t capacity;
    std::size_t size = sizeof(SavedBlock);
    std::uint64_t items = 0;
  };

  static Block make_block(std::size_t capacity) {
    return {std::unique_ptr<std::byte[]>(new std::byte[capacity]), capacity};  // make_unique would fill it
  }

  void begin_block(std::size_t size) {
    const std::size_t capacity = std::max(kSavedBlockBytes, sizeof(SavedBlock) + size);
    if (capacity == kSavedBlockBytes && !prepared_.empty()) {
      blocks_.push_back(std::move(prepared_.back()));
      prepared_.pop_back();
    } else {
      blocks_.push_back(make_block(capacity));
    }
  }

  std::vector<Block> blocks_;
  std::vector<Block> prepared_;
  std::uint64_t content_bytes_ = 0;
};

// See Lazily; so are the functions below.
using SavedBlocks = BasicSavedBlocks<Lazily>;

inline SavedHeader saved_header(const Identity& identity) noexcept {
  SavedHeader header;
  header.heap_size = identity.heap_size;
  header.max_items = identity.max_items;
  header.key_fixed_bytes = identity.key_fixed_bytes;
  header.value_fixed_bytes = identity.value_fixed_bytes;
  header.value_alignment = identity.value_alignment;
  header.type_fingerprint = identity.type_fingerprint;
  header.key_name_bytes = identity.key_name_bytes;
  header.value_name_bytes = identity.value_name_bytes;
  std::memcpy(header.key_name, identity.key_name, sizeof header.key_name);
  std::memcpy(header.value_name, identity.value_name, sizeof header.value_name);
  return header;
}

// All items as they are at one moment. Shards behind are unlocked first: they are taken off the end.
template <class = Lazily>
SavedBlocks copy_out(const Writer& writer) {
  const Segment& segment = writer.attachment.segment();
  const auto fits = [](std::uint64_t fixed, Bytes bytes) { return fixed == 0 || bytes.size() == fixed; };
  SavedBlocks blocks;
  // The counts are hints, and may be damaged; but every entry, its sizes included, lies in committed memory.
  const std::uint64_t committed = std::uint64_t{segment.committed_pages().value_or(0)} << segment.page_shift();
  blocks.prepare(std::min(count_bytes(segment) + count_items(segment) * kWord, committed));
  for (std::vector<LockedShard> shards = lock_all(writer); !shards.empty(); shards.pop_back()) {
    const LockedShard& shard = shards.back();
    require_table(writer, shard.index(), shard.table_word());
    shard.for_each([&](const SlotTable::Found& found) {
      const Bytes key = found.entry.key(segment);
      const Bytes value = found.entry.value(segment);
      // What load would refuse mustn't take the place of a good file.
      if (!fits(segment.shape().key_fixed_bytes, key) || !fits(segment.shape().value_fixed_bytes, value)) {
        shard.damaged("an item has another size than all of them");
      }
      blocks.add(key, value);
    });
  }
  blocks.end();
  return blocks;
}

// The file of a save, which a forked child gives up.
class SavingFile final : public ForkAware {
 public:
  explicit SavingFile(const std::filesystem::path& path) : file_(path) {}

  ReplacingFile& file() noexcept { return file_; }

  void before_fork() noexcept override {}
  void after_fork_in_child() noexcept override { file_.abandon(); }

 private:
  ReplacingFile file_;
};

// Waits for another one that saves to the same path.
template <class = Lazily>
void begin_file(const Writer& writer, const std::shared_ptr<SavingFile>& saving, unsigned mode) {
  ReplacingFile& file = saving->file();
  const auto deadline = writer.deadline(Clock::now());
  for (;;) {
    const std::error_code error = LocalRegistry::instance().open_for(saving, [&] { return file.begin(mode); });
    if (!error) return;
    const std::string& name = writer.attachment.name();
    if (error != std::errc::resource_unavailable_try_again) fail_file(error, name, "can't create", file.temporary());
    if (Clock::now() >= deadline) {
      fail(errc::lock_timeout, name,
           "another save, of this or another process, writes " + file.temporary().string() + "; waited " +
               std::to_string(writer.timeout().count()) + " ms: let it go on or end it, or save to another file");
    }
    sleep_for(std::chrono::milliseconds(1));
  }
}

// Whether a new file may take this one's place, before anything is begun. A link would be replaced, and what it leads to, which was meant, stay
// as it is.
template <class = Lazily>
void require_replaceable(const std::string& name, const std::filesystem::path& path) {
  without_nul(name, path);
  const auto refuse = [&](std::errc reason, const char* what) { fail_file(std::make_error_code(reason), name, what, path); };
  if (path.empty()) refuse(std::errc::invalid_argument, "can't save to a file without a name");
  std::error_code ignored;
  switch (std::filesystem::symlink_status(path, ignored).type()) {
    case std::filesystem::file_type::directory: refuse(std::errc::is_a_directory, "can't save to a directory, name a file in it:"); break;
    case std::filesystem::file_type::symlink: refuse(std::errc::too_many_symbolic_link_levels, "can't save to a link, name the file that it leads to:"); break;
    case std::filesystem::file_type::block:
    case std::filesystem::file_type::character:
    case std::filesystem::file_type::fifo:
    case std::filesystem::file_type::socket: refuse(std::errc::invalid_argument, "can't save to what is no regular file:"); break;
    default: break;
  }
}

template <class = Lazily>
void save(const Writer& writer, const std::filesystem::path& path, const Progress& progress) {
  const Identity& identity = writer.attachment.segment().identity();
  require_replaceable(writer.attachment.name(), path);
  const auto saving = std::make_shared<SavingFile>(path);
  ReplacingFile& file = saving->file();
  begin_file(writer, saving, identity.permissions);
  SavedBlocks blocks = copy_out(writer);
  SavedHeader header = saved_header(identity);
  blocks.count(header);
  SavedHeader in_file = little_endian(header);
  header.checksum = checksum_of(in_file);
  in_file.checksum = little_endian(header.checksum);

  std::uint64_t done = 0;
  const auto require_own = [&] {
    if (file.mine()) return;
    fail(errc::would_deadlock, writer.attachment.name(), "this process was forked while its parent saved to " + path.string() +
                                                             ", and the parent goes on with it: save again in the child");
  };
  const auto write = [&](const void* bytes, std::size_t size) {
    require_own();
    if (const auto error = file.append(bytes, size))
      fail_file(error, writer.attachment.name(), "can't write", file.temporary());
    done += size;
    if (progress) progress(done, header.file_bytes);
  };
  write(&in_file, sizeof in_file);
  blocks.give_out(header.checksum, [&](Bytes bytes) { write(bytes.data(), bytes.size()); });
  require_own();
  if (const auto error = file.replace())
    fail_file(error, writer.attachment.name(), "can't bring to the disk, or rename, what is to be", path);
}

// What could never be, before anything is tried.
template <class = Lazily>
void require_loadable(const Writer& writer, const SavedFile& file, const std::filesystem::path& path) {
  const Identity& identity = writer.attachment.segment().identity();
  const std::string& name = writer.attachment.name();
  const SavedHeader& header = file.header();
  if (header.type_fingerprint != identity.type_fingerprint || header.key_fixed_bytes != identity.key_fixed_bytes ||
      header.value_fixed_bytes != identity.value_fixed_bytes) {
    fail(errc::type_mismatch, name,
         path.string() + " was saved from a " + to_text(file.types()) + ", and this is a " +
             to_text(types_of(identity)) + ": load it into a dictionary of its types");
  }
  if (header.content_bytes > identity.heap_size) {
    fail(errc::heap_full, name,
         path.string() + " holds keys and values of " + std::to_string(header.content_bytes) +
             " bytes, and heap_size is " + std::to_string(identity.heap_size) +
             ": create it with a larger Options::heap_size");
  }
  if (identity.max_items != 0 && header.items > identity.max_items) {
    fail(errc::too_many_items, name,
         path.string() + " holds " + std::to_string(header.items) + " items, and max_items is " +
             std::to_string(identity.max_items) + ": create it with a larger Options::max_items");
  }
}

// With `run(replace)`, which calls replace().
template <class Run>
void load(const Writer& writer, SavedFile& file, const std::filesystem::path& path, const Progress& progress, Run run) {
  require_loadable(writer, file, path);
  const Segment& segment = writer.attachment.segment();
  const std::uint64_t total = 2 * file.header().file_bytes;
  std::vector<std::uint64_t> items(segment.shard_count());
  file.for_each([&](Bytes key, Bytes) { ++items[hash_shard(hash_key(segment, key).hash, segment.shard_count())]; },
                [&](std::uint64_t read) {
                  if (progress) progress(read, total);
                });
  run([&] {
    Replacement replacement(writer, items);
    replacement.run([&] {
      file.for_each(
          [&](Bytes key, Bytes value) {
            if (!replacement.add(hash_key(segment, key), value))
              file.damaged(0, "a key comes twice, or it has changed since it was checked");
          },
          [&](std::uint64_t read) {
            if (!progress) return;
            const ActiveCallback mark(writer.attachment);
            progress(total / 2 + read, total);
            replacement.require_owner();
          });
    });
  });
}

template <class = Lazily>
void load(const Writer& writer, const std::filesystem::path& path, const Progress& progress) {
  SavedFile file(writer.attachment.name(), path);
  load(writer, file, path, progress, [&](auto replace) { with_leftovers(writer, replace); });
}

// How a new dictionary is filled. Nobody else has it, and the guard is held: there are no leftovers to look for.
template <class = Lazily>
Fill fill_of(const Options& options) {
  if (options.load_from.empty()) return {};
  return [&options](const std::shared_ptr<Attachment>& attachment) {
    const Writer writer(*attachment, options.lock_timeout);
    auto file = SavedFile::find(attachment->name(), options.load_from);
    if (file) load(writer, *file, options.load_from, {}, [](auto replace) { replace(); });
  };
}

}  // namespace shared_dict::detail
