# Writes the whole library into one file: each header where it is first included, once.
#   cmake -D ROOT=<checkout> -D OUTPUT=<file> -P cmake/single_header.cmake
# It still includes Boost, cereal and xxHash. What is first included under an #if is written there, and nowhere else: a header that two branches
# need is included before them.
cmake_minimum_required(VERSION 3.22...3.31)
foreach(argument IN ITEMS ROOT OUTPUT)
  if(NOT ${argument})
    message(FATAL_ERROR "single_header.cmake needs -D ${argument}=...")
  endif()
endforeach()

set_property(GLOBAL PROPERTY written "")

# Lines are taken off by hand: CMake lists would lose semicolons and brackets.
function(append_header path)
  get_property(written GLOBAL PROPERTY written)
  if(path IN_LIST written)
    return()
  endif()
  set_property(GLOBAL APPEND PROPERTY written "${path}")
  file(READ "${ROOT}/include/${path}" rest)
  while(rest MATCHES "(^|\n)[ \t]*#[ \t]*(pragma once|include [<\"](shared_dict/[^>\"]+)[>\"])[^\n]*\n?")
    set(directive "${CMAKE_MATCH_0}")
    set(included "${CMAKE_MATCH_3}")
    string(FIND "${rest}" "${directive}" at)
    string(SUBSTRING "${rest}" 0 ${at} before)
    file(APPEND "${OUTPUT}" "${before}\n")
    string(LENGTH "${directive}" length)
    math(EXPR at "${at} + ${length}")
    string(SUBSTRING "${rest}" ${at} -1 rest)
    if(included)
      append_header("${included}")
    endif()
    set(rest "\n${rest}")
  endwhile()
  file(APPEND "${OUTPUT}" "${rest}")
endfunction()

file(READ "${ROOT}/LICENSE" license)
string(STRIP "${license}" license)
string(REPLACE "\n" "\n// " license "// ${license}")
string(REGEX REPLACE " +\n" "\n" license "${license}")
file(WRITE "${OUTPUT}" "// SharedDict in one file, generated from include/shared_dict.\n//\n${license}\n#pragma once\n\n")
append_header(shared_dict/shared_dict.hpp)
