// That the other tests of this folder do what they say: what the library calls is what this program has in the C library's place, and
// each kind of call is met.

#include <elf.h>
#include <link.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <set>
#include <string>
#include <system_error>

#include <shared_dict/detail/platform/random.hpp>
#include <shared_dict/shared_dict.hpp>

#include "faults/rounds.hpp"
#include "support/catch.hpp"

using namespace shared_dict;
using namespace shared_dict::test;
using namespace std::chrono_literals;

namespace {

/// The names of the functions that this program takes from shared libraries.
std::set<std::string> imports() {
  std::set<std::string> names;
  ::dl_iterate_phdr(
      [](dl_phdr_info* program, std::size_t, void* to) {
        const ElfW(Sym)* symbols = nullptr;
        const char* strings = nullptr;
        std::array<std::pair<const ElfW(Rela)*, std::size_t>, 2> tables{};
        for (int i = 0; i < program->dlpi_phnum; ++i) {
          if (program->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
          const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(program->dlpi_addr + program->dlpi_phdr[i].p_vaddr);
          for (; entry->d_tag != DT_NULL; ++entry) {
            if (entry->d_tag == DT_SYMTAB) symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_JMPREL) tables[0].first = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_PLTRELSZ) tables[0].second = entry->d_un.d_val;
            if (entry->d_tag == DT_RELA) tables[1].first = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
            if (entry->d_tag == DT_RELASZ) tables[1].second = entry->d_un.d_val;
          }
        }
        for (const auto& [table, bytes] : tables) {
          for (std::size_t i = 0; table != nullptr && i < bytes / sizeof *table; ++i) {
            const ElfW(Sym)& symbol = symbols[sizeof(void*) == 8 ? table[i].r_info >> 32 : table[i].r_info >> 8];
            if (symbol.st_shndx == SHN_UNDEF)
              static_cast<std::set<std::string>*>(to)->emplace(strings + symbol.st_name);
          }
        }
        return 1;  // the first one is the program
      },
      &names);
  names.erase("");
  return names;
}

/// What has a stand-in elsewhere, or is about PID namespaces and start times, which only /proc tells.
bool of_linux_only(FallibleCall call) {
  switch (call) {
    case FallibleCall::fallocate:
    case FallibleCall::futex:
    case FallibleCall::stat:
    case FallibleCall::fopen:
    case FallibleCall::fread: return true;
    default: return false;
  }
}

}  // namespace

TEST_CASE("no function of the system goes past the faults") {
  const std::set<std::string> all = imports();
  REQUIRE(all.contains("fork"));
  for (const char* const name : {"open64",
                                 "openat",
                                 "openat64",
                                 "creat",
                                 "__open_2",
                                 "__open64_2",
                                 "pread64",
                                 "__pread_chk",
                                 "pwrite64",
                                 "pwrite",
                                 "pwritev",
                                 "fdatasync",
                                 "fsync",
                                 "fallocate",
                                 "fallocate64",
                                 "mmap64",
                                 "posix_fallocate64",
                                 "ftruncate64",
                                 "truncate",
                                 "fstat64",
                                 "stat64",
                                 "lstat64",
                                 "fstatat",
                                 "statx",
                                 "__fxstat",
                                 "__xstat",
                                 "__lxstat",
                                 "unlinkat",
                                 "renameat",
                                 "mkdirat",
                                 "fopen64",
                                 "__fread_chk",
                                 "fcntl64",
                                 "flock",
                                 "lockf",
                                 "readdir64",
                                 "mremap",
                                 "msync",
                                 "madvise",
                                 "open",
                                 "close",
                                 "fcntl",
                                 "fstat",
                                 "lstat",
                                 "pread",
                                 "mmap",
                                 "syscall"}) {
    INFO(name);
    CHECK_FALSE(all.contains(name));
  }
}

TEST_CASE("random bytes come from a file where the kernel has no call for them") {
  std::array<std::uint64_t, 2> drawn{};
  set_fault({.place = 1});
  const std::error_code error = detail::draw(drawn.data(), sizeof drawn);
  const Outcome outcome = end_fault();
  REQUIRE(outcome.call == FallibleCall::getentropy);
  REQUIRE_FALSE(error);
  REQUIRE(drawn[0] != drawn[1]);
}

TEST_CASE("each kind of call is met") {
  const Place place(memory());
  const Options options{.heap_size = 1 << 16, .directory = place.path()};
  const auto before = calls_so_far();
  set_fault({});
  {
    auto d = SharedDict<std::string, std::string>::create("name", options);
    d.insert("key", "value");
    d.wait_change("key", 1ms);
    static_cast<void>(SharedDict<std::string, std::string>::attach("name", options));
    static_cast<void>(list(place.path()));
    d.save(place.path() / "saved");
    remove("name", place.path());
    user_code();
  }
  end_fault();
  for (std::size_t i = 0; i < kCalls; ++i) {
    const auto call = static_cast<FallibleCall>(i);
    if (call == FallibleCall::kill || call == FallibleCall::faccessat) continue;  // only where somebody has meddled with the files
    INFO(name_of(call));
    CHECK((calls_so_far()[i] > before[i]) == (kLinuxCalls || !of_linux_only(call)));
  }
}
