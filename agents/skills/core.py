"""What a skill is: a function that ran, or a page of advice, with where it came from and how it fared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

from palaestra.errors import DataError, OptionError, PalaestraError

Kind = Literal["code", "text"]


class Refusal(StrEnum):
    """Why a skill was refused. What it *did* was seen in the sandbox; the others were seen by reading."""

    SYNTAX = "does not parse"
    FORM = "is not imports, constants and one function"
    NAME = "has a name that cannot be used"
    SHADOWS = "shadows a builtin or a function of a module"
    TOO_LONG = "is too long"
    RUNS_WHEN_DEFINED = "does something when it is defined"
    MISSING = "needs what nobody defines"
    RAISED = "raises at its example call"
    WRONG_RESULT = "does not give the recorded result"
    UNSTEADY = "gives another result at every call"
    NOT_PLAIN = "has an example that is not made of plain values"
    LOOPS = "does not end"
    EXITS = "ends the interpreter"
    CRASHED = "crashes the interpreter"
    MEMORY = "takes too much memory"
    OUTPUT = "prints too much"
    FILES = "deletes or changes files that it did not make"
    PROCESSES = "starts or signals processes"
    NETWORK = "uses the network"
    NATIVE = "calls native code"
    LINGERS = "leaves a thread behind"
    TAMPERS = "changes the interpreter for those who come after it"
    BREAKS_OTHERS = "breaks a skill that needs it"


class SkillRefusedError(PalaestraError):
    """A skill that may not enter the library; ``reason`` says why, ``detail`` what exactly."""

    def __init__(self, name: str, reason: Refusal, detail: str = "") -> None:
        self.name, self.reason, self.detail = name, reason, detail
        super().__init__(f"the skill {name!r} {reason}" + (f": {detail}" if detail else ""))


class LibraryFrozenError(PalaestraError):
    """Someone tried to write to a library that is frozen, as libraries are during an evaluation."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a skill came from: the task during which an agent wrote it."""

    env_id: str = ""
    task_id: str = ""
    scenario: str = ""
    seed: int | None = None
    goal: str = ""
    """What the task asked; retrieval by the likeness of tasks compares goals."""


@dataclass(frozen=True, slots=True)
class Example:
    """A call that works: an expression such as ``area(3, height=4)`` and the ``repr`` of its result.

    ``result`` None means that nobody has recorded it yet; validation then does.
    """

    call: str
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Statistics:
    """How one version of a skill fared. ``last_used_version`` is the library's version at its last use."""

    uses: int = 0
    successes: int = 0
    failures: int = 0
    last_used_version: int = 0

    @property
    def success_rate(self) -> float | None:
        """The share of uses in tasks that succeeded; None before the first use."""
        return self.successes / self.uses if self.uses else None


@dataclass(frozen=True, slots=True)
class Skill:
    """One version of one skill. Immutable: an update makes the next version.

    ``code``: ``body`` is the imports and constants that the function needs, then the function; ``needs``
    names other skills that it calls, ``tools`` what only the environment can provide; ``checked`` tells what
    validation ran: its definition, or its example call as well. ``text``: ``body`` is Markdown, ``category``
    the kind of task it is for, ``extra`` whatever else its front matter said.
    """

    name: str
    kind: Kind
    body: str
    description: str = ""
    category: str = ""
    signature: str = ""
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    example: Example | None = None
    checked: Literal["", "defined", "called"] = ""
    provenance: Provenance = field(default_factory=Provenance)
    extra: Mapping[str, Any] = field(default_factory=dict)
    version: int = 1
    retired: str = ""
    """Why it was retired; empty while it is in use."""

    @property
    def content(self) -> Skill:
        """What a prompt can show: versions of equal content differ in nothing that an agent sees."""
        return replace(self, version=1, retired="", checked="", example=None, provenance=Provenance())


def skill_to_record(skill: Skill) -> dict[str, Any]:
    """Return the skill as plain data for JSON, without fields that say nothing."""
    blank = asdict(Skill(skill.name, skill.kind, skill.body))
    return {
        name: value
        for name, value in asdict(skill).items()
        if name in ("name", "kind", "body", "version") or value != blank[name]
    }


def skill_from_record(record: Any) -> Skill:
    """Return the skill of a record. Raises ``DataError`` for what is none."""
    try:
        given = dict(record)
        if unknown := given.keys() - {field.name for field in fields(Skill)}:
            raise DataError(f"unknown fields {sorted(unknown)} in a skill")
        if given["kind"] not in ("code", "text") or not all(
            isinstance(given[name], str) for name in ("name", "body")
        ):
            raise DataError("a skill needs a name, a body and a kind that is code or text")
        for name in ("needs", "tools"):
            given[name] = tuple(given.get(name, ()))
        given["provenance"] = Provenance(**given.get("provenance", {}))
        example = given.get("example")
        given["example"] = None if example is None else Example(**example)
        return Skill(**given)
    except (TypeError, ValueError, KeyError) as error:
        raise DataError(f"not the record of a skill: {type(error).__name__}: {error}") from error


def plain_json(value: Any, what: str) -> str:
    """Return ``value`` as one line of JSON. Raises ``OptionError`` for what JSON cannot hold."""
    try:
        return json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise OptionError(f"{what} holds what JSON cannot: {error}") from error


def render(skill: Skill) -> str:
    """Return the skill as it stands in a prompt: its source, or its page under its name."""
    return skill.body if skill.kind == "code" else f"# {skill.name}\n{skill.body}"
