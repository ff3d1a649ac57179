"""A Python session inside the sandbox: cells in, what they did out, calls of the host's tools in between.

Messages are JSON behind a length of four bytes. The code of a cell shares this process, so nothing that
is said here proves anything: a session is for working, its words are never a grade. Standard library only.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import json
import linecache
import os
import resource
import signal
import socket
import struct
import sys
import time
import traceback
import types
from collections.abc import Callable
from typing import Any

_LENGTH = struct.Struct("!I")
_LONGEST_MESSAGE_BYTES = 16 << 20
_ROLLED_BACK = 77  # exit status of an interpreter that gives way to its snapshot


class ToolError(Exception):
    """A tool of the host refused what it was asked."""


def main(data: str, channel: socket.socket) -> None:
    """Serve cells until the host closes the channel. ``data`` is JSON: {"tools": [dotted names]}."""
    channel.setblocking(True)
    Interpreter(channel, json.loads(data)["tools"]).serve()


class Toolbox(types.SimpleNamespace):
    """Tools whose names begin alike: a wrong name is answered with the nearest ones."""

    def __getattr__(self, name: str) -> Any:
        import difflib  # rarely needed, and not free to import

        known = [one for one in vars(self) if not one.startswith("_")]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise AttributeError(f"no tool {name!r} here; {hint}")


class Interpreter:
    """The namespace of a session and the loop that runs cells in it."""

    def __init__(self, channel: socket.socket, tools: list[str]) -> None:
        self.channel = channel
        self.cells = 0
        self.snapshots = 0
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        sys.path.insert(0, "")
        self.namespace = module.__dict__
        self.namespace.update(__builtins__=builtins, ToolError=ToolError)
        for name in tools:
            self._install(name)

    def serve(self) -> None:
        """Answer messages until there are no more."""
        while (message := receive(self.channel)) is not None:
            if "run" in message:
                send(self.channel, self.run(message["run"], message["cpu_s"]))
            elif "snapshot" in message:
                self._snapshot()
            elif "rollback" in message:
                os._exit(_ROLLED_BACK)

    def run(self, source: str, cpu_s: float) -> dict[str, Any]:
        """Run one cell; return its value and error as text. Its output went to the streams."""
        _limit_cpu(cpu_s)
        self.cells += 1
        name = f"<cell {self.cells}>"
        answer: dict[str, Any] = {"done": True, "value": None, "error": None}
        try:
            value = self._execute(source, name)
            if value is not None:
                answer["value"] = repr(value)
        except BaseException as error:  # a cell may raise anything, and the session goes on
            answer["error"] = _describe(error, source, name)
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        return answer

    def _execute(self, source: str, name: str) -> Any:
        tree = ast.parse(source, name)
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr):
            exec(compile(tree, name, "exec", dont_inherit=True), self.namespace)
            return None
        tree.body.pop()
        exec(compile(tree, name, "exec", dont_inherit=True), self.namespace)
        return eval(compile(ast.Expression(last.value), name, "eval", dont_inherit=True), self.namespace)

    def _snapshot(self) -> None:
        """Freeze this interpreter; a fork of it goes on. When that rolls back, this one wakes up."""
        pid = os.fork()
        if pid == 0:
            self.snapshots += 1
            send(self.channel, {"done": True})
            return
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != _ROLLED_BACK:
            if code < 0:  # it hit a limit: end the same way, so that the limit is seen
                signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
                os.kill(os.getpid(), -code)
            os._exit(code)
        send(self.channel, {"done": True})

    def _install(self, name: str) -> None:
        """Make a tool callable under its dotted name."""
        *parents, own = name.split(".")
        holder: Any = None
        for parent in parents:
            known = self.namespace.get(parent) if holder is None else vars(holder).get(parent)
            if known is None:
                known = Toolbox()
                self._put(holder, parent, known)
            holder = known
        self._put(holder, own, self._tool(name))

    def _put(self, holder: Any, name: str, value: Any) -> None:
        if holder is None:
            self.namespace[name] = value
        else:
            setattr(holder, name, value)

    def _tool(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            send(self.channel, {"call": name, "arguments": arguments, "named": named})
            answer = receive(self.channel)
            if answer is None:
                raise SystemExit("the host is gone")
            if "refused" in answer:
                raise ToolError(answer["refused"])
            return answer["returned"]

        call.__name__ = call.__qualname__ = name
        return call


def _limit_cpu(cpu_s: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time() + cpu_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, hard), hard))


def _describe(error: BaseException, source: str, name: str) -> str:
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    except BaseException:  # an error whose own text cannot be made
        return type(error).__name__


def send(channel: socket.socket, message: dict[str, Any]) -> None:
    """Send one message. Raises ``TypeError`` for what JSON cannot hold."""
    body = json.dumps(message).encode()
    if len(body) > _LONGEST_MESSAGE_BYTES:
        raise ValueError(f"a message of {len(body)} bytes is too long for the session")
    channel.sendall(_LENGTH.pack(len(body)) + body)


def receive(channel: socket.socket) -> dict[str, Any] | None:
    """Return the next message, or None at the end."""
    head = _exactly(channel, _LENGTH.size)
    if head is None:
        return None
    body = _exactly(channel, _LENGTH.unpack(head)[0])
    return None if body is None else json.loads(body)


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    found = b""
    while len(found) < size:
        piece = channel.recv(size - len(found))
        if not piece:
            return None
        found += piece
    return found
