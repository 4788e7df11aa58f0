#!/bin/sh
# Puts the JavaScript of the pages, the Socket.IO client and uPlot, into static/vendor. If it is there
# already, this takes milliseconds. Usage, from the project's folder:
#     setup/browser.sh [tests]
# tests: also install what tests/js needs. Without npm or a network, the script prints one line that
# says what is missing, and the server runs: its pages follow over Server-Sent Events and have no
# charts. Under CI=true that is a failure.
set -eu

give_up() {
    echo "setup: $*" >&2
    [ "${CI:-}" != true ]
    exit
}

# Below node_modules.
files="socket.io-client/dist/socket.io.esm.min.js uplot/dist/uPlot.esm.js uplot/dist/uPlot.min.css"
# The packages in these files; their licenses require their notices beside them.
packages="socket.io-client engine.io-client engine.io-parser socket.io-parser
    @socket.io/component-emitter uplot"
vendor=static/vendor
options=--omit=dev
stamps=node_modules/.installed-run
if [ "${1:-}" = tests ]; then
    options=--include=dev
    stamps="$stamps node_modules/.installed-tests"
fi

# A stamp contains what was installed.
stamped() { cat package.json package-lock.json; }

installed() {
    for file in $files NOTICES.txt; do
        [ -s "$vendor/${file##*/}" ] || return 1
    done
    for stamp in $stamps; do
        stamped | cmp -s - "$stamp" || return 1
    done
}

if installed; then
    exit 0
fi

command -v npm >/dev/null 2>&1 ||
    give_up "npm is missing: the pages have no Socket.IO and no charts; on Debian and Ubuntu: apt install npm"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

# npm ci empties node_modules first, so a stamp never outlives what it stands for.
if ! npm ci "$options" --ignore-scripts --loglevel=error >"$log" 2>&1; then
    reason=$(grep -m 1 'npm error' "$log") || reason=$(tail -n 1 "$log")
    give_up "could not install the pages' JavaScript: ${reason#npm error }; is there a network connection?"
fi

# Each file is put in place complete, without the address of a source map that is not served.
mkdir -p "$vendor"
for file in $files; do
    name=${file##*/}
    sed '/^\/\/# sourceMappingURL=/d' "node_modules/$file" >"$vendor/$name.new"
    mv "$vendor/$name.new" "$vendor/$name"
done
for package in $packages; do
    version=$(sed -n 's/^ *"version": "\(.*\)",*$/\1/p' "node_modules/$package/package.json")
    printf '%s %s\n\n' "$package" "$version"
    cat "node_modules/$package/LICENSE"
    printf '\n\n'
done >"$vendor/NOTICES.txt.new"
mv "$vendor/NOTICES.txt.new" "$vendor/NOTICES.txt"
for stamp in $stamps; do
    stamped >"$stamp"
done
