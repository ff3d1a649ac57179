"""``Worker``: an object that lives in a killable child process and answers calls with a deadline.

The child runs our own trusted environment code, so messages are pickles (length first) over a socket pair.
What is bought is *liveness*: whatever the object does (hang, ``os._exit``, a crash in C), the parent gets a
typed error in time and the whole process group is gone. It is no security boundary, and a process that
leaves its session on purpose gets away.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

from palaestra import errors
from palaestra.errors import ContractError, DeadlineError, OptionError, PalaestraError, WorkerError

_HEADER = struct.Struct("!Q")
_LONGEST_MESSAGE_BYTES = 2**32
_LOG_LIMIT_BYTES = 1 << 20
_TAIL_BYTES = 2000
_CLOSE_DEADLINE_S = 5.0
_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]); "
    "from palaestra.sandboxes.worker import serve; serve(int(sys.argv[1]), int(sys.argv[2]))"
)


# ---- the parent's side -------------------------------------------------------------------------------


class Worker:
    """One child process that holds the object ``factory(**kwargs)``.

    ``factory`` is ``"module:callable"``, imported in the child with the parent's ``sys.path``. The child has
    its own session, no standard input, and its prints go to a log of which errors show the tail. Calls from
    several threads are answered one after another. A killed or crashed worker stays dead until ``restart``.

    Raises ``DeadlineError`` when the object is not built within ``start_deadline_s``, ``WorkerError`` when
    the child dies or the factory fails, and the errors of ``palaestra.errors`` that the factory raises.
    """

    def __init__(
        self, factory: str, kwargs: Mapping[str, Any] | None = None, *, start_deadline_s: float = 60.0
    ) -> None:
        module, colon, name = factory.partition(":")
        if not (module and colon and name) or module == "__main__":
            raise OptionError(f"a worker's factory is an importable 'module:callable', not {factory!r}")
        self.factory = factory
        self.kwargs = dict(kwargs or {})
        self.start_deadline_s = start_deadline_s
        self._lock = threading.RLock()
        self._child: _Child | None = None
        self._ended = ""
        self._start()

    def call(self, method: str, *args: Any, deadline_s: float = 60.0, **kwargs: Any) -> Any:
        """Return ``object.method(*args, **kwargs)`` as computed in the child.

        Past ``deadline_s`` the child's process group is killed and ``DeadlineError`` raised. Errors of
        ``palaestra.errors`` come back as they were raised; any other exception as ``WorkerError`` with its
        traceback (then the child is still ``alive``); a crash as ``WorkerError`` with the exit status.
        """
        return self._ask(("call", method, args, kwargs), f"{self.factory}.{method}()", deadline_s)

    def get(self, name: str, *, deadline_s: float = 60.0) -> Any:
        """Return the object's attribute ``name``; errors as in ``call``."""
        return self._ask(("get", name), f"{self.factory}.{name}", deadline_s)

    @property
    def alive(self) -> bool:
        """Whether the child process runs."""
        child = self._child
        return child is not None and child.runs()

    @property
    def pid(self) -> int | None:
        """The child's process id, or None when there is no child."""
        return None if self._child is None else self._child.process.pid

    def restart(self) -> None:
        """Kill the child, if there is one, and build the object again in a new one; errors as at first."""
        with self._lock:
            self._kill("it was restarted")
            self._start()

    def close(self) -> None:
        """Let the object's own ``close`` run (at most 5 s), then end the child. May be called again."""
        with self._lock:
            if self._child is not None:
                with contextlib.suppress(PalaestraError):
                    self._ask(("close",), "close()", _CLOSE_DEADLINE_S)
                self._kill("it was closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Worker({self.factory!r}, {'pid ' + str(self.pid) if self.alive else 'not running'})"

    def _start(self) -> None:
        self._child = _spawn()
        # Also at interpreter exit and when the caller just drops the worker: no process may be left behind.
        self._finalizer = weakref.finalize(self, self._child.kill)
        try:
            self._ask(("build", self.factory, self.kwargs), f"building {self.factory}", self.start_deadline_s)
        except BaseException:
            self._kill("its object could not be built")
            raise

    def _kill(self, reason: str) -> None:
        if self._child is not None:
            self._finalizer()
            self._child = None
            self._ended = reason

    def _ask(self, request: tuple[Any, ...], what: str, deadline_s: float) -> Any:
        try:
            message = pickle.dumps(request, pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # pickling may raise anything
            raise ContractError(f"{what}: the arguments cannot be pickled ({error!r})") from error
        with self._lock:
            child = self._child
            if child is None:
                raise WorkerError(f"{what}: the worker is not running, {self._ended}; call restart()")
            try:
                answer = child.exchange(message, deadline_s)
            except TimeoutError:
                tail = child.tail()
                self._kill(f"{what} took longer than {deadline_s:g} s")
                text = f"{what} took longer than {deadline_s:g} s; its process group was killed{tail}"
                raise DeadlineError(text) from None
            except Exception as error:  # a closed socket, a cut or foreign message
                status, tail = child.end()
                self._kill(f"it {status}")
                raise WorkerError(f"{what}: the worker {status} ({error!r}){tail}") from error
            except BaseException:  # Ctrl-C in the middle of a message: the stream is out of step
                self._kill("a call was interrupted")
                raise
        return _unpack(answer, what)


@dataclass(frozen=True, slots=True)
class _Child:
    """The process, our end of the socket pair, and the file that takes what the child prints."""

    process: subprocess.Popen[bytes]
    channel: socket.socket
    log: IO[bytes]
    owner: int = field(default_factory=os.getpid)

    def exchange(self, message: bytes, deadline_s: float) -> tuple[Any, ...]:
        """Send one request and return its answer. Raises ``TimeoutError``, ``OSError`` or unpickling's."""
        until = time.monotonic() + deadline_s
        self.channel.settimeout(max(deadline_s, 1e-6))
        self.channel.sendall(_HEADER.pack(len(message)) + message)
        answer = pickle.loads(_receive(self.channel, until))
        if not (isinstance(answer, tuple) and answer and answer[0] in ("value", "error")):
            raise ValueError("the answer is not of the protocol")
        return answer

    def runs(self) -> bool:
        """Say whether the process runs, without reaping it: its group id must stay ours until the kill."""
        return self.process.returncode is None and not self._ended()

    def _ended(self) -> bool:
        try:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.process.pid, flags) is not None
        except ChildProcessError:
            return True

    def end(self) -> tuple[str, str]:
        """Kill what failed; return how the process ended and its tail. Waits: the socket closes first."""
        until = time.monotonic() + 1.0
        while not self._ended() and time.monotonic() < until:
            time.sleep(0.005)
        crashed = self._ended()
        tail = self.tail()
        self.kill()
        code = self.process.returncode
        if not crashed:
            return "broke its protocol and was killed", tail
        return (
            f"exited with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}",
            tail,
        )

    def tail(self) -> str:
        """Return the end of what the child printed, ready to be appended to an error message."""
        size = os.fstat(self.log.fileno()).st_size
        text = os.pread(self.log.fileno(), _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        shown = text.decode(errors="replace").strip()
        return f"; the end of its output:\n{shown}" if shown else ""

    def kill(self) -> None:
        """Kill the whole process group, reap the child, close the descriptors; may be called again.

        In a forked copy of the owner only the copy's descriptors are closed: the child is not its own.
        """
        if self.process.returncode is None and os.getpid() == self.owner:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.channel.close()
        self.log.close()


def _spawn() -> _Child:
    ours, theirs = socket.socketpair()
    try:
        log = tempfile.TemporaryFile(mode="ab+", prefix="palaestra-worker-")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(theirs.fileno()), str(os.getpid()), json.dumps(sys.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return _Child(process, ours, log)


def _unpack(answer: tuple[Any, ...], what: str) -> Any:
    if answer[0] == "value":
        return answer[1]
    _, name, message, trace = answer
    kind = getattr(errors, name, None) if name else None
    if kind is None:
        raise WorkerError(f"{what} failed in the worker: {message}\n{trace}")
    # Not by the constructor: some of these errors compose their message from other arguments.
    error = kind.__new__(kind, message)
    error.args = (message,)
    if isinstance(error, errors.UnknownNameError):
        error.message = message
    error.add_note(f"raised in the worker by {what}:\n{trace}")
    raise error


def _receive(channel: socket.socket, until: float | None = None) -> bytearray:
    """Return one message; ``until`` (monotonic seconds) bounds it. Raises ``EOFError`` at the end."""
    (size,) = _HEADER.unpack(_exactly(channel, _HEADER.size, until))
    if size > _LONGEST_MESSAGE_BYTES:
        raise ValueError(f"a message of {size} bytes")
    return _exactly(channel, size, until)


def _exactly(channel: socket.socket, size: int, until: float | None) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            channel.settimeout(left)
        count = channel.recv_into(view)
        if count == 0:
            raise EOFError("the other end was closed")
        view = view[count:]
    return buffer


# ---- the child's side --------------------------------------------------------------------------------


def serve(descriptor: int, parent_pid: int) -> None:
    """Answer the parent's requests on socket ``descriptor`` until it closes; the child's main function."""
    channel = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with_parent, args=(descriptor, parent_pid), daemon=True).start()
    target: Any = None
    while True:
        try:
            request = pickle.loads(_receive(channel))
        except EOFError:
            return
        except Exception as error:  # a class that the child cannot import, say: the stream is still in step
            _reply(channel, _error(error))
            continue
        try:
            value = _answer(target, request)
        except Exception as error:  # the object may raise anything; the parent decides what it means
            _reply(channel, _error(error))
        else:
            if request[0] == "build":
                target, value = value, None
            _reply(channel, ("value", value))
        _bound_log()


def _answer(target: Any, request: tuple[Any, ...]) -> Any:
    match request:
        case ("build", factory, kwargs):
            module, _, name = factory.partition(":")
            return getattr(importlib.import_module(module), name)(**kwargs)
        case ("call", method, args, kwargs):
            return getattr(target, method)(*args, **kwargs)
        case ("get", name):
            return getattr(target, name)
        case _:
            return target.close() if hasattr(target, "close") else None


def _reply(channel: socket.socket, answer: tuple[Any, ...]) -> None:
    try:
        message = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling may raise anything
        message = pickle.dumps(_error(error), pickle.HIGHEST_PROTOCOL)
    channel.sendall(_HEADER.pack(len(message)) + message)


def _error(error: Exception) -> tuple[str, str, str, str]:
    # A subclass from elsewhere comes back as its nearest class of palaestra.errors.
    names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == errors.__name__]
    message = str(error) if names else repr(error)
    return "error", names[0] if names else "", message, traceback.format_exc()


def _bound_log() -> None:
    """Cut the log back between calls, so that a chatty object cannot fill the disk."""
    sys.stdout.flush()
    if os.fstat(2).st_size > _LOG_LIMIT_BYTES:
        os.ftruncate(2, 0)


def _end_with_parent(descriptor: int, parent_pid: int) -> None:
    """Kill our own group when the parent is gone, even while the object is busy or hangs."""
    poll = select.poll()
    poll.register(descriptor, 0)  # a hang-up is reported unasked
    # The parent's end may have been inherited by a forked process, so the parent itself is looked at too.
    while not poll.poll(2000) and os.getppid() == parent_pid:
        pass
    os.killpg(0, signal.SIGKILL)
