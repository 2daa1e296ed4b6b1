# An overlay port that installs the checkout it lies in:
#   vcpkg install shared-dict --overlay-ports=<checkout>/cmake/vcpkg-port
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
set(VCPKG_BUILD_TYPE release) # headers only

vcpkg_cmake_configure(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -DSHARED_DICT_BUILD_TESTS=OFF -DSHARED_DICT_BUILD_EXAMPLES=OFF -DSHARED_DICT_BUILD_BENCHMARKS=OFF
          -DSHARED_DICT_INSTALL=ON)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(PACKAGE_NAME shared_dict CONFIG_PATH share/cmake/shared_dict)
vcpkg_fixup_pkgconfig()
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/licenses")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
