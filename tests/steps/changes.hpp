// The changes in which processes are killed at every step: every operation that changes something, in the ways that differ inside.
#pragma once

#include <string>

#include "steps/change.hpp"

namespace shared_dict::test {

/// Values of different sizes, some large; two shards.
Setting<std::string> words();
/// Values that are replaced in place; a table that is as full as it gets.
Setting<long> numbers();
/// As many items as may be.
Setting<std::string> limited();
/// As many bytes as fit.
Setting<std::string> full();

}  // namespace shared_dict::test
