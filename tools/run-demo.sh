#!/bin/sh
# A server with a fresh database, and example applications that use it: run-demo.sh [BUILD [EXAMPLE...]]
# Shows each call below the call that made it, with its attempts and its result.
set -eu
build=${1:-build}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- pipeline flaky fanout
dispatch=$build/bin/dispatch
lines_max=12

folder=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

# What a shell may carry of another server must not get in here; DISPATCH_CHAOS may (docs/guide/chaos.md).
for name in $(env | sed -n 's/^\(DISPATCH_[A-Z_]*\)=.*/\1/p'); do
    [ "$name" = DISPATCH_CHAOS ] || unset "$name"
done
DISPATCH_API_KEY=demo
export DISPATCH_API_KEY

mkfifo "$folder/ready"
"$dispatch" serve --listen 127.0.0.1:0 --db "$folder/demo.db" --log-level warn >"$folder/ready" &
server=$!
read -r line <"$folder/ready" || { echo "the server did not start" >&2; exit 1; }
DISPATCH_API_URL=${line#listening on }
export DISPATCH_API_URL
echo "server at $DISPATCH_API_URL, database $folder/demo.db"

# Ids sort by creation, so a caller is always shown before what it called.
show_calls() {
    "$dispatch" list --limit 100000 | sed 1d | cut -d' ' -f1 | sort >"$folder/ids"
    comm -13 "$folder/shown" "$folder/ids" | head -n "$lines_max" | while read -r id; do
        "$dispatch" get "$id"
    done | awk '
        { key = $1; value = $0; sub(/^[^ ]+ +/, "", value); call[key] = value }
        key == "output" || key == "error" { sub(/^.*"value":/, "", value); sub(/}$/, "", value); show(value) }
        function show(result) {
            id = call["dispatchId"]
            depth[id] = call["parentDispatchId"] in depth ? depth[call["parentDispatchId"]] + 1 : 0
            attempts = call["attempts"] == 1 ? "1 attempt" : call["attempts"] " attempts"
            printf "  %-24s %-11s %-22s %s\n", sprintf("%" 2 * depth[id] "s", "") call["function"], attempts,
                   call["status"], result
            split("", call)
        }'
    more=$(($(comm -13 "$folder/shown" "$folder/ids" | wc -l) - lines_max))
    [ "$more" -le 0 ] || echo "  ... and $more more"
    cp "$folder/ids" "$folder/shown"
}

: >"$folder/shown"
for example in "$@"; do
    echo
    said=$("$build/bin/examples/$example")
    echo "$example says: $said"
    show_calls
done
echo
echo "All done. \`$dispatch help\` tells what else it can do."
