"""Plain literals over a socket: what the tests and the candidate of a split grade say to one another.

Values cross as JSON in which every type that JSON lacks is an object with one key, its tag. Whatever bytes
arrive, ``decode`` builds nothing but exact ``None bool int float complex str bytes list tuple set frozenset
dict``: no class of the other side, no code, no pickle. Runs inside the sandbox: standard library only.
"""

from __future__ import annotations

import enum
import json
import socket
import struct
import sys
from typing import Any

MAX_DEPTH = 60
"""Deepest nesting of containers that crosses."""
MAX_BYTES = 8 << 20
"""Longest encoded value that crosses."""
KEY_BYTES = 16
"""Length of the random id that ties an answer to its question."""

CALL, RETURNED, RAISED, BROKEN, MISSING, UNSUPPORTED = b"c", b"v", b"e", b"b", b"m", b"u"
"""Kinds of message: a call; and as its answer a value, an exception, that the program does not load, that it
lacks the function, that its value cannot cross."""

_HEADER = struct.Struct(f"!{KEY_BYTES}scI")
# Beyond it integers cross in base 16: decimal conversion is quadratic, and refused past 4,300 digits.
_LARGEST_DECIMAL = 1 << 256
_SEQUENCE_TAGS = {tuple: "t", set: "s", frozenset: "f"}
_BASES: tuple[Any, ...] = (int, float, complex, bytes, list, tuple, set, frozenset, dict)


class Verdict(enum.IntEnum):
    """Exit statuses of the tests' process. No other status, signal or output is ever a pass."""

    PASSED = 42
    FAILED = 43
    ERROR_IN_TESTS = 44
    CRASHED = 45
    """The candidate's process went away."""
    BAD_REPLY = 46
    MISSING_FUNCTION = 47
    UNSUPPORTED = 48
    """The candidate gave back what cannot cross."""
    UNSUPPORTED_TESTS = 49
    """The tests themselves hand over what cannot cross: nothing a candidate does brings this about."""


class UnsupportedError(Exception):
    """A value that holds something else than plain literals: a function, an object of a class."""


class TooLargeError(Exception):
    """A value nested deeper than ``MAX_DEPTH`` or longer than ``MAX_BYTES``."""


class BadMessageError(Exception):
    """Bytes that no honest other side sends."""


# ---- values ------------------------------------------------------------------------------------------


def encode(value: Any, *, exact: bool = True) -> bytes:
    """Return ``value`` as bytes. Raises ``UnsupportedError`` and ``TooLargeError``.

    With ``exact=False`` an object whose class extends a plain type (``Counter``, ``IntEnum``, a named tuple)
    and numpy's scalars go as that plain value, leaving the methods of the class behind.
    """
    data = _write(_pack(value, MAX_DEPTH, exact)).encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        raise TooLargeError(f"a value of {len(data)} bytes; {MAX_BYTES} can cross")
    return data


def decode(data: bytes) -> Any:
    """Return the value that ``data`` stands for. Raises ``BadMessageError`` for any other bytes."""
    if len(data) > MAX_BYTES:
        raise BadMessageError(f"a value of {len(data)} bytes")
    try:
        value = _read(data.decode("utf-8", "surrogatepass"))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadMessageError(f"a value that cannot be read ({type(error).__name__})") from None
    # Few brackets cannot nest deeply: most values need no walk.
    if data.count(b"[") + data.count(b"{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    return value


def _pack(value: Any, depth: int, exact: bool) -> Any:
    kind = type(value)
    if value is None or kind is str or kind is bool or kind is float:
        return value
    if kind is int:
        return value if -_LARGEST_DECIMAL < value < _LARGEST_DECIMAL else {"i": hex(value)}
    if kind is bytes:
        return {"b": value.decode("latin-1")}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if depth == 0:
        raise TooLargeError(f"a value nested deeper than {MAX_DEPTH}")
    if kind is list:
        return [_pack(item, depth - 1, exact) for item in value]
    if kind is dict:
        pairs = value.items()
        return {"d": [[_pack(key, depth - 1, exact), _pack(item, depth - 1, exact)] for key, item in pairs]}
    if kind in _SEQUENCE_TAGS:
        return {_SEQUENCE_TAGS[kind]: [_pack(item, depth - 1, exact) for item in value]}
    if exact:
        raise UnsupportedError(f"an object of type {kind.__name__}")
    return _pack(_plain(value), depth - 1, exact)


def _plain(value: Any) -> Any:
    """Return the plain value that an object of a derived class holds. Raises ``UnsupportedError``."""
    if isinstance(value, str):
        return str.__str__(value)  # str() of an enumeration's member would be its name
    for base in _BASES:
        if isinstance(value, base):
            return base(value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    raise UnsupportedError(f"an object of type {type(value).__name__}")


def _unpack(pairs: list[tuple[str, Any]]) -> Any:
    ((tag, body),) = pairs
    kind, make = _MAKERS.get(tag, (None, None))
    if make is None or type(body) is not kind:
        raise ValueError("an unknown tag")
    return make(body)


def _check_depth(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is dict:
        value = [*value.keys(), *value.values()]
    elif kind not in (list, tuple, set, frozenset):
        return
    if depth == 0:
        raise BadMessageError(f"a value nested deeper than {MAX_DEPTH}")
    for item in value:
        _check_depth(item, depth - 1)


_MAKERS: dict[str, tuple[type, Any]] = {
    "t": (list, tuple),
    "s": (list, set),
    "f": (list, frozenset),
    "d": (list, dict),
    "b": (str, lambda body: body.encode("latin-1")),
    "c": (list, lambda body: complex(*body)),
    "i": (str, lambda body: int(body, 16)),
}
_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_read = json.JSONDecoder(object_pairs_hook=_unpack).decode


# ---- messages ----------------------------------------------------------------------------------------


def send(channel: socket.socket, key: bytes, kind: bytes, payload: bytes) -> None:
    """Send one message: the id of its question, its kind (one byte) and a payload. Raises ``OSError``."""
    channel.sendall(_HEADER.pack(key, kind, len(payload)) + payload)


def receive(channel: socket.socket) -> tuple[bytes, bytes, bytes]:
    """Return the next message as (id, kind, payload).

    Raises ``EOFError`` when the other end was closed and ``BadMessageError`` for one that is too long.
    """
    key, kind, size = _HEADER.unpack(_exactly(channel, _HEADER.size))
    if size > MAX_BYTES:
        raise BadMessageError(f"a message of {size} bytes")
    return key, kind, _exactly(channel, size)


def _exactly(channel: socket.socket, size: int) -> bytes:
    data = channel.recv(size) if size else b""
    if len(data) == size:
        return data
    parts = bytearray(data)
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other end was closed")
        parts += part
    return bytes(parts)
