# dispatch_fuzz(NAME target DEPS target... [SOURCES file...] [MUTATIONS n]): the fuzz target NAME.c of this folder, with
# further SOURCES. As an ordinary test it runs corpus/NAME.txt and mutations of it; with DISPATCH_FUZZ (clang) there is
# also NAME_fuzzer for libFuzzer. tests/fuzz_targets.txt in the build folder names all (tools/fuzz.sh).

option(DISPATCH_FUZZ "build the fuzzers (clang)" OFF)
if(DISPATCH_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()

file(WRITE ${CMAKE_BINARY_DIR}/tests/fuzz_targets.txt "")

function(dispatch_fuzz)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;MUTATIONS" "SOURCES;DEPS")
    file(APPEND ${CMAKE_BINARY_DIR}/tests/fuzz_targets.txt "${arg_NAME}\n")
    dispatch_test(NAME fuzz_${arg_NAME} SOURCES ${arg_NAME}.c ${arg_SOURCES} corpus_main.c DEPS ${arg_DEPS} dispatch_base
        ARGUMENTS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${arg_NAME}.txt ${arg_MUTATIONS})
    if(TARGET fuzz_${arg_NAME})
        target_include_directories(fuzz_${arg_NAME} PRIVATE ${CMAKE_SOURCE_DIR})
    endif()
    if(DISPATCH_FUZZ)
        dispatch_program(NAME ${arg_NAME}_fuzzer SOURCES ${arg_NAME}.c ${arg_SOURCES} DEPS ${arg_DEPS} dispatch_base)
        target_include_directories(${arg_NAME}_fuzzer PRIVATE ${CMAKE_SOURCE_DIR})
        target_link_options(${arg_NAME}_fuzzer PRIVATE -fsanitize=fuzzer)
    endif()
endfunction()
