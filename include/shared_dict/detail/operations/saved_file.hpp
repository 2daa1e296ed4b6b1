// Reading a saved dictionary: nothing of it is believed before its checksum was found right.
//
// The file is read in blocks through one buffer and not mapped: a mapped file that somebody shortens ends the process (SIGBUS).
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <shared_dict/detail/bytes/saved.hpp>
#include <shared_dict/detail/mechanisms/entry.hpp>
#include <shared_dict/detail/operations/lifecycle.hpp>
#include <shared_dict/detail/platform/replacing_file.hpp>

namespace shared_dict::detail {

// `name` is the dictionary that the errors are about.
[[noreturn]] SHARED_DICT_COLD inline void fail_file(std::error_code error, const std::string& name, const char* what,
                                                    const std::filesystem::path& path) {
  fail(as_reported(error), name, std::string(what) + " " + path.string());
}

// The path that a user gave for a file: refused if the system would take it for another one.
inline const std::filesystem::path& without_nul(const std::string& name, const std::filesystem::path& path) {
  if (has_nul(path)) fail_file(std::make_error_code(std::errc::invalid_argument), name, "a path with a NUL in it:", path);
  return path;
}

template <class>
class BasicSavedFile {
 public:
  BasicSavedFile(std::string name, std::filesystem::path path) : name_(std::move(name)), path_(std::move(path)) {
    without_nul(name_, path_);
    std::error_code error;
    if (!open(error)) fail_file(error, name_, "can't open", path_);
  }

  // Nothing if there is no such file.
  static std::optional<BasicSavedFile> find(const std::string& name, const std::filesystem::path& path) {
    BasicSavedFile file;
    file.name_ = name;
    file.path_ = without_nul(name, path);
    std::error_code error;
    if (file.open(error)) return file;
    if (error == std::errc::no_such_file_or_directory) return std::nullopt;
    fail_file(error, name, "can't open", path);
  }

  const SavedHeader& header() const noexcept { return header_; }

  StoredTypes types() const {
    return {std::string(header_.key_name, static_cast<std::size_t>(header_.key_name_bytes)),
            std::string(header_.value_name, static_cast<std::size_t>(header_.value_name_bytes)),
            {static_cast<std::uint32_t>(header_.key_fixed_bytes), header_.value_fixed_bytes,
             static_cast<std::uint32_t>(header_.value_alignment)},
            header_.type_fingerprint};
  }

  // f(key, value) for each item, then after_block(bytes of the file that are read). All that f gets was found undamaged as far as its block
  // goes; the file as a whole was when this returns.
  template <class F, class G>
  void for_each(F f, G after_block) {
    std::uint64_t at = sizeof(SavedHeader);
    std::uint64_t items = 0;
    std::uint64_t bytes = 0;
    after_block(at);
    for (std::uint64_t number = 0; at != header_.file_bytes; ++number) {
      SavedBlock block;
      read(at, &block, sizeof block);
      block = {little_endian(block.bytes), little_endian(block.items), little_endian(block.checksum)};
      const std::uint64_t begin = at + sizeof block;
      if (begin > header_.file_bytes || block.bytes > header_.file_bytes - begin)
        damaged(at, "a block is longer than the file");
      // Before memory is got for it: only one large item makes a block large.
      if (block.bytes > kSavedBlockBytes && (block.items != 1 || block.bytes - kWord > header_.content_bytes))
        damaged(at, "a block is longer than it can be");
      if (buffer_.size() < block.bytes) buffer_.resize(static_cast<std::size_t>(block.bytes));
      read(begin, buffer_.data(), static_cast<std::size_t>(block.bytes));
      if (checksum_of(block, header_.checksum, number, buffer_.data()) != block.checksum)
        damaged(at, "a checksum is wrong");
      Bytes rest(buffer_.data(), static_cast<std::size_t>(block.bytes));
      std::uint64_t left = block.items;
      for (; left != 0 && rest.size() >= kWord; --left) {
        const EntrySizes sizes(little_endian(load_private<std::uint64_t>(rest.data())));
        rest = rest.subspan(kWord);
        if (!fits(sizes) || sizes.key() + sizes.value() > rest.size()) break;
        const Bytes key = rest.first(static_cast<std::size_t>(sizes.key()));
        const Bytes value = rest.subspan(key.size(), static_cast<std::size_t>(sizes.value()));
        rest = rest.subspan(key.size() + value.size());
        bytes += key.size() + value.size();
        f(key, value);
      }
      if (left != 0 || !rest.empty()) damaged(begin, "its items can't be what they say");
      items += block.items;
      at = begin + block.bytes;
      after_block(at);
    }
    if (items != header_.items || bytes != header_.content_bytes) damaged(at, "it has other items than it says");
  }

  [[noreturn]] SHARED_DICT_COLD void damaged(std::uint64_t at, const char* what) const {
    fail(errc::corrupted, name_,
         path_.string() + " is damaged at byte " + std::to_string(at) + ": " + what +
             "; nothing was loaded: take another copy of it");
  }

 private:
  BasicSavedFile() = default;

  bool open(std::error_code& error) {
    file_ = open_to_read(path_, error);
    if (!file_) return false;
    const auto status = status_of(file_);
    if (!status || !status->regular) {
      const auto reason = status && status->directory ? std::errc::is_a_directory : std::errc::invalid_argument;
      fail_file(std::make_error_code(reason), name_, "what is loaded must be a regular file, not", path_);
    }
    read_header(status->size);
    return true;
  }

  void read_header(std::uint64_t file_bytes) {
    const auto refuse = [&](const std::string& what) {
      fail(errc::incompatible_layout, name_, path_.string() + " " + what);
    };
    SavedHeader in_file;
    // What it is comes before how long it has to be.
    constexpr std::size_t kBeginning = offsetof(SavedHeader, byte_order);
    const std::uint64_t magic = little_endian(kSavedMagic);
    const auto beginning = static_cast<std::size_t>(std::min<std::uint64_t>(file_bytes, kBeginning));
    read(0, &in_file, beginning);
    if (std::memcmp(&in_file, &magic, std::min(beginning, sizeof magic)) != 0) refuse("is no saved dictionary");
    if (beginning < kBeginning) damaged(file_bytes, "it ends there");
    header_ = little_endian(in_file);
    if (header_.version != kSavedVersion) {
      refuse("has format " + std::to_string(header_.version) + ", this program knows format " +
             std::to_string(kSavedVersion) + ": load it with the version of the library that saved it");
    }
    if (file_bytes < sizeof in_file) damaged(file_bytes, "it ends there");
    read(0, &in_file, sizeof in_file);
    header_ = little_endian(in_file);
    if (header_.checksum != checksum_of(in_file)) damaged(0, "the header's checksum is wrong");
    if (header_.byte_order != kSavedByteOrder) refuse("was saved on a machine of another byte order");
    if (file_bytes < header_.file_bytes) damaged(file_bytes, "it ends there");
    if (file_bytes > header_.file_bytes) damaged(header_.file_bytes, "something follows its end");
    const bool possible = header_.key_name_bytes <= kTypeNameBytes && header_.value_name_bytes <= kTypeNameBytes &&
                          header_.key_fixed_bytes <= EntrySizes::kMaxKey &&
                          header_.value_fixed_bytes <= EntrySizes::kMaxValue &&
                          std::has_single_bit(header_.value_alignment) && header_.value_alignment <= 4096;
    if (!possible) damaged(0, "the header says what can't be");
  }

  void read(std::uint64_t at, void* to, std::size_t size) const {
    const std::error_code error = read_at(file_, at, to, size);
    if (error == std::errc::no_message_available) damaged(at, "it ends there");
    if (error) fail_file(error, name_, "can't read", path_);
  }

  bool fits(EntrySizes sizes) const noexcept {
    return (header_.key_fixed_bytes == 0 || sizes.key() == header_.key_fixed_bytes) &&
           (header_.value_fixed_bytes == 0 || sizes.value() == header_.value_fixed_bytes) &&
           sizes.value() <= EntrySizes::kMaxValue;
  }

  std::string name_;
  std::filesystem::path path_;
  FileDescriptor file_;
  SavedHeader header_;
  std::vector<std::byte> buffer_;
};

// See Lazily.
using SavedFile = BasicSavedFile<Lazily>;

}  // namespace shared_dict::detail
