#!/usr/bin/env bash
# Starts a Docker engine of our own, apart from any that the machine may have, and gives it the sandboxes' image.
#
#     scripts/start-docker.sh run COMMAND ...    starts an engine with the image, runs COMMAND, stops the engine
#     scripts/start-docker.sh start FOLDER       starts an engine, prints the line to give to `export`
#     scripts/start-docker.sh image              builds the image and gives it to the engine of $DOCKER_HOST
#     scripts/start-docker.sh stop FOLDER        stops the engine and removes FOLDER
#
# Needs root and `dockerd` (scripts/install-sandboxes.sh). FOLDER must be a short path: a socket's name has 107
# bytes. The engine makes no network of its own, so nothing of the machine's is changed: its containers run with
# --network none. The image is made of this machine's own files, Debian's python3 and busybox, without a network.
set -euo pipefail

IMAGE=palaestra-sandbox
PATH=$PATH:/usr/sbin:/sbin

start() {
    local folder=$1
    mkdir -p "$folder"
    dockerd --host "unix://$folder/s" --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
        --bridge none --iptables=false --ip6tables=false --ip-forward=false --ip-masq=false --userland-proxy=false \
        --exec-opt native.cgroupdriver=cgroupfs --oom-score-adjust 0 --default-ulimit nofile=1024:1024 \
        --log-level warn >"$folder/log" 2>&1 &
    local engine=$!
    for _ in $(seq 150); do
        if docker --host "unix://$folder/s" version >/dev/null 2>&1; then
            echo "DOCKER_HOST=unix://$folder/s"
            return
        fi
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    echo "no Docker engine could be started here:" >&2
    tail -n 5 "$folder/log" >&2
    kill "$engine" 2>/dev/null || true
    exit 1
}

# Prints every file that the python3 of Debian and its modules need, one a line.
files_of_python() {
    local python library
    python=$(readlink -f /usr/bin/python3)
    library=$("$python" -I -c 'import os; print(os.path.dirname(os.__file__))')
    echo "$python"
    find "$library" -name '*.py' -o -name '*.so' |
        grep -v -E '/(test|tests|idlelib|lib2to3|tkinter|ensurepip|site-packages|dist-packages)/'
    { echo "$python"; find "$library/lib-dynload" -name '*.so'; } |
        xargs ldd 2>/dev/null | grep -o '/[^ ]*' | grep -v ':$' | sort -u
}

image() {
    local root
    root=$(mktemp -d)
    mkdir -p "$root/rootfs"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,tmp,proc,sys,dev,control,sandbox}
    # As Debian has it: the top folders are links into /usr.
    for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/rootfs/$name"; done
    # The linker may name a library by a path through these links: they lead to the same place in the image.
    files_of_python | sed 's#^/lib#/usr/lib#' | sort -u | while read -r path; do
        mkdir -p "$root/rootfs$(dirname "$path")"
        cp -L "$path" "$root/rootfs$path"
    done
    ln -sf "$(basename "$(readlink -f /usr/bin/python3)")" "$root/rootfs/usr/bin/python3"
    cp /bin/busybox "$root/rootfs/usr/bin/busybox"
    for name in sh cat echo ls mkdir rm sleep true env id; do ln -s busybox "$root/rootfs/usr/bin/$name"; done
    echo 'root:x:0:0::/:/bin/sh' >"$root/rootfs/etc/passwd"
    ldconfig -r "$root/rootfs" 2>/dev/null || true
    chmod 1777 "$root/rootfs/tmp"
    tar -C "$root/rootfs" --owner 0 --group 0 -cf - . | docker import - "$IMAGE" >/dev/null
    rm -rf "$root"
    echo "the image $IMAGE is there" >&2
}

# Where no engine can be started the command runs all the same, and must say itself what it cannot do.
run() {
    local folder status=0
    folder=$(mktemp -d /tmp/docker-XXXXXX)
    # shellcheck disable=SC2064
    trap "stop '$folder'" EXIT
    if (start "$folder" >/dev/null); then
        export DOCKER_HOST="unix://$folder/s"
        image || true
    fi
    "$@" || status=$?
    exit "$status"
}

stop() {
    local folder=$1 engine
    if engine=$(cat "$folder/pid" 2>/dev/null); then
        kill "$engine" 2>/dev/null || true
        for _ in $(seq 100); do
            kill -0 "$engine" 2>/dev/null || break
            sleep 0.1
        done
    fi
    rm -rf "$folder"
}

case "${1:-}" in
    run)
        shift
        run "$@"
        ;;
    start) start "${2:?the folder}" ;;
    image) image ;;
    stop) stop "${2:?the folder}" ;;
    *)
        sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
esac
