#!/bin/sh
# Runs every benchmark of the build folder given. Targets and peers: docs/design, "Speed".
set -e
build=${1:-build}
shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
"$build/bin/http_floor" >"$shown"
cat "$shown"
"$build/bin/store_bench"
"$build/bin/store_bench" alone
"$build/bin/server_cost" >>"$shown"
sed '1,/^HTTP client/d' "$shown"
# A call is one exchange with its endpoint; that of its submit is shared by a hundred.
awk '/^bare client/ { sub(/ us CPU.*/, ""); exchange = $NF }
     /^server CPU per echo call/ { sub(/ us .*/, ""); call = $NF }
     /^floor, the same rows/ { sub(/ us.*/, ""); rows = $NF }
     END { floor = exchange * 1.01 + rows
           printf "floor of an echo call, a bare exchange and the same rows: %.1f us; the server takes %.1f times that\n",
                  floor, call / floor }' "$shown"
"$build/bin/latency"
