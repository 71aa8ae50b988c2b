# Makes the profile of ViaductProfile.cmake: builds the program "instructions" with counters in FOLDER and runs it. Trains again
# only when the program changed. Never fails: without a profile the build goes on without. OUTCOME then says "trained" or
# "untrained"; it is written only when that is another than before, and then everything is compiled again.

set(units 500) # of each kind of message: half a second
set(program ${FOLDER}/tests/instructions/instructions)
set(complete ${FOLDER}/data/complete) # the last training, which ended well; goes when the data go

function(conclude outcome)
  file(CONFIGURE OUTPUT ${OUTCOME} CONTENT "${outcome}\n") # leaves a file alone that says so already
endfunction()

function(give_up what output)
  file(REMOVE_RECURSE ${FOLDER}/data)
  conclude(untrained)
  message("${output}")
  message("Viaduct is built WITHOUT A PROFILE, and takes about a twentieth more CPU for it: ${what} failed")
endfunction()

# run WHAT COMMAND...: sets ok.
macro(run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status OUTPUT_VARIABLE output ERROR_VARIABLE output)
  set(ok TRUE)
  if(NOT status EQUAL 0)
    set(ok FALSE)
    give_up("${what}" "${output}")
  endif()
endmacro()

# Link-time optimisation comes after the counters are set: it would only cost time here.
run("the configuration of its training" ${CMAKE_COMMAND} -S ${SOURCE} -B ${FOLDER} -G ${GENERATOR} -D CMAKE_BUILD_TYPE=Release
    -D CMAKE_C_COMPILER=${COMPILER} -D "CMAKE_C_COMPILER_LAUNCHER=${LAUNCHER}" -D "CMAKE_C_FLAGS=${FLAGS}"
    -D "CMAKE_C_FLAGS_RELEASE=${FLAGS_RELEASE} -g0" -D VIADUCT_PROFILE=training -D VIADUCT_TESTS=OFF)
if(ok)
  run("the build of its training" ${CMAKE_COMMAND} --build ${FOLDER} --target instructions)
endif()
if(ok AND ${program} IS_NEWER_THAN ${complete})
  file(REMOVE_RECURSE ${FOLDER}/data)
  run("its training" ${program} ${units})
  if(ok)
    file(TOUCH ${complete})
  endif()
endif()
if(ok)
  conclude(trained)
endif()
