# Tests of the sources themselves, label "source".

# One file per header that includes it and nothing else; twice, for the include guard.
set(header_sources "")
foreach(header IN LISTS SHARED_DICT_HEADERS)
  string(REGEX REPLACE "^include/" "" include_path "${header}")
  string(MAKE_C_IDENTIFIER "${include_path}" name)
  set(source "${CMAKE_CURRENT_BINARY_DIR}/headers/${name}.cpp")
  file(CONFIGURE OUTPUT "${source}" CONTENT "#include <@include_path@>\n#include <@include_path@>\n" @ONLY)
  list(APPEND header_sources "${source}")
endforeach()
add_library(shared_dict_headers OBJECT EXCLUDE_FROM_ALL ${header_sources})
target_link_libraries(shared_dict_headers PRIVATE shared_dict_developer)

set(source_checks "every header compiles alone" "every header and every test file is listed" "the version is the same everywhere")
add_test(NAME "every header compiles alone" COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --config $<CONFIG>
                                                    --target shared_dict_headers)
add_test(NAME "every header and every test file is listed" COMMAND "${CMAKE_COMMAND}" -D "ROOT=${PROJECT_SOURCE_DIR}" -P
                                               "${CMAKE_CURRENT_SOURCE_DIR}/unit/file_lists.cmake")
add_test(NAME "the version is the same everywhere" COMMAND "${CMAKE_COMMAND}" -D "ROOT=${PROJECT_SOURCE_DIR}" -P
                                                           "${CMAKE_CURRENT_SOURCE_DIR}/unit/versions.cmake")

find_program(SHARED_DICT_BASH bash)
mark_as_advanced(SHARED_DICT_BASH)
if(SHARED_DICT_BASH)
  set(unit "${CMAKE_CURRENT_SOURCE_DIR}/unit")
  function(shared_dict_script_test name)
    add_test(NAME "${name}" COMMAND "${SHARED_DICT_BASH}" ${ARGN} COMMAND_EXPAND_LISTS)
    list(APPEND source_checks "${name}")
    set(source_checks "${source_checks}" PARENT_SCOPE)
  endfunction()
  shared_dict_script_test("an include goes only to a lower layer" "${unit}/layering.sh" "${PROJECT_SOURCE_DIR}/include")
  shared_dict_script_test("the layering check refuses what it should" "${unit}/layering.sh" --self-test)
  shared_dict_script_test("every atomic access says why its order is right" "${unit}/memory_order_tags.sh"
                          "${PROJECT_SOURCE_DIR}/include")
  shared_dict_script_test("the memory order check refuses what it should" "${unit}/memory_order_tags.sh" --samples
                          "${unit}/tag_samples")
  shared_dict_script_test("no name is defined twice in the tests" "${unit}/one_definition.sh" "${CMAKE_CURRENT_SOURCE_DIR}")
  shared_dict_script_test("the check for names defined twice refuses what it should" "${unit}/one_definition.sh" --self-test)
  shared_dict_script_test("the Chinese README keeps step with the English one" "${unit}/readme_translation.sh"
                          "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/README.zh-CN.md")
  shared_dict_script_test("the check of the translation refuses what it should" "${unit}/readme_translation.sh" --self-test)
  if(EXISTS "${unit}/compile_errors/check.sh")
    shared_dict_script_test("wrong use is explained at compile time" "${unit}/compile_errors/check.sh"
                            "${CMAKE_CXX_COMPILER}" "$<TARGET_PROPERTY:shared_dict_headers,INCLUDE_DIRECTORIES>")
  endif()
endif()
set_tests_properties(${source_checks} PROPERTIES LABELS source TIMEOUT ${shared_dict_test_timeout})
