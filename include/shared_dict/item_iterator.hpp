// What SharedDict::begin and SharedDict::end return.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>  // IWYU pragma: keep
#include <utility>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/bytes/layout.hpp>
#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/segment.hpp>
#include <shared_dict/detail/operations/scan.hpp>
#include <shared_dict/detail/operations/typed.hpp>

namespace shared_dict {

template <class K, class V>
class SharedDict;  // IWYU pragma: keep

/// Input iterator over copies of a dictionary's items; which ones it meets is told at SharedDict::for_each.
///
/// Takes no lock and waits for nobody. Holds the items of one shard in private memory, and keeps the dictionary attached, also when the
/// handle is closed, until it has come to the end or is gone. Copies share one position: after a step only the one that stepped is good, as
/// of every input iterator. They are for one thread at a time.
template <class K, class V>
class ItemIterator {
 public:
  using iterator_concept = std::input_iterator_tag;   ///< for the ranges of C++20
  using iterator_category = std::input_iterator_tag;  ///< for std::iterator_traits
  using value_type = std::pair<K, V>;                 ///< an item: key and value
  using difference_type = std::ptrdiff_t;             ///< required of every iterator
  using pointer = const value_type*;                  ///< what `->` gives
  using reference = const value_type&;                ///< what `*` gives

  /// The end, of any dictionary.
  ItemIterator() noexcept = default;

  /// The item, which is there until the next step. Requires that this isn't the end.
  reference operator*() const { return *walk_->item; }
  /// As `*`.
  pointer operator->() const { return &*walk_->item; }

  /// Steps to the next item. Requires that this isn't the end. Constant time and the copy; linear in a shard's size where it comes to the next
  /// shard. \throws errc::corrupted; what K and V throw when they are decoded. Then the item is of no meaning, and the next step passes over
  /// what can't be read: one item, or one shard's.
  ItemIterator& operator++() try {
    if (!walk_->advance()) walk_.reset();
    return *this;
  } catch (const detail::Failure& failure) {
    failure.leave("iterator");
  }

  /// What `it++` returns: `*it++` is the item from before.
  class Before {
   public:
    /// The item. As long as this lives.
    reference operator*() const noexcept { return item_; }

   private:
    friend ItemIterator;
    explicit Before(value_type&& item) : item_(std::move(item)) {}
    value_type item_;
  };

  /// As `++it`, but returns the item from before, as input iterators promise for `*it++`.
  Before operator++(int) {
    Before before(std::move(*walk_->item));
    ++*this;
    return before;
  }

  /// Whether both are at the end, or are copies of each other.
  friend bool operator==(const ItemIterator& a, const ItemIterator& b) noexcept { return a.walk_ == b.walk_; }

 private:
  friend SharedDict<K, V>;

  // Whether one item's object becomes the next one's: then strings keep their memory.
  static constexpr bool kRefills = detail::key_codec_traits<K>::plain && detail::codec_traits<V>::plain &&
                                   std::is_move_assignable_v<K> && std::is_move_assignable_v<V>;

  struct Walk {
    std::shared_ptr<detail::Attachment> attachment;
    std::string name;
    std::uint32_t next_shard = 0;
    detail::ShardScan scan{};
    std::size_t next = 0;
    std::optional<std::pair<K, V>> item{};

    bool advance() {
      const detail::Segment& segment = attachment->segment();
      while (next == scan.size()) {
        if (next_shard == segment.identity().shard_count) return false;
        next = 0;  // first: if this throws, there is no item, and the next step goes to the shard behind
        scan.read(segment, name, next_shard++);
      }
      const detail::Bytes key = scan.key(next);
      const detail::Bytes value = scan.value(next);
      ++next;
      if constexpr (kRefills) {
        if (item) {
          detail::decode_over<K, detail::key_codec_traits<K>>(item->first, key, name);
          detail::decode_over<V, detail::codec_traits<V>>(item->second, value, name);
          return true;
        }
      }
      item.emplace(detail::decode_key<K>(key, name), detail::decode_value<V>(value, name));
      return true;
    }
  };

  ItemIterator(const std::shared_ptr<detail::Attachment>& attachment, const std::string& name)
      : walk_(std::make_shared<Walk>(Walk{attachment, name})) {
    if (!walk_->advance()) walk_.reset();
  }

  std::shared_ptr<Walk> walk_;
};

}  // namespace shared_dict
