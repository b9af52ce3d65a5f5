#!/bin/sh
# What `cmake --install` leaves is enough for programs outside: install.sh BUILD
# Each is built with what pkg-config says and nothing else, against the shared and the static library, and run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$1
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >/dev/null
pc=$(find "$prefix" -name dispatchrun.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
say() { pkg-config --define-prefix "$@" dispatchrun; }
# Built with sanitizers, the library wants them in the program, too.
flags=${SANITIZE:+-fsanitize=$SANITIZE}

# shellcheck disable=SC2046,SC2086
build_and_run() {
    name=$1
    shift
    "$@" -o "$prefix/$name"
    LD_LIBRARY_PATH=$libdir "$prefix/$name" >"$prefix/$name.out" || { cat "$prefix/$name.out"; exit 1; }
    grep -q '^1 passed, 0 failed$' "$prefix/$name.out"
    echo "ok $name"
}

cc=${CC:-cc}
cxx=${CXX:-c++}
strict="-Wall -Wextra -Wpedantic -Werror"
# Our archive with the system's shared libraries; --static would want all of theirs as archives, too.
# shellcheck disable=SC2046
static="$libdir/libdispatchrun.a $(pkg-config --libs $(say --print-requires-private)) -pthread -lm"
# shellcheck disable=SC2046,SC2086
{
    build_and_run c11_shared $cc -std=c11 $strict $flags $(say --cflags) "$here/outside.c" $(say --libs)
    build_and_run c17_shared $cc -std=c17 $strict $flags $(say --cflags) "$here/outside.c" $(say --libs)
    build_and_run cxx17_shared $cxx -std=c++17 $strict $flags $(say --cflags) "$here/outside.cc" $(say --libs)
    build_and_run c17_static $cc -std=c17 $strict $flags $(say --cflags) "$here/outside.c" $static
}
