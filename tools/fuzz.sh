#!/bin/sh
# Fuzzes: tools/fuzz.sh BUILD SECONDS JOBS [TARGET...]. One line per target: runs, edges covered, crashes. An input that
# crashes is kept in build/fuzz/crashes; CONTRIBUTING.md says how it becomes a test. What libFuzzer finds new is kept in
# BUILD/corpus for the next time. Ends with 1 when anything crashed.
set -eu

build=$1 seconds=$2 jobs=$3
shift 3
root=$(cd "$(dirname "$0")/.." && pwd)
crashes=$build/crashes
[ $# -gt 0 ] || set -- $(cat "$build/tests/fuzz_targets.txt")
mkdir -p "$crashes"

# By libFuzzer, in as many rounds as it takes: a crash ends a round, not the time.
fuzz_with_libfuzzer() {
    mkdir -p "$build/corpus/$1" "$build/seeds/$1"
    rm -f "$build/seeds/$1"/*
    "$build/tests/fuzz_$1" --write "$build/seeds/$1" "$root/fuzz/corpus/$1.txt"
    "$build/bin/$1_fuzzer" -max_total_time="$seconds" -max_len=4096 -timeout=25 -print_final_stats=1 \
        -artifact_prefix="$crashes/$1-" "$build/corpus/$1" "$build/seeds/$1" > "$log" 2>&1 || failed=1
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
}

# By our own mutations, from another seed each time.
fuzz_with_mutations() {
    "$build/tests/fuzz_$1" --seconds "$seconds" "$root/fuzz/corpus/$1.txt" "$(date +%s)" > "$log" 2>&1 || failed=1
    runs=$(sed -n 's/.* \([0-9]*\) runs.*/\1/p' "$log")
    [ "$failed" = 0 ] || sed -n 's/^hex:/&/p' "$log" > "$crashes/$1-$(date +%s).txt"
}

fuzz() {
    log=$build/$1.log runs= edges= failed=0
    if [ -x "$build/bin/$1_fuzzer" ]; then fuzz_with_libfuzzer "$1"; else fuzz_with_mutations "$1"; fi
    [ "$failed" = 0 ] || cp "$log" "$crashes/$1.log"
    printf '%-16s %12s runs  %6s edges  %s\n' "$1" "${runs:-?}" "${edges:--}" \
        "$([ "$failed" = 0 ] && echo clean || echo "CRASHED, see $crashes/$1.log")"
    return "$failed"
}

if [ $# = 1 ]; then
    fuzz "$1"
else
    printf '%s\n' "$@" | xargs -P "$jobs" -n 1 "$0" "$build" "$seconds" 1
fi
