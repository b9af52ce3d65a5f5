/* A fuzz target is one file with the function below; it feeds the bytes to a parser and CHECKs what must hold whatever
 * they are. The same file is built twice (dispatch_fuzz in cmake/targets.cmake):
 *
 * - always, with corpus_main.c, as an ordinary test that runs the seeds of corpus/NAME.txt and some thousand
 *   mutations of each, the same ones every time;
 * - with -DDISPATCH_FUZZ=ON and clang, with libFuzzer: build/fuzz/bin/NAME_fuzzer.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include "base/slice.h"
#include <stddef.h>
#include <stdint.h>

/* Returns 0. What one input does must not depend on those before it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
