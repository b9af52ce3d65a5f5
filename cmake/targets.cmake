# dispatch_library(NAME target SOURCES file... DEPS target...): an internal static library with our warnings.
# dispatch_program(NAME target SOURCES file... DEPS target...): an executable in bin/.
# dispatch_test(NAME target SOURCES file... DEPS target... [ARGUMENTS word...]): a cmocka program in tests/, run by ctest. It knows the
#     source tree as DISPATCH_SOURCE_DIR and the build tree as DISPATCH_BINARY_DIR (string literals).
#     Without DISPATCH_TESTS it does nothing.
# The first argument may also stand without the word NAME.

macro(dispatch_parse_arguments)
    cmake_parse_arguments(arg "" "NAME" "SOURCES;DEPS;ARGUMENTS" ${ARGN})
    if(NOT arg_NAME)
        list(POP_FRONT arg_UNPARSED_ARGUMENTS arg_NAME)
    endif()
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "${arg_NAME}: what is ${arg_UNPARSED_ARGUMENTS}? (SOURCES or DEPS missing)")
    endif()
endmacro()

function(dispatch_library)
    dispatch_parse_arguments(${ARGN})
    add_library(${arg_NAME} STATIC ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE dispatch_options PUBLIC ${arg_DEPS} Threads::Threads)
endfunction()

function(dispatch_program)
    dispatch_parse_arguments(${ARGN})
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE dispatch_options ${arg_DEPS} Threads::Threads)
endfunction()

function(dispatch_test)
    if(NOT DISPATCH_TESTS)
        return()
    endif()
    dispatch_parse_arguments(${ARGN})
    add_executable(${arg_NAME} ${arg_SOURCES})
    target_link_libraries(${arg_NAME} PRIVATE dispatch_options ${arg_DEPS} PkgConfig::CMOCKA Threads::Threads)
    target_compile_definitions(${arg_NAME} PRIVATE
        DISPATCH_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DISPATCH_BINARY_DIR="${CMAKE_BINARY_DIR}")
    set_target_properties(${arg_NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME ${arg_NAME} COMMAND ${DISPATCH_TEST_RUNNER} $<TARGET_FILE:${arg_NAME}> ${arg_ARGUMENTS})
    set_tests_properties(${arg_NAME} PROPERTIES TIMEOUT 120
        ENVIRONMENT "UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=halt_on_error=1;CMOCKA_MESSAGE_OUTPUT=STDOUT")
endfunction()
