"""``DockerSandbox``: the fork server in warm containers of a Docker engine.

One container is one slot: it starts once and then forks for every program, as ``ForkSandbox`` does, so that
a run costs milliseconds instead of a container's start. The container has no network, no capabilities, a
read-only root, limits of memory and processes, and a user id of its own; Landlock and seccomp are the fork
server's.

The two sides meet at a unix socket in a folder that the container sees, and descriptors pass through it. So
the engine must run on this machine's own kernel: not on another host, and not in a virtual machine as Docker
Desktop does. Needs the extra ``docker``, and the image ``palaestra-sandbox`` (which ``scripts/start-docker.sh
image`` makes) or any other with Python 3.11 or newer at ``python3``.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
import time
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

from palaestra.errors import MissingExtraError, OptionError
from palaestra.sandboxes.core import Launch, Rung, Running, Sandbox, SandboxError, usual_workers
from palaestra.sandboxes.forkserver import INSIDE, Pool, Slot, remove_scratch, zygote_config

IMAGE = "palaestra-sandbox"
LABEL = "palaestra.sandbox"
"""Label of every container, with the id of the process that owns it."""

_SERVER_FOLDER, _CONTROL_FOLDER = "/sandbox", "/control"
_CONNECT_DEADLINE_S = 60.0
_REMOVE_DEADLINE_S = 20.0
_SCRATCH_BYTES = 64 << 20
_MOST_PROCESSES = 256


class DockerSandbox(Sandbox):
    """Runs programs in forked children of an interpreter in a container.

    ``workers`` as for ``ForkSandbox``; ``image`` has a ``python3``; ``memory_bytes`` is what all processes of
    a program may use together. The engine is the one of ``DOCKER_HOST``. Raises ``MissingExtraError`` without
    the extra, ``OptionError`` for a kind other than "plain", and ``SandboxError`` when no engine answers or
    the image is not there.
    """

    rung = Rung(
        "fork server, docker",
        (
            "a container without network and capabilities",
            "Landlock",
            "seccomp",
            "resource limits",
            "limits of memory and processes for all together",
        ),
        ("numpy and sympy", f"a limit on all files together below {_SCRATCH_BYTES >> 20} MiB"),
    )

    def __init__(
        self,
        workers: int | None = None,
        *,
        kind: str = "plain",
        image: str = IMAGE,
        memory_bytes: int = 2 << 30,
    ) -> None:
        if kind != "plain":
            raise OptionError(
                f"the containers' image holds the standard library alone: kind is 'plain', not {kind!r}"
            )
        self._client = connect()
        self._image, self._memory_bytes = image, memory_bytes
        self._scratch = Path(tempfile.mkdtemp(prefix="palaestra-sandbox-"))
        self._remove_scratch = weakref.finalize(self, remove_scratch, self._scratch, os.getpid())
        try:
            first = self._slot()
        except BaseException:
            self._remove_scratch()
            self._client.close()
            raise
        self._pool = Pool(workers or usual_workers(), self._slot, self.rung.name)
        self._pool.put(first)

    def start(self, *launches: Launch) -> tuple[Running, ...]:
        """Start the programs together, each in a container of its own."""
        if any(launch.limits.file_bytes > _SCRATCH_BYTES for launch in launches):
            raise OptionError(f"a container's folder holds {_SCRATCH_BYTES} bytes: file_bytes cannot be more")
        return self._pool.start(launches)

    def close(self) -> None:
        """Remove every container and the scratch folder."""
        self._pool.close()
        self._remove_scratch()
        self._client.close()

    def _slot(self) -> Slot:
        folder = Path(tempfile.mkdtemp(prefix="slot-", dir=self._scratch))
        return ContainerSlot(
            self._client, self._image, self._memory_bytes, zygote_config("given", folder, "plain")
        )


def _package() -> ModuleType:
    try:
        import docker  # pyright: ignore[reportMissingImports]
        import docker.errors  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingExtraError("the docker sandbox", "docker") from None
    return docker


def connect() -> Any:
    """Return a client of the engine. Raises ``MissingExtraError``, or ``SandboxError`` when none answers."""
    docker = _package()
    try:
        client = docker.from_env(version="auto", timeout=int(_CONNECT_DEADLINE_S))
    except docker.errors.DockerException as error:
        raise SandboxError(
            f"no Docker engine answers ({error}); start one (scripts/start-docker.sh can), or set DOCKER_HOST"
        ) from error
    return client


def container_options(folder: str, memory_bytes: int) -> dict[str, Any]:
    """Return how a container is confined; ``folder`` holds the socket at which it finds us."""
    # A user id that nobody else has: the kernel counts processes by it, whichever container they are in.
    user = 200_000 + int.from_bytes(os.urandom(3), "little")
    return {
        "user": f"{user}:{user}",
        "network_mode": "none",
        "ipc_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "read_only": True,
        "mem_limit": memory_bytes,
        "memswap_limit": memory_bytes,
        "pids_limit": _MOST_PROCESSES,
        "tmpfs": {"/tmp": f"nosuid,nodev,mode=1777,size={_SCRATCH_BYTES},nr_inodes=4096"},
        "volumes": {
            str(INSIDE): {"bind": _SERVER_FOLDER, "mode": "ro"},
            folder: {"bind": _CONTROL_FOLDER, "mode": "ro"},
        },
        "working_dir": "/",
        "hostname": "sandbox",
        "log_config": {"type": "none"},
        "labels": {LABEL: str(os.getpid())},
        "auto_remove": True,
    }


class ContainerSlot(Slot):
    """A fork server in a container, and the socket to it."""

    def __init__(self, client: Any, image: str, memory_bytes: int, config: dict[str, Any]) -> None:
        self.folder = config["root"]
        # The folder above it is shut to everybody else, so nobody but the container finds the socket.
        os.chmod(self.folder, 0o755)
        address = os.path.join(self.folder, "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
            server.bind(address)
            os.chmod(address, 0o777)
            server.listen(1)
            self._container = _run(client, image, config, container_options(self.folder, memory_bytes))
            try:
                self.control = _accept(server, self._container)
            except BaseException:
                _remove_container(self._container)
                raise
        os.unlink(address)
        self._finalizer = weakref.finalize(
            self, _end, self._container, self.control, self.folder, os.getpid()
        )
        self.landlock_abi = self._greet()
        self.streams = self._share_streams()

    def alive(self) -> bool:
        """Say yes: asking the engine would cost more than a run; a dead container shows at the next send."""
        return True

    def _greet(self) -> int:
        try:
            greeting = self.receive(_CONNECT_DEADLINE_S)
        except SandboxError:
            self.kill()
            raise
        if "failure" in greeting or not greeting.get("landlock_abi"):
            self.kill()
            raise SandboxError(
                greeting.get("failure") or "Landlock is missing in the container, or its engine forbids it"
            )
        return int(greeting["landlock_abi"])


def _run(client: Any, image: str, config: dict[str, Any], options: dict[str, Any]) -> Any:
    docker = _package()
    command = [
        "python3",
        "-s",
        "-P",
        "-S",
        f"{_SERVER_FOLDER}/bridge.py",
        f"{_CONTROL_FOLDER}/socket",
        json.dumps(config),
    ]
    try:
        # In two steps, because `run` would download an image that is missing.
        container = client.containers.create(image, command, **options)
        container.start()
        return container
    except docker.errors.ImageNotFound as error:
        raise SandboxError(
            f"the engine has no image {image!r}: `scripts/start-docker.sh image` makes {IMAGE!r} without a "
            "network; any other with Python 3.11 or newer can be given as image=..."
        ) from error
    except docker.errors.DockerException as error:
        raise SandboxError(f"the container could not be started: {error}") from error


def _accept(server: socket.socket, container: Any) -> socket.socket:
    """Wait for the container to call. Raises ``SandboxError`` when it ends instead, or does not in time."""
    docker = _package()
    server.settimeout(0.5)
    until = time.monotonic() + _CONNECT_DEADLINE_S
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            return server.accept()[0]
        try:
            container.reload()
        except docker.errors.DockerException:
            break
    raise SandboxError(
        "the container ended before it called back: the engine must run on this very machine, and the image "
        "needs Python 3.11 or newer"
    )


def _end(container: Any, control: socket.socket, folder: str, owner: int) -> None:
    control.close()
    if os.getpid() != owner:
        return
    _remove_container(container)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_container(container: Any) -> None:
    """Remove the container and wait until it is gone; it may be going already."""
    docker = _package()
    until = time.monotonic() + _REMOVE_DEADLINE_S
    while time.monotonic() < until:
        with contextlib.suppress(docker.errors.APIError):
            container.remove(force=True)
        try:
            container.reload()
        except docker.errors.NotFound:
            return
        except docker.errors.DockerException:
            return
        time.sleep(0.02)
