# The house: how everything is built, and the rooms that are there. Included by the root's CMakeLists.txt, and by
# python/root/CMakeLists.txt, which builds the extension modules of the package alone.
list(APPEND CMAKE_MODULE_PATH ${CMAKE_SOURCE_DIR}/cmake)
include(options)
include(packages)
include(llhttp)
include(protobuf_c)
include(targets)
include(fuzz)

enable_testing()

foreach(room IN ITEMS src/base src/wire src/http src/engine src/store src/server src/sim src/sdk src/cli
                      examples tests bench fuzz python)
    if(room STREQUAL tests AND NOT DISPATCH_TESTS)
        continue()
    endif()
    if(EXISTS ${CMAKE_SOURCE_DIR}/${room}/CMakeLists.txt)
        add_subdirectory(${room})
    endif()
endforeach()
