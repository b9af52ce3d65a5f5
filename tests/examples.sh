#!/bin/sh
# Every example application, against a real server, says what it should: examples.sh BUILD
set -eu
cd "$(dirname "$0")/.."
shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
unset DISPATCH_CHAOS

tools/run-demo.sh "$1" pipeline flaky fanout merge_sort sleep primitive | tee "$shown"
echo
grep ' says: ' "$shown" | diff - /dev/fd/3 3<<'END'
pipeline says: "the sum is 12"
flaky says: "done at attempt 4"
fanout says: 338350
merge_sort says: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
sleep says: "a second later: water the plants"
primitive says: 42
END
# The demo shows what the server knows: the flaky one took four attempts.
grep -q 'unreliable .* 4 attempts  *STATUS_OK' "$shown"
