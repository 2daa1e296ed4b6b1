# What tests, examples and benchmarks are compiled with, and users of the library are not.
set(SHARED_DICT_SANITIZERS "" CACHE STRING "Sanitizers for tests and examples, e.g. address;undefined")
option(SHARED_DICT_PLAIN_POSIX "Leave out what only Linux has: tests and examples run as on macOS" OFF)
option(SHARED_DICT_WARNINGS_AS_ERRORS "Fail on a warning in tests, examples and benchmarks" OFF)

add_library(shared_dict_developer INTERFACE)
target_link_libraries(shared_dict_developer INTERFACE shared_dict::shared_dict)
if(MSVC)
  target_compile_options(shared_dict_developer INTERFACE /W4 /permissive- $<$<BOOL:${SHARED_DICT_WARNINGS_AS_ERRORS}>:/WX>)
else()
  target_compile_options(
    shared_dict_developer
    INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wpedantic $<$<BOOL:${SHARED_DICT_WARNINGS_AS_ERRORS}>:-Werror>)
endif()

if(CMAKE_SIZEOF_VOID_P EQUAL 4 AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Tests have 64-bit numbers that are small wherever a size or an index is meant.
  target_compile_options(shared_dict_developer INTERFACE -Wno-shorten-64-to-32)
endif()

if(SHARED_DICT_PLAIN_POSIX)
  target_compile_definitions(shared_dict_developer INTERFACE SHARED_DICT_PLAIN_POSIX)
endif()

if(SHARED_DICT_SANITIZERS)
  list(JOIN SHARED_DICT_SANITIZERS "," sanitizers)
  target_compile_options(shared_dict_developer INTERFACE -fsanitize=${sanitizers} -fno-sanitize-recover=all
                                                         -fno-omit-frame-pointer)
  target_link_options(shared_dict_developer INTERFACE -fsanitize=${sanitizers})
  if("thread" IN_LIST SHARED_DICT_SANITIZERS AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # It warns of every fence, because TSan does not see fences; the headers deal with that themselves.
    target_compile_options(shared_dict_developer INTERFACE -Wno-tsan)
  endif()
  if("thread" IN_LIST SHARED_DICT_SANITIZERS)
    # Where the kernel randomises more address bits than TSan can map, its programs only start without randomisation.
    find_program(SHARED_DICT_SETARCH setarch)
    mark_as_advanced(SHARED_DICT_SETARCH)
    if(SHARED_DICT_SETARCH)
      execute_process(COMMAND "${SHARED_DICT_SETARCH}" -R true RESULT_VARIABLE setarch_failed OUTPUT_QUIET ERROR_QUIET)
      if(NOT setarch_failed)
        set(CMAKE_CROSSCOMPILING_EMULATOR "${SHARED_DICT_SETARCH};-R")
      endif()
    endif()
  endif()
endif()
