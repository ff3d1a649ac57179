#!/usr/bin/env bash
# Makes (or brings up to date) the project's own virtual environment: ./.venv, or $VENV.
# Needs Python >= 3.11 and nothing else. Says what it does; does nothing when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
EXTRAS=${1:-train}
TORCH_VERSION=2.13.0

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
        "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2])' 2>/dev/null && {
            echo "$candidate"
            return
        }
    done
    echo "palaestra needs Python >= 3.11 on the PATH (or PYTHON=/path/to/python); found none" >&2
    exit 1
}

# Debian and Ubuntu ship python3 without the parts that make virtual environments.
ensure_venv_module() {
    "$1" -c 'import venv, ensurepip' 2>/dev/null && return
    echo "Python's venv module is missing; installing it with apt-get (needs root)"
    local as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo"
    if ! command -v apt-get >/dev/null || { [ -n "$as_root" ] && ! command -v sudo >/dev/null; }; then
        echo "please install the venv module of $1 (Debian: apt-get install python3-venv) and run this again" >&2
        exit 1
    fi
    $as_root apt-get update -q && $as_root apt-get install -q -y python3-venv
}

# A machine without an NVIDIA GPU gets the CPU build: the default build brings gigabytes of CUDA.
install_torch() {
    "$VENV/bin/python" -c 'import torch' 2>/dev/null && return
    if command -v nvidia-smi >/dev/null && nvidia-smi >/dev/null 2>&1; then
        echo "an NVIDIA GPU is here: installing torch with CUDA"
        "$VENV/bin/pip" install -q torch
    elif "$VENV/bin/pip" install -q --dry-run --no-index --no-deps "torch==$TORCH_VERSION" >/dev/null 2>&1; then
        echo "no GPU: installing the torch $TORCH_VERSION that this machine's pip offers locally"
        "$VENV/bin/pip" install -q "torch==$TORCH_VERSION"
    else
        echo "no GPU: installing the CPU build of torch"
        "$VENV/bin/pip" install -q torch --index-url https://download.pytorch.org/whl/cpu
    fi
}

stamp=$(sha256sum pyproject.toml scripts/install.sh | sha256sum | cut -c1-16)-$(echo "$EXTRAS" | tr ',' '-')
[ -f "$VENV/.installed-$stamp" ] && exit 0

started=$(date +%s)
if [ ! -x "$VENV/bin/python" ]; then
    python=$(find_python)
    ensure_venv_module "$python"
    echo "making $VENV with $($python --version)"
    "$python" -m venv "$VENV"
    "$VENV/bin/pip" install -q --upgrade pip
fi
case ",$EXTRAS," in *,train,*) install_torch ;; esac
echo "installing palaestra[$EXTRAS]"
"$VENV/bin/pip" install -q -e ".[$EXTRAS]"
touch "$VENV/.installed-$stamp"
echo "installed in $(($(date +%s) - started)) s"
