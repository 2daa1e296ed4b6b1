# Programs that were built otherwise share dictionaries, labels "pairs" and "windows". What they are built with is said in run.sh and
# windows.sh, whatever this build is.
if(SHARED_DICT_BASH AND CMAKE_SYSTEM_NAME STREQUAL "Linux")
  add_test(NAME "every two ways to build share dictionaries"
           COMMAND "${SHARED_DICT_BASH}" "${CMAKE_CURRENT_SOURCE_DIR}/pairs/run.sh" "${CMAKE_CURRENT_BINARY_DIR}/pairs"
                   "$<TARGET_PROPERTY:shared_dict_headers,INCLUDE_DIRECTORIES>"
           COMMAND_EXPAND_LISTS)
  add_test(NAME "Windows programs share dictionaries" COMMAND "${SHARED_DICT_BASH}" "${CMAKE_CURRENT_SOURCE_DIR}/pairs/windows.sh"
                                                                  "${CMAKE_CURRENT_BINARY_DIR}/windows")
  set_tests_properties("every two ways to build share dictionaries" PROPERTIES LABELS pairs TIMEOUT 900)
  set_tests_properties("Windows programs share dictionaries" PROPERTIES LABELS windows TIMEOUT 900 SKIP_RETURN_CODE 77)
endif()
