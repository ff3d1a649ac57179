"""``ForkSandbox``: programs run in confined children of Python interpreters that have started already.

A cold Python costs tens of milliseconds, a fork one or two. Each slot is one fork server (see
``inside/zygote.py``) in namespaces of its own where the machine allows it, and runs one program at a time;
behind it nothing of a program is left. Standard output and error go to files in memory, so that nobody has
to read them while the program runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import marshal
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from palaestra.errors import OptionError
from palaestra.sandboxes.core import (
    Ended,
    ExecResult,
    Launch,
    Limits,
    Program,
    Rung,
    Running,
    Sandbox,
    SandboxError,
    usual_workers,
)
from palaestra.sandboxes.inside import kernel

INSIDE = Path(__file__).resolve().parent / "inside"
VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    # One process and few threads: a pool of threads in a numeric library would only get in the way.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
Kind = Literal["plain", "numeric"]
_NUMERIC_PACKAGES = ("numpy", "sympy", "mpmath")
_START_DEADLINE_S = 60.0
_REPLY_GRACE_S = 10.0
_ROOM_DEADLINE_S = 600.0
_SESSION_DRIVER = "repl"
_MOST_SESSIONS = 256
_LINGER_S = 60.0
"""How long more slots than programs need stay idle. Sessions come in crowds, as in the iterations of a
trainer, and a numeric slot takes a second to start."""
_NAMESPACES = "fork server, namespaces"
_BARE = "fork server, no namespaces"


class ForkSandbox(Sandbox):
    """Runs programs in forked, confined children; the default sandbox.

    ``workers`` slots run programs side by side (two a core, at least 4, when not given); each open
    session has a slot of its own beside them. ``kind`` "numeric" offers numpy and sympy, already imported.
    ``namespaces`` None takes them where the machine allows; True insists; False does without. Raises
    ``SandboxError`` when the machine cannot confine a program this way.
    """

    def __init__(
        self, workers: int | None = None, *, kind: Kind = "plain", namespaces: bool | None = None
    ) -> None:
        if kind not in ("plain", "numeric"):
            raise OptionError(f"a fork server's kind is 'plain' or 'numeric', not {kind!r}")
        if not kernel.supported():
            raise SandboxError("the fork server knows Linux on x86-64 only; here, use sandbox='docker'")
        self.kind: Kind = kind
        self._scratch = Path(tempfile.mkdtemp(prefix="palaestra-sandbox-"))
        self._remove_scratch = weakref.finalize(self, remove_scratch, self._scratch, os.getpid())
        try:
            mode, first = self._choose(namespaces)
        except BaseException:
            self._remove_scratch()
            raise
        self._mode = mode
        self.rung = _rung(mode)
        self._pool = Pool(workers or usual_workers(), lambda: self._slot(mode), self.rung.name)
        self._pool.put(first)

    def start(self, *launches: Launch) -> tuple[Running, ...]:
        """Start the programs together, each in a slot of its own."""
        if self._mode == "none" and any(launch.limits.processes > 1 for launch in launches):
            raise OptionError(
                "this machine allows no namespaces, so a program may have one process only: processes=1"
            )
        return self._pool.start(launches)

    def close(self) -> None:
        """Kill every slot and remove the scratch folder."""
        self._pool.close()
        self._remove_scratch()

    def _choose(self, namespaces: bool | None) -> tuple[str, Slot]:
        """Return the first mode that works, with a slot in it."""
        own = "root" if os.geteuid() == 0 else "user"
        modes = {True: (own,), False: ("none",), None: (own, "none")}[namespaces]
        failures = []
        for mode in modes:
            try:
                return mode, self._slot(mode)
            except SandboxError as error:
                failures.append(f"{mode}: {error}")
        raise SandboxError("no fork server could be started here. " + "; ".join(failures))

    def _slot(self, mode: str) -> Slot:
        folder = Path(tempfile.mkdtemp(prefix="slot-", dir=self._scratch))
        return Slot(python_command(), zygote_config(mode, folder, self.kind))


def _rung(mode: str) -> Rung:
    common = ("Landlock", "seccomp", "resource limits", "no capabilities")
    if mode == "none":
        lacks = ("a writable folder", "a second process", "a private view of processes and files")
        return Rung(_BARE, common, lacks)
    return Rung(_NAMESPACES, ("namespaces for files, processes, network, IPC", *common))


def remove_scratch(folder: Path, owner: int) -> None:
    """Remove a sandbox's scratch folder, in the process that made it."""
    if os.getpid() == owner:  # a forked copy of this process must not take the folder from under it
        shutil.rmtree(folder, ignore_errors=True)


# ---- starting a fork server ------------------------------------------------------------------------------


def python_command() -> list[str]:
    """Return the command of a bare interpreter: the one behind the virtual environment, if there is one."""
    return [getattr(sys, "_base_executable", None) or sys.executable, "-s", "-P", "-S"]


def zygote_config(mode: str, folder: Path, kind: Kind) -> dict[str, Any]:
    """Return the configuration of one fork server.

    ``mode`` is "root" or "user" (it makes namespaces itself), "given" (it was started in some), "mountable"
    (in some where it may mount its scratch folder) or "none". ``folder`` is an empty folder of its own on
    this machine.
    """
    packages = _package_folders() if kind == "numeric" else {}
    config: dict[str, Any] = {
        "namespaces": mode,
        "has_pid_namespace": mode != "none",
        "writable": mode != "none",
        "drop_uid": 200_000 + int.from_bytes(os.urandom(3), "little") if mode == "root" else 0,
        "root": str(folder),
        "folder": "/tmp",
        "binds": [],
        "readable": [],
        "path": [],
        "preload": list(_NUMERIC_PACKAGES[:2]) if packages else [],
        "variables": VARIABLES,
    }
    if mode == "none":
        config["folder"] = str(folder)
        config["variables"] = VARIABLES | {"HOME": str(folder), "TMPDIR": str(folder)}
        config["readable"] = list(packages.values())
        config["path"] = sorted({os.path.dirname(path) for path in packages.values()})
    elif packages:
        config["binds"] = [[path, f"/packages/{name}"] for name, path in packages.items()]
        config["readable"] = ["/packages"]
        config["path"] = ["/packages"]
    return config


def _package_folders() -> dict[str, str]:
    """Return the folders of the numeric packages, and no others: what else is installed stays hidden."""
    found = {}
    for name in _NUMERIC_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise SandboxError(f"a numeric sandbox needs the package {name}: pip install 'palaestra[math]'")
        folder = os.path.realpath(spec.submodule_search_locations[0])
        found[name] = folder
        libraries = f"{folder}.libs"  # where wheels keep the shared libraries that they bring
        if os.path.isdir(libraries):
            found[f"{name}.libs"] = libraries
    return found


class Slot:
    """One fork server process and the socket to it. Used by one thread at a time."""

    idle_since = 0.0

    def __init__(self, command: Sequence[str], config: dict[str, Any], *, script: str = "") -> None:
        self.folder = config["root"]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = [script or str(INSIDE / "zygote.py"), str(theirs.fileno()), json.dumps(config)]
        try:
            self.process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=VARIABLES,
                cwd="/",
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise SandboxError(f"the fork server could not be started: {error}") from error
        finally:
            theirs.close()
        self.control = ours
        self._finalizer = weakref.finalize(self, _end, self.process, ours, self.folder, os.getpid())
        self.landlock_abi = self._greet()
        self.streams = self._share_streams()

    def _greet(self) -> int:
        try:
            greeting = self.receive(_START_DEADLINE_S)
        except SandboxError as error:
            self.process.kill()
            assert self.process.stderr is not None
            said = self.process.stderr.read(2000).decode(errors="replace").strip()
            self.kill()
            raise SandboxError(f"{error}. {said}" if said else str(error)) from None
        if "failure" in greeting or not greeting.get("landlock_abi"):
            self.kill()
            raise SandboxError(greeting.get("failure") or "the kernel has no Landlock (Linux 5.13 or newer)")
        return int(greeting["landlock_abi"])

    def _share_streams(self) -> _Streams:
        streams = _Streams()
        weakref.finalize(self, streams.close)
        try:
            socket.send_fds(self.control, [b"streams"], [streams.payload, streams.stdout, streams.stderr])
        except OSError as error:
            self.kill()
            raise SandboxError(f"the fork server died at once: {error}") from error
        return streams

    def send(self, request: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Send a request with descriptors. Raises ``SandboxError``."""
        try:
            socket.send_fds(self.control, [json.dumps(request).encode()], list(descriptors))
        except OSError as error:
            raise SandboxError(f"the fork server is gone: {error}") from error

    def receive(self, deadline_s: float) -> dict[str, Any]:
        """Return the next reply. Raises ``SandboxError`` when there is none within ``deadline_s``."""
        self.control.settimeout(deadline_s)
        try:
            message = self.control.recv(1 << 16)
        except TimeoutError:
            raise SandboxError(f"the fork server did not answer within {deadline_s:g} s") from None
        except OSError as error:
            raise SandboxError(f"the fork server is gone: {error}") from error
        if not message:
            raise SandboxError("the fork server died")
        return json.loads(message)

    def alive(self) -> bool:
        """Whether the fork server still runs, as far as can be told without asking it."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the fork server and all that it runs. May be called again."""
        self._finalizer()


def _end(process: subprocess.Popen[bytes], control: socket.socket, folder: str, owner: int) -> None:
    control.close()
    if os.getpid() != owner:
        return
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()
    shutil.rmtree(folder, ignore_errors=True)


# ---- the slots of a sandbox ------------------------------------------------------------------------------


class Pool:
    """Slots, made when first needed: ``workers`` for programs, and one for each open session."""

    def __init__(self, workers: int, make: Callable[[], Slot], rung: str) -> None:
        if workers < 2:
            raise OptionError(
                f"a sandbox needs at least 2 workers (grading runs two programs), not {workers}"
            )
        self.workers = workers
        self._make = make
        self._rung = rung
        self._free = threading.Condition()
        self._idle: list[Slot] = []
        self._used: dict[str, int] = {"program": 0, "session": 0}
        self._closed = False
        self._sweeper: threading.Timer | None = None

    def put(self, slot: Slot) -> None:
        """Take in a slot that was made already."""
        self._idle.append(slot)

    def start(self, launches: Sequence[Launch]) -> tuple[Running, ...]:
        """Start every launch; see ``Sandbox.start``."""
        kind = (
            "session" if any(launch.program.driver == _SESSION_DRIVER for launch in launches) else "program"
        )
        slots = self._take(len(launches), kind)
        started: list[Running] = []
        try:
            for slot, launch in zip(slots, launches, strict=True):
                started.append(ForkRunning(slot, launch, self._rung, self, kind))
        except BaseException:
            for running in started:
                running.kill()
            for slot in slots[len(started) :]:
                self.give_back(slot, kind, healthy=False)
            raise
        finally:
            for launch in launches:
                if launch.channel is not None:
                    launch.channel.close()
        return tuple(started)

    def _take(self, count: int, kind: str) -> list[Slot]:
        most = self.workers if kind == "program" else _MOST_SESSIONS
        if count > most:
            raise OptionError(f"{count} programs at once need as many workers; this sandbox has {most}")
        until = time.monotonic() + _ROOM_DEADLINE_S
        with self._free:
            while not self._closed and self._used[kind] + count > most:
                if not self._free.wait(max(0.0, until - time.monotonic())):
                    raise SandboxError(f"no slot of the sandbox became free within {_ROOM_DEADLINE_S:g} s")
            if self._closed:
                raise SandboxError("the sandbox was closed")
            self._used[kind] += count
            slots = [self._idle.pop() for _ in range(min(count, len(self._idle)))]
        for slot in [slot for slot in slots if not slot.alive()]:
            slots.remove(slot)
            slot.kill()
        try:
            while len(slots) < count:
                slots.append(self._make())
        except BaseException:
            for slot in slots:
                self.give_back(slot, kind, healthy=True)
            with self._free:
                self._used[kind] -= count - len(slots)
                self._free.notify_all()
            raise
        return slots

    def give_back(self, slot: Slot, kind: str, *, healthy: bool) -> None:
        """Take a slot back after a run; one that is not healthy is killed and made anew when needed."""
        with self._free:
            self._used[kind] -= 1
            keep = healthy and not self._closed
            if keep:
                slot.idle_since = time.monotonic()
                self._idle.append(slot)
                self._sweep_later()
            self._free.notify_all()
        if not keep:
            slot.kill()

    def _sweep_later(self) -> None:
        """See to it that a surplus of idle slots ends one day; called with the lock held."""
        if len(self._idle) > self.workers and self._sweeper is None and not self._closed:
            self._sweeper = threading.Timer(_LINGER_S / 4, self._sweep)
            self._sweeper.daemon = True
            self._sweeper.start()

    def _sweep(self) -> None:
        """Kill the slots that have been idle for long, but for as many as programs use."""
        until = time.monotonic() - _LINGER_S
        with self._free:
            # The one that was used last is taken first, so the oldest stand in front.
            surplus = max(0, len(self._idle) - self.workers)
            old = [slot for slot in self._idle[:surplus] if slot.idle_since <= until]
            self._idle = self._idle[len(old) :]
            self._sweeper = None
            self._sweep_later()
        for slot in old:
            slot.kill()

    def close(self) -> None:
        """Kill idle slots; those in use are killed when they come back."""
        with self._free:
            self._closed = True
            if self._sweeper is not None:
                self._sweeper.cancel()
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for slot in idle:
            slot.kill()


class _Streams:
    """The memory files of a slot: the program to run, its output and its errors."""

    def __init__(self) -> None:
        self.payload, self.stdout, self.stderr = (
            os.memfd_create(name) for name in ("payload", "stdout", "stderr")
        )

    def prepare(self, payload: bytes) -> None:
        """Hold a new program, and empty streams in the state that a program expects."""
        for descriptor in (self.payload, self.stdout, self.stderr):
            os.ftruncate(descriptor, 0)
        for descriptor in (self.stdout, self.stderr):
            # An earlier program may have changed what all who hold the file share.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
            os.fchmod(descriptor, 0o600)
            os.utime(descriptor, (0, 0))
        _write(self.payload, payload)

    def read(self, name: Literal["stdout", "stderr"], most_bytes: int) -> bytes:
        """Return the beginning of a stream."""
        descriptor: int = getattr(self, name)
        return os.pread(descriptor, most_bytes, 0) if os.fstat(descriptor).st_size else b""

    def longest_bytes(self) -> int:
        """Return the length of the longer stream."""
        return max(os.fstat(self.stdout).st_size, os.fstat(self.stderr).st_size)

    def close(self) -> None:
        """Close the descriptors."""
        for descriptor in (self.payload, self.stdout, self.stderr):
            os.close(descriptor)


class ForkRunning(Running):
    """A program in a slot."""

    def __init__(self, slot: Slot, launch: Launch, rung: str, pool: Pool, kind: str) -> None:
        self._slot, self._pool, self._kind, self._rung = slot, pool, kind, rung
        self.limits = launch.limits
        self._lock = threading.Lock()
        self._result: ExecResult | None = None
        self._over = False
        payload = pack(launch.program)
        slot.streams.prepare(payload)
        stdin = _memory_file(launch.program.stdin) if launch.program.stdin else None
        channel = launch.channel.fileno() if launch.channel is not None else None
        try:
            sent = [descriptor for descriptor in (stdin, channel) if descriptor is not None]
            slot.send(_request(launch, len(payload)), sent)
        finally:
            if stdin is not None:
                os.close(stdin)
        self._abandon = weakref.finalize(self, pool.give_back, slot, kind, healthy=False)

    def wait(self) -> ExecResult:
        """Wait for the program's end and return how it went."""
        with self._lock:
            if self._result is None:
                if self._over:
                    raise SandboxError("the sandbox failed under this program")
                self._result = self._finish()
            return self._result

    def kill(self) -> None:
        """End the program."""
        if not self._over:
            with contextlib.suppress(OSError):
                self._slot.control.send(b"kill")

    def output(self, stream: Literal["stdout", "stderr"]) -> bytes:
        """Return what was written to a stream since the last call; for sessions, which go on."""
        text = self._slot.streams.read(stream, self.limits.output_bytes + 1)
        os.ftruncate(getattr(self._slot.streams, stream), 0)
        return text

    def _finish(self) -> ExecResult:
        healthy = False
        try:
            reply = self._slot.receive(self.limits.wall_s + _REPLY_GRACE_S)
            if "failure" in reply:
                raise SandboxError(f"the sandbox failed: {reply['failure']}")
            healthy = True
            return _result(reply, self._slot.streams, self.limits, self._rung)
        finally:
            self._over = True
            self._abandon.detach()
            self._pool.give_back(self._slot, self._kind, healthy=healthy)


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("stdin")
    _write(descriptor, content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _write(descriptor: int, content: bytes) -> None:
    at = 0
    while at < len(content):
        at += os.pwrite(descriptor, content[at:] if at else content, at)


def pack(program: Program) -> bytes:
    """Return a program as its child in the sandbox unpacks it, in a format that every Python 3 reads."""
    source = (program.source or "").encode("utf-8", "surrogatepass")
    fields = (source, list(program.argv), program.driver, dict(program.variables), dict(program.files))
    return marshal.dumps(fields, 2)


def _request(launch: Launch, payload_bytes: int) -> dict[str, Any]:
    limits = launch.limits
    return {
        "payload_bytes": payload_bytes,
        "stdin": bool(launch.program.stdin),
        "channel": launch.channel is not None,
        "cpu_s": limits.cpu_s,
        "wall_s": limits.wall_s,
        "memory_bytes": limits.memory_bytes,
        "processes": limits.processes,
        "output_bytes": limits.output_bytes,
        "file_bytes": limits.file_bytes,
    }


def _result(reply: dict[str, Any], streams: _Streams, limits: Limits, rung: str) -> ExecResult:
    ended, code = Ended(reply["ended"]), int(reply["code"])
    if streams.longest_bytes() > limits.output_bytes and ended in (Ended.EXITED, Ended.SIGNALLED):
        ended = Ended.OUTPUT_LIMIT
    return ExecResult(
        ended=ended,
        exit_code=code if ended is Ended.EXITED else None,
        signal=-code if code < 0 else None,
        stdout=streams.read("stdout", limits.output_bytes),
        stderr=streams.read("stderr", limits.output_bytes),
        wall_s=float(reply["wall_s"]),
        cpu_s=float(reply["cpu_s"]),
        peak_memory_bytes=int(reply["peak_memory_bytes"]),
        rung=rung,
    )
