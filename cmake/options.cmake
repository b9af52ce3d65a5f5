# How everything is compiled: language, warnings, sanitizers, where results go.

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Debug, RelWithDebInfo or Release" FORCE)
endif()
set(DISPATCH_SANITIZE "" CACHE STRING "sanitizers, comma separated: address,undefined or thread")
option(DISPATCH_TESTS "build the tests" ON)
set(DISPATCH_TEST_RUNNER "" CACHE STRING "command put before every test: valgrind and its options, as a list")
option(DISPATCH_WERROR "treat warnings as errors" ON)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
include(GNUInstallDirs)

add_compile_definitions(_GNU_SOURCE)
add_compile_options(-fstack-protector-strong)
add_link_options(-Wl,--as-needed)

if(DISPATCH_SANITIZE)
    add_compile_options(-fsanitize=${DISPATCH_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${DISPATCH_SANITIZE})
    if(DISPATCH_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
    endif()
endif()

# What every target of ours links: include roots and warnings. Foreign and generated code does not.
add_library(dispatch_options INTERFACE)
target_include_directories(dispatch_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
# snprintf that cuts is meant to cut; gcc warns of it when it optimises.
target_compile_options(dispatch_options INTERFACE
    -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wvla
    $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>
    $<$<BOOL:${DISPATCH_WERROR}>:-Werror>)
