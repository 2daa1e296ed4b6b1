# Headers, package config and pkg-config file. Nothing depends on the architecture, so all of it goes under share/.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(config_dir "${CMAKE_INSTALL_DATADIR}/cmake/shared_dict")
set(pkgconfig_dir "${CMAKE_INSTALL_DATADIR}/pkgconfig")

if(CMAKE_VERSION VERSION_GREATER_EQUAL 3.23)
  install(TARGETS shared_dict EXPORT shared_dict-targets FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
else()
  install(TARGETS shared_dict EXPORT shared_dict-targets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(DIRECTORY include/shared_dict DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")
endif()
install(EXPORT shared_dict-targets NAMESPACE shared_dict:: DESTINATION "${config_dir}")

configure_package_config_file(cmake/shared_dict-config.cmake.in shared_dict-config.cmake
                              INSTALL_DESTINATION "${config_dir}")
write_basic_package_version_file(shared_dict-config-version.cmake COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/shared_dict-config.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/shared_dict-config-version.cmake" DESTINATION "${config_dir}")
install(FILES cmake/dependencies.cmake DESTINATION "${config_dir}" RENAME shared_dict-dependencies.cmake)

# Relative to the file, so that the prefix can be chosen at install time and moved afterwards.
if(IS_ABSOLUTE "${CMAKE_INSTALL_DATADIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
  set(pkgconfig_includedir "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
else()
  file(RELATIVE_PATH pkgconfig_includedir "/prefix/${pkgconfig_dir}" "/prefix/${CMAKE_INSTALL_INCLUDEDIR}")
  string(PREPEND pkgconfig_includedir "\${pcfiledir}/")
endif()
configure_file(cmake/shared_dict.pc.in shared_dict.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/shared_dict.pc" DESTINATION "${pkgconfig_dir}")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/licenses/shared_dict")
install(FILES cmake/gdb/shared_dict_gdb.py DESTINATION "${CMAKE_INSTALL_DATADIR}/shared_dict/gdb")
