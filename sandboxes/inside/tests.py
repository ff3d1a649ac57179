"""The tests' side of a split grade: run trusted tests on functions that live in another process.

The verdict is this process's exit status, given by ``os._exit`` after the last test: nothing that the
candidate sends is ever more than a plain value. Every name that the tests use and nobody on this side
defines stands for the candidate's function of that name. Runs inside the sandbox: standard library only.
"""

from __future__ import annotations

import builtins
import json
import os
import reprlib
import socket
import sys
import traceback
import types
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NoReturn

import candidate
import codec
from codec import Verdict

_EXCEPTIONS = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
}
# Raised in the middle of an iteration these would end it early, and skip the tests that were still to come.
_ENDINGS = (StopIteration, StopAsyncIteration, GeneratorExit)
_MESSAGE_CHARACTERS = 4000
_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = 200
_short.maxlist = _short.maxtuple = _short.maxset = _short.maxdict = 20


def main(data: str, channel: socket.socket) -> None:
    """Run the tests that ``data`` describes, and end this process with their verdict.

    ``data`` is JSON: ``tests``, ``prelude`` and ``entry_point``. Where it also holds a program ``candidate``
    and a ``nonce``, that program is loaded into this very process and a pass writes the nonce as well: a
    verdict that a candidate can forge.
    """
    request = json.loads(data)
    side = _InProcess(request["candidate"]) if "candidate" in request else _Split(channel)
    sources = {"prelude.py": request["prelude"], "tests.py": request["tests"]}
    try:
        _run(sources, request["entry_point"], side)
    except BaseException as error:  # SystemExit too: tests that end themselves have not passed
        _conclude(*_judge(error, sources, side))
    if not side.called:
        _conclude(Verdict.ERROR_IN_TESTS, "the tests never called the candidate")
    _conclude(Verdict.PASSED, request.get("nonce", ""))


def _run(sources: dict[str, str], entry_point: str, side: _Side) -> None:
    """Run prelude and tests, and ``check(candidate)`` where the tests only define it."""
    module = sys.modules["tests"] = types.ModuleType("tests")
    namespace = module.__dict__
    codes = [compile(source, file, "exec", dont_inherit=True, optimize=0) for file, source in sources.items()]
    for name in {name for code in codes for name in _names(code)}:
        if not hasattr(builtins, name) and not name.startswith("__"):
            namespace[name] = side.find(name)
    for code in codes:
        if entry_point:  # also over a builtin of that name, and over the prelude's
            namespace[entry_point] = side.find(entry_point)
        exec(code, namespace)
    if side.calls == 0 and entry_point and isinstance(namespace.get("check"), types.FunctionType):
        namespace["check"](namespace[entry_point])


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _judge(error: BaseException, sources: dict[str, str], side: _Side) -> tuple[Verdict, str]:
    """Return the verdict for an exception that left the tests, and its message."""
    if error is side.raised:
        return Verdict.FAILED, f"{side.describe_last()} raised\n{side.trace}"
    lines = [line.rstrip() for line in traceback.format_exception_only(error)]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename in sources:
            source = sources[frame.filename].splitlines()[(frame.lineno or 1) - 1]
            lines.append(f"at line {frame.lineno} of {frame.filename}: {source.strip()}")
            break
    if not side.called or (isinstance(error, SyntaxError) and error.filename in sources):
        return Verdict.ERROR_IN_TESTS, "\n".join(lines)
    return Verdict.FAILED, "\n".join([*lines, f"the last call: {side.describe_last()}"])


def _conclude(verdict: Verdict, message: str) -> NoReturn:
    """Write the message after a NUL, which sets it apart from what the tests printed, and end at once."""
    status = int(Verdict.ERROR_IN_TESTS)
    try:
        sys.stdout.flush()
        sys.stderr.write("\0" + message[:_MESSAGE_CHARACTERS].encode(errors="replace").decode())
        sys.stderr.flush()
        status = int(verdict)
    finally:
        os._exit(status)


# ---- the candidate, as the tests see it --------------------------------------------------------------


class _Side(ABC):
    """Where the candidate's functions are; it remembers the last call for the message."""

    def __init__(self) -> None:
        self.calls = 0
        self.last: tuple[Any, ...] = ()
        self.raised: BaseException | None = None
        self.trace = ""

    @abstractmethod
    def ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what the candidate's function ``name`` returns; raise what it raises."""

    def find(self, name: str) -> Any:
        """Return what the tests shall see as ``name``: a function that asks."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            self.last = (name, args, kwargs)
            value = self.ask(name, args, kwargs)
            self.last = (name, args, kwargs, value)
            return value

        call.__name__ = call.__qualname__ = name
        return call

    @property
    def called(self) -> bool:
        """Whether the tests have used the candidate."""
        return self.calls > 0

    def describe_last(self) -> str:
        """Return the last call as text, with its value if it had one."""
        if not self.last:
            return "none"
        name, args, kwargs, *value = self.last
        shown = [*map(_show, args), *(f"{key}={_show(item)}" for key, item in kwargs.items())]
        return f"{name}({', '.join(shown)})" + "".join(f" returned {_show(item)}" for item in value)


def _show(value: Any) -> str:
    try:
        return _short.repr(value)
    except Exception:  # an integer of too many digits, or in one process whatever a class does
        return f"<{type(value).__name__}>"


class _Split(_Side):
    """The candidate lives in another process, at the other end of ``channel``."""

    def __init__(self, channel: socket.socket) -> None:
        super().__init__()
        self._channel = channel

    def ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call over there. What is no answer ends this process: no test could catch it."""
        kind, payload = self._exchange(_question(name, args, kwargs))
        try:
            answer = codec.decode(payload)
            if kind in _NO_ANSWERS:
                _conclude(_NO_ANSWERS[kind], str(answer))
            if kind not in (codec.RETURNED, codec.RAISED):
                raise codec.BadMessageError(f"an answer of kind {kind!r}")
            value, changed = answer
            if changed is not None:
                _update([list(args), kwargs], changed)
            if kind == codec.RETURNED:
                return value
            self.raised, self.trace = _exception(*value)
        except (codec.BadMessageError, TypeError, ValueError) as error:
            _conclude(Verdict.BAD_REPLY, f"the candidate's process broke the protocol: {error}")
        raise self.raised

    def _exchange(self, question: bytes) -> tuple[bytes, bytes]:
        # The id is new for every question: no answer can lie in the channel before it was asked.
        key = os.urandom(codec.KEY_BYTES)
        try:
            codec.send(self._channel, key, codec.CALL, question)
            answered, kind, payload = codec.receive(self._channel)
        except (EOFError, OSError):
            _conclude(Verdict.CRASHED, "the candidate's process went away")
        except codec.BadMessageError as error:
            _conclude(Verdict.BAD_REPLY, f"the candidate's process broke the protocol: {error}")
        if answered != key:
            _conclude(Verdict.BAD_REPLY, "the candidate's process answered what was not asked")
        return kind, payload


_NO_ANSWERS = {
    codec.BROKEN: Verdict.FAILED,
    codec.MISSING: Verdict.MISSING_FUNCTION,
    codec.UNSUPPORTED: Verdict.UNSUPPORTED,
}


def _question(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    try:
        return codec.encode([name, list(args), kwargs])
    except codec.UnsupportedError as error:
        _conclude(Verdict.UNSUPPORTED_TESTS, f"the tests pass {name}() {error}, which cannot cross")
    except (
        codec.TooLargeError
    ) as error:  # what the candidate returned may be in it, so this is no fault of ours
        _conclude(Verdict.UNSUPPORTED, f"the tests pass {name}() {error}")


def _update(old: Any, new: Any) -> Any:
    """Return ``new``, or ``old`` made equal to it in place where the tests may hold a reference to it.

    Inner containers are matched by their place.
    """
    kind = type(old)
    if kind is not type(new):
        return new
    if kind is list:
        old[:] = [*map(_update, old, new), *new[len(old) :]]
        return old
    if kind is tuple:
        return tuple(map(_update, old, new)) if len(old) == len(new) else new
    if kind is dict:
        new = {key: _update(old[key], value) if key in old else value for key, value in new.items()}
    if kind is dict or kind is set:
        old.clear()
        old.update(new)
        return old
    return new


def _exception(name: str, args: list[Any], trace: str) -> tuple[BaseException, str]:
    """Return the exception that the candidate raised, as one of Python's own classes, and its traceback."""
    kind = _EXCEPTIONS.get(name, Exception)
    if issubclass(kind, _ENDINGS):
        kind = RuntimeError
    try:
        return kind(*args), trace
    except Exception:  # some classes do not take what their derived class held
        return RuntimeError(name), trace


class _InProcess(_Side):
    """The candidate lives in this process, for tests with values that cannot cross."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._module, fault = candidate.load(source)
        if fault:
            _conclude(Verdict.FAILED, fault)

    @property
    def called(self) -> bool:
        """True: the use of a class is not seen."""
        return True

    def find(self, name: str) -> Any:
        """Return a class as it is, so that its instances can be told; functions as everywhere."""
        found = getattr(self._module, name, None)
        return found if isinstance(found, type) else super().find(name)

    def ask(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call right here."""
        function = getattr(self._module, name, None)
        if not callable(function):
            _conclude(Verdict.MISSING_FUNCTION, f"the program has no function {name!r}")
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            self.raised, self.trace = error, candidate.describe(error)
            raise
