"""What hostile programs are after: secrets, a bystander, sockets; and what shows that they got there."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

from cases import ESCAPE_NAME, SECRET_PREFIX

SECRET_VARIABLE = "PALAESTRA_PLANTED_SECRET"
"""A secret in the environment of the process that owns the sandbox, planted by whoever started it."""

_VICTIM = "import sys, time; kept = sys.argv[1]; print('ready', flush=True); time.sleep(3600)"
_CONTENT = "the content of a file that nobody may touch\n"
_PATIENCE_S = 5.0


def new_secret() -> str:
    """Return a secret that occurs nowhere else."""
    return SECRET_PREFIX + secrets.token_hex(16)


class World:
    """Everything around the sandbox that must be neither read nor touched. A context manager."""

    def __init__(self) -> None:
        self.secrets = [new_secret()]
        if SECRET_VARIABLE in os.environ:
            self.secrets.append(os.environ[SECRET_VARIABLE])
        self._cleanup = contextlib.ExitStack()
        # Orphans come to this process, so that nothing a program leaves behind can get out of its sight.
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        self.folder = self._folder("/var/tmp")
        self.victim_file = self.folder / "victim"
        self.secret_files = [self._plant(self._folder(parent)) for parent in ("/tmp", "/var/tmp")]
        self.victim = self._bystander()
        self._open_sockets()
        self._queue = self._make_queue()
        self._before = self._lay_out()
        self._processes: int | None = None

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._cleanup.close()

    def facts(self) -> dict[str, object]:
        """Return what the programs are told: where everything is, but no secret."""
        return {
            "secret_files": [str(path) for path in self.secret_files],
            "foreign_folders": ["/root", "/home", str(self.folder), str(Path(__file__).parent)],
            "tests": __file__,
            "folder": str(self.folder),
            "victim_file": str(self.victim_file),
            "victim": self.victim.pid,
            "owner": os.getpid(),
            # An ordinary user's programs keep the user's own group; it is mapped to itself or to nobody.
            "group": os.getgid() or 65534,
            "queue": self._queue,
            "tcp_port": self._sockets["tcp"].getsockname()[1],
            "udp_port": self._sockets["udp"].getsockname()[1],
            "unix_path": self._sockets["unix"].getsockname(),
            "datagram_path": self._sockets["datagram"].getsockname(),
            "abstract": self._sockets["abstract"].getsockname()[1:].decode(),
            "datagram_abstract": self._sockets["datagram-abstract"].getsockname()[1:].decode(),
        }

    def count_processes(self) -> None:
        """Take the processes of this moment as those that belong here."""
        self._processes = len(descendants())

    def complaints(self) -> list[str]:
        """Return what a program did to the world, and make good what the next one needs."""
        found = [f"{name} got a message" for name in self._sockets if self._heard(name)]
        state = Path(f"/proc/{self.victim.pid}/stat").read_text().rpartition(")")[2].split()[0]
        if self.victim.poll() is not None or state not in "SR":
            found.append(f"the bystander is not well: {self.victim.poll()} {state}")
            self.victim = self._bystander()
        if (after := self._attributes()) != self._before:
            found.append(f"the foreign file changed: {after} instead of {self._before}")
            self._before = self._lay_out()
        found += [f"{path} appeared" for path in self._escaped_files()]
        return found + self._left_processes()

    # ---- making it ----

    def _folder(self, parent: str) -> Path:
        folder = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix="hostile-", dir=parent)))
        folder.chmod(0o777)
        return folder

    def _plant(self, folder: Path) -> Path:
        path = folder / "secret"
        path.write_text(self.secrets[0] + "\n")
        path.chmod(0o644)
        return path

    def _lay_out(self) -> tuple[object, ...]:
        """Make the file that nobody may touch anew; return what it looks like."""
        with contextlib.suppress(FileNotFoundError):
            self.victim_file.unlink()
        self.victim_file.write_text(_CONTENT)
        self.victim_file.chmod(0o666)
        self.folder.chmod(0o777)
        return self._attributes()

    def _bystander(self) -> subprocess.Popen[bytes]:
        victim = subprocess.Popen(
            [sys.executable, "-S", "-c", _VICTIM, self.secrets[0]],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._cleanup.callback(victim.wait)
        self._cleanup.callback(victim.kill)
        assert victim.stdout is not None
        victim.stdout.readline()
        return victim

    def _make_queue(self) -> int:
        library = ctypes.CDLL(None)
        queue = library.msgget(0, 0o1666)
        self._cleanup.callback(library.msgctl, queue, 0, None)
        library.msgsnd(queue, (ctypes.c_long * 2)(1, 0), ctypes.c_size_t(8), 0)
        return queue

    def _open_sockets(self) -> None:
        stream, datagram = socket.SOCK_STREAM, socket.SOCK_DGRAM
        unix, name = socket.AF_UNIX, f"\0hostile-{secrets.token_hex(8)}"
        kinds: dict[str, tuple[int, int, object]] = {
            "tcp": (socket.AF_INET, stream, ("127.0.0.1", 0)),
            "udp": (socket.AF_INET6, datagram, ("::", 0)),
            "unix": (unix, stream, str(self.folder / "socket")),
            "datagram": (unix, datagram, str(self.folder / "datagrams")),
            "abstract": (unix, stream, name),
            "datagram-abstract": (unix, datagram, name + "-datagrams"),
        }
        self._sockets: dict[str, socket.socket] = {}
        for kind, (family, type_, address) in kinds.items():
            opened = self._cleanup.enter_context(socket.socket(family, type_))
            opened.bind(address)  # type: ignore[arg-type]
            if type_ == stream:
                opened.listen()
            if isinstance(address, str) and address.startswith("/"):
                os.chmod(address, 0o777)
            opened.setblocking(False)
            self._sockets[kind] = opened

    # ---- looking at it ----

    def _heard(self, name: str) -> bool:
        opened, heard = self._sockets[name], False
        with contextlib.suppress(BlockingIOError):
            while True:
                if opened.type == socket.SOCK_STREAM:
                    opened.accept()[0].close()
                else:
                    opened.recv(100)
                heard = True
        return heard

    def _attributes(self) -> tuple[object, ...]:
        if not self.victim_file.is_file():
            return ("gone",)
        status, folder = os.stat(self.victim_file), os.stat(self.folder)
        names = os.listxattr(self.victim_file)
        owner = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns)
        return (self.victim_file.read_text(), *owner, names, folder.st_mode)

    def _escaped_files(self) -> list[str]:
        home = os.path.expanduser("~")
        places = [
            "/tmp",
            "/var/tmp",
            "/dev/shm",
            "/run",
            "/dev",
            "/dev/mqueue",
            "/etc",
            "/usr",
            "/usr/bin",
            "/lib",
        ]
        places += [
            "/",
            "/root",
            "/home",
            home,
            os.getcwd(),
            sys.prefix,
            str(self.folder),
            *map(os.path.dirname, self.secret_files),
        ]
        found = []
        for place in places:
            path = os.path.join(place, ESCAPE_NAME)
            if os.path.lexists(path):
                found.append(path)
                with contextlib.suppress(OSError):
                    os.unlink(path)
        return found

    def _left_processes(self) -> list[str]:
        if self._processes is None:
            return []
        until = time.monotonic() + _PATIENCE_S
        while len(left := descendants()) > self._processes:
            if time.monotonic() > until:
                return [f"{len(left)} processes, not {self._processes}: {left}"]
            time.sleep(0.02)
        return []


def descendants() -> dict[int, str]:
    """Return the living processes that this one started, directly or not: their ids and commands."""
    parents: dict[int, tuple[int, str]] = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            head, _, rest = Path(f"/proc/{int(entry)}/stat").read_text().rpartition(")")
            state, parent = rest.split()[:2]
            if state != "Z":
                parents[int(entry)] = (int(parent), head.partition("(")[2])
    found: dict[int, str] = {}
    fresh = {os.getpid()}
    while fresh:
        fresh = {pid for pid, (parent, _) in parents.items() if parent in fresh}
        found |= {pid: parents[pid][1] for pid in fresh}
    return found
