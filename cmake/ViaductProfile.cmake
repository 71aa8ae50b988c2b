# Profile-guided optimisation with gcc. VIADUCT_PROFILE is one of
#
#   off       (default) nothing of it
#   guided    before anything is compiled, a build "training" of the proxy core is made in the folder profile/, and the
#             messages of tests/instructions go through it, which needs no network and no clock; then the layers are
#             compiled with what it counted. Where that fails, they are compiled without, and a line says why.
#   training  that build; nobody else asks for it
#
# What the training never reaches is compiled as ever, not for size (-fprofile-partial-training): it is much of net and
# app, and failures of every kind.

set(VIADUCT_PROFILE off CACHE STRING "Profile-guided optimisation: off, guided; see cmake/ViaductProfile.cmake")
set_property(CACHE VIADUCT_PROFILE PROPERTY STRINGS off guided)
set(VIADUCT_PROFILE_OPTIONS)

if(NOT VIADUCT_PROFILE STREQUAL "off" AND NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
  message(WARNING "VIADUCT_PROFILE is for gcc; this is ${CMAKE_C_COMPILER_ID}: built without a profile")
elseif(VIADUCT_PROFILE STREQUAL "training")
  # Names below data/ without the build folder, so that the other build finds them.
  set(VIADUCT_PROFILE_OPTIONS -fprofile-generate=${CMAKE_BINARY_DIR}/data -fprofile-prefix-path=${CMAKE_BINARY_DIR})
elseif(VIADUCT_PROFILE STREQUAL "guided")
  set(profile ${CMAKE_BINARY_DIR}/profile)
  set(VIADUCT_PROFILE_OUTCOME ${profile}/outcome)
  # gcc warns of functions without a count that others call, and no option turns that off alone. All warnings are errors
  # in each of the other builds.
  set(VIADUCT_PROFILE_OPTIONS -fprofile-use=${profile}/data -fprofile-prefix-path=${CMAKE_BINARY_DIR}
      -fprofile-partial-training -w)
  add_custom_target(profile
    COMMAND ${CMAKE_COMMAND} -D SOURCE=${CMAKE_SOURCE_DIR} -D FOLDER=${profile} -D OUTCOME=${VIADUCT_PROFILE_OUTCOME}
            -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_C_COMPILER}
            -D LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER} -D "FLAGS=${CMAKE_C_FLAGS}"
            -D "FLAGS_RELEASE=${CMAKE_C_FLAGS_RELEASE}" -P ${CMAKE_SOURCE_DIR}/cmake/train.cmake
    BYPRODUCTS ${VIADUCT_PROFILE_OUTCOME}
    COMMENT "Training" VERBATIM)
elseif(NOT VIADUCT_PROFILE STREQUAL "off")
  message(FATAL_ERROR "VIADUCT_PROFILE: \"${VIADUCT_PROFILE}\" is neither off nor guided")
endif()

# A layer or a program of it takes part: built once the profile is there, and with it. Its files depend not on the profile,
# so that a change compiles only what it is in, but on whether there is one: none stays as it was compiled without.
function(viaduct_profile target)
  if(TARGET profile)
    add_dependencies(${target} profile)
    get_target_property(sources ${target} SOURCES)
    set_property(SOURCE ${sources} APPEND PROPERTY OBJECT_DEPENDS ${VIADUCT_PROFILE_OUTCOME})
  endif()
  target_compile_options(${target} PRIVATE ${VIADUCT_PROFILE_OPTIONS})
  get_target_property(type ${target} TYPE)
  if(type STREQUAL "EXECUTABLE")
    target_link_options(${target} PRIVATE ${VIADUCT_PROFILE_OPTIONS})
  endif()
endfunction()
