#!/bin/sh
# Runs every benchmark of the build folder given. Targets and peers: docs/design, "Speed".
set -e
build=${1:-build}
"$build/bin/http_floor"
"$build/bin/store_bench"
"$build/bin/store_bench" alone
"$build/bin/server_cost"
"$build/bin/latency"
