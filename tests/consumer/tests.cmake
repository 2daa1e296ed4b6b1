# Tests that use the library as its users do, label "consumer".
set(consumer_dir "${CMAKE_CURRENT_BINARY_DIR}/consumer")
set(prefix "${consumer_dir}/prefix")

set(consumer_options "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" "-DCMAKE_BUILD_TYPE=Debug")
if(CMAKE_TOOLCHAIN_FILE)
  list(APPEND consumer_options "-DCMAKE_TOOLCHAIN_FILE=${CMAKE_TOOLCHAIN_FILE}")
endif()
set(from_package ${consumer_options} "-DSHARED_DICT_PREFIX=${prefix}" "-Dshared_dict_ROOT=${prefix}")

# shared_dict_consumer_test(NAME FOLDER option...): the consumer configures, builds and runs.
function(shared_dict_consumer_test name folder)
  add_test(
    NAME "${name}"
    COMMAND
      "${CMAKE_CTEST_COMMAND}" --build-and-test "${CMAKE_CURRENT_SOURCE_DIR}/consumer" "${consumer_dir}/${folder}"
      --build-generator "${CMAKE_GENERATOR}" --build-options ${consumer_options} ${ARGN} --test-command
      "${consumer_dir}/${folder}/consumer${CMAKE_EXECUTABLE_SUFFIX}")
  set_tests_properties("${name}" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout})
endfunction()

# shared_dict_refused_consumer_test(NAME MESSAGE FOLDER option...): the consumer does not configure and is told why.
function(shared_dict_refused_consumer_test name message folder)
  add_test(NAME "${name}" COMMAND "${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_SOURCE_DIR}/consumer" -B "${consumer_dir}/${folder}"
                                  -G "${CMAKE_GENERATOR}" ${ARGN})
  set_tests_properties("${name}" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} PASS_REGULAR_EXPRESSION "${message}")
endfunction()

if(SHARED_DICT_INSTALL)
  add_test(NAME "the package installs" COMMAND "${CMAKE_COMMAND}" --install "${PROJECT_BINARY_DIR}" --config $<CONFIG>
                                               --prefix "${prefix}")
  shared_dict_consumer_test("a program builds with find_package" package ${from_package})
  shared_dict_refused_consumer_test("find_package refuses another major version" "requested version \"99\"" version
                                    ${from_package} -DSHARED_DICT_VERSION=99)
  shared_dict_refused_consumer_test("find_package names the dependency that is missing" "libboost-dev" missing
                                    ${from_package} -DCMAKE_DISABLE_FIND_PACKAGE_Boost=TRUE)
  set(needs_package "a program builds with find_package" "find_package refuses another major version"
                    "find_package names the dependency that is missing")
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    shared_dict_consumer_test("a program builds with pkg-config" pkg-config -DSHARED_DICT_FROM=pkg-config)
    set_tests_properties("a program builds with pkg-config"
                         PROPERTIES ENVIRONMENT "PKG_CONFIG_PATH=${prefix}/${CMAKE_INSTALL_DATADIR}/pkgconfig")
    list(APPEND needs_package "a program builds with pkg-config")
  endif()
  set_tests_properties("the package installs" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} FIXTURES_SETUP package)
  set_tests_properties(${needs_package} PROPERTIES FIXTURES_REQUIRED package)
endif()
shared_dict_consumer_test("a program builds with add_subdirectory" subdirectory -DSHARED_DICT_FROM=subdirectory)
shared_dict_consumer_test("a program builds with FetchContent" fetch-content -DSHARED_DICT_FROM=fetch-content
                          "-DFETCHCONTENT_SOURCE_DIR_SHARED_DICT=${PROJECT_SOURCE_DIR}")

if(TARGET shared_dict_single_header)
  add_test(NAME "the single header is written" COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --config $<CONFIG>
                                                       --target shared_dict_single_header)
  set_tests_properties("the single header is written" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} FIXTURES_SETUP single_header)
  shared_dict_consumer_test("a program builds with the single header alone" single-header -DSHARED_DICT_FROM=single-header
                            "-DSHARED_DICT_SINGLE_HEADER=${PROJECT_BINARY_DIR}/single_include")
  set_tests_properties("a program builds with the single header alone" PROPERTIES FIXTURES_REQUIRED single_header)
endif()

find_program(SHARED_DICT_GDB gdb)
find_program(SHARED_DICT_BASH bash)
mark_as_advanced(SHARED_DICT_GDB SHARED_DICT_BASH)
if(SHARED_DICT_GDB AND SHARED_DICT_BASH AND CMAKE_SYSTEM_NAME STREQUAL "Linux" AND NOT SHARED_DICT_SANITIZERS)
  add_executable(shared_dict_debugged EXCLUDE_FROM_ALL consumer/gdb/debugged.cpp)
  target_link_libraries(shared_dict_debugged PRIVATE shared_dict_developer)
  target_compile_options(shared_dict_debugged PRIVATE -O0 -g)
  add_test(NAME "a program for gdb builds" COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --config $<CONFIG> --target
                                                   shared_dict_debugged)
  set_tests_properties("a program for gdb builds" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} FIXTURES_SETUP debugged)
  add_test(NAME "gdb shows a dictionary, live and in a core file"
           COMMAND "${SHARED_DICT_BASH}" "${CMAKE_CURRENT_SOURCE_DIR}/consumer/gdb/check.sh" $<TARGET_FILE:shared_dict_debugged>
                   "${PROJECT_SOURCE_DIR}/cmake/gdb/shared_dict_gdb.py" "${CMAKE_CURRENT_SOURCE_DIR}/consumer/gdb/debugged.cpp"
                   "$<TARGET_PROPERTY:shared_dict_headers,INCLUDE_DIRECTORIES>"
           COMMAND_EXPAND_LISTS)
  set_tests_properties("gdb shows a dictionary, live and in a core file" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout}
                                                                                    FIXTURES_REQUIRED debugged)
endif()

add_test(NAME "the vcpkg port installs" COMMAND "${CMAKE_COMMAND}" -D "ROOT=${PROJECT_SOURCE_DIR}" -D "PLACE=${consumer_dir}/vcpkg" -P
                                                "${CMAKE_CURRENT_SOURCE_DIR}/consumer/vcpkg_port.cmake")
# The tool that is there: CMake's own choice needn't be.
set(same_generator "CMAKE_GENERATOR=${CMAKE_GENERATOR}")
set_tests_properties("the vcpkg port installs" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} ENVIRONMENT "${same_generator}")

find_package(Python3 QUIET COMPONENTS Interpreter)
if(Python3_Interpreter_FOUND)
  set(recipe_test "the Conan recipe's own lines run with stand-ins for Conan, and all versions agree")
  add_test(NAME "${recipe_test}" COMMAND "${Python3_EXECUTABLE}" "${CMAKE_CURRENT_SOURCE_DIR}/consumer/recipe.py" "${PROJECT_SOURCE_DIR}"
                                         "${consumer_dir}/conan" "${CMAKE_COMMAND}")
  set_tests_properties("${recipe_test}" PROPERTIES LABELS consumer TIMEOUT ${shared_dict_test_timeout} ENVIRONMENT "${same_generator}")
endif()
