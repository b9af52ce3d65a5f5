# dispatch_second_build(NAME OPTIONS...): builds the program dispatch a second time, with other options than this build,
# into tests/second/NAME/bin of the build folder; whatever depends on the target dispatch_NAME may run it there.
include(ExternalProject)

function(dispatch_second_build)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME" "OPTIONS")
    ExternalProject_Add(dispatch_${arg_NAME}
        SOURCE_DIR ${CMAKE_SOURCE_DIR}
        BINARY_DIR ${CMAKE_BINARY_DIR}/tests/second/${arg_NAME}
        PREFIX ${CMAKE_BINARY_DIR}/tests/second/${arg_NAME}-steps
        CMAKE_ARGS -DDISPATCH_TESTS=OFF --log-level=WARNING ${arg_OPTIONS}
        BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR> --target dispatch
        BUILD_ALWAYS ON
        INSTALL_COMMAND ""
        TEST_COMMAND "")
endfunction()
