"""The library: skills in versions, each change a line of a journal, nothing ever deleted.

A folder holds ``skills.jsonl``, one change a line (a skill added, updated or retired, whole), and
``statistics.jsonl``. The version of a library is its number of changes; its digest is a chain over them, so
version and digest in a result say exactly which skills were at hand. Statistics are no part of the digest:
nothing that retrieval or a prompt shows depends on them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from palaestra.agents.skills.core import (
    LibraryFrozenError,
    Refusal,
    Skill,
    SkillRefusedError,
    Statistics,
    plain_json,
    skill_from_record,
    skill_to_record,
)
from palaestra.agents.skills.journal import Journal, whole_lines, write_whole
from palaestra.agents.skills.pages import check_page
from palaestra.agents.skills.validation import Validator
from palaestra.errors import DataError, OptionError, UnknownNameError

SCHEMA_VERSION = 1
SKILLS_FILE = "skills.jsonl"
STATISTICS_FILE = "statistics.jsonl"
_COMPACT_BEYOND_LINES = 1000
Validate = Callable[[Skill, Sequence[Skill]], Skill]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a library: what happened, the skill as it is since then, and the digest thereafter."""

    version: int
    event: Literal["add", "update", "retire"]
    skill: Skill
    digest: str

    @staticmethod
    def after(digest: str, version: int, event: Any, skill: Skill) -> Change:
        """Return the change that follows on the version with this digest."""
        content = plain_json([version, event, skill_to_record(skill)], f"the skill {skill.name!r}")
        chained = hashlib.sha256(f"{digest}\n{content}".encode("utf-8", "surrogatepass")).hexdigest()
        return Change(version, event, skill, chained)

    def to_line(self) -> bytes:
        """Return the change as one line of JSON."""
        record = {
            "schema": SCHEMA_VERSION,
            "version": self.version,
            "event": self.event,
            "skill": skill_to_record(self.skill),
            "digest": self.digest,
        }
        return json.dumps(record).encode()

    @staticmethod
    def from_line(line: bytes) -> Change:
        """Read one line. Raises ``DataError``."""
        try:
            record = json.loads(line)
            if record["schema"] != SCHEMA_VERSION:
                raise DataError(f"schema {record['schema']!r}; this version reads {SCHEMA_VERSION}")
            if record["event"] not in ("add", "update", "retire"):
                raise DataError(f"unknown event {record['event']!r}")
            skill = skill_from_record(record["skill"])
            return Change(record["version"], record["event"], skill, record["digest"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"not a change of a library: {error}") from error


class Library:
    """Skills by name. ``Library()`` lives in memory; ``Library.open`` on disk; ``save`` copies either.

    ``validator`` takes a code skill and the skills it needs, and returns it checked or raises
    ``SkillRefusedError``; the default runs it in the sandbox. A ``frozen`` library refuses every write with
    ``LibraryFrozenError``. One process writes to a folder at a time.
    """

    def __init__(self, *, validator: Validate | None = None, frozen: bool = False) -> None:
        self.frozen = frozen
        self._validate: Validate = validator or Validator()
        self._changes: list[Change] = []
        self._histories: dict[str, list[Skill]] = {}
        self._statistics: dict[tuple[str, int], Statistics] = {}
        self._journal: Journal | None = None
        self._tallies: Journal | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        validator: Validate | None = None,
        frozen: bool = False,
        salvage: bool = False,
    ) -> Library:
        """Open the library in a folder; a folder without one gets an empty one, unless ``frozen``.

        A last line that was cut is passed over. Raises ``DataError`` naming any other line that cannot be
        read or does not follow on the one before; with ``salvage`` such lines alone are left out, and the
        result is frozen: ``save`` it elsewhere. Raises ``StorageError``.
        """
        folder = Path(folder)
        if (frozen or salvage) and not (folder / SKILLS_FILE).is_file():
            raise DataError(f"there is no library in {folder}: it has no {SKILLS_FILE}")
        library = cls(validator=validator, frozen=frozen or salvage)
        library._read_changes(folder / SKILLS_FILE, salvage)
        library._read_statistics(folder / STATISTICS_FILE, salvage)
        if not library.frozen:
            library._journal = Journal(folder / SKILLS_FILE)
            library._tallies = Journal(folder / STATISTICS_FILE)
        return library

    # ---- looking -----------------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """How many changes were made."""
        return len(self._changes)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of this version and all before it; empty for an empty library."""
        return self._changes[-1].digest if self._changes else ""

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __iter__(self) -> Iterator[Skill]:
        """Yield the skills in use, in the order in which their names first came."""
        return (history[-1] for history in self._histories.values() if not history[-1].retired)

    def __contains__(self, name: object) -> bool:
        history = self._histories.get(name) if isinstance(name, str) else None
        return bool(history) and not history[-1].retired

    def get(self, name: str, version: int | None = None) -> Skill:
        """Return a skill, retired or not, in its latest version or another. Raises ``UnknownNameError``."""
        history = self.history(name)
        if version is None:
            return history[-1]
        if not 1 <= version <= len(history):
            raise UnknownNameError(f"version of {name}", version, map(str, range(1, len(history) + 1)))
        return history[version - 1]

    def history(self, name: str) -> list[Skill]:
        """Return all versions of a skill, the oldest first. Raises ``UnknownNameError``."""
        if name not in self._histories:
            raise UnknownNameError("skill", name, self._histories)
        return list(self._histories[name])

    def retired(self) -> list[Skill]:
        """Return the skills that are no longer in use."""
        return [history[-1] for history in self._histories.values() if history[-1].retired]

    def changes(self, since: int = 0) -> list[Change]:
        """Return the changes that led from version ``since`` to this one."""
        return self._changes[since:]

    def at(self, version: int) -> Library:
        """Return the library as it was at a version, frozen. Raises ``UnknownNameError``."""
        if not 0 <= version <= self.version:
            raise UnknownNameError("version of the library", version, map(str, range(self.version + 1)))
        earlier = Library(validator=self._validate, frozen=True)
        for change in self._changes[:version]:
            earlier._apply(change)
        return earlier

    def with_needs(self, skill: Skill) -> list[Skill]:
        """Return the skill after all that it calls, helpers first. Raises ``SkillRefusedError``."""
        found: dict[str, Skill] = {}

        def visit(one: Skill, above: tuple[str, ...]) -> None:
            for name in one.needs:
                if name not in self or name in (*above, one.name):
                    raise SkillRefusedError(one.name, Refusal.MISSING, f"{name!r} is not in the library")
                if name not in found:
                    visit(self.get(name), (*above, one.name))
            found[one.name] = one

        visit(skill, ())
        return list(found.values())

    def statistics(self, name: str, version: int | None = None) -> Statistics:
        """Return how a version of a skill fared, the latest by default. Raises ``UnknownNameError``."""
        skill = self.get(name, version)
        # Retiring makes a version that nobody uses: what counts is the one before it.
        key = (skill.name, skill.version - bool(skill.retired))
        return self._statistics.get(key, Statistics())

    def tags(self, names: Collection[str]) -> dict[str, Any]:
        """Return what an episode should remember about the skills that its prompt held."""
        return {
            "skills": sorted(f"{name}@{self.get(name).version}" for name in names),
            "skills_version": self.version,
            "skills_digest": self.digest,
        }

    # ---- writing -----------------------------------------------------------------------------------------

    def add(self, skill: Skill) -> Skill:
        """Validate a new skill, take it in and return it as it was taken.

        Raises ``SkillRefusedError`` when it is not fit, ``OptionError`` when its name is taken,
        ``LibraryFrozenError``, ``StorageError``, ``SandboxError``.
        """
        self._refuse_frozen(f"add {skill.name!r}")
        if skill.name in self._histories:
            raise OptionError(f"there is a skill {skill.name!r} already: update it, or use another name")
        return self._commit("add", self._checked(replace(skill, version=1, retired="")))

    def update(self, skill: Skill) -> Skill:
        """Validate a new version of a skill and of those that need it; take it in and return it.

        A skill of the same content as the present version changes nothing. A retired skill is in use again.
        Raises as ``add`` does, ``UnknownNameError`` when there is no such skill.
        """
        self._refuse_frozen(f"update {skill.name!r}")
        present = self.get(skill.name)
        if skill.content == present.content and not present.retired:
            return present
        checked = self._checked(replace(skill, version=present.version + 1, retired=""))
        self._check_dependents(checked)
        return self._commit("update", checked)

    def retire(self, name: str, why: str) -> Skill:
        """Take a skill out of use, with its history kept; return it.

        Raises ``OptionError`` without a reason or while another skill needs it, ``UnknownNameError``,
        ``LibraryFrozenError``, ``StorageError``.
        """
        self._refuse_frozen(f"retire {name!r}")
        present = self.get(name)
        if not why or present.retired:
            raise OptionError(f"say why {name!r} is retired" if not why else f"{name!r} is retired already")
        if dependents := self._dependents(name):
            raise OptionError(f"{name!r} is needed by {dependents[0].name!r}: retire that first")
        return self._commit("retire", replace(present, version=present.version + 1, retired=why))

    def used(self, names: Collection[str], success: bool) -> None:
        """Count one use of each skill, in a task that succeeded or did not.

        Raises ``UnknownNameError``, ``OptionError`` for a retired one, ``LibraryFrozenError``,
        ``StorageError``.
        """
        self._refuse_frozen("count uses")
        for skill in [self.get(name) for name in names]:
            if skill.retired:
                raise OptionError(f"{skill.name!r} is retired: it was in no prompt")
            key = (skill.name, skill.version)
            old = self._statistics.get(key, Statistics())
            new = Statistics(
                old.uses + 1, old.successes + success, old.failures + (not success), self.version
            )
            if self._tallies is not None:
                self._tallies.append(_tally(key, new), lasting=False)
            self._statistics[key] = new

    def save(self, folder: Path) -> None:
        """Write a copy into a folder that holds no library. Raises ``OptionError``, ``StorageError``."""
        folder = Path(folder)
        if (folder / SKILLS_FILE).exists():
            raise OptionError(f"there is a library in {folder} already")
        # Statistics first: a folder is a library as soon as it has skills.
        write_whole(folder / STATISTICS_FILE, [_tally(*item) for item in self._statistics.items()])
        write_whole(folder / SKILLS_FILE, [change.to_line() for change in self._changes])

    def close(self) -> None:
        """Close the files; nothing can be written any more."""
        self.frozen = True
        for journal in (self._journal, self._tallies):
            if journal is not None:
                journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ---- inside ------------------------------------------------------------------------------------------

    def _refuse_frozen(self, what: str) -> None:
        if self.frozen:
            raise LibraryFrozenError(f"cannot {what}: the library is frozen at version {self.version}")

    def _checked(self, skill: Skill) -> Skill:
        if skill.kind == "text":
            check_page(skill)
            return skill
        return self._validate(skill, self.with_needs(skill)[:-1])

    def _dependents(self, name: str) -> list[Skill]:
        return [skill for skill in self if name in skill.needs]

    def _check_dependents(self, updated: Skill) -> None:
        for dependent in self._dependents(updated.name):
            needs = [updated if one.name == updated.name else one for one in self.with_needs(dependent)[:-1]]
            try:
                self._validate(dependent, needs)
            except SkillRefusedError as error:
                raise SkillRefusedError(updated.name, Refusal.BREAKS_OTHERS, str(error)) from error

    def _commit(self, event: Literal["add", "update", "retire"], skill: Skill) -> Skill:
        change = Change.after(self.digest, self.version + 1, event, skill)
        if self._journal is not None:
            self._journal.append(change.to_line())
        self._apply(change)
        return skill

    def _apply(self, change: Change) -> None:
        self._changes.append(change)
        self._histories.setdefault(change.skill.name, []).append(change.skill)

    def _read_changes(self, path: Path, salvage: bool) -> None:
        for number, line in enumerate(whole_lines(path), 1):
            try:
                read = Change.from_line(line)
                known = len(self._histories.get(read.skill.name, ()))
                skill = replace(read.skill, version=known + 1) if salvage else read.skill
                change = Change.after(self.digest, self.version + 1, read.event, skill)
                if change != read and not salvage:
                    raise DataError("it does not follow on the line before")
            except DataError as error:
                if salvage:
                    continue
                raise DataError(
                    f"{path}, line {number}: {error}. The other skills can be had: open with salvage=True "
                    "and save the result to another folder"
                ) from error
            self._apply(change)

    def _read_statistics(self, path: Path, salvage: bool) -> None:
        lines = whole_lines(path)
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                key = (record.pop("name"), record.pop("version"))
                self._statistics[key] = Statistics(**record)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                if not salvage:
                    raise DataError(f"{path}, line {number}: not a count of uses: {error}") from error
        # Every use appends a line, and only the last one of each skill still tells anything.
        if not self.frozen and len(lines) > len(self._statistics) + _COMPACT_BEYOND_LINES:
            write_whole(path, [_tally(*item) for item in self._statistics.items()])


def _tally(key: tuple[str, int], statistics: Statistics) -> bytes:
    name, version = key
    return json.dumps({"name": name, "version": version, **asdict(statistics)}).encode()
