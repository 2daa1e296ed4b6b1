// What a dictionary's pages are used for.
#pragma once

#include <cstdint>

#include <shared_dict/detail/mechanisms/page_pool.hpp>

#include "support/eventually.hpp"

namespace shared_dict::test {

/// Whether no page holds keys or values: what an empty dictionary has left are its tables, which don't shrink.
inline bool only_tables_in_use(detail::Attachment& attachment) {
  const detail::Writer writer(attachment, kHangDeadline);
  bool only = true;
  detail::PagePool(writer).for_each_run([&](std::uint32_t, detail::PageWord word) {
    only = only && (word.kind() == detail::PageKind::free || word.kind() == detail::PageKind::table);
  });
  return only;
}

}  // namespace shared_dict::test
