"""``Session``: a Python interpreter in a sandbox that remembers, with calls back into the host."""

from __future__ import annotations

import json
import math
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from palaestra.errors import OptionError
from palaestra.sandboxes.core import Ended, Launch, Limits, Program, Running, Sandbox, SandboxError

_LENGTH = struct.Struct("!I")
_LONGEST_MESSAGE_BYTES = 16 << 20
_FOREVER_S = 1e6
_START_DEADLINE_S = 30.0
_SNAPSHOT_PROCESSES = 16


class ToolRefusal(Exception):
    """Raised by a tool to tell the code that called it what was wrong; it sees a ``ToolError``.

    Any other exception of a tool is the host's own failure and goes to whoever ran the cell.
    """


Tool = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class CellResult:
    """What one cell did."""

    stdout: str
    stderr: str
    value: str | None
    """``repr`` of the cell's last expression, if it had one that is not None."""
    error: str | None
    """The traceback, if it raised."""
    ended: Ended | None
    """Why the session ended in this cell; None when it lives on."""
    wall_s: float

    @property
    def ok(self) -> bool:
        """Whether the cell ran to its end without an error."""
        return self.error is None and self.ended is None

    @property
    def text(self) -> str:
        """Everything as one text, as a console would show it."""
        parts = [self.stdout, self.stderr, self.value, self.error]
        if self.ended is not None:
            parts.append(f"[the session ended: {self.ended}; its variables are lost]")
        return "\n".join(part.rstrip("\n") for part in parts if part)


class Session:
    """A persistent interpreter. Made by ``Sandbox.session``, or here to give it ``tools``.

    ``tools`` maps names (dotted ones become namespaces) to functions of the host; arguments and results are
    what JSON can hold. ``limits`` hold for each cell; memory for the whole session. ``snapshot`` and
    ``rollback`` restore variables, not files. Use it from one thread at a time.
    """

    def __init__(self, sandbox: Sandbox, limits: Limits, tools: Mapping[str, Tool] | None = None) -> None:
        for name in tools or {}:
            if not all(part.isidentifier() for part in name.split(".")):
                raise OptionError(f"a tool's name is made of identifiers joined by dots, not {name!r}")
        self.sandbox = sandbox
        self.limits = limits
        self.tools = dict(tools or {})
        self._running: Running | None = None
        self._channel: socket.socket | None = None
        self._snapshots = 0
        self._start()

    def run(self, code: str, *, cpu_s: float | None = None, wall_s: float | None = None) -> CellResult:
        """Run one cell. A cell that hits a limit ends the session: then call ``reset``.

        Raises ``OptionError`` when the session has ended, ``SandboxError`` when the sandbox failed.
        """
        channel, began = self._live(), time.monotonic()
        answer: dict[str, Any] | None = None
        ended: Ended | None = None
        try:
            self._send({"run": code, "cpu_s": cpu_s or self.limits.cpu_s})
            answer = self._answer(channel, wall_s or self.limits.wall_s)
        except TimeoutError:
            ended = Ended.WALL_LIMIT
        except BaseException as error:
            if not isinstance(error, (OSError, ValueError)):  # a tool of the host failed, or Ctrl-C
                self._end()
                raise
        stdout, stderr, too_long = self._output()
        if too_long:
            ended = Ended.OUTPUT_LIMIT
        if answer is None or too_long:
            ended = self._end(ended)
        return CellResult(
            stdout=stdout,
            stderr=stderr,
            value=_text(answer, "value"),
            error=_text(answer, "error"),
            ended=ended,
            wall_s=time.monotonic() - began,
        )

    def snapshot(self) -> None:
        """Remember the state of the interpreter; ``rollback`` returns to it. Snapshots nest.

        Raises ``OptionError`` where the sandbox cannot fork.
        """
        if not self._can_fork():
            raise OptionError(
                f"the sandbox {self.sandbox.rung.name!r} has no snapshots; use reset() and run again"
            )
        self._order("snapshot")
        self._snapshots += 1

    def rollback(self) -> None:
        """Return to the last snapshot, which is used up. Raises ``OptionError`` when there is none."""
        if not self._snapshots:
            raise OptionError("there is no snapshot to roll back to: call snapshot() first")
        self._order("rollback")
        self._snapshots -= 1

    def reset(self) -> None:
        """Begin anew with an empty namespace and an empty folder."""
        self.close()
        self._start()

    def close(self) -> None:
        """End the session. May be called again."""
        if self._running is not None:
            self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _can_fork(self) -> bool:
        return "a second process" not in self.sandbox.rung.lacks

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        program = Program(source=json.dumps({"tools": list(self.tools)}), driver="repl")
        extra = _SNAPSHOT_PROCESSES if self._can_fork() else 0
        limits = replace(
            self.limits, cpu_s=_FOREVER_S, wall_s=_FOREVER_S, processes=self.limits.processes + extra
        )
        try:
            (self._running,) = self.sandbox.start(Launch(program, limits, theirs))
        except BaseException:
            ours.close()
            raise
        self._channel = ours
        self._snapshots = 0

    def _live(self) -> socket.socket:
        if self._channel is None:
            raise OptionError("the session has ended: call reset() for a new one")
        return self._channel

    def _order(self, what: str) -> None:
        channel = self._live()
        try:
            self._send({what: True})
            answer = self._answer(channel, _START_DEADLINE_S)
        except (OSError, ValueError):
            answer = None
        if answer is None:
            self._end()
            raise SandboxError(f"the session died at a {what}")

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps(message).encode()
        channel = self._live()
        channel.settimeout(_START_DEADLINE_S)
        channel.sendall(_LENGTH.pack(len(body)) + body)

    def _answer(self, channel: socket.socket, wall_s: float) -> dict[str, Any] | None:
        """Serve tool calls until the cell is done; None when the interpreter is gone.

        The time that tools take is the host's and not charged. Raises ``TimeoutError``, ``ValueError``.
        """
        until = time.monotonic() + wall_s
        while True:
            message = _receive(channel, until)
            if message is None or "done" in message:
                return message
            began = time.monotonic()
            self._send(self._call(message))
            until += time.monotonic() - began

    def _call(self, message: dict[str, Any]) -> dict[str, Any]:
        name, arguments, named = message.get("call"), message.get("arguments"), message.get("named")
        if not isinstance(arguments, list) or not isinstance(named, dict) or name not in self.tools:
            raise ValueError("a message that is not of the session's protocol")
        try:
            return {"returned": self.tools[name](*arguments, **named)}
        except ToolRefusal as refusal:
            return {"refused": str(refusal)}

    def _output(self) -> tuple[str, str, bool]:
        """Return both streams, and whether one of them passed its limit."""
        running = self._running
        assert running is not None
        stdout, stderr = running.output("stdout"), running.output("stderr")
        most = self.limits.output_bytes
        texts = [stream[:most].decode(errors="replace") for stream in (stdout, stderr)]
        return texts[0], texts[1], max(len(stdout), len(stderr)) > most

    def _end(self, ended: Ended | None = None) -> Ended:
        """End the interpreter, if it has not ended; return why it did."""
        running, channel = self._running, self._channel
        assert running is not None
        assert channel is not None
        self._running = self._channel = None
        channel.close()  # an interpreter that still listens ends by itself at this
        running.kill()
        return ended or running.wait().ended


def _text(answer: dict[str, Any] | None, name: str) -> str | None:
    value = (answer or {}).get(name)
    return None if value is None else str(value)


def _receive(channel: socket.socket, until: float) -> dict[str, Any] | None:
    head = _exactly(channel, _LENGTH.size, until)
    if head is None:
        return None
    (size,) = _LENGTH.unpack(head)
    if size > _LONGEST_MESSAGE_BYTES:
        raise ValueError(f"a message of {size} bytes")
    body = _exactly(channel, size, until)
    if body is None:
        return None
    try:
        message = json.loads(body)
    except RecursionError:
        raise ValueError("a message that is nested too deeply") from None
    if not isinstance(message, dict):
        raise ValueError("a message that is no object")
    return message


def _exactly(channel: socket.socket, size: int, until: float) -> bytes | None:
    found = bytearray()
    while len(found) < size:
        left = until - time.monotonic()
        if not (left > 0 or math.isinf(left)):
            raise TimeoutError
        channel.settimeout(left)
        piece = channel.recv(min(size - len(found), 1 << 16))
        if not piece:
            return None
        found += piece
    return bytes(found)
