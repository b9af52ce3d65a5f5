#!/bin/sh
# Makes sure that the Debian packages of tools/packages.txt are there. As root it installs what is missing; else it
# names the one command that does, and fails. Quick and silent when nothing is missing.
set -eu

list=$(dirname "$0")/packages.txt
if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is not a Debian system; its packages for these must be there: $(grep -v '^#' "$list" | tr '\n' ' ')" >&2
    exit 0
fi

missing=
for package in $(grep -v '^#' "$list"); do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    # The lists of a fresh machine are empty, so the command fetches them, too.
    as_root="su -c"
    ! command -v sudo >/dev/null 2>&1 || as_root="sudo sh -c"
    echo "These packages are missing:$missing" >&2
    echo "This command installs them:" >&2
    echo "    $as_root 'apt-get update && apt-get install -y --no-install-recommends$missing'" >&2
    exit 1
fi
echo "Installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# The lists of a fresh machine may be empty or old, so they are fetched when the first try finds something missing.
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
    apt-get update -qq >&2
    apt-get install -y -qq --no-install-recommends $missing >&2
}
