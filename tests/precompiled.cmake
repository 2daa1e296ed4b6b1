# Most of what compiling a test file costs is the library and the dictionaries that most files use, once more in each. With clang, and
# without optimisation, which would need them in each file to inline them, they are compiled once, with what they are parsed into
# (-fpch-codegen), and linked to all programs: that halves the time for all files together. Otherwise only the parsing is spared.
set(shared_dict_compile_once FALSE)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND CMAKE_CXX_COMPILER_VERSION VERSION_GREATER_EQUAL 14 AND CMAKE_SYSTEM_NAME STREQUAL "Linux"
   AND CMAKE_GENERATOR STREQUAL "Ninja" AND CMAKE_BUILD_TYPE STREQUAL "Debug")
  set(shared_dict_compile_once TRUE)
  list(APPEND CMAKE_CXX_COMPILE_OPTIONS_INSTANTIATE_TEMPLATES_PCH -fpch-codegen)
endif()

# shared_dict_precompile_once(TARGET DEFINITION...): what programs with these options have in common. Inline functions that nobody calls
# are in it, too, and may need what is in no library: their sections go when a program is linked.
function(shared_dict_precompile_once target)
  file(CONFIGURE OUTPUT "${target}.cpp" CONTENT "// What the precompiled header of @target@ belongs to.\n" @ONLY)
  add_library(${target} OBJECT EXCLUDE_FROM_ALL "${CMAKE_CURRENT_BINARY_DIR}/${target}.cpp")
  target_link_libraries(${target} PRIVATE shared_dict_test_main)
  target_compile_definitions(${target} PRIVATE ${ARGN})
  target_precompile_headers(${target} PRIVATE support/precompiled.hpp)
  set(header "${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${target}.dir/cmake_pch.hxx.pch")
  separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_DEBUG} ${CMAKE_CXX20_EXTENSION_COMPILE_OPTION}")
  add_custom_command(
    OUTPUT "${header}.o"
    COMMAND "${CMAKE_CXX_COMPILER}" ${flags} "$<TARGET_PROPERTY:${target},COMPILE_OPTIONS>" -ffunction-sections
            -c "${header}" -o "${header}.o"
    DEPENDS "${header}"
    COMMENT "Compiling ${target}"
    COMMAND_EXPAND_LISTS VERBATIM)
  set_target_properties(${target} PROPERTIES SHARED_DICT_OBJECT "${header}.o")
endfunction()

# shared_dict_precompile(PROGRAM COMMON): COMMON is one of the above with the same options as PROGRAM, or - if there is none.
function(shared_dict_precompile program common)
  if(shared_dict_compile_once AND NOT common STREQUAL "-")
    get_target_property(object ${common} SHARED_DICT_OBJECT)
    target_precompile_headers(${program} REUSE_FROM ${common})
    target_sources(${program} PRIVATE "${object}")
    set_source_files_properties("${object}" PROPERTIES GENERATED TRUE EXTERNAL_OBJECT TRUE)
    target_link_options(${program} PRIVATE -Wl,--gc-sections)
  else()
    target_precompile_headers(${program} PRIVATE <shared_dict/shared_dict.hpp> support/catch.hpp)
    if(shared_dict_compile_once)
      set_target_properties(${program} PROPERTIES PCH_INSTANTIATE_TEMPLATES OFF)
    endif()
  endif()
endfunction()

if(shared_dict_compile_once)
  shared_dict_precompile_once(shared_dict_common)
  shared_dict_precompile_once(shared_dict_kill_points_common SHARED_DICT_KILL_POINTS)
endif()
