# Writes one source of the headers, the examples and the inspector, as most of what clang-tidy takes is spent on the headers each time.
#   cmake -D ROOT=<checkout> -D OUTPUT=<file> -P cmake/tidy.cmake
# Each example stands in a namespace of its own, behind everything that it includes; the inspector's sources are one program already.
cmake_minimum_required(VERSION 3.22...3.31)
foreach(argument IN ITEMS ROOT OUTPUT)
  if(NOT ${argument})
    message(FATAL_ERROR "tidy.cmake needs -D ${argument}=...")
  endif()
endforeach()

file(GLOB examples "${ROOT}/examples/*.cpp")
file(GLOB inspector "${ROOT}/examples/shared_dict_tool/*.cpp")
set(includes "#include <shared_dict/shared_dict.hpp>")
foreach(source IN LISTS examples inspector)
  file(STRINGS "${source}" lines REGEX "^#include <")
  list(APPEND includes ${lines})
endforeach()
list(REMOVE_DUPLICATES includes)
list(APPEND includes "#include \"${ROOT}/examples/program.hpp\"")

set(parts "")
foreach(source IN LISTS examples)
  get_filename_component(name "${source}" NAME_WE)
  list(APPEND parts "namespace example_${name} {" "#include \"${source}\"  // NOLINT(bugprone-suspicious-include)"
       "}  // namespace example_${name}")
endforeach()
foreach(source IN LISTS inspector)
  list(APPEND parts "#include \"${source}\"  // NOLINT(bugprone-suspicious-include)")
endforeach()
list(JOIN includes "\n" includes)
list(JOIN parts "\n" parts)
file(WRITE "${OUTPUT}" "${includes}\n\n${parts}\n")
