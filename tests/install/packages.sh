#!/bin/sh
# tools/install-packages.sh on machines of every kind: packages.sh SOURCE_DIR
# dpkg-query, apt-get and id are played by scripts, so nothing of this machine is asked or changed.
set -eu
tool=$1/tools/install-packages.sh
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
bin=$folder/bin
mkdir "$bin"
for command in cat dirname grep sh tr; do
    ln -s "$(command -v $command)" "$bin/$command"
done

play() {
    printf '#!/bin/sh\n%s\n' "$2" >"$bin/$1"
    chmod +x "$bin/$1"
}
# Installed is what the file has_it names.
play dpkg-query 'for name; do :; done; grep -qx "$name" "'"$folder"'/has_it" && printf installed'
play apt-get 'echo "apt-get $*" >>"'"$folder"'/asked"; [ "$1" = update ] || [ -e "'"$folder"'/lists" ] || exit 100
[ "$1" != update ] || : >"'"$folder"'/lists"'

# run USER_ID: status and text
run() {
    play id "echo $1"
    rm -f "$folder/asked" "$folder/lists"
    : >"$folder/asked"
    status=0
    text=$(PATH=$bin sh "$tool" 2>&1 </dev/null) || status=$?
}
expect() {
    if [ "$2" != "$3" ]; then
        printf 'FAILED %s\ngot:    %s\nwanted: %s\n' "$1" "$2" "$3"
        exit 1
    fi
    echo "ok $1"
}

grep -v '^#' "$1/tools/packages.txt" >"$folder/has_it"
run 1000
expect "a machine that has everything is told nothing" "$status:$text" "0:"

grep -v '^#' "$1/tools/packages.txt" | grep -vx -e cmake -e libuv1-dev >"$folder/has_it"
command='apt-get update && apt-get install -y --no-install-recommends cmake libuv1-dev'
run 1000
expect "who is not root reads what is missing, and the one command" "$status:$text" \
"1:These packages are missing: cmake libuv1-dev
This command installs them:
    su -c '$command'"
expect "and nothing is installed" "$(cat "$folder/asked")" ""

play sudo 'exit 1'
run 1000
expect "with sudo where there is sudo" "$(echo "$text" | grep sudo)" "    sudo sh -c '$command'"

run 0
expect "root gets what is missing, after the lists" "$status:$(cat "$folder/asked")" \
"0:apt-get install -y -qq --no-install-recommends cmake libuv1-dev
apt-get update -qq
apt-get install -y -qq --no-install-recommends cmake libuv1-dev"

rm "$bin/dpkg-query"
run 1000
expect "another system is told what must be there" "$status:$(echo "$text" | cut -d: -f1)" \
"0:This is not a Debian system; its packages for these must be there"
