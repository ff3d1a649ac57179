#!/usr/bin/env bash
# Installs what the bubblewrap and docker sandboxes need, where it is missing: bubblewrap, docker.io and
# busybox-static by apt-get, and the extra `docker` (the engine's Python client) into the virtual environment.
#
#     scripts/install-sandboxes.sh [VENV]        default: $VENV, else .venv (made when it is not there)
#
# It starts no engine: scripts/start-docker.sh does. Does nothing when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${1:-${VENV:-.venv}}
export VENV

missing_packages() {
    command -v bwrap >/dev/null || echo bubblewrap
    command -v dockerd >/dev/null || [ -x /usr/sbin/dockerd ] || echo docker.io
    # The commands of the containers' image, which is built without a network.
    [ -x /bin/busybox ] || echo busybox-static
}

install_packages() {
    local missing as_root=()
    missing=$(missing_packages | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        echo "the sandboxes need: $missing; install them and run this again" >&2
        exit 1
    fi
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "the sandboxes need: $missing" >&2
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
    # Newer Debians ship the command apart from the engine.
    command -v docker >/dev/null || "${as_root[@]}" apt-get install -q -y --no-install-recommends docker-cli
}

install_packages
[ -x "$VENV/bin/python" ] || scripts/install.sh dev
"$VENV/bin/python" -c 'import docker' 2>/dev/null || {
    echo "installing palaestra[docker] into $VENV"
    "$VENV/bin/pip" install -q -e '.[docker]'
}
