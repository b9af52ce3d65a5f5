#!/bin/sh
# What `cmake --install` leaves is enough for programs outside: install.sh BUILD
# Each is built with what pkg-config or the CMake package say and nothing else, against the shared and the static
# library, and run. Each public header compiles alone, and the command runs.
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

# The same with find_package.
cmake -S "$here/project" -B "$prefix/project" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_C_FLAGS="$strict $flags" -DCMAKE_CXX_FLAGS="$strict $flags" >"$prefix/cmake.out" ||
    { cat "$prefix/cmake.out"; exit 1; }
cmake --build "$prefix/project" >"$prefix/cmake.out" 2>&1 || { cat "$prefix/cmake.out"; exit 1; }
for name in c_shared c_static cxx_shared cxx_static; do
    "$prefix/project/$name" >"$prefix/$name.out" || { cat "$prefix/$name.out"; exit 1; }
    grep -q '^1 passed, 0 failed$' "$prefix/$name.out"
    echo "ok cmake_$name"
done

for header in "$prefix"/include/dispatchrun.h "$prefix"/include/dispatchrun/*.h; do
    name=${header#"$prefix/include/"}
    # shellcheck disable=SC2046,SC2086
    {
        echo "#include <$name>" | $cc -std=c11 $strict $(say --cflags) -fsyntax-only -x c -
        echo "#include <$name>" | $cxx -std=c++17 $strict $(say --cflags) -fsyntax-only -x c++ -
    }
    echo "ok $name alone"
done

# The sanitizers' names are not ours.
foreign=$(nm -g --defined-only "$libdir/libdispatchrun.a" | awk 'NF == 3 { print $3 }' | grep -v -e '^dr_' -e '^__.*san' || true)
[ -z "$foreign" ] || { echo "libdispatchrun.a exports $foreign"; exit 1; }
echo "ok c17_static exports dr_ names only"

"$prefix/bin/dispatch" version | grep -q "$(say --modversion)"
echo "ok dispatch"
