# The inspector, started as its users start it, label "example".
add_executable(shared_dict_tool_dictionaries tool/dictionaries.cpp)
target_link_libraries(shared_dict_tool_dictionaries PRIVATE shared_dict_developer)
if(SHARED_DICT_BASH)
  add_test(NAME "the inspector shows what is stored and changes nothing"
           COMMAND "${SHARED_DICT_BASH}" "${CMAKE_CURRENT_SOURCE_DIR}/tool/inspector.sh" "$<TARGET_FILE:shared-dict>"
                   "$<TARGET_FILE:shared_dict_tool_dictionaries>")
  set_tests_properties("the inspector shows what is stored and changes nothing" PROPERTIES LABELS example TIMEOUT 900)
endif()
