# Finds what the headers include. Serves the build of this repository and, installed beside the package config, every
# find_package(shared_dict). Package managers name the same things differently; afterwards they are always called
#   Boost::headers  shared_dict::cereal  shared_dict::xxhash  Threads::Threads
# A target that the surrounding project has defined already is used as it is.

# find_dependency() does not fit: it takes one name per package and leaves no room for saying what to install.
function(shared_dict_find_dependencies result)
  set(missing "")

  # A project that adds this one as a subdirectory links the targets from another directory, so what is found here is
  # made visible everywhere.
  macro(shared_dict_make_global target)
    get_target_property(imported ${target} IMPORTED)
    if(imported)
      set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
    endif()
  endmacro()

  macro(shared_dict_name target property value)
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    set_property(TARGET ${target} PROPERTY INTERFACE_${property} "${value}")
  endmacro()

  if(NOT TARGET Boost::headers)
    find_package(Boost 1.74 QUIET CONFIG)
    if(NOT Boost_FOUND AND CMAKE_VERSION VERSION_LESS 3.30) # later versions have no FindBoost
      find_package(Boost 1.74 QUIET MODULE)
    endif()
    if(Boost_FOUND AND TARGET Boost::headers)
      shared_dict_make_global(Boost::headers)
    else()
      string(APPEND missing "\n  Boost 1.74 or later, headers   apt: libboost-dev    vcpkg: boost-interprocess   conan: boost")
    endif()
  endif()

  if(NOT TARGET shared_dict::cereal)
    if(NOT TARGET cereal::cereal AND NOT TARGET cereal)
      find_package(cereal QUIET CONFIG)
      foreach(target IN ITEMS cereal::cereal cereal) # without a namespace up to cereal 1.3.0
        if(TARGET ${target})
          shared_dict_make_global(${target})
        endif()
      endforeach()
    endif()
    find_path(SHARED_DICT_CEREAL_INCLUDE_DIR cereal/cereal.hpp)
    mark_as_advanced(SHARED_DICT_CEREAL_INCLUDE_DIR)
    if(TARGET cereal::cereal)
      shared_dict_name(shared_dict::cereal LINK_LIBRARIES cereal::cereal)
    elseif(TARGET cereal)
      shared_dict_name(shared_dict::cereal LINK_LIBRARIES cereal)
    elseif(SHARED_DICT_CEREAL_INCLUDE_DIR)
      shared_dict_name(shared_dict::cereal INCLUDE_DIRECTORIES "${SHARED_DICT_CEREAL_INCLUDE_DIR}")
    else()
      string(APPEND missing "\n  cereal 1.3 or later            apt: libcereal-dev   vcpkg: cereal               conan: cereal")
    endif()
  endif()

  # The headers compile xxHash in, so the header is enough; the target is for package managers that hide the folder.
  if(NOT TARGET shared_dict::xxhash)
    find_path(SHARED_DICT_XXHASH_INCLUDE_DIR xxhash.h)
    mark_as_advanced(SHARED_DICT_XXHASH_INCLUDE_DIR)
    if(NOT SHARED_DICT_XXHASH_INCLUDE_DIR AND NOT TARGET xxHash::xxhash)
      find_package(xxHash QUIET CONFIG)
      if(TARGET xxHash::xxhash)
        shared_dict_make_global(xxHash::xxhash)
      endif()
    endif()
    if(SHARED_DICT_XXHASH_INCLUDE_DIR)
      shared_dict_name(shared_dict::xxhash INCLUDE_DIRECTORIES "${SHARED_DICT_XXHASH_INCLUDE_DIR}")
    elseif(TARGET xxHash::xxhash)
      shared_dict_name(shared_dict::xxhash LINK_LIBRARIES xxHash::xxhash)
    else()
      string(APPEND missing "\n  xxHash 0.8 or later            apt: libxxhash-dev   vcpkg: xxhash               conan: xxhash")
    endif()
  endif()

  if(NOT TARGET Threads::Threads)
    set(THREADS_PREFER_PTHREAD_FLAG TRUE)
    find_package(Threads QUIET)
    if(TARGET Threads::Threads)
      shared_dict_make_global(Threads::Threads)
    else()
      string(APPEND missing "\n  a threads library              apt: libc6-dev")
    endif()
  endif()

  if(missing)
    set(missing "shared_dict needs what was not found:${missing}\nWith vcpkg or conan, pass their toolchain file to cmake.")
  endif()
  set(${result} "${missing}" PARENT_SCOPE)
endfunction()
