"""``BubblewrapSandbox``: the fork server in namespaces that bubblewrap makes.

Some systems let nobody but ``bwrap`` make a user namespace (Ubuntu with its AppArmor restriction), or their
owners trust it more than us. It starts the same fork server as ``ForkSandbox``, once a slot, so that a
program costs a fork here too; Landlock, seccomp and the limits are the fork server's own, since bubblewrap
alone sets none. Needs ``bwrap`` 0.8 or newer (it can bound the size of a tmpfs).
Source of the options: bwrap(1).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

from palaestra.errors import OptionError
from palaestra.sandboxes.core import Launch, Rung, Running, Sandbox, SandboxError, usual_workers
from palaestra.sandboxes.forkserver import (
    INSIDE,
    Kind,
    Pool,
    Slot,
    python_command,
    remove_scratch,
    zygote_config,
)

_SERVER_FOLDER = "/sandbox"
_FIRST_SCRATCH_BYTES = 1 << 20
# What the fork server needs to give each program another user, a fresh scratch folder, and an end. The
# programs hold none of them. As an ordinary user they are worth something in the new namespace alone.
_SERVER_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_KILL")
_ROOT_CAPABILITIES = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP", "CAP_DAC_OVERRIDE")


class BubblewrapSandbox(Sandbox):
    """Runs programs in forked children of an interpreter that bubblewrap confined.

    ``workers`` and ``kind`` are those of ``ForkSandbox``. Raises ``SandboxError`` when there is no ``bwrap``,
    or when it cannot make namespaces here.
    """

    rung = Rung(
        "fork server, bubblewrap",
        (
            "bubblewrap's namespaces for files, processes, network, IPC",
            "Landlock",
            "seccomp",
            "resource limits",
            "no capabilities",
        ),
    )

    def __init__(self, workers: int | None = None, *, kind: Kind = "plain") -> None:
        if kind not in ("plain", "numeric"):
            raise OptionError(f"a fork server's kind is 'plain' or 'numeric', not {kind!r}")
        self.kind: Kind = kind
        self._program = find_bubblewrap()
        self._scratch = Path(tempfile.mkdtemp(prefix="palaestra-sandbox-"))
        self._remove_scratch = weakref.finalize(self, remove_scratch, self._scratch, os.getpid())
        try:
            first = self._slot()
        except BaseException:
            self._remove_scratch()
            raise
        self._pool = Pool(workers or usual_workers(), self._slot, self.rung.name)
        self._pool.put(first)

    def start(self, *launches: Launch) -> tuple[Running, ...]:
        """Start the programs together, each in a slot of its own."""
        return self._pool.start(launches)

    def close(self) -> None:
        """Kill every slot and remove the scratch folder."""
        self._pool.close()
        self._remove_scratch()

    def _slot(self) -> Slot:
        folder = Path(tempfile.mkdtemp(prefix="slot-", dir=self._scratch))
        config = zygote_config("mountable", folder, self.kind)
        # The namespaces are given, but the scratch folder in them is the fork server's to mount anew, and it
        # ends with its parent, bubblewrap. (Bubblewrap itself must not end with its own: that is a thread.)
        if os.geteuid() == 0:
            config["drop_uid"] = 200_000 + int.from_bytes(os.urandom(3), "little")
        command = [self._program, *bubblewrap_options(config), "--", *python_command()]
        return Slot(command, config, script=f"{_SERVER_FOLDER}/zygote.py")


def find_bubblewrap() -> str:
    """Return the path of ``bwrap``. Raises ``SandboxError`` when it is not installed."""
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxError("bubblewrap is not installed: apt-get install bubblewrap (it is called bwrap)")
    return found


def bubblewrap_options(config: dict[str, Any]) -> list[str]:
    """Return the options that confine a fork server with this configuration.

    Root makes no user namespace: its programs get user ids of their own instead, because the kernel excuses
    root from the limit of processes, under whatever name.
    """
    root = os.geteuid() == 0
    namespaces = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup"]
    capabilities = [*_SERVER_CAPABILITIES, *(_ROOT_CAPABILITIES if root else ())]
    return [
        *(namespaces if root else ["--unshare-all"]),
        "--as-pid-1",
        *("--cap-drop", "ALL"),
        *(option for name in capabilities for option in ("--cap-add", name)),
        *_system_folders(),
        *(option for source, target in config["binds"] for option in ("--ro-bind", source, target)),
        *("--ro-bind", str(INSIDE), _SERVER_FOLDER),
        *(
            option
            for name in ("null", "zero", "random", "urandom")
            for option in ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
        ),
        *("--proc", "/proc"),
        *("--perms", "1777", "--size", str(_FIRST_SCRATCH_BYTES), "--tmpfs", config["folder"]),
        *("--remount-ro", "/"),
        *("--chdir", "/"),
    ]


def _system_folders() -> list[str]:
    options = []
    for path in ("/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin", sys.base_prefix):
        if os.path.islink(path):
            options += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path) and not path.startswith("/usr/"):
            # By itself bubblewrap makes the folders on the way with no way in for anybody else.
            for parent in reversed(Path(path).parents[:-1]):
                options += ["--perms", "0755", "--dir", str(parent)]
            options += ["--ro-bind", path, path]
    for path in ("/etc/ld.so.cache", "/etc/localtime"):
        options += ["--ro-bind-try", os.path.realpath(path), path]
    return options
