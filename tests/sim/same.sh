#!/bin/sh
# The same seeds give the same runs, byte for byte, whichever compiler and options built the program: same.sh PROGRAM...
set -eu
expected=
for program in "$@"; do
    found=$("$program" sim --seed 2000001 --seeds 60 --jobs 2 | grep -o 'digest [0-9a-f]*')
    echo "$found $program"
    [ -z "$expected" ] || [ "$found" = "$expected" ] || { echo "differs from $expected"; exit 1; }
    expected=$found
done
one=$("$1" sim --seed 2000007 --trace | sha256sum)
two=$("$2" sim --seed 2000007 --trace | sha256sum)
[ "$one" = "$two" ] || { echo "the traces of seed 2000007 differ"; exit 1; }
[ $# -gt 2 ] || echo "only one compiler is installed"
