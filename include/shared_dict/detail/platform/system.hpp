// Which system's own calls there are. What isn't Linux keeps to what POSIX and macOS have both.
//
// SHARED_DICT_PLAIN_POSIX leaves Linux's own calls out on Linux, too: so the tests of a Linux machine run what other systems are given.
// A program must be compiled with it as a whole, or not at all. Both kinds share dictionaries; one that sleeps on a futex isn't woken
// by one that has none, and sees the change when it looks again, after a tenth of a second at most.
#pragma once

#if defined(__linux__) && !defined(SHARED_DICT_PLAIN_POSIX)
#define SHARED_DICT_LINUX
#endif
