// What is known of a file.
#pragma once

#include <compare>
#include <cstdint>

namespace shared_dict::detail {

// Which file a name leads to. Names come and go; two equal ids are the same file.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  friend auto operator<=>(const FileId&, const FileId&) = default;  // NOLINT(modernize-use-nullptr): there is none to be seen
};

struct FileStatus {
  FileId id;
  std::uint64_t size = 0;
  bool regular = false;
  bool directory = false;
  bool mine = false;  // owned by the user that this process acts as
  std::uint32_t group = 0;
  unsigned mode = 0;  // the permissions
  std::uint64_t links = 1;  // how many names it has
};

}  // namespace shared_dict::detail
