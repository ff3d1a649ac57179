"""What arguments of an API may be: the types its parameters are annotated with, checked and converted."""

from __future__ import annotations

import datetime
import math
import re
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NewType, Union, get_args, get_origin

Json = Any
"""What JSON can hold."""

Money = NewType("Money", int)
"""An amount. Callers give dollars, functions and databases hold whole cents."""
Date = NewType("Date", str)
"""A day, as 2031-05-04."""
Moment = NewType("Moment", str)
"""A day and time, as 2031-05-04T09:30:00."""
Clock = NewType("Clock", str)
"""A time of day, as 09:30."""

Answer = NewType("Answer", object)
"""What a task is completed with: a text, a number, True or False, None, or a list of such."""

LONGEST_TEXT = 20_000
_LONGEST_LIST = 200
_LARGEST_NUMBER = 2**53
_MOST_CENTS = 100_000_000


class ArgumentProblem(Exception):
    """An argument that is not what its parameter takes; the message completes "must be"."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of argument: its name in the docs, its JSON schema, and how a value is checked."""

    name: str
    schema: dict[str, Json]
    convert: Callable[[Json], Json]


def dollars(cents: int) -> float:
    """Return an amount of cents as callers see it."""
    return cents / 100


def kind_of(annotation: Any) -> Kind:
    """Return the kind that an annotation stands for. Raises ``TypeError`` for one that no API may have."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is list:
        return _list_of(kind_of(inside[0]))
    if origin is Literal:
        return _one_of(inside)
    if origin in (Union, types.UnionType) and len(inside) == 2 and type(None) in inside:
        return _perhaps(kind_of(next(part for part in inside if part is not type(None))))
    raise TypeError(f"no API may take {annotation!r}")


def _list_of(kind: Kind) -> Kind:
    def convert(value: Json) -> list[Json]:
        if not isinstance(value, list):
            raise ArgumentProblem(f"a list, each item {kind.name}")
        if len(value) > _LONGEST_LIST:
            raise ArgumentProblem(f"a list of at most {_LONGEST_LIST} items")
        return [kind.convert(item) for item in value]

    return Kind(f"list of {kind.name}", {"type": "array", "items": kind.schema}, convert)


def _one_of(choices: tuple[Json, ...]) -> Kind:
    def convert(value: Json) -> Json:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise ArgumentProblem("one of " + ", ".join(map(repr, choices)))
        return value

    return Kind("one of " + ", ".join(map(repr, choices)), {"enum": list(choices)}, convert)


def _perhaps(kind: Kind) -> Kind:
    def convert(value: Json) -> Json:
        return None if value is None else kind.convert(value)

    return Kind(f"{kind.name} or None", {"anyOf": [kind.schema, {"type": "null"}]}, convert)


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ArgumentProblem("a text")
    if len(value) > LONGEST_TEXT:
        raise ArgumentProblem(f"a text of at most {LONGEST_TEXT} characters")
    if "\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ArgumentProblem("a text without NUL characters and lone surrogates")
    return value


def _integer(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > _LARGEST_NUMBER:
        raise ArgumentProblem("a whole number")
    return value


def _number(value: Json) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ArgumentProblem("a finite number")
    if abs(value) > _LARGEST_NUMBER:
        raise ArgumentProblem("a number of usual size")
    return float(value)


def _truth(value: Json) -> bool:
    if not isinstance(value, bool):
        raise ArgumentProblem("True or False")
    return value


def _money(value: Json) -> int:
    cents = _number(value) * 100
    if cents < 0 or abs(cents - round(cents)) > 1e-6 or cents > _MOST_CENTS:
        raise ArgumentProblem(
            f"an amount in dollars from 0 to {dollars(_MOST_CENTS):,.0f}, with at most two decimals"
        )
    return round(cents)


def _date(value: Json) -> str:
    try:
        return _matched(value, r"\d{4}-\d\d-\d\d", lambda text: datetime.date.fromisoformat(text).isoformat())
    except ValueError:
        raise ArgumentProblem("a day such as '2031-05-04'") from None


def _moment(value: Json) -> str:
    try:
        return _matched(
            value,
            r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?",
            lambda text: datetime.datetime.fromisoformat(text).isoformat(timespec="seconds"),
        )
    except ValueError:
        raise ArgumentProblem("a day and time such as '2031-05-04T09:30:00'") from None


def _clock(value: Json) -> str:
    try:
        return _matched(value, r"\d\d:\d\d", lambda text: datetime.time.fromisoformat(text).strftime("%H:%M"))
    except ValueError:
        raise ArgumentProblem("a time of day such as '09:30'") from None


def _answer(value: Json) -> Json:
    if isinstance(value, list) and len(value) <= _LONGEST_LIST:
        return [_plain_answer(item) for item in value]
    return _plain_answer(value)


def _plain_answer(value: Json) -> Json:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        return _text(value)
    raise ArgumentProblem("a text, a finite number, True, False, None, or a list of these")


def _matched(value: Json, pattern: str, read: Callable[[str], str]) -> str:
    if not isinstance(value, str) or re.fullmatch(pattern, value, re.ASCII) is None:
        raise ValueError
    return read(value)


_PLAIN: dict[Any, Kind] = {
    str: Kind("text", {"type": "string"}, _text),
    int: Kind("whole number", {"type": "integer"}, _integer),
    float: Kind("number", {"type": "number"}, _number),
    bool: Kind("True or False", {"type": "boolean"}, _truth),
    Money: Kind("amount in dollars", {"type": "number"}, _money),
    Date: Kind("day (YYYY-MM-DD)", {"type": "string", "format": "date"}, _date),
    Moment: Kind("moment (YYYY-MM-DDTHH:MM:SS)", {"type": "string", "format": "date-time"}, _moment),
    Answer: Kind("text, number, True or False, or a list of these", {}, _answer),
    Clock: Kind("time of day (HH:MM)", {"type": "string", "pattern": "^\\d\\d:\\d\\d$"}, _clock),
}
