// Writes a whole entry, as insertions and replacements do in two steps.
#pragma once

#include <shared_dict/detail/mechanisms/entry.hpp>

namespace shared_dict::test {

inline void write_entry(const detail::Segment& segment, std::uint64_t offset, detail::Bytes key, detail::Bytes value) noexcept {
  detail::write_contents(segment, offset, key, value);
  detail::write_sizes(segment, offset, detail::EntrySizes(key.size(), value.size()));
}

}  // namespace shared_dict::test
