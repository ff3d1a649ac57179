#!/usr/bin/env bash
# Makes the Python environment in which palaestra/AppWorld-v0 runs the real package: ./.venv-appworld, or FOLDER.
#
#     scripts/install-appworld.sh [FOLDER]
#
# The package wants pydantic 1, so it cannot live in the project's own environment. Its apps come encrypted and are
# unpacked here by its own `appworld install`. Its tasks are not here: get them with `appworld download data`.
# With another FOLDER set PALAESTRA_APPWORLD_PYTHON=FOLDER/bin/python. Does nothing when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

FOLDER=${1:-.venv-appworld}
VERSION=0.1.3.post1

stamp="$FOLDER/.installed-$VERSION"
[ -f "$stamp" ] && exit 0

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && {
            echo "$candidate"
            return
        }
    done
    echo "appworld needs Python >= 3.11 with its venv module on the PATH (or PYTHON=/path/to/python)" >&2
    exit 1
}

python=$(find_python)
echo "installing appworld $VERSION into $FOLDER"
"$python" -m venv "$FOLDER"
"$FOLDER/bin/pip" install -q "appworld==$VERSION"
# Its tests, which nobody needs here, are unpacked beside it instead of into the home folder.
APPWORLD_CACHE="$PWD/$FOLDER/cache"
case "$FOLDER" in /*) APPWORLD_CACHE="$FOLDER/cache" ;; esac
export APPWORLD_CACHE
"$FOLDER/bin/appworld" install
rm -f "$FOLDER"/.installed-*
touch "$stamp"
echo "the tasks: APPWORLD_ROOT=/where/you/keep/them $FOLDER/bin/appworld download data (see its licence)"
