// SharedDict: a dictionary in named shared memory that any number of processes on one machine use at once.
//
// This is the contract and thin forwarding; how it works is told in detail/README.md, from the bottom up.
#pragma once

#if !defined(_MSVC_LANG) && __cplusplus < 202002L
#error "shared_dict needs C++20: compile with -std=c++20"
#else  // of which nothing is compiled otherwise: that is the one error to be seen

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>  // IWYU pragma: keep
#include <utility>
#include <vector>

#include <shared_dict/codec.hpp>
#include <shared_dict/detail/bytes/hash.hpp>
#include <shared_dict/detail/mechanisms/active_callback.hpp>
#include <shared_dict/detail/mechanisms/attachment.hpp>
#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/mechanisms/failure.hpp>
#include <shared_dict/detail/mechanisms/guard.hpp>
#include <shared_dict/detail/mechanisms/owner_lock.hpp>
#include <shared_dict/detail/mechanisms/pin.hpp>
#include <shared_dict/detail/operations/audit.hpp>
#include <shared_dict/detail/operations/batch.hpp>
#include <shared_dict/detail/operations/comparing.hpp>
#include <shared_dict/detail/operations/encoded_items.hpp>
#include <shared_dict/detail/operations/finding.hpp>
#include <shared_dict/detail/operations/inspection.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/operations/loaning.hpp>
#include <shared_dict/detail/operations/lookup.hpp>
#include <shared_dict/detail/operations/mutation.hpp>
#include <shared_dict/detail/operations/reading.hpp>
#include <shared_dict/detail/operations/scan.hpp>
#include <shared_dict/detail/operations/snapshot.hpp>
#include <shared_dict/detail/operations/storing.hpp>
#include <shared_dict/detail/operations/typed.hpp>
#include <shared_dict/detail/operations/waiting.hpp>
#include <shared_dict/detail/platform/compiler.hpp>
#include <shared_dict/error.hpp>
#include <shared_dict/item_iterator.hpp>
#include <shared_dict/item_reference.hpp>
#include <shared_dict/loan.hpp>
#include <shared_dict/options.hpp>
#include <shared_dict/stats.hpp>
#include <shared_dict/version.hpp>  // IWYU pragma: keep
#include <shared_dict/view.hpp>

/// SharedDict, a dictionary in named shared memory: the class SharedDict, what its members take and return, and the functions on names.
namespace shared_dict {

/// A handle to a dictionary from K to V that lives in shared memory under a name.
///
/// Handles of one process share one mapping and one membership. A handle can be moved, not copied, and used from any number of
/// threads at once; only `close()`, moving and destruction want it for themselves. It works in a forked child too.
///
/// **Errors.** A missing key is no error. What can't be done ends in an Error (error.hpp), and then nothing has changed (but see `erase_if`). Beyond
/// what each function says, every function but `close`, `is_open`, `name` and `end` throws errc::closed, errc::corrupted if it meets
/// damage, and errc::would_deadlock if it is called inside a callback of `modify`, `modify_or_insert`, `erase_if` or of another
/// change of the same dictionary. What callbacks and the codecs of K and V throw passes through, and so does std::bad_alloc.
///
/// **Reading** functions take no lock, make no system call and never wait, whatever writers do, stopped and dead ones included:
/// lock-free, and constant time on average plus the copy. **Writing** functions take the lock of one shard (wait-free
/// when nobody else has it, otherwise waiting for at most Options::lock_timeout, then errc::lock_timeout): constant time on average
/// plus the copy, now and then the growth of one shard's table or a system call for memory. They throw errc::heap_full,
/// errc::too_many_items and errc::value_too_large if they have something to store.
///
/// **After a crash.** If a process dies at any instruction, what it was doing has either happened or not, for everybody. What had returned
/// stays. A writer that waits for a lock asks after 10 ms, and then every 50 ms at least, whether its owner lives, and takes over the lock of a
/// dead one. Of an `update` that was under way readers may see less until then than afterwards.
template <class K, class V>
class SharedDict {
  using Traits = detail::codec_traits<V>;
  static constexpr bool kFixed = Traits::plain && Traits::fixed_size != 0;

  static_assert(detail::kCanBeRead<K, detail::key_codec_traits<K>>,
                "shared_dict: K can't be read back: give it a public constructor without arguments, into whose objects its codec can read");
  static_assert(detail::kCanBeRead<V, Traits>,
                "shared_dict: V can't be read back: give it a public constructor without arguments, into whose objects its codec can read");

 public:
  using key_type = K;                  ///< as of a std::unordered_map
  using mapped_type = V;               ///< as of a std::unordered_map
  using value_type = std::pair<K, V>;  ///< an item; a copy, so its key isn't const
  using size_type = std::size_t;       ///< of size() and of erase_if()

  /// `const K&`; for string keys std::string_view, so that no std::string is built.
  using Key = detail::KeyArgument<K>;

  /// For save and load: called with the bytes that are done, and all there are; now and then, and at the end. What it throws ends
  /// the operation, which then has changed nothing, and passes through.
  using Progress = std::function<void(std::uint64_t done, std::uint64_t total)>;

  using Reference = ItemReference<K, V>;      ///< what `d[key]` is
  using const_iterator = ItemIterator<K, V>;  ///< what begin() and end() return

  /// Makes a new dictionary and attaches this process to it. Takes the place of one of Lifetime::attached whose processes have all died.
  ///
  /// Some dozen system calls, and the time that Options::load_from takes. Waits for others that create, attach to, leave or remove a dictionary
  /// of this name, stopped ones included, for at most Options::lock_timeout. After a crash in it the name is free, or the dictionary complete.
  /// \throws errc::already_exists if the name is in use, or something else stands in its place; errc::invalid_name; errc::invalid_option;
  /// errc::heap_full if there is no memory, or this process has no room for the addresses; errc::lock_timeout; what load() throws, for
  /// Options::load_from; Error in the system category. Then none was made.
  static SharedDict create(std::string_view name, const Options& options = {}) {
    return open(detail::OpenMode::create, name, options);
  }

  /// Opens a dictionary that somebody created with the same K and V. Handles of one process share one mapping and one membership. The first of
  /// them attaches this process, and cleans up after those that have died: their locks and views are let go, and their places are free.
  ///
  /// Some dozen system calls, and some for each process that is attached. Waits as create(). If this process dies, in it or later, others
  /// clean up after it in the same way.
  /// \throws errc::not_found, also if it is of Lifetime::attached and all its processes have died; errc::type_mismatch, naming all types;
  /// errc::incompatible_layout if it is of another version, or no dictionary; errc::corrupted; errc::too_many_processes; errc::heap_full if
  /// this process has no room for the addresses; errc::lock_timeout; errc::invalid_name; errc::invalid_option; Error in the system category.
  static SharedDict attach(std::string_view name, const Options& options = {}) {
    return open(detail::OpenMode::attach, name, options);
  }

  /// Opens it as attach(), or makes it as create() if it isn't there: exactly one of the processes that do so at once makes it, and the others
  /// wait until it is complete. If that one dies meanwhile, another one makes it.
  /// \throws as create and attach, but neither errc::not_found nor errc::already_exists, unless something else stands in its place.
  static SharedDict open_or_create(std::string_view name, const Options& options = {}) {
    return open(detail::OpenMode::open_or_create, name, options);
  }

  /// Takes over what `other` has open, which is then closed. Costs a copy of the name, so that both have it; without memory for that,
  /// `other` has none.
  SharedDict(SharedDict&& other) noexcept
      : name_(detail::share_name(other.name_)), attachment_(std::move(other.attachment_)), timeout_(other.timeout_) {}

  /// The same, and leaves what this one had open, as close().
  SharedDict& operator=(SharedDict&& other) noexcept {
    if (this == &other) return *this;
    name_ = detail::share_name(other.name_);
    attachment_ = std::move(other.attachment_);
    timeout_ = other.timeout_;
    return *this;
  }

  SharedDict(const SharedDict&) = delete;
  SharedDict& operator=(const SharedDict&) = delete;

  /// As close().
  ~SharedDict() = default;

  /// Leaves; every later call throws errc::closed. Views, loans and iterators that are under way count as handles of their own. The last one of
  /// a process ends its membership, and the last process takes a dictionary of Lifetime::attached with it.
  ///
  /// Does nothing if it is closed already. The last one makes some dozen system calls, and some for each process that is attached. It waits as
  /// create(); what it can't do in time is left to others, as after a crash in it: they find that this process isn't there.
  void close() noexcept { attachment_.reset(); }

  /// Whether it was neither closed nor moved from. No system call.
  bool is_open() const noexcept { return attachment_ != nullptr; }

  /// The name it was opened with, also after close() or when it was moved from.
  const std::string& name() const noexcept { return name_; }

  // ---- Reading

  /// The value of a key, or nothing.
  std::optional<V> get(Key key) const try { return read(key); } catch (const detail::Failure& failure) {
    failure.leave("get");
  }

  /// The value of a key, or `fallback`.
  V get(Key key, V fallback) const {
    if (auto value = get(key)) return *std::move(value);
    return fallback;
  }

  /// Puts the value of a key into `out`, reusing its memory if it is a string or a vector of plain bytes; true if the key is there.
  /// Otherwise `out` stays as it was; only a string or vector may be left empty, or what has a codec of its user's be another one, if the
  /// key was erased at this moment. The key may be a part of `out`. After an exception `out` has some value.
  bool try_get(Key key, V& out) const try { return read_into(key, out); } catch (const detail::Failure& failure) {
    failure.leave("try_get");
  }

  /// The value of a key. \throws std::out_of_range if it is missing.
  V at(Key key) const try {
    if (auto value = read(key)) return *std::move(value);
    throw std::out_of_range("dictionary '" + name_ + "': at: no such key; get() returns an empty optional instead");
  } catch (const detail::Failure& failure) {
    failure.leave("at");
  }

  /// Whether the key is there. Copies no value.
  bool contains(Key key) const try {
    const detail::EncodedKey<K> encoded(key);
    const auto& attachment = reading();
    return detail::lookup(attachment.segment(), name_, hashed(attachment, encoded),
                          [](std::size_t) { return static_cast<std::byte*>(nullptr); });
  } catch (const detail::Failure& failure) {
    failure.leave("contains");
  }

  /// f(index, const V*) for each key, in their order; nullptr if it is missing. Each is read as by get(); together they are no
  /// snapshot. The keys are anything to iterate over that converts to Key; elements of what can be gone through more than once must
  /// stay where they are. Much faster than single reads where the items don't lie in the processor's caches, as it waits for the memory
  /// of many keys at once. The value is only there during the call of f, which may do anything with the dictionary.
  template <class Keys, class F>
  void get_many(const Keys& keys, F f) const try { read_all(keys, std::move(f)); } catch (const detail::Failure& failure) {
    failure.leave("get_many");
  }

  /// The same, of keys in a range that changes when it is gone through, as that of std::views::filter does.
  template <detail::MutableRange Keys, class F>
  void get_many(Keys&& keys, F f) const try { read_all(keys, std::move(f)); } catch (const detail::Failure& failure) {
    failure.leave("get_many");
  }

  /// How many keys there are. Exact when nobody writes; a key that a process was just adding when it died is counted from the
  /// next write in its part of the dictionary on. Reads one figure for each shard.
  std::size_t size() const try { return count(); } catch (const detail::Failure& failure) {
    failure.leave("size");
  }

  /// Whether size() is 0.
  bool empty() const try { return count() == 0; } catch (const detail::Failure& failure) {
    failure.leave("empty");
  }

  // ---- Zero copy

  /// The value of a key in place, pinned; converts to false if it is missing. Takes no lock and waits for nobody, as reading functions;
  /// constant time, whatever the size. A system call now and then when a process has more views than before.
  /// \throws errc::too_many_views if this process has 4096 views and loans of this dictionary; copying reads still work.
  /// errc::heap_full if there is no memory to note the view.
  View<V> view(Key key) const try {
    const detail::EncodedKey<K> encoded(key);
    auto& attachment = reading();
    const detail::KeyBytes bytes = hashed(attachment, encoded);
    if constexpr (View<V>::kCopied) {
      if (const auto value = detail::read_word<Traits::fixed_size>(attachment.segment(), name_, bytes))
        return View<V>(attachment_, *value);
    } else {
      detail::Pin pin;
      if (const auto value = detail::pin_value(attachment, name_, bytes, pin))
        return View<V>(attachment_, std::move(pin), *value);
    }
    return {};
  } catch (const detail::Failure& failure) {
    failure.leave("view");
  }

  /// Memory for `count` characters or elements that are to become the value of a key: see Loan. For strings, and vectors of
  /// trivially copyable types. Takes the lock of one shard; constant time, whatever the size, plus the system calls for memory.
  /// \throws errc::heap_full; errc::value_too_large; errc::too_many_views as view(); errc::lock_timeout.
  template <class T = V>  // so that V is looked at where this is used
  requires(detail::codec_traits<T>::plain&& detail::codec_traits<T>::fixed_size == 0)
  Loan<V> loan(Key key, std::size_t count) try {
    constexpr std::size_t kElement = sizeof(typename V::value_type);
    const detail::EncodedKey<K> encoded(key);
    const detail::Writer writer = writing();
    const std::size_t bytes = count > SIZE_MAX / kElement ? SIZE_MAX : count * kElement;
    require_storable(writer, encoded.bytes().size(), bytes);
    return Loan<V>(attachment_, detail::begin_loan(writer, hashed(writer.attachment, encoded), bytes), timeout_);
  } catch (const detail::Failure& failure) {
    failure.leave("loan");
  }

  // ---- Writing

  /// Stores the value only if the key is absent; true if it did.
  bool insert(Key key, const V& value) try {
    return put(key, value, {.present = false, .missing = true}) == detail::Stored::inserted;
  } catch (const detail::Failure& failure) {
    failure.leave("insert");
  }

  /// Stores the value; true if the key is new, false if its value was replaced.
  bool insert_or_assign(Key key, const V& value) try {
    return put(key, value, {.present = true, .missing = true}) == detail::Stored::inserted;
  } catch (const detail::Failure& failure) {
    failure.leave("insert_or_assign");
  }

  /// Stores the value only if the key is present; true if it did.
  bool assign(Key key, const V& value) try {
    return put(key, value, {.present = true, .missing = false}) == detail::Stored::replaced;
  } catch (const detail::Failure& failure) {
    failure.leave("assign");
  }

  /// Takes the key away; true if it was there. Doesn't need memory.
  bool erase(Key key) try {
    const detail::EncodedKey<K> encoded(key);
    const detail::Writer writer = writing();
    return detail::erase_key(writer, hashed(writer.attachment, encoded));
  } catch (const detail::Failure& failure) {
    failure.leave("erase");
  }

  /// Takes the key away and returns its value, or nothing if it is missing. The value is decoded under the lock: if that
  /// throws, it is still there.
  std::optional<V> extract(Key key) try {
    // In a function of its own, where the result is made in place: in a try block g++ moves it, which can throw when the item is gone already.
    return [&]() -> std::optional<V> {
      const auto keep = attachment_;
      std::optional<V> value;
      const detail::EncodedKey<K> encoded(key);
      const detail::Writer writer = writing();
      detail::change(writer, hashed(writer.attachment, encoded), [&](const detail::Bytes* current) {
        if (current == nullptr) return detail::Decision::keep();
        const detail::ActiveCallback mark(writer.attachment);
        value.emplace(detail::decode_value<V>(*current, name_));
        return detail::Decision::erase();
      });
      return value;
    }();
  } catch (const detail::Failure& failure) {
    failure.leave("extract");
  }

  /// Takes any one item out, or nothing if there is none; each item goes to one caller only. No order is promised. Looks at each
  /// shard once, in constant time on average: an item that stays is found, one that is inserted meanwhile needn't be. After a crash the item is
  /// either there or taken.
  std::optional<std::pair<K, V>> extract_any() try {
    // As in extract().
    return [&]() -> std::optional<std::pair<K, V>> {
      const auto keep = attachment_;
      std::optional<std::pair<K, V>> item;
      const detail::Writer writer = writing();
      detail::extract_any(writer, [&](detail::Bytes key, detail::Bytes value) {
        const detail::ActiveCallback mark(writer.attachment);
        item.emplace(detail::decode_key<K>(key, name_), detail::decode_value<V>(value, name_));
      });
      return item;
    }();
  } catch (const detail::Failure& failure) {
    failure.leave("extract_any");
  }

  /// Takes everything away, in one step for everybody. Locks all shards; linear in the memory in use. The tables keep their size, as a
  /// std::unordered_map its buckets. The memory of keys and values is free for the next items of this dictionary, and isn't given back to the
  /// system: Stats::heap_committed and the file's blocks stay as they are, as after erasing all items one by one.
  void clear() try { detail::clear(writing()); } catch (const detail::Failure& failure) {
    failure.leave("clear");
  }

  /// Stores all items, pairs of key and value, in one step: other writers see none of them or all, and so does everybody after a crash at
  /// any instruction. If it throws, nothing has happened. Of a key that comes several times the last value counts. Readers, who wait for nobody, may
  /// see the items come one after the other. Holds the locks of all shards that it touches; linear in the number of items.
  /// The range is gone through once, and its items are copied before they are stored.
  template <class Range>
  void update(const Range& items) try { store_all(items); } catch (const detail::Failure& failure) {
    failure.leave("update");
  }

  /// The same, of a range that changes when it is gone through, as that of std::views::filter does.
  template <detail::MutableRange Range>
  void update(Range&& items) try { store_all(items); } catch (const detail::Failure& failure) {
    failure.leave("update");
  }

  /// The same, of a list in braces.
  void update(std::initializer_list<std::pair<K, V>> items) { update<std::initializer_list<std::pair<K, V>>>(items); }

  /// Takes the items away for which pred(const K&, const V&) is true, and returns how many. Each is a change of its own. Locks one shard after
  /// the other, and asks `pred` once for each item that is there then, so it should be short. Linear in the size of the tables and what is
  /// stored; doesn't need memory of the dictionary's.
  ///
  /// If it throws, what `pred` throws and errc::lock_timeout included, the items taken so far are gone, and so they are after a crash in it.
  template <class Pred>
  std::size_t erase_if(Pred pred) try {
    const auto keep = attachment_;
    const detail::Writer writer = writing();
    return static_cast<std::size_t>(detail::erase_if(writer, [&](detail::Bytes key, detail::Bytes value) {
      const detail::ActiveCallback mark(writer.attachment);
      const K decoded_key = detail::decode_key<K>(key, name_);
      const V decoded_value = detail::decode_value<V>(value, name_);
      return static_cast<bool>(std::invoke(pred, decoded_key, decoded_value));
    }));
  } catch (const detail::Failure& failure) {
    failure.leave("erase_if");
  }

  // ---- Read-modify-write

  /// f(V&) on a copy of the value, which then becomes the value; false if the key is missing. `f` runs under a lock, so it should be
  /// short; if it throws, the value stays and the exception passes through. Called once; once more only if there was no memory for what it made,
  /// and another process changed the value while some was looked for.
  template <class F>
  bool modify(Key key, F f) try {
    return update_value(key, static_cast<V*>(nullptr), std::move(f)) == detail::Stored::replaced;
  } catch (const detail::Failure& failure) {
    failure.leave("modify");
  }

  /// As modify; if the key is missing, f(V&) on `initial`, which is then stored. True if it was missing.
  template <class F>
  bool modify_or_insert(Key key, V initial, F f) try {
    return update_value(key, std::addressof(initial), std::move(f)) == detail::Stored::inserted;
  } catch (const detail::Failure& failure) {
    failure.leave("modify_or_insert");
  }

  /// Adds `delta` and returns the value from before; a missing key counts as 0. Integers wrap around.
  V fetch_add(Key key, V delta) requires std::is_arithmetic_v<V>
  try {
    V before{};
    V after{};
    const detail::EncodedKey<K> encoded(key);
    const detail::Writer writer = writing();
    detail::KeyBytes sought = hashed(writer.attachment, encoded);
    if constexpr (detail::kInPlace<V>) {
      const auto add = [&](const std::byte* current) {
        before = detail::decode_value<V>({current, sizeof(V)}, name_);
        return detail::word_of(detail::wrapping_add(before, delta));
      };
      if (detail::change_in_place(writer, sought, add)) return before;
    }
    detail::change(writer, sought, [&](const detail::Bytes* current) {
      before = current != nullptr ? detail::decode_value<V>(*current, name_) : V{};
      after = detail::wrapping_add(before, delta);
      return detail::Decision::store(Traits::bytes(after));
    });
    return before;
  } catch (const detail::Failure& failure) {
    failure.leave("fetch_add");
  }

  /// Stores `desired` if the value is `expected`; otherwise puts the value into `expected` and returns false. A missing key is
  /// false too and leaves `expected`. Values compare with `==` if they have one that looks at what is stored; of floating point numbers, two that
  /// are no number are equal. Other plain values compare by the bytes of their members, without those between them (with clang before 20 only
  /// where it can look into the type: no bit fields, unions and constructors); others by their stored bytes (owners of other objects, for example).
  bool compare_exchange(Key key, V& expected, const V& desired) try {
    const auto keep = attachment_;
    bool exchanged = false;
    const detail::EncodedKey<K> encoded(key);
    const detail::Encoded<V, Traits> wanted(desired);
    const detail::Encoded<V, Traits> compared(expected);
    const detail::Writer writer = writing();
    require_storable(writer, encoded.bytes().size(), wanted.bytes().size());
    std::optional<V> actual;
    detail::change(writer, hashed(writer.attachment, encoded), [&](const detail::Bytes* current) {
      exchanged = false;  // asked a second time if there was no room at first
      if (current == nullptr) return detail::Decision::keep();
      const detail::ActiveCallback mark(writer.attachment);
      exchanged = detail::same_value<V>(*current, compared.bytes(), expected, name_);
      if (exchanged) return detail::Decision::store(wanted.bytes());
      actual.emplace(detail::decode_value<V>(*current, name_));
      return detail::Decision::keep();
    });
    if (actual) expected = *std::move(actual);
    return exchanged;
  } catch (const detail::Failure& failure) {
    failure.leave("compare_exchange");
  }

  // ---- Waiting for others

  /// Waits until the key is written or erased, after the call began; writing the value that it has already counts. False at the time-out.
  /// Sleeps meanwhile, and wakes when the key is written; where there are no futexes it looks 5000 times a second.
  /// Takes the lock of one shard for a moment at the beginning. If the writer dies in the middle of its change, the waiter sees to the
  /// recovery itself, within some 100 ms. A waiter that is killed leaves nothing behind.
  /// \throws errc::too_many_views if 128 threads of this process wait already; errc::heap_full if there is no memory to note it.
  bool wait_change(Key key, std::chrono::nanoseconds timeout) const try {
    const auto keep = attachment_;
    const detail::EncodedKey<K> encoded(key);
    auto& attachment = reading();
    return detail::wait_change(attachment, hashed(attachment, encoded),
                               detail::deadline_after(detail::Clock::now(), timeout));
  } catch (const detail::Failure& failure) {
    failure.leave("wait_change");
  }

  /// Waits until the key has a value for which pred(const V&) is true, and returns that value; nothing at the time-out. `pred` is asked
  /// at once and after each change of the key, and may do anything. All else as wait_change.
  template <class Pred>
  std::optional<V> wait_until(Key key, Pred pred, std::chrono::nanoseconds timeout) const try {
    const auto keep = attachment_;
    const detail::KeptKey<K> kept(key);
    auto& attachment = reading();
    std::optional<V> value;
    const auto deadline = detail::deadline_after(detail::Clock::now(), timeout);
    detail::wait_until(attachment, hashed(attachment, kept.encoded()), deadline, [&] {
      std::optional<V> now = read(kept.key());
      if (!now || !static_cast<bool>(std::invoke(pred, std::as_const(*now)))) return false;
      value.emplace(*std::move(now));
      return true;
    });
    return value;
  } catch (const detail::Failure& failure) {
    failure.leave("wait_until");
  }

  // ---- As a dictionary

  /// `d[key] = value` stores, `V value = d[key]` reads. Reading a missing key throws std::out_of_range.
  /// The Reference holds a copy of the key and refers to this handle, so it must not outlive it.
  Reference operator[](Key key) { return Reference(*this, K(key)); }

  /// As at().
  V operator[](Key key) const { return at(key); }

  /// f(const K&, const V&) for each item, in no order. Weakly consistent: what stays during the call is met exactly once, what comes or goes
  /// meanwhile is met or not, and each value is a whole one that was stored at some moment of the call. Items of one `update` may be met in
  /// part.
  ///
  /// No lock is held, and nobody waited for: f may do anything with the dictionary. Linear in the size of the tables and what is stored. Copies
  /// one shard at a time to private memory, from its beginning again if its table is exchanged or repaired meanwhile.
  template <class F>
  void for_each(F f) const try {
    scan_items([&](const K& key, const V& value) { std::invoke(f, key, value); });
  } catch (const detail::Failure& failure) {
    failure.leave("for_each");
  }

  /// Copies of all keys, consistent as for_each. Values aren't copied, nor looked at.
  std::vector<K> keys() const try {
    std::vector<K> all;
    scan(detail::ScanFor::keys, [&](detail::Bytes key, detail::Bytes) { all.push_back(detail::decode_key<K>(key, name_)); });
    return all;
  } catch (const detail::Failure& failure) {
    failure.leave("keys");
  }

  /// Copies of all values, consistent as for_each. The one at an index needn't be that of the key at the same index of another call's.
  std::vector<V> values() const try {
    std::vector<V> all;
    scan_items([&](K&&, V&& value) { all.push_back(std::move(value)); });
    return all;
  } catch (const detail::Failure& failure) {
    failure.leave("values");
  }

  /// Copies of all items, consistent as for_each.
  std::vector<std::pair<K, V>> items() const try {
    std::vector<std::pair<K, V>> all;
    scan_items([&](K&& key, V&& value) { all.emplace_back(std::move(key), std::move(value)); });
    return all;
  } catch (const detail::Failure& failure) {
    failure.leave("items");
  }

  /// An input iterator over copies of the items, consistent as for_each from this call to the last step. Copies the first shard that holds
  /// items; the steps copy the others.
  const_iterator begin() const try {
    reading();
    return const_iterator(attachment_, name_);
  } catch (const detail::Failure& failure) {
    failure.leave("begin");
  }

  /// The end of the iteration. Also of a closed handle.
  const_iterator end() const { return const_iterator(); }

  // ---- Saving it

  /// Writes all items to a file, as they are at one moment: an `update` of others is in it as a whole or not at all. The file is written
  /// beside it, to `path` with ".saving" behind it, brought to the disk, and renamed: whoever looks finds the old file or the new one.
  /// Its mode is Options::permissions of the creator. What isn't a regular file is left alone, links included.
  ///
  /// Readers notice nothing. Writers wait until their part of the dictionary is copied to this process's memory, at the speed of
  /// memory; never for the disk. Needs as much memory as is stored. Linear in that. `progress` may do anything with the dictionary.
  /// \throws errc::lock_timeout, also if another process saves to the same path; Error in the system category, which names the file.
  /// Then the file is as it was before, unless only its directory couldn't be brought to the disk. After a crash too; what was written beside
  /// it then goes with the next save to the same path. A child that `progress` forks gets errc::would_deadlock.
  void save(const std::filesystem::path& path, const Progress& progress = {}) const try {
    const auto keep = attachment_;
    detail::save(writing(), path, progress);
  } catch (const detail::Failure& failure) {
    failure.leave("save");
  }

  /// Makes the items those of a file that save() wrote, in one step: what is there and not in the file goes. Other writers see
  /// all of the change or nothing of it, and so does everybody after a crash at any instruction. Readers, who wait for nobody, may see parts
  /// of it sooner than others. The file is checked as a whole before anything happens. Then it is read again, with all locks held: writers wait
  /// for as long as that takes. `progress` is called meanwhile too, so then it must be short, and not use the dictionary.
  ///
  /// Needs memory for the old items and the new ones together: `clear()` before, where there isn't enough. Linear in the size of both.
  /// \throws errc::corrupted if the file is damaged, which names the place; errc::type_mismatch, naming all types;
  /// errc::incompatible_layout if it is no such file, or of another kind of machine; errc::heap_full; errc::too_many_items;
  /// errc::lock_timeout; Error in the system category, which names the file. Then nothing has changed.
  void load(const std::filesystem::path& path, const Progress& progress = {}) try {
    const auto keep = attachment_;
    detail::load(writing(), path, progress);
  } catch (const detail::Failure& failure) {
    failure.leave("load");
  }

  // ---- Watching it

  /// Figures for people and monitors. Takes no lock; linear in the number of shards and in Options::max_processes.
  Stats stats() const try { return detail::collect_stats(reading()); } catch (const detail::Failure& failure) {
    failure.leave("stats");
  }

  /// What is free in the heap. Takes each lock in turn. \throws errc::lock_timeout.
  GcStats gc_stats() const try { return detail::collect_gc_stats(writing()); } catch (const detail::Failure& failure) {
    failure.leave("gc_stats");
  }

  /// Checks every invariant of what is stored. Holds all locks meanwhile, after cleaning up where a process died; linear in
  /// the memory in use. \throws errc::lock_timeout.
  AuditReport audit() const try { return detail::Audit(writing()).run(); } catch (const detail::Failure& failure) {
    failure.leave("audit");
  }

 private:
  SharedDict(std::string_view name, std::shared_ptr<detail::Attachment> attachment, std::chrono::milliseconds timeout)
      : name_(name), attachment_(std::move(attachment)), timeout_(timeout) {}

  static SharedDict open(detail::OpenMode mode, std::string_view name, const Options& options) try {
    if (options.lock_timeout < std::chrono::milliseconds(0)) {
      detail::fail(errc::invalid_option, name, "Options::lock_timeout is negative");
    }
    detail::Lifecycle lifecycle(name, options.directory, options.lock_timeout);
    return {name, lifecycle.open(mode, options, detail::stored_types<K, V>(), detail::fill_of(options)),
            options.lock_timeout};
  } catch (const detail::Failure& failure) {
    failure.leave(detail::word_for(mode));
  }

  detail::Attachment& reading() const {
    if (attachment_ == nullptr)
      detail::fail(errc::closed, name_, "this handle was closed or moved from: open it again");
    detail::ActiveCallback::refuse_reentry(*attachment_);
    return *attachment_;
  }
  detail::Writer writing() const { return {reading(), timeout_}; }

  static detail::KeyBytes hashed(const detail::Attachment& attachment, const detail::EncodedKey<K>& key) noexcept {
    return detail::hash_key(attachment.segment(), key.bytes());
  }

  std::size_t count() const { return static_cast<std::size_t>(detail::count_items(reading().segment())); }

  std::optional<V> read(Key key) const {
    const detail::EncodedKey<K> encoded(key);
    if constexpr (kFixed) {
      const auto& attachment = reading();
      return detail::read_fixed<V>(attachment.segment(), name_, hashed(attachment, encoded));
    } else {
      return read_new(encoded.bytes());
    }
  }

  // Made where the caller wants it: GCC before 14 does that only for what stands in a function's outermost block. A template, as it isn't for every V.
  template <class T = V>
  std::optional<T> read_new(detail::Bytes key) const {
    std::optional<T> value(std::in_place);
    if (!read_bytes(key, *value)) value.reset();
    return value;
  }

  bool read_into(Key key, V& out) const {
    if constexpr (kFixed) {
      const std::optional<V> value = read(key);
      if (value) out = *value;
      return value.has_value();
    } else {
      const detail::EncodedKey<K> encoded(key);
      if constexpr (detail::kMayAlias<K, V>) {
        if (detail::may_lie_in(encoded.bytes(), out)) [[unlikely]]
          return read_bytes(std::vector<std::byte>(encoded.bytes().begin(), encoded.bytes().end()), out);
      }
      return read_bytes(encoded.bytes(), out);
    }
  }

  SHARED_DICT_HOT bool read_bytes(detail::Bytes key, V& out) const { return detail::read_value(reading().segment(), name_, key, out); }

  template <class Range>
  void store_all(Range& items) {
    const auto keep = attachment_;
    const detail::Writer writer = writing();
    const detail::EncodedItems<K, V> encoded(writer, items);
    detail::Batch(writer, encoded.items()).run();
  }

  template <class Keys, class F>
  void read_all(Keys& keys, F f) const {
    const auto keep = attachment_;
    const auto& attachment = reading();
    detail::read_many<K, V>(attachment.segment(), name_, keys, std::move(f));
  }

  // f(Bytes key, Bytes value) for each item.
  template <class F>
  void scan(detail::ScanFor what, F f) const {
    const auto keep = attachment_;
    const auto& attachment = reading();
    detail::ShardScan scan(what);
    for (std::uint32_t shard = 0; shard < attachment.segment().identity().shard_count; ++shard) {
      scan.read(attachment.segment(), name_, shard);
      for (std::size_t i = 0; i < scan.size(); ++i) f(scan.key(i), scan.value(i));
    }
  }

  // f(K&&, V&&) for each item.
  template <class F>
  void scan_items(F f) const {
    detail::Decoder<K, detail::key_codec_traits<K>> key;
    detail::Decoder<V, Traits> value;
    scan(detail::ScanFor::items, [&](detail::Bytes key_bytes, detail::Bytes value_bytes) { f(key(key_bytes, name_), value(value_bytes, name_)); });
  }

  static void require_storable(const detail::Writer& writer, std::size_t key, std::size_t value) {
    detail::require_storable(writer, key, value);
  }

  // Stores `value` if the key is there, or isn't, as `when` says.
  SHARED_DICT_HOT detail::Stored put(Key key, const V& value, detail::StoreIf when) {
    const detail::EncodedKey<K> encoded(key);
    const detail::Encoded<V, Traits> encoded_value(value);
    const detail::Writer writer = writing();
    detail::KeyBytes sought = hashed(writer.attachment, encoded);
    if constexpr (detail::kInPlace<V>) {
      const auto put = [&](const std::byte*) { return detail::word_of(value); };
      if (when.present && detail::change_in_place(writer, sought, put)) return detail::Stored::replaced;
    }
    return detail::store_value(writer, sought, encoded_value.bytes(), when, detail::kReplacedInPlace<V>);
  }

  // f on the value, or on `initial` if it is missing; without either nothing happens.
  template <class F>
  detail::Stored update_value(Key key, V* initial, F f) {
    const auto keep = attachment_;
    detail::Stored outcome = detail::Stored::nothing;
    std::optional<V> value;
    std::optional<detail::Encoded<V, Traits>> bytes;
    std::optional<std::uint64_t> asked;  // the hash of what f was called with; 0 of nothing
    const detail::KeptKey<K> kept(key);
    const detail::Bytes key_bytes = kept.encoded().bytes();
    const detail::Writer writer = writing();
    detail::change(writer, hashed(writer.attachment, kept.encoded()), [&](const detail::Bytes* current) {
      outcome = detail::Stored::nothing;
      if (current == nullptr && initial == nullptr) return detail::Decision::keep();
      const detail::ActiveCallback mark(writer.attachment);
      const std::uint64_t now = current != nullptr ? detail::hash_bytes(current->data(), current->size(), 1) : 0;
      // Asked again for want of memory, f isn't called again for the same value.
      if (asked != now) {
        if (current != nullptr) {
          value.emplace(detail::decode_value<V>(*current, name_));
        } else if constexpr (std::is_copy_constructible_v<V>) {
          value.emplace(*initial);
        } else {
          value.emplace(std::move(*initial));
        }
        std::invoke(f, *value);
        bytes.emplace(*value);
        require_storable(writer, key_bytes.size(), bytes->bytes().size());
        asked = now;
      }
      outcome = current != nullptr ? detail::Stored::replaced : detail::Stored::inserted;
      return detail::Decision::store(bytes->bytes());
    });
    return outcome;
  }

  std::string name_;
  std::shared_ptr<detail::Attachment> attachment_;
  std::chrono::milliseconds timeout_{};
};

/// Takes the name and the files of a dictionary away; false if there is none. Processes that are attached go on with what they
/// have, and nobody can join them; their files go with the last of them. A damaged dictionary is removed too, something that is no dictionary
/// isn't. `directory` is as Options::directory.
///
/// Some dozen system calls, some for each process that is attached, and a look through the directory for what others left. Waits for others
/// that create, attach to, leave or remove it, stopped ones included, for at most ten seconds; for no lock of the dictionary's. After a crash in
/// it the dictionary is there or gone; files that are left go with the next create or remove of this name.
/// \throws errc::invalid_name; errc::incompatible_layout if it is no dictionary; errc::heap_full if this process has no room to look into it;
/// errc::lock_timeout; Error in the system category. Then it is still there.
///
/// Say `shared_dict::remove`: with `using namespace shared_dict`, `remove("name")` is C's function that removes a file.
inline bool remove(std::string_view name, const std::filesystem::path& directory = {}) try {
  return detail::Lifecycle(name, directory, Options{}.lock_timeout).remove();
} catch (const detail::Failure& failure) {
  failure.leave("remove");
}

/// Whether there is a dictionary of this name: persistent, or with somebody alive attached to it. False for a damaged one, and for one of
/// another version of the library. `directory` is as Options::directory.
///
/// Changes no item and waits for no other process. Some system calls; for one of Lifetime::attached it maps the dictionary, and asks the
/// processes that are attached until one is found alive. Where they are all dead, but one had forked a child that isn't attached yet, that is
/// noted, and the child counts for a second more.
/// \throws errc::invalid_name; errc::heap_full if this process has no room to look into it; Error in the system category if it can't be
/// looked at.
inline bool exists(std::string_view name, const std::filesystem::path& directory = {}) try {
  return detail::Lifecycle(name, directory, Options{}.lock_timeout).exists();
} catch (const detail::Failure& failure) {
  failure.leave("exists");
}

/// The names for which exists() is true, sorted; none if the directory isn't there. Those that this user may not look at are left out.
/// Reads the directory, then costs and waits as exists() for each name.
/// \throws errc::heap_full as exists(); Error in the system category if the directory or a dictionary can't be looked at.
inline std::vector<std::string> list(const std::filesystem::path& directory = {}) try {
  return detail::list_dictionaries(directory);
} catch (const detail::Failure& failure) {
  failure.leave("list");
}

}  // namespace shared_dict

/// @cond
// Of types that can't be stored there is nothing but the error that says so: the class would fail in many places more.
template <class K, class V>
  requires(!shared_dict::detail::kCanBeStored<K, V>)
class shared_dict::SharedDict<K, V> : shared_dict::detail::WhyNoDictionary<K, V> {};

// A dictionary is gone through until its end, not for as many steps as its size says: others may erase meanwhile.
template <class K, class V>
inline constexpr bool std::ranges::disable_sized_range<shared_dict::SharedDict<K, V>> = true;
/// @endcond

#endif
