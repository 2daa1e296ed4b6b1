// Checks every invariant of what is stored, with everything locked: true against derived, and each against itself.
//
//   pages    the runs lie one behind the other up to the frontier, within committed memory; free ones don't touch; bins and counts
//            are what the words say
//   shards   table and entries lie in runs that the shard owns; keys are where a search finds them, once, in the right shard; items,
//            tombstones and bytes are what the table says
//   blocks   each live block belongs to one entry, fits it, and lies on a block boundary, or is a spare or a retired one;
//            live + listed + never used = all; a run without a live block is in the pool
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <shared_dict/detail/operations/mutation.hpp>
#include <shared_dict/stats.hpp>

namespace shared_dict::detail {

template <class>
class BasicAudit {
 public:
  explicit BasicAudit(const Writer& writer) : writer_(writer), segment_(writer.attachment.segment()) {}

  AuditReport run() {
    try {
      std::vector<LockedShard> shards = lock_all(writer_);
      const PagePool pool(writer_);
      collect_runs(pool);
      for (LockedShard& shard : shards) check_shard(shard);
      check_runs();
      check_pool(pool);
    } catch (const Failure& error) {
      if (error.code() != errc::corrupted) throw;
      note(error.what());
    }
    return std::move(report_);
  }

 private:
  struct Run {
    PageWord word;
    std::vector<std::uint64_t> blocks;  // offsets of entries and of spares
    bool table = false;                 // a shard's current table
    bool listed = false;                // a partial span in its shard's list
  };

  void note(std::string problem) {
    if (report_.problems.size() < 100) report_.problems.push_back(std::move(problem));
  }
  static std::string in_shard(std::uint32_t index) { return "shard " + std::to_string(index) + ": "; }

  std::uint32_t head_of(std::uint32_t page) const noexcept {
    return segment_.page(page).head.load(std::memory_order_relaxed);  // relaxed: everything is locked
  }

  void collect_runs(const PagePool& pool) {
    pool.for_each_run([&](std::uint32_t page, PageWord word) {
      runs_.emplace(page, Run{word, {}, false, false});
      if (head_of(page + word.pages() - 1) != page) note("page " + std::to_string(page) + ": its run's end has another head");
    });
  }

  Run* run_of(std::uint64_t offset) {
    auto after = runs_.upper_bound(segment_.page_of(offset));
    if (after == runs_.begin()) return nullptr;
    --after;
    return segment_.page_of(offset) < after->first + after->second.word.pages() ? &after->second : nullptr;
  }

  void check_shard(LockedShard& shard) {
    const std::uint32_t index = shard.index();
    const Shard& fields = shard.fields();
    std::uint64_t items = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t bytes = 0;
    if (!shard.table_word().none()) {
      const SlotTable table = shard.table();
      Run* const run = run_of(shard.table_word().offset());
      if (run == nullptr || run->table || !is_table(segment_, index, shard.table_word())) {
        note(in_shard(index) + "its table isn't the run that it should be");
      } else {
        run->table = true;
      }
      std::unordered_set<std::string_view> keys;
      bool empty_slot = false;
      for (std::uint64_t bucket = 0; bucket < table.bucket_count(); ++bucket) {
        for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
          const SlotWord word = table.word({bucket, slot});
          tombstones += word.is_erased() ? 1 : 0;
          empty_slot = empty_slot || word.is_empty();
          if (!word.is_entry()) continue;
          ++items;
          bytes += check_entry(shard, word, keys);
        }
      }
      if (!empty_slot) note(in_shard(index) + "no empty slot is left to end a search");
    }
    // relaxed, all: written under the lock that is held.
    if (fields.items.load(std::memory_order_relaxed) != items) note(in_shard(index) + "its count of items is wrong");
    if (fields.tombstones.load(std::memory_order_relaxed) != tombstones) note(in_shard(index) + "its count of tombstones is wrong");
    if (fields.stored_bytes.load(std::memory_order_relaxed) != bytes) note(in_shard(index) + "its count of bytes is wrong");
    if (fields.dirty.load(std::memory_order_relaxed) != 0) note(in_shard(index) + "it waits to be repaired");  // relaxed
    if (fields.intent.load(std::memory_order_relaxed) != 0) note(in_shard(index) + "a batch isn't through");  // relaxed
    for (std::uint32_t c = 0; c < segment_.classes().count(); ++c) check_list(index, fields, c);
    for (std::uint32_t place = 0; place < kSpares; ++place) check_spare(index, load_spare(fields, place));
    check_retired(shard);
  }

  // The bytes of its key and value.
  std::uint64_t check_entry(const LockedShard& shard, SlotWord word, std::unordered_set<std::string_view>& keys) {
    const std::string where = in_shard(shard.index()) + "entry " + std::to_string(word.offset()) + ": ";
    Entry entry;
    if (!read_entry(segment_, word.offset(), entry)) {
      note(where + "it can't be one");
      return 0;
    }
    const std::uint64_t stored = entry.sizes.key() + entry.sizes.value();
    const KeyBytes key = hash_key(segment_, entry.key(segment_));
    if (hash_tag(key.hash) != word.tag()) note(where + "its tag isn't its key's");
    if (hash_shard(key.hash, segment_.identity().shard_count) != shard.index()) note(where + "its key belongs to another shard");
    if (!keys.emplace(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size()).second) note(where + "its key is there twice");
    if (const auto found = shard.find(key); !found.found || found.entry.offset != word.offset()) {
      note(where + "a search for its key doesn't find it");
    }
    Run* const run = run_of(word.offset());
    if (run == nullptr || run->word.shard() != shard.index() ||
        (run->word.kind() != PageKind::span && run->word.kind() != PageKind::large)) {
      note(where + "it lies in pages of another use");
      return stored;
    }
    run->blocks.push_back(word.offset());
    const std::uint64_t size = entry_bytes(segment_, entry.sizes);
    if (run->word.kind() == PageKind::large) {
      const std::uint64_t room = std::uint64_t{run->word.pages()} * segment_.identity().page_bytes;
      if (size > room || size + segment_.identity().page_bytes <= room) note(where + "its run has the wrong length");
      if (size <= segment_.classes().largest_block()) note(where + "it is too small for a run of its own");
    } else if (run->word.size_class() >= segment_.classes().count() ||
               size > segment_.classes()[run->word.size_class()].block_bytes) {
      note(where + "it is larger than its block");
    }
    return stored;
  }

  void check_spare(std::uint32_t index, SpareWord spare) {
    if (spare.none()) return;
    Run* const run = segment_.holds(spare.offset(), kWord) ? run_of(spare.offset()) : nullptr;
    if (run == nullptr || run->word.kind() != PageKind::span || run->word.shard() != index || !holds_class(run->word.size_class(), spare)) {
      return note(in_shard(index) + "a spare block lies in pages of another use");
    }
    run->blocks.push_back(spare.offset());
  }

  // A block may come from a larger class than its size's.
  static bool holds_class(std::uint32_t size_class, SpareWord spare) noexcept {
    for (std::uint32_t c = 0; c <= size_class && c < kMaxClasses; ++c) {
      if (spare.of(c)) return true;
    }
    return false;
  }

  // What is viewed, loaned, or was until a moment ago.
  void check_retired(LockedShard& shard) {
    const std::string where = in_shard(shard.index());
    shard.heap().for_each_retired([&](std::uint64_t offset, bool large) {
      Run* const run = run_of(offset);
      if (run == nullptr || run->word.kind() != (large ? PageKind::large : PageKind::span) || run->word.shard() != shard.index()) {
        return note(where + "a retired block lies in pages of another use");
      }
      run->blocks.push_back(offset);
    });
  }

  void check_list(std::uint32_t index, const Shard& fields, std::uint32_t size_class) {
    std::uint32_t previous = 0;
    for (std::uint32_t link = fields.partial[size_class]; link != 0; link = segment_.page(link - 1).next) {
      const auto run = runs_.find(link - 1);
      if (run == runs_.end() || run->second.word.kind() != PageKind::span || run->second.word.shard() != index ||
          run->second.word.size_class() != size_class || run->second.listed) {
        note(in_shard(index) + "its list of spans leads to something else");
        return;
      }
      if (segment_.page(link - 1).previous != previous) note(in_shard(index) + "its list of spans doesn't lead back");
      run->second.listed = true;
      previous = link;
    }
  }

  void check_runs() {
    for (const auto& [page, run] : runs_) {
      const std::string where = "pages from " + std::to_string(page) + ": ";
      switch (run.word.kind()) {
        case PageKind::table:
          if (!run.table) note(where + "a table that no shard uses");
          break;
        case PageKind::large:
          if (run.word.size_class() != 0) note(where + "a large block with a size class");
          if (run.blocks.size() != 1) note(where + "a large block with " + std::to_string(run.blocks.size()) + " entries");
          break;
        case PageKind::span: check_span(page, run, where); break;
        default: break;
      }
    }
  }

  void check_span(std::uint32_t page, const Run& run, const std::string& where) {
    if (run.word.size_class() >= segment_.classes().count()) return note(where + "an unknown size class");
    const SizeClass& shape = segment_.classes()[run.word.size_class()];
    if (run.word.pages() != shape.span_pages) return note(where + "a span of the wrong length");
    const Page& span = segment_.page(page);
    std::vector<char> seen(shape.span_blocks, 0);
    for (const std::uint64_t offset : run.blocks) {
      const std::uint64_t at = offset - segment_.page_offset(page);
      const auto block = static_cast<std::size_t>(at / shape.block_bytes);
      if (at % shape.block_bytes != 0 || block >= shape.span_blocks || seen[block]++ != 0) {
        note(where + "two entries share a block");
        return;
      }
    }
    std::uint64_t listed = 0;
    for (std::uint64_t link = span.first_free; link != 0; ++listed) {
      if (link > shape.span_blocks || link > span.carved || seen[static_cast<std::size_t>(link) - 1]++ != 0) {
        note(where + "a list of free blocks leads to one in use");
        return;
      }
      link = load_word(segment_.at(segment_.page_offset(page) + (link - 1) * shape.block_bytes));
    }
    if (span.live != run.blocks.size()) note(where + "its count of blocks in use is wrong");
    if (span.carved > shape.span_blocks || span.live + listed != span.carved) note(where + "a block is lost");
    if (span.live == 0) note(where + "a span without a block in use");
    if (run.listed != (span.live < shape.span_blocks)) note(where + "a span with room isn't listed, or a full one is");
    for (std::uint32_t i = 0; i < shape.span_pages; ++i) {
      if (head_of(page + i) != page) note(where + "a page of the span has another head");
    }
  }

  void check_pool(const PagePool& pool) {
    std::uint64_t free_pages = 0;
    std::uint64_t block_pages = 0;
    std::map<std::uint32_t, std::uint64_t> in_bins;
    bool before_free = false;
    for (const auto& [page, run] : runs_) {
      const bool free = run.word.kind() == PageKind::free;
      if (free && before_free) note("pages from " + std::to_string(page) + ": two free runs touch");
      before_free = free;
      block_pages += PagePool::block_pages(run.word);
      if (!free) continue;
      free_pages += run.word.pages();
      ++in_bins[PagePool::bin_of(run.word.pages())];
    }
    const Pool& fields = pool.fields();
    if (fields.free_pages != free_pages) note("the pool's count of free pages is wrong");
    // relaxed: under the lock.
    if (fields.block_pages.load(std::memory_order_relaxed) != block_pages) note("the pool's count of pages with blocks is wrong");
    for (std::uint32_t bin = 0; bin < kRunBins; ++bin) {
      std::uint64_t count = 0;
      std::uint32_t previous = 0;
      for (std::uint32_t link = fields.bins[bin]; link != 0 && count <= runs_.size(); link = segment_.page(link - 1).next) {
        const auto run = runs_.find(link - 1);
        if (run == runs_.end() || run->second.word.kind() != PageKind::free || PagePool::bin_of(run->second.word.pages()) != bin) {
          note("a list of free pages leads to something else");
          return;
        }
        if (segment_.page(link - 1).previous != previous) note("a list of free pages doesn't lead back");
        previous = link;
        ++count;
      }
      if (count != in_bins[bin]) note("a list of free pages is too short or too long");
      if (((fields.bin_bits >> bin) & 1) != (count != 0 ? 1U : 0U)) note("the pool's bits aren't its lists");
    }
  }

  const Writer& writer_;
  Segment& segment_;
  std::map<std::uint32_t, Run> runs_;
  AuditReport report_;
};

// See Lazily.
using Audit = BasicAudit<Lazily>;

}  // namespace shared_dict::detail
