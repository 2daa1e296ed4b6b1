// What was done to one key, in recorded form: the calls, what they told, when they began and when they returned; and what each of them
// means for a key alone, as the contract has it.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace shared_dict::test {

enum class Call : std::uint8_t {
  get,
  try_get,
  get_many,
  view,
  contains,
  insert,
  assign,
  insert_or_assign,
  loan,
  update,
  erase,
  extract,
  erase_if,
  clear,
  modify,
  modify_or_insert,
  fetch_add,
  compare_exchange,
};

/// A time that never comes: of an operation that didn't return, as its process was killed in it.
inline constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();

/// One call, for one key. Plain words, so that it can be written into memory that outlives its process.
struct Operation {
  Call call = Call::get;
  std::uint8_t key = 0;
  std::uint8_t process = 0;
  bool found = false;         ///< told: the key was there
  std::uint64_t value = 0;    ///< told: what its value was; 0 if it wasn't there
  std::uint64_t operand = 0;  ///< what to store or to add
  std::uint64_t other = 0;    ///< the expected value of compare_exchange, the initial one of modify_or_insert
  std::uint64_t invoked = 0;
  alignas(8) std::uint64_t returned = kNever;

  bool undecided() const noexcept { return returned == kNever; }
};

/// A key's value, or that it isn't there.
using KeyState = std::optional<std::uint64_t>;

/// What the call says of the key as it was.
struct Tells {
  bool found;
  bool value;
};

inline Tells tells(Call call) noexcept {
  switch (call) {
    case Call::get:
    case Call::try_get:
    case Call::get_many:
    case Call::view:
    case Call::extract:
    case Call::erase_if:
    case Call::modify:
    case Call::modify_or_insert:
    case Call::compare_exchange: return {true, true};
    case Call::contains:
    case Call::insert:
    case Call::assign:
    case Call::insert_or_assign:
    case Call::loan:
    case Call::erase: return {true, false};
    case Call::fetch_add: return {false, true};
    case Call::update:
    case Call::clear: break;
  }
  return {false, false};
}

/// Whether what it told is true of this state.
inline bool agrees(const Operation& operation, const KeyState& state) noexcept {
  const Tells told = tells(operation.call);
  return (!told.found || operation.found == state.has_value()) && (!told.value || operation.value == state.value_or(0));
}

/// What it makes of this state.
inline KeyState after(const Operation& operation, const KeyState& state) noexcept {
  switch (operation.call) {
    case Call::get:
    case Call::try_get:
    case Call::get_many:
    case Call::view:
    case Call::contains: break;
    case Call::insert: return state ? state : operation.operand;
    case Call::assign: return state ? operation.operand : state;
    case Call::insert_or_assign:
    case Call::loan:
    case Call::update: return operation.operand;
    case Call::erase:
    case Call::extract:
    case Call::clear: return std::nullopt;
    case Call::erase_if: return state && *state % 2 != 0 ? std::nullopt : state;  // those that are odd
    case Call::modify: return state ? *state + operation.operand : state;
    case Call::modify_or_insert:
    case Call::fetch_add: return state.value_or(operation.other) + operation.operand;
    case Call::compare_exchange: return state == operation.other ? operation.operand : state;
  }
  return state;
}

/// Whether it changes no state at all with which it agrees. Of one that is undecided: whether it never changes any.
inline bool only_looks(const Operation& operation) noexcept {
  switch (operation.call) {
    case Call::get:
    case Call::try_get:
    case Call::get_many:
    case Call::view:
    case Call::contains: return true;
    case Call::insert: return !operation.undecided() && operation.found;
    case Call::assign:
    case Call::erase:
    case Call::extract:
    case Call::modify: return !operation.undecided() && !operation.found;
    case Call::erase_if: return !operation.undecided() && (!operation.found || operation.value % 2 == 0);
    case Call::compare_exchange:
      return !operation.undecided() && (!operation.found || operation.value != operation.other);
    default: return false;
  }
}

inline const char* name_of(Call call) noexcept {
  switch (call) {
    case Call::get: return "get";
    case Call::try_get: return "try_get";
    case Call::get_many: return "get_many";
    case Call::view: return "view";
    case Call::contains: return "contains";
    case Call::insert: return "insert";
    case Call::assign: return "assign";
    case Call::insert_or_assign: return "insert_or_assign";
    case Call::loan: return "loan";
    case Call::update: return "update";
    case Call::erase: return "erase";
    case Call::extract: return "extract";
    case Call::erase_if: return "erase_if";
    case Call::clear: return "clear";
    case Call::modify: return "modify";
    case Call::modify_or_insert: return "modify_or_insert";
    case Call::fetch_add: return "fetch_add";
    case Call::compare_exchange: return "compare_exchange";
  }
  return "?";
}

inline std::string text_of(const KeyState& state) { return state ? std::to_string(*state) : "missing"; }

inline std::string text_of(const Operation& operation) {
  std::string text = "process " + std::to_string(operation.process) + ": " + name_of(operation.call) + "(" +
                     std::to_string(operation.operand) + ", " + std::to_string(operation.other) + ") ";
  if (operation.undecided()) return text + "undecided [" + std::to_string(operation.invoked) + ", ...]";
  const Tells told = tells(operation.call);
  if (told.found) text += operation.found ? "found " : "missing ";
  if (told.value) text += "value " + std::to_string(operation.value) + " ";
  return text + "[" + std::to_string(operation.invoked) + ", " + std::to_string(operation.returned) + "]";
}

}  // namespace shared_dict::test
