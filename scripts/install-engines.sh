#!/usr/bin/env bash
# Installs the real ALFWorld engine (extra `alfworld`) into the project's virtual environment.
#
#     scripts/install-engines.sh [VENV]        default: $VENV, else .venv (made when it is not there)
#
# Two of its packages, jericho and fast-downward-textworld, come as C and C++ sources, so a compiler is needed:
# cmake, g++ and make are installed by apt-get where they are missing. Does nothing when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${1:-${VENV:-.venv}}
export VENV

missing_packages() {
    local tool
    for tool in cmake g++ make; do
        command -v "$tool" >/dev/null || echo "$tool"
    done
}

install_compiler() {
    local missing as_root=()
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "the real engine is built from source and needs: $missing; install them and run this again" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "the real engine is built from source and needs: $missing" >&2
            echo "there is no sudo here: run 'apt-get install $missing' as root, then this again" >&2
            exit 1
        fi
        as_root=(sudo)
        echo "installing $missing with apt-get: sudo may ask for your password"
    fi
    "${as_root[@]}" apt-get update -q
    # Word splitting is meant: one argument a package.
    # shellcheck disable=SC2086
    "${as_root[@]}" apt-get install -q -y --no-install-recommends $missing
}

# From 26.2.1 pip's default build isolation takes the standard library from a `python` that a package's build starts
# in an environment with an editable install (pypa/pip#14278); builds in real virtual environments are not affected.
isolation() {
    local option=--use-feature=venv-isolation
    if "$VENV/bin/pip" list "$option" >/dev/null 2>&1; then echo "$option"; fi
}

stamp="$VENV/.engines-$(sha256sum pyproject.toml scripts/install-engines.sh | sha256sum | cut -c1-16)"
[ -f "$stamp" ] && exit 0

started=$(date +%s)
[ -x "$VENV/bin/python" ] || scripts/install.sh dev
install_compiler
echo "building and installing palaestra[alfworld] into $VENV (several minutes the first time)"
# Word splitting is meant: no argument where there is no such feature.
# shellcheck disable=SC2046
"$VENV/bin/pip" install -q $(isolation) -e '.[alfworld]'
"$VENV/bin/python" -c 'from textworld.envs import PddlEnv; import fast_downward, alfworld.info, yaml' >/dev/null || {
    echo "the engine was installed but cannot be imported (see above)" >&2
    exit 1
}
rm -f "$VENV"/.engines-*
touch "$stamp"
echo "installed in $(($(date +%s) - started)) s"
