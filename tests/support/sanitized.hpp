// Whether this program is built with a sanitizer that slows it down tenfold and has a say in what it may do.
#pragma once

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHARED_DICT_TEST_SANITIZED
#endif
#endif
#if !defined(SHARED_DICT_TEST_SANITIZED) && (defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__))
#define SHARED_DICT_TEST_SANITIZED
#endif

namespace shared_dict::test {

#if defined(SHARED_DICT_TEST_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace shared_dict::test
