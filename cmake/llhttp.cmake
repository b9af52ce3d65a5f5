# llhttp, the HTTP/1.1 parser. Debian carries its C source in the package node-llhttp and keeps it patched there; no
# library is built from it, so we compile the source from where the package puts it. Target: dispatch_llhttp.

find_path(LLHTTP_INCLUDE_DIR llhttp.h PATHS /usr/share/include PATH_SUFFIXES llhttp REQUIRED)
find_path(LLHTTP_SOURCE_DIR llhttp.c PATHS /usr/share PATH_SUFFIXES llhttp REQUIRED)

add_library(dispatch_llhttp STATIC
    ${LLHTTP_SOURCE_DIR}/api.c ${LLHTTP_SOURCE_DIR}/http.c ${LLHTTP_SOURCE_DIR}/llhttp.c)
target_include_directories(dispatch_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE_DIR})
target_compile_options(dispatch_llhttp PRIVATE -w)
# Else two bytes of any kind pass for the end of a chunk, and the like: what a proxy in front reads otherwise.
target_compile_definitions(dispatch_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
