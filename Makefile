# The front door. `make` builds build/bin/dispatch and build/lib/libdispatchrun.so; `make test` proves them.

BUILD ?= build
PREFIX ?= /usr/local
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# Words of the ctest command line: make test TESTS="-R engine"
TESTS ?=

RELEASE = -DCMAKE_BUILD_TYPE=RelWithDebInfo -DDISPATCH_TESTS=OFF -DCMAKE_INSTALL_PREFIX=$(PREFIX)
SANITIZED = -DCMAKE_BUILD_TYPE=Debug -DDISPATCH_SANITIZE=address,undefined
THREADED = -DCMAKE_BUILD_TYPE=Debug -DDISPATCH_SANITIZE=thread
VALGRIND = -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    "-DDISPATCH_TEST_RUNNER=valgrind;--quiet;--leak-check=full;--error-exitcode=1;--trace-children=no;--suppressions=$(CURDIR)/tools/valgrind.supp"
COVERAGE = -DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=--coverage -O0 -fprofile-update=atomic"

# $(call compile,folder,options)
compile = cmake -S . -B $(1) -G Ninja --log-level=WARNING $(2) && cmake --build $(1) -j $(JOBS)
run_tests = ctest --test-dir $(1) --output-on-failure --no-tests=error -j $(JOBS) $(TESTS)

.PHONY: build packages test run wheel bench tidy coverage mutation tsan valgrind fuzz sim install clean help

build: packages
	@$(call compile,$(BUILD),$(RELEASE))

packages:
	@tools/install-packages.sh

# All tests, under the address and undefined-behaviour sanitizers. Ends with ctest's closing line.
test: packages
	@$(call compile,$(BUILD)/test,$(SANITIZED))
	@$(call run_tests,$(BUILD)/test)

# A wheel of the Python package, in build/wheel, for the python3 that is found.
wheel: packages
	@python3 -m venv $(BUILD)/wheel-venv && $(BUILD)/wheel-venv/bin/pip install -q build
	@$(BUILD)/wheel-venv/bin/python -m build --wheel --outdir $(BUILD)/wheel python

# Starts a server and an example application, and shows each call with its attempts and its result.
run: build
	@tools/run-demo.sh $(BUILD)

# A folder of its own: the benchmarks share helpers with the tests.
bench: packages
	@$(call compile,$(BUILD)/bench,$(RELEASE) -DDISPATCH_TESTS=ON)
	@bench/run.sh $(BUILD)/bench

tidy:
	@python3 tools/tidy.py $(BUILD)

tsan: packages
	@$(call compile,$(BUILD)/tsan,$(THREADED))
	@$(call run_tests,$(BUILD)/tsan)

# Lines and branches of src/engine and src/store that their own tests, the driver's, and the crash tests and fault sweeps
# of the store reach; tests/COVERAGE.md gets the numbers. Fails below 95 % of the lines or 90 % of the branches, or when
# something uncovered has no reason there.
COVERED_BY = ^(engine|store|server_driver|faults_(store|backup))_|^(power_loss|failed_sync|random_crash)_test
coverage: packages
	@export CC=gcc; $(call compile,$(BUILD)/coverage,$(COVERAGE))
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@ctest --test-dir $(BUILD)/coverage --output-on-failure -j $(JOBS) -R '$(COVERED_BY)'
	@python3 tools/coverage.py $(BUILD)/coverage --write tests/COVERAGE.md --need-lines 95 --need-branches 90

# Deliberate faults in engine, store and driver, one at a time: does a test notice, does the simulator? The answers go to
# tests/mutation/RESULTS.md. About an hour on two cores; tests/mutation/mutate.py --only NAME runs some of it.
mutation: packages
	@python3 tests/mutation/mutate.py --jobs $(JOBS)
	@python3 tests/mutation/mutate.py --sim --jobs $(JOBS)

# So many runs of the simulator (docs/design/simulator.md), from seed SEED on: make sim SEEDS=1000000
SEEDS ?= 10000
SEED ?= 1
sim: build
	@$(BUILD)/bin/dispatch sim --seed $(SEED) --seeds $(SEEDS) --jobs $(JOBS)

# Needs the Debian package valgrind.
valgrind: packages
	@$(call compile,$(BUILD)/valgrind,$(VALGRIND))
	@$(call run_tests,$(BUILD)/valgrind)

# Fuzzes every parser of bytes from outside, or TARGET, TIME seconds each: with libFuzzer when clang is there, else with
# mutations of our own. TIME=60 TARGET=pickle
TARGET ?=
TIME ?= 60
CLANG := $(shell command -v clang 2>/dev/null)
fuzz: packages
	@$(if $(CLANG),export CC=clang;) $(call compile,$(BUILD)/fuzz,$(SANITIZED) -DDISPATCH_FUZZ=$(if $(CLANG),ON,OFF))
	@tools/fuzz.sh $(BUILD)/fuzz $(TIME) $(JOBS) $(TARGET)

install: build
	@cmake --install $(BUILD)

clean:
	rm -rf $(BUILD)

help:
	@grep -E '^[a-z]+:' Makefile | cut -d: -f1 | tr '\n' ' '; echo
