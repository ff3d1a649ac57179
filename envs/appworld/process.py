"""A process of another interpreter that answers lines of JSON, within deadlines or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from palaestra.errors import DataError, DeadlineError, MissingExtraError, PalaestraError, WorkerError

_LONGEST_ANSWER_BYTES = 1 << 26
_TAIL_BYTES = 2000
_INSTALL = (
    "make its environment by scripts/install-appworld.sh, or name an interpreter that has it: python=..., or "
    "the variable PALAESTRA_APPWORLD_PYTHON"
)


class MissingAppWorldError(MissingExtraError):
    """There is no interpreter that has the package ``appworld``; the message says how to make one."""

    def __init__(self, why: str) -> None:
        PalaestraError.__init__(
            self,
            f"palaestra/AppWorld-v0 needs the package appworld in a Python environment of its own (it wants "
            f"pydantic 1): {why}; {_INSTALL}",
        )


class AppWorldProcess:
    """The child process ``command``, in a folder of its own in which ``data`` is the user's data folder.

    The package writes what it records below its root: that is the folder, which is removed with the process,
    so that worlds never share one and nothing of the tasks is left behind.

    Raises ``MissingAppWorldError`` when the command cannot be run.
    """

    def __init__(self, command: Sequence[str], data: Path) -> None:
        # A killed child may still have been writing when the folder is removed.
        self._folder = tempfile.TemporaryDirectory(prefix="palaestra-appworld-", ignore_cleanup_errors=True)
        root = Path(self._folder.name)
        (root / "data").symlink_to(data.resolve(), target_is_directory=True)
        self._log = (root / "log").open("ab+")
        self._name = Path(command[0]).name
        self._number = 0
        self._ended = ""
        ours, theirs = socket.socketpair()
        variables = {"APPWORLD_ROOT": str(root), "IPYTHONDIR": str(root / "ipython")}
        try:
            self._child = subprocess.Popen(
                list(command),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._log,
                cwd=root,
                env={**os.environ, **variables},
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            self._log.close()
            self._folder.cleanup()
            raise MissingAppWorldError(f"{command[0]} cannot be run ({error.strerror})") from error
        finally:
            theirs.close()
        self._channel = ours
        # Also at the interpreter's end and when the caller just drops it: no process may be left behind.
        self._finalizer = weakref.finalize(
            self, _end, self._child, ours, self._log, self._folder, os.getpid()
        )

    @property
    def alive(self) -> bool:
        """Whether the child can be asked."""
        return not self._ended

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def ask(self, do: str, deadline_s: float, **fields: Any) -> Any:
        """Return the answer to a request.

        Raises ``DeadlineError`` past ``deadline_s`` and ``WorkerError`` when the child dies or breaks the
        protocol, which both end it; ``WorkerError``, ``DataError`` or ``MissingAppWorldError`` when it says
        that it failed, that the task cannot be loaded, or that the package is not there.
        """
        if self._ended:
            raise WorkerError(f"AppWorld's process is not running: {self._ended}")
        self._number += 1
        line = json.dumps({"id": self._number, "do": do, **fields}).encode() + b"\n"
        try:
            answer = self._exchange(line, time.monotonic() + deadline_s)
        except TimeoutError:
            text = f"AppWorld's {do} took longer than {deadline_s:g} s; its process group was killed"
            raise DeadlineError(self._give_up(text)) from None
        except (OSError, ValueError) as error:  # a closed channel, or an answer that is none
            raise WorkerError(self._give_up(f"AppWorld's {do} failed: {error}")) from error
        except BaseException:  # Ctrl-C in the middle of an answer: the stream is out of step
            self._give_up("a request was interrupted")
            raise
        if "value" in answer:
            return answer["value"]
        message = str(answer.get("message"))
        if answer["error"] == "missing":
            self._give_up(message)
            raise MissingAppWorldError(f"{self._name}: {message}")
        if answer["error"] == "data":
            raise DataError(f"AppWorld cannot load this task: {message}")
        raise WorkerError(f"AppWorld's {do} failed: {message}")

    def close(self) -> None:
        """End the child and remove its folder. May be called again."""
        self._ended = self._ended or "it was closed"
        self._finalizer()

    def _exchange(self, line: bytes, until: float) -> dict[str, Any]:
        self._channel.settimeout(max(until - time.monotonic(), 1e-6))
        self._channel.sendall(line)
        received = bytearray()
        while not received.endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._channel.settimeout(left)
            part = self._channel.recv(1 << 16)
            if not part:
                raise ConnectionError(f"the process {self._how_it_ended()}")
            received += part
            if len(received) > _LONGEST_ANSWER_BYTES:
                raise ValueError(f"an answer of more than {_LONGEST_ANSWER_BYTES} bytes")
        answer = json.loads(received)
        if not isinstance(answer, dict) or answer.get("id") != self._number:
            raise ValueError(f"not an answer to request {self._number}: {bytes(received[:200])!r}")
        if "value" not in answer and "error" not in answer:
            raise ValueError("an answer with neither a value nor an error")
        return answer

    def _how_it_ended(self) -> str:
        try:
            code = self._child.wait(1.0)
        except subprocess.TimeoutExpired:
            return "closed its output"
        return f"exited with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"

    def _give_up(self, reason: str) -> str:
        """End the child; return the reason with the end of what the child printed."""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        shown = tail.decode(errors="replace").strip()
        self._ended = reason
        self._finalizer()
        return f"{reason}; the end of its output:\n{shown}" if shown else reason


def _end(
    child: subprocess.Popen[bytes],
    channel: socket.socket,
    log: IO[bytes],
    folder: tempfile.TemporaryDirectory[str],
    owner: int,
) -> None:
    """Kill the process group, reap the child, remove the folder; a forked copy leaves both alone."""
    channel.close()
    log.close()
    if os.getpid() != owner:
        return
    # Also where the child itself has ended: others of its group may live.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    folder.cleanup()
