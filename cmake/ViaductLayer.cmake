# A layer is a folder of src/ built as a static library that sees only the folders named in DEPENDS. Each folder
# is reachable through an include directory of its own (a link in the build tree), so `#include "txn/txn.h"`
# fails to compile in a layer that has not declared txn.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
pkg_check_modules(libcyaml REQUIRED IMPORTED_TARGET libcyaml)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
find_library(WSLAY_LIBRARY wslay REQUIRED) # Debian ships it without a .pc file
# Not by pkg-config: its file asks for that of libevent, which nothing here needs.
find_library(UNBOUND_LIBRARY unbound REQUIRED)

function(viaduct_layer name)
  cmake_parse_arguments(L "" "" "DEPENDS;LIBRARIES" ${ARGN})
  set(dir ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.c)
  list(FILTER sources EXCLUDE REGEX "/main\\.c$")
  if(NOT sources)
    return()
  endif()
  file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/include/${name})
  file(CREATE_LINK ${dir} ${CMAKE_BINARY_DIR}/include/${name}/${name} SYMBOLIC)
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_BINARY_DIR}/include/${name})
  viaduct_profile(${name})
  foreach(dep ${L_DEPENDS})
    if(TARGET ${dep})
      target_link_libraries(${name} PUBLIC ${dep})
    endif()
  endforeach()
  target_link_libraries(${name} PUBLIC ${L_LIBRARIES} Threads::Threads)
endfunction()

function(viaduct_program name)
  cmake_parse_arguments(P "" "MAIN;LAYER" "" ${ARGN})
  if(EXISTS ${CMAKE_SOURCE_DIR}/${P_MAIN})
    add_executable(${name} ${CMAKE_SOURCE_DIR}/${P_MAIN})
    target_link_libraries(${name} PRIVATE ${P_LAYER})
    viaduct_profile(${name})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})
  endif()
endfunction()
