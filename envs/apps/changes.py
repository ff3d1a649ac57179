"""What an episode changed in the database, against what it must have changed and what it may have."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from palaestra.errors import ContractError

Action = Literal["added", "removed", "changed"]
CORE = "world_"


@dataclass(frozen=True, slots=True)
class Change:
    """One row that was added (``before`` is None), removed (``after`` is None) or changed."""

    table: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def action(self) -> Action:
        """What was done to the row."""
        return "added" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def row_id(self) -> int:
        """The row's id."""
        row = self.before or self.after
        assert row is not None
        return row["id"]

    def __str__(self) -> str:
        if self.before is None or self.after is None:
            return f"{self.table} {self.action} {dict(self.after or self.before or {})}"
        parts = [
            f"{name}: {self.before[name]!r} -> {value!r}"
            for name, value in self.after.items()
            if value != self.before[name]
        ]
        return f"{self.table} {self.row_id} changed {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Match:
    """A test that a column's value must pass, in place of one exact value."""

    what: str
    passes: Callable[[Any], bool]

    def __repr__(self) -> str:
        return self.what


ANYTHING = Match("anything", lambda value: True)


def contains(*texts: str) -> Match:
    """Return a test: a text in which all of ``texts`` occur, in any case."""
    wanted = [text.casefold() for text in texts]
    return Match(
        f"contains {', '.join(texts)}",
        lambda value: isinstance(value, str) and all(text in value.casefold() for text in wanted),
    )


def one_of(*values: Any) -> Match:
    """Return a test: one of ``values``."""
    return Match(f"one of {values}", lambda value: value in values)


def same_text(text: str) -> Match:
    """Return a test: the same text, apart from case, white space around it and a full stop at its end."""

    def plain(value: str) -> str:
        return " ".join(value.split()).rstrip(".").casefold()

    return Match(repr(text), lambda value: isinstance(value, str) and plain(value) == plain(text))


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """A change that must, or may, have happened. Values are exact, a ``Match``, or another ``Expected``:
    then the column must hold the id of the row that the other one is about.
    """

    action: Action
    table: str
    row_id: int | None
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        shown = {name: "the new row" if isinstance(v, Expected) else v for name, v in self.columns.items()}
        which = f" {self.row_id}" if self.row_id is not None else ""
        return f"{self.table}{which} {self.action}" + (f" {shown}" if shown else "")

    @property
    def refers(self) -> list[Expected]:
        """The other changes that its columns name."""
        return [value for value in self.columns.values() if isinstance(value, Expected)]


def added(table: str, **columns: Any) -> Expected:
    """Expect a new row. A column that is not named must hold its default, ``person_id`` the supervisor."""
    return Expected("added", table, None, columns)


def removed(table: str, row_id: int) -> Expected:
    """Expect a row to be gone."""
    return Expected("removed", table, row_id)


def changed(table: str, row_id: int, **columns: Any) -> Expected:
    """Expect columns of a row to hold new values, and its other columns the old ones."""
    return Expected("changed", table, row_id, columns)


def any_change(table: str, action: Action, row_id: int | None = None) -> Expected:
    """Allow any change of this kind: for ``may`` alone."""
    return Expected(action, table, row_id, {"*": ANYTHING})


class Ledger:
    """Two states of a world, compared. Tables of the core and ``ignored`` ones are left out."""

    def __init__(self, image: bytes, connection: sqlite3.Connection, ignored: Collection[str]) -> None:
        """Compare ``image``, the state at the beginning, with the present one."""
        start = sqlite3.connect(":memory:", isolation_level=None)
        try:
            start.deserialize(image)
            tables = [row[0] for row in start.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            unjudged = (CORE, "sqlite_")
            judged = [name for name in tables if not name.startswith(unjudged) and name not in ignored]
            self.changes = [one for table in judged for one in _table_changes(table, start, connection)]
            self._defaults = {table: _defaults(table, start) for table in {c.table for c in self.changes}}
        finally:
            start.close()

    def explain(
        self,
        must: Sequence[Expected],
        may: Sequence[Expected],
        supervisor: int,
        automatic: Mapping[str, Collection[str]],
    ) -> tuple[dict[str, bool], list[Change]]:
        """Return for each change of ``must`` whether it happened, and the changes that nothing explains.

        ``automatic`` names for each app the columns that it sets by itself, which are not compared.
        """
        unjudged = {
            table: frozenset(
                name for app in automatic if table.startswith(f"{app}_") for name in automatic[app]
            )
            for table in self._defaults
        }
        rules = _Rules(self._defaults, supervisor, unjudged)
        left = list(self.changes)
        for level in _levels(must):
            rules.found.update(_assign(level, left, rules))
            used = {id(change) for change in rules.found.values()}
            left = [change for change in left if id(change) not in used]
        happened = {
            f"{number}. {expected}": expected in rules.found for number, expected in enumerate(must, start=1)
        }
        uncalled = [c for c in left if not any(rules.fits(allowed, c) for allowed in may)]
        return happened, [change for change in uncalled if not rules.only_automatic(change)]


@dataclass(slots=True)
class _Rules:
    """What it means that a change is the expected one."""

    defaults: Mapping[str, Mapping[str, Any]]
    supervisor: int
    automatic: Mapping[str, frozenset[str]]
    found: dict[Expected, Change] = field(default_factory=dict)

    def fits(self, expected: Expected, change: Change) -> bool:
        """Return whether ``change`` is what ``expected`` describes."""
        if (expected.table, expected.action) != (change.table, change.action):
            return False
        if expected.row_id is not None and expected.row_id != change.row_id:
            return False
        if change.after is None or "*" in expected.columns:
            return True
        named = expected.columns
        if unknown := set(named) - set(change.after):
            raise ContractError(f"{expected.table} has no column {', '.join(sorted(unknown))}")
        return all(
            self._holds(named[name], value) if name in named else self._untouched(change, name, value)
            for name, value in change.after.items()
        )

    def only_automatic(self, change: Change) -> bool:
        """Return whether nothing but what apps set by themselves is new in a row, as the time of a change."""
        if change.before is None or change.after is None:
            return False
        automatic = self.automatic[change.table]
        return all(
            change.before[name] == value for name, value in change.after.items() if name not in automatic
        )

    def _holds(self, wanted: Any, value: Any) -> bool:
        if isinstance(wanted, Expected):
            return wanted in self.found and self.found[wanted].row_id == value
        if isinstance(wanted, Match):
            return wanted.passes(value)
        return wanted == value

    def _untouched(self, change: Change, name: str, value: Any) -> bool:
        if name == "id" or name in self.automatic[change.table]:
            return True
        if change.before is not None:
            return change.before[name] == value
        if name == "person_id":
            return value == self.supervisor
        return self.defaults[change.table][name] == value


def _levels(must: Sequence[Expected]) -> list[list[Expected]]:
    """Return the expected changes in an order in which what one refers to comes before it.

    Raises ``ContractError`` where one refers to something that is not among them.
    """
    placed: list[list[Expected]] = []
    waiting = list(must)
    while waiting:
        known = set(itertools.chain.from_iterable(placed))
        ready = [one for one in waiting if all(other in known for other in one.refers)]
        if not ready:
            raise ContractError("a change refers to a row that no other change of `must` is about")
        placed.append(ready)
        waiting = [one for one in waiting if one not in ready]
    return placed


def _assign(wanted: Sequence[Expected], changes: Sequence[Change], rules: _Rules) -> dict[Expected, Change]:
    """Give as many as possible of ``wanted`` a change of its own (augmenting paths)."""
    fitting = [[n for n, change in enumerate(changes) if rules.fits(one, change)] for one in wanted]
    owner: dict[int, int] = {}

    def place(number: int, seen: set[int]) -> bool:
        for candidate in fitting[number]:
            if candidate in seen:
                continue
            seen.add(candidate)
            if candidate not in owner or place(owner[candidate], seen):
                owner[candidate] = number
                return True
        return False

    for number in range(len(wanted)):
        place(number, set())
    return {wanted[number]: changes[candidate] for candidate, number in owner.items()}


def _table_changes(table: str, start: sqlite3.Connection, now: sqlite3.Connection) -> list[Change]:
    before, after = set(start.execute(f"SELECT * FROM {table}")), set(now.execute(f"SELECT * FROM {table}"))
    if before == after:
        return []
    names = [column[1] for column in start.execute(f"PRAGMA table_info({table})")]
    place = names.index("id")
    old = {row[place]: dict(zip(names, row, strict=True)) for row in before - after}
    new = {row[place]: dict(zip(names, row, strict=True)) for row in after - before}
    return [Change(table, old.get(row_id), new.get(row_id)) for row_id in sorted({*old, *new})]


def _defaults(table: str, connection: sqlite3.Connection) -> dict[str, Any]:
    return {
        column[1]: connection.execute(f"SELECT {column[4]}").fetchone()[0] if column[4] is not None else None
        for column in connection.execute(f"PRAGMA table_info({table})")
    }
