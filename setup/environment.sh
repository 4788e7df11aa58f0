#!/bin/sh
# Installs what the named requirements files list into .venv. If it is installed already, this takes
# milliseconds. Usage, from the project's folder:
#     setup/environment.sh requirements.txt [requirements-dev.txt]
# PYTHON names the interpreter. Otherwise the script takes the first usual name that is new enough.
set -eu

fail() {
    echo "setup: $*" >&2
    exit 1
}

here=$(pwd -P)
python=.venv/bin/python

# A stamp contains what was installed: the folder, because scripts in .venv name it, and the pins.
stamp_of() { echo ".venv/.installed-$1"; }
stamped() { echo "$here" | cat - "$1"; }

installed() {
    [ -x "$python" ] && "$python" -c '' 2>/dev/null || return 1
    for file in "$@"; do
        stamped "$file" | cmp -s - "$(stamp_of "$file")" || return 1
    done
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.14 python}; do
        if new_enough "$name"; then
            echo "$name"
            return
        fi
    done
    found=$("${PYTHON:-python3}" --version 2>&1) || found="no ${PYTHON:-python3}"
    fail "Python 3.11 or newer is needed, found $found; choose another one: make PYTHON=/path/to/it"
}

# A .venv that was moved, is incomplete, or lost its interpreter is created again.
usable() {
    new_enough "$python" && "$python" -m pip --version >/dev/null 2>&1 &&
        head -n 3 .venv/bin/pip 2>/dev/null | grep -qF "$here/.venv/bin/"
}

if installed "$@"; then
    exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM

if ! usable; then
    base=$(find_python)
    "$base" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$base lacks its venv module; on Debian and Ubuntu: apt install python3-venv"
    "$base" -m venv --clear .venv >"$log" 2>&1 ||
        fail "could not create .venv: $(tail -n 1 "$log")"
fi

echo "setup: installing $* into .venv (once, about a minute)" >&2
options=
for file in "$@"; do
    rm -f "$(stamp_of "$file")"
    options="$options -r $file"
done
# shellcheck disable=SC2086  # the options are meant to be split
if ! "$python" -m pip install --quiet --disable-pip-version-check --require-hashes \
    $options >"$log" 2>&1; then
    reason=$(grep -i error "$log" | tail -n 1) || reason=$(tail -n 1 "$log")
    fail "could not install the requirements: ${reason#ERROR: }; is there a network connection?"
fi
for file in "$@"; do
    stamped "$file" >"$(stamp_of "$file")"
done
