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
  set_tests_properties("${name}" PROPERTIES LABELS consumer TIMEOUT 300)
endfunction()

# shared_dict_refused_consumer_test(NAME MESSAGE FOLDER option...): the consumer does not configure and is told why.
function(shared_dict_refused_consumer_test name message folder)
  add_test(NAME "${name}" COMMAND "${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_SOURCE_DIR}/consumer" -B "${consumer_dir}/${folder}"
                                  -G "${CMAKE_GENERATOR}" ${ARGN})
  set_tests_properties("${name}" PROPERTIES LABELS consumer TIMEOUT 300 PASS_REGULAR_EXPRESSION "${message}")
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
  set_tests_properties("the package installs" PROPERTIES LABELS consumer TIMEOUT 300 FIXTURES_SETUP package)
  set_tests_properties(${needs_package} PROPERTIES FIXTURES_REQUIRED package)
endif()
shared_dict_consumer_test("a program builds with add_subdirectory" subdirectory -DSHARED_DICT_FROM=subdirectory)
