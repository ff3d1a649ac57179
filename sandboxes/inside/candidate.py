"""The candidate's side of a split grade: load an untrusted program and call its functions when asked.

Nothing here needs protection: the program shares this process and may do with it what it likes. All that it
can ever reach of the other side is to send *values*; the verdict is made there. Runs inside the sandbox:
standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import linecache
import socket
import sys
import traceback
import types
from typing import Any

import codec

_FILE = "solution.py"
_MESSAGE_CHARACTERS = 2000


def main(data: str, channel: socket.socket) -> None:
    """Load the program ``data``, then answer the calls that come over ``channel`` until it closes."""
    module, fault = load(data)
    with contextlib.suppress(EOFError, OSError):
        while True:
            key, _, question = codec.receive(channel)
            kind, answer = (codec.BROKEN, codec.encode(fault)) if fault else _answer(module, question)
            codec.send(channel, key, kind, answer)


def load(source: str) -> tuple[types.ModuleType, str]:
    """Run ``source`` as the module ``solution``; return it and what went wrong, empty if nothing did."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    try:
        exec(compile(source, _FILE, "exec", dont_inherit=True, optimize=0), module.__dict__)
    except BaseException as error:  # SystemExit too: a program that ends itself has no functions to call
        return module, describe(error)
    return module, ""


def describe(error: BaseException) -> str:
    """Return the traceback of ``error``, as far as it lies in the candidate's program."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == _FILE][-5:]
    lines = [*traceback.format_list(frames), *traceback.format_exception_only(error)]
    return "".join(lines)[-_MESSAGE_CHARACTERS:].strip()


def _answer(module: types.ModuleType, question: bytes) -> tuple[bytes, bytes]:
    """Make one call and return the kind of the answer and its payload."""
    name, args, kwargs = codec.decode(question)
    function = getattr(module, name, None)
    if not callable(function):
        return codec.MISSING, codec.encode(f"the program has no function {name!r}")
    try:
        kind, value = codec.RETURNED, function(*args, **kwargs)
    except BaseException as error:  # whatever it is, it is the candidate's
        kind, value = codec.RAISED, _exception(error)
    try:
        # Arguments travel back only when the call changed them.
        after = codec.encode([name, args, kwargs], exact=False)
        changed = None if after == question else [args, kwargs]
        return kind, codec.encode([value, changed], exact=False)
    except (codec.UnsupportedError, codec.TooLargeError) as error:
        return codec.UNSUPPORTED, codec.encode(f"{name}() gave back {error}, which cannot cross to the tests")


def _exception(error: BaseException) -> list[Any]:
    """Return an exception as [name of its builtin class, arguments, traceback]."""
    kinds = (kind for kind in type(error).__mro__ if getattr(builtins, kind.__name__, None) is kind)
    try:
        args = list(error.args)
        codec.encode(args, exact=False)
    except Exception:  # arguments that cannot cross are told by their text
        args = [str(error)]
    return [next(kinds).__name__, args, describe(error)]
