#!/bin/sh
# Prints one line with the named programs that are missing and how to install them. Under CI=true a
# missing program is a failure. Elsewhere the tests that need it are skipped.
set -eu

missing=
packages=
for tool in "$@"; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        missing="$missing $tool"
        case $tool in
        aria2c) packages="$packages aria2" ;;
        node) packages="$packages nodejs" ;;
        7z) packages="$packages p7zip-full" ;;
        bsdtar) packages="$packages libarchive-tools" ;;
        nginx) packages="$packages nginx-light" ;;
        *) packages="$packages $tool" ;;
        esac
    fi
done
if [ -n "$missing" ]; then
    echo "setup: missing for the system tests:$missing; on Debian and Ubuntu: apt install$packages" >&2
    [ "${CI:-}" != true ]
fi
