# The version is the same wherever it is written. With -D ROOT=<checkout>.
cmake_minimum_required(VERSION 3.22...3.31)
function(read_version result path pattern)
  file(READ "${ROOT}/${path}" text)
  if(NOT text MATCHES "${pattern}")
    message(FATAL_ERROR "${path}: no version found by ${pattern}")
  endif()
  set(${result} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

foreach(part IN ITEMS Major Minor Patch)
  read_version(number include/shared_dict/version.hpp "kVersion${part} = ([0-9]+);")
  list(APPEND numbers ${number})
endforeach()
list(JOIN numbers "." expected)

set(number "([0-9]+\\.[0-9]+\\.[0-9]+)")
foreach(
  place IN
  ITEMS "CMakeLists.txt|VERSION ${number}\n"
        "conanfile.py|version = \"${number}\""
        "vcpkg.json|\"version\": \"${number}\""
        "cmake/vcpkg-port/vcpkg.json|\"version\": \"${number}\""
        "CHANGELOG.md|\n## \\[${number}\\]")
  string(REGEX MATCH "^[^|]+" path "${place}")
  string(REGEX REPLACE "^[^|]+\\|" "" pattern "${place}")
  read_version(found "${path}" "${pattern}")
  if(NOT found STREQUAL expected)
    message(SEND_ERROR "${path} says ${found}, version.hpp says ${expected}")
  endif()
endforeach()
