"""The sandbox contract: a program and its limits go in, an ``ExecResult`` comes out.

A backend (``fork``, ``bubblewrap``, ``docker``, ``subprocess``) is a ``Sandbox``. What the program does wrong
is a *result*; what the machine does wrong is an ``InfrastructureError`` and never a result. Every result
names the rung of isolation under which it was made, so a downgrade can never be silent.
"""

from __future__ import annotations

import os
import posixpath
import socket
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from palaestra.errors import InfrastructureError, OptionError

if TYPE_CHECKING:
    from palaestra.sandboxes.session import Session


class SandboxError(InfrastructureError):
    """The sandbox itself failed (not the program in it): a slot died, or the machine lacks something."""


class Ended(StrEnum):
    """Why a program ended."""

    EXITED = "exited"
    """By itself, with ``exit_code``."""
    SIGNALLED = "signalled"
    """By a signal: a crash, a forbidden system call, or killed by its own doing."""
    CPU_LIMIT = "cpu limit"
    """It used more than ``cpu_s`` of processor time."""
    WALL_LIMIT = "wall limit"
    """It still ran after ``wall_s``: it slept, waited or hung."""
    MEMORY_LIMIT = "memory limit"
    """The kernel ended it for memory. (Python mostly raises MemoryError first, and then it EXITED.)"""
    OUTPUT_LIMIT = "output limit"
    """It wrote more than ``output_bytes`` to one of its streams."""
    KILLED = "killed"
    """The caller stopped it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use. Raises ``OptionError`` for limits that are not positive.

    Time is judged by the processor's clock; the wall limit is a generous backstop for programs that sleep,
    since a wall clock under load punishes the innocent.
    """

    cpu_s: float = 5.0
    """Processor time of the program."""
    wall_s: float = 20.0
    """Real time, from start to end."""
    memory_bytes: int = 512 << 20
    """Address space of each process."""
    processes: int = 1
    """Processes at once, the program's own included. With 1 no process can be started at all."""
    output_bytes: int = 1 << 20
    """Longest standard output, and longest standard error."""
    file_bytes: int = 16 << 20
    """Longest file, and where the rung allows it all files together."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be positive, not {getattr(self, name)!r}")
        if self.memory_bytes < 64 << 20:
            raise OptionError(
                f"memory_bytes is {self.memory_bytes}; a Python does not start below {64 << 20} (64 MiB)"
            )


@dataclass(frozen=True, slots=True)
class Program:
    """What to run: Python ``source``, or a command ``argv``, with its input.

    It runs in an empty folder of its own that also holds ``files`` (relative path -> content). ``variables``
    are added to an otherwise fixed environment. ``driver`` names trusted code that the sandbox already holds
    (a module of ``sandboxes/inside``) which is run with ``source`` as its data and the launch's channel.
    Raises ``OptionError`` for a program that is neither or both, and for paths that lead outside.
    """

    source: str | None = None
    argv: tuple[str, ...] = ()
    stdin: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    driver: str = ""

    def __post_init__(self) -> None:
        if (self.source is None) == (not self.argv):
            raise OptionError("a program is either Python source or an argv: give one of them")
        if self.argv and self.driver:
            raise OptionError("a driver runs Python source, not an argv")
        for path in self.files:
            normal = posixpath.normpath(path)
            if path != normal or normal.startswith(("/", "..")) or "\0" in path or normal == ".":
                raise OptionError(f"the path {path!r} of a program's file must be relative, plain and inside")
        for text in (*self.argv, *self.variables, *self.variables.values()):
            if "\0" in text:
                raise OptionError("arguments and variables of a program cannot hold NUL characters")


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a run went. Streams are cut at ``output_bytes``."""

    ended: Ended
    exit_code: int | None
    """The exit status when it ``EXITED``, else None."""
    signal: int | None
    """The signal that ended it, else None."""
    stdout: bytes
    stderr: bytes
    wall_s: float
    cpu_s: float
    peak_memory_bytes: int
    """Peak resident memory of the program's first process, and of those it waited for."""
    rung: str
    """Name of the rung of isolation it ran under."""

    @property
    def ok(self) -> bool:
        """Whether it ended by itself with status 0."""
        return self.ended is Ended.EXITED and self.exit_code == 0

    @property
    def output(self) -> str:
        """Standard output as text; bytes that are not UTF-8 are replaced."""
        return self.stdout.decode(errors="replace")

    @property
    def errors(self) -> str:
        """Standard error as text; bytes that are not UTF-8 are replaced."""
        return self.stderr.decode(errors="replace")


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung of the ladder of isolation: its name, what it is made of, and what it lacks."""

    name: str
    parts: tuple[str, ...]
    lacks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to start, with the socket end (a stream) that it shall hold as its channel, if any.

    The channel's other end stays with the caller, or goes to another launch. ``start`` takes the socket over
    and closes our copy of it.
    """

    program: Program
    limits: Limits = field(default_factory=Limits)
    channel: socket.socket | None = None

    def __post_init__(self) -> None:
        if self.program.driver and self.channel is None:
            raise OptionError(f"the driver {self.program.driver!r} speaks over a channel: give it one")


class Running(ABC):
    """A started program."""

    @abstractmethod
    def wait(self) -> ExecResult:
        """Wait for its end and return the result; it comes soon after ``wall_s`` at the latest.

        Raises ``SandboxError`` when the sandbox failed under it.
        """

    @abstractmethod
    def kill(self) -> None:
        """End it now; ``wait`` then says ``KILLED``, unless it was just ending. Harmless after its end."""

    @abstractmethod
    def output(self, stream: Literal["stdout", "stderr"]) -> bytes:
        """Return what was written to a stream since the last call, cut one byte after ``output_bytes``.

        For a program that goes on and has said that it flushed, such as a session after a cell; that byte too
        many tells who asks that the limit was passed.
        """


class Sandbox(ABC):
    """One way to run untrusted code. Its methods may be called from many threads at once."""

    rung: Rung

    @abstractmethod
    def start(self, *launches: Launch) -> tuple[Running, ...]:
        """Start all the programs together, waiting until there is room for all of them.

        Programs that talk to one another must be started by one call: two calls could each hold what the
        other waits for. Raises ``SandboxError`` when there is no room within the backend's deadline.
        """

    @abstractmethod
    def close(self) -> None:
        """End everything that runs and free what the sandbox holds. May be called again."""

    def run(self, program: Program, limits: Limits | None = None) -> ExecResult:
        """Run one program to its end."""
        (running,) = self.start(Launch(program, limits or Limits()))
        return running.wait()

    def session(self, limits: Limits | None = None) -> Session:
        """Return a persistent Python interpreter in this sandbox."""
        from palaestra.sandboxes.session import Session

        return Session(self, limits or Limits())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def usual_workers() -> int:
    """Return how many programs a sandbox usually runs side by side: two a core, at least four.

    A split grade takes two programs of which one mostly waits, so that fewer would leave cores idle.
    """
    return max(4, 2 * usable_cores())


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
