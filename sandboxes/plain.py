"""``SubprocessSandbox``: a cold Python process with resource limits, and no isolation whatsoever.

For code that is trusted, for machines where nothing else works and the owner knows it, and as the yardstick
of the other sandboxes. The ladder never comes down to it: it must be asked for by name, and every result
says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from palaestra.errors import OptionError
from palaestra.sandboxes.core import (
    Ended,
    ExecResult,
    Launch,
    Limits,
    Rung,
    Running,
    Sandbox,
    SandboxError,
    usual_workers,
)
from palaestra.sandboxes.forkserver import INSIDE, VARIABLES, Kind, python_command

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.001, 0.02
_ROOM_DEADLINE_S = 600.0
# Runs first in the new process: takes the limits, then becomes the program, with its channel at descriptor 3.
_BOOT = """
import json, os, resource, sys
order = json.loads(sys.argv[1])
with open(order["source"], encoding="utf-8", errors="surrogatepass") as file:
    source = file.read()
os.unlink(order["source"])
if order["channel"]:
    os.dup2(order["channel"], 3)
for name, value in order["limits"].items():
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))
if order["argv"]:
    try:
        os.execvp(order["argv"][0], order["argv"])
    except OSError as error:
        os.write(2, f"{order['argv'][0]}: {error.strerror}\\n".encode())
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
sys.path.insert(0, order["inside"])
import child
sys.path.remove(order["inside"]) if not order["driver"] else None
sys.path += order["packages"]
child.run_program(source, order["driver"], lambda: None)
"""


class SubprocessSandbox(Sandbox):
    """Runs each program in a process of its own, as this very user, with all that the user may do.

    ``workers`` programs run side by side (two a core, at least 4, when not given); ``kind`` "numeric"
    offers what is installed here.
    """

    rung = Rung(
        "subprocess, no isolation",
        ("resource limits",),
        (
            "isolation of files",
            "isolation of the network",
            "isolation of other processes",
            "a limit of processes",
            "a limit on all files together",
        ),
    )

    def __init__(self, workers: int | None = None, *, kind: Kind = "plain") -> None:
        if kind not in ("plain", "numeric"):
            raise OptionError(f"a sandbox's kind is 'plain' or 'numeric', not {kind!r}")
        self.kind: Kind = kind
        self.workers = workers or usual_workers()
        self._room = threading.Condition()
        self._running: set[_Process] = set()
        self._closed = False

    def start(self, *launches: Launch) -> tuple[Running, ...]:
        """Start the programs together, when there is room for all of them."""
        if len(launches) > self.workers:
            raise OptionError(f"{len(launches)} programs at once need as many workers, not {self.workers}")
        packages = [path for path in sys.path if path] if self.kind == "numeric" else []
        until = time.monotonic() + _ROOM_DEADLINE_S
        with self._room:
            while not self._closed and len(self._running) + len(launches) > self.workers:
                if not self._room.wait(max(0.0, until - time.monotonic())):
                    raise SandboxError(f"no room in the sandbox within {_ROOM_DEADLINE_S:g} s")
            if self._closed:
                raise SandboxError("the sandbox was closed")
            started = tuple(_Process(launch, packages, self.rung.name, self._ended) for launch in launches)
            self._running.update(started)
        for process in started:
            process.watcher.start()
        return started

    def close(self) -> None:
        """Kill what still runs."""
        with self._room:
            self._closed = True
            running = list(self._running)
            self._room.notify_all()
        for process in running:
            process.kill()
        for process in running:
            process.watcher.join()

    def _ended(self, process: _Process) -> None:
        with self._room:
            self._running.discard(process)
            self._room.notify_all()


class _Process(Running):
    """A program in a process of its own, watched by a thread of its own."""

    def __init__(self, launch: Launch, packages: list[str], rung: str, ended: Any) -> None:
        self.limits = launch.limits
        self._rung, self._tell = rung, ended
        self._killed = threading.Event()
        self._result: ExecResult | None = None
        self._scratch = tempfile.TemporaryDirectory(prefix="palaestra-subprocess-")
        # They live as long as the run, and are closed by ``_free``.
        self._stdout, self._stderr, stdin = (tempfile.TemporaryFile() for _ in range(3))  # noqa: SIM115
        self._began = time.monotonic()
        try:
            stdin.write(launch.program.stdin)
            stdin.seek(0)
            streams = (stdin, self._stdout, self._stderr)
            self._process = _popen(launch, packages, Path(self._scratch.name), streams)
        except BaseException as error:
            self._free()
            if isinstance(error, OSError):
                raise SandboxError(f"the process could not be started: {error}") from error
            raise
        finally:
            stdin.close()
            if launch.channel is not None:
                launch.channel.close()
        self.watcher = threading.Thread(target=self._watch, name="palaestra-subprocess", daemon=True)

    def wait(self) -> ExecResult:
        """Wait for the program's end and return how it went."""
        self.watcher.join()
        assert self._result is not None
        return self._result

    def kill(self) -> None:
        """End the program."""
        self._killed.set()

    def output(self, stream: str) -> bytes:
        """Return what was written to a stream since the last call; for sessions, which go on."""
        file = self._stdout if stream == "stdout" else self._stderr
        text = os.pread(file.fileno(), self.limits.output_bytes + 1, 0)
        os.ftruncate(file.fileno(), 0)
        return text

    def _watch(self) -> None:
        reason: Ended | None = None
        pause_s = _FIRST_PAUSE_S
        while True:
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            reason = reason or self._limit()
            if reason:
                self._end_all()
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._end_all()
        self._process.returncode = code = os.waitstatus_to_exitcode(status)
        cpu_s = usage.ru_utime + usage.ru_stime
        ended = reason or self._natural_end(code, cpu_s)
        self._result = ExecResult(
            ended=ended,
            exit_code=code if ended is Ended.EXITED else None,
            signal=-code if code < 0 else None,
            stdout=os.pread(self._stdout.fileno(), self.limits.output_bytes, 0),
            stderr=os.pread(self._stderr.fileno(), self.limits.output_bytes, 0),
            wall_s=time.monotonic() - self._began,
            cpu_s=cpu_s,
            peak_memory_bytes=usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
            rung=self._rung,
        )
        self._free()
        self._tell(self)

    def _limit(self) -> Ended | None:
        if self._killed.is_set():
            return Ended.KILLED
        if time.monotonic() - self._began > self.limits.wall_s:
            return Ended.WALL_LIMIT
        return Ended.OUTPUT_LIMIT if self._longest_bytes() > self.limits.output_bytes else None

    def _natural_end(self, code: int, cpu_s: float) -> Ended:
        if code == -signal.SIGXCPU or (code == -signal.SIGKILL and cpu_s > self.limits.cpu_s):
            return Ended.CPU_LIMIT
        if self._longest_bytes() > self.limits.output_bytes:
            return Ended.OUTPUT_LIMIT
        return Ended.EXITED if code >= 0 else Ended.SIGNALLED

    def _longest_bytes(self) -> int:
        return max(os.fstat(file.fileno()).st_size for file in (self._stdout, self._stderr))

    def _end_all(self) -> None:
        # Whatever left the session has got away: that is what having no isolation means.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _free(self) -> None:
        self._stdout.close()
        self._stderr.close()
        self._scratch.cleanup()


def _popen(
    launch: Launch, packages: list[str], scratch: Path, streams: tuple[IO[bytes], IO[bytes], IO[bytes]]
) -> subprocess.Popen[bytes]:
    program, channel = launch.program, launch.channel
    folder, source = scratch / "folder", scratch / "source"
    folder.mkdir()
    source.write_text(program.source or "", "utf-8", "surrogatepass")
    for path, content in program.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    order = {
        "source": str(source),
        "driver": program.driver,
        "argv": list(program.argv),
        "channel": channel.fileno() if channel is not None else 0,
        "limits": _resource_limits(launch.limits),
        "inside": str(INSIDE),
        "packages": packages,
    }
    return subprocess.Popen(
        [*python_command(), "-c", _BOOT, json.dumps(order)],
        stdin=streams[0],
        stdout=streams[1],
        stderr=streams[2],
        cwd=folder,
        env={**VARIABLES, "HOME": str(folder), "TMPDIR": str(folder), **program.variables},
        pass_fds=[channel.fileno()] if isinstance(channel, socket.socket) else [],
        start_new_session=True,
    )


def _resource_limits(limits: Limits) -> dict[str, int]:
    return {
        "RLIMIT_CPU": max(1, round(limits.cpu_s + 0.5)),
        "RLIMIT_AS": limits.memory_bytes,
        "RLIMIT_FSIZE": max(limits.file_bytes, limits.output_bytes + 1),
        "RLIMIT_CORE": 0,
    }
