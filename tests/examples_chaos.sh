#!/bin/sh
# The examples say the same when attempts are lost, repeated, late and refused: examples_chaos.sh BUILD [SEED...]
# (flaky is left out: its result tells how often it ran, which is what chaos changes.)
set -eu
cd "$(dirname "$0")/.."
build=$1
shift
[ $# -gt 0 ] || set -- 1 2 3
shown=$(mktemp)
trap 'rm -f "$shown" "$shown.one"' EXIT

for seed in "$@"; do
    DISPATCH_CHAOS="seed=$seed,drop=5%,duplicate=5%,delay=50ms,crash-endpoint=5%,fail=5%"
    export DISPATCH_CHAOS
    echo "chaos: $DISPATCH_CHAOS"
    "$build/bin/examples/greet"
    tools/run-demo.sh "$build" pipeline fanout merge_sort sleep primitive >"$shown.one" 2>&1 ||
        { cat "$shown.one"; exit 1; }
    cat "$shown.one"
    grep ' says: ' "$shown.one" | diff - /dev/fd/3 3<<'END'
pipeline says: "the sum is 12"
fanout says: 338350
merge_sort says: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
sleep says: "a second later: water the plants"
primitive says: 42
END
    cat "$shown.one" >>"$shown"
done
# The chaos was there: the server said so, and calls took more than one attempt.
grep -q 'chaos: attempts are lost' "$shown"
grep -q ' [2-9] attempts  *STATUS_OK' "$shown"
