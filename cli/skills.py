"""``palaestra skills list | show | diff``: what a skill library holds and how its versions differ."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table

from palaestra.agents.skills.core import Skill, render
from palaestra.agents.skills.library import Library
from palaestra.cli.main import parse_config
from palaestra.errors import UnknownNameError

_USAGE = """usage: palaestra skills list LIBRARY [options]         its skills and how they fared
       palaestra skills show LIBRARY NAME [options]    one skill with its history
       palaestra skills diff LIBRARY [options]         what changed from one version to another

LIBRARY is a folder. `palaestra skills list --help` tells the options."""


@dataclass(frozen=True)
class ListConfig:
    """List the skills of a library with their uses and successes."""

    library: tyro.conf.Positional[Path]
    """The folder of the library."""
    kind: Literal["all", "code", "text"] = "all"
    """Only skills of this kind."""
    retired: bool = False
    """Those out of use instead of those in use."""
    at: int | None = None
    """The library as it was at this version."""


@dataclass(frozen=True)
class ShowConfig:
    """Show one skill: its text, where it came from, how it fared, its versions."""

    library: tyro.conf.Positional[Path]
    """The folder of the library."""
    name: tyro.conf.Positional[str]
    """The skill's name."""
    version: int | None = None
    """This version of the skill instead of the latest."""


@dataclass(frozen=True)
class DiffConfig:
    """Show what changed between two versions of a library, or between two libraries."""

    library: tyro.conf.Positional[Path]
    """The folder of the library."""
    since: int = 0
    """The earlier version; 0 is the empty library."""
    until: int | None = None
    """The later version; without it, the present one."""
    other: Path | None = None
    """Another library: show what leads from ``library`` to it."""


_CONFIGS = {"list": ListConfig, "show": ShowConfig, "diff": DiffConfig}


def parse(arguments: Sequence[str]) -> ListConfig | ShowConfig | DiffConfig:
    """Return what is asked for; leaves after help. Raises ``UnknownNameError`` for another subcommand."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE)
        sys.exit(0 if arguments else 2)
    name, *rest = arguments
    if name not in _CONFIGS:
        raise UnknownNameError("subcommand of skills", name, _CONFIGS)
    return parse_config(_CONFIGS[name], f"palaestra skills {name}", rest)


def run(config: ListConfig | ShowConfig | DiffConfig) -> int:
    """Print what is asked for."""
    library = Library.open(config.library, frozen=True)
    if isinstance(config, ListConfig):
        _list(config, library)
    elif isinstance(config, ShowConfig):
        _show(config, library)
    else:
        _diff(config, library)
    return 0


def _list(config: ListConfig, library: Library) -> None:
    shown = library if config.at is None else library.at(config.at)
    chosen = shown.retired() if config.retired else list(shown)
    chosen = [skill for skill in chosen if config.kind in ("all", skill.kind)]
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading in ("skill", "kind", "version", "uses", "success", "from", "what it is"):
        table.add_column(heading, no_wrap=heading != "what it is")
    for skill in chosen:
        # Counts are of the whole library; an earlier version of it has none of its own.
        statistics = library.statistics(skill.name, skill.version)
        rate = statistics.success_rate
        table.add_row(
            skill.name,
            skill.kind,
            str(skill.version),
            str(statistics.uses),
            "" if rate is None else f"{rate:.0%}",
            _printable(skill.provenance.scenario or skill.category),
            _printable(skill.retired or _first_line(skill)),
        )
    # Not interpreted as markup: a description may hold brackets.
    console = Console(highlight=False, markup=False)
    console.print(f"version {shown.version}, digest {shown.digest[:12] or 'none'}, {len(chosen)} skills")
    if chosen:
        console.print(table)


def _show(config: ShowConfig, library: Library) -> None:
    skill = library.get(config.name, config.version)
    statistics = library.statistics(skill.name, skill.version)
    end = f", retired: {skill.retired}" if skill.retired else ""
    _say(f"{skill.signature or skill.name}   {skill.kind}, version {skill.version}{end}")
    for label, value in (*_facts(skill), ("fared", _fared(statistics.successes, statistics.uses))):
        if value:
            _say(f"{label:>9}: {value}")
    _say(f"\n{render(skill)}")
    for version in library.history(skill.name):
        _say(f"version {version.version}: {version.retired or _first_line(version)}")


def _facts(skill: Skill) -> list[tuple[str, str]]:
    origin, example = skill.provenance, skill.example
    where = [origin.env_id, origin.task_id, "" if origin.seed is None else f"seed {origin.seed}"]
    return [
        ("category", skill.category),
        ("what", skill.description),
        ("needs", ", ".join(skill.needs)),
        ("tools", ", ".join(skill.tools)),
        ("example", f"{example.call} gives {example.result}" if example and example.result else ""),
        ("checked", skill.checked),
        ("from", ", ".join(part for part in where if part)),
        ("scenario", origin.scenario),
        ("goal", origin.goal),
    ]


def _fared(successes: int, uses: int) -> str:
    return f"{successes} of {uses} uses in tasks that succeeded" if uses else "not used yet"


def _diff(config: DiffConfig, library: Library) -> None:
    if config.other is None:
        earlier = library.at(config.since)
        later = library if config.until is None else library.at(config.until)
    else:
        earlier, later = library, Library.open(config.other, frozen=True)
    print(f"{_label(earlier)} -> {_label(later)}")
    before, after = ({skill.name: skill for skill in one} for one in (earlier, later))
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is not None and new is not None and old.content == new.content:
            continue
        what = "added" if old is None else "removed" if new is None else "changed"
        print(f"\n{what} {name}")
        for line in difflib.unified_diff(_lines(old), _lines(new), _title(old), _title(new), lineterm=""):
            _say(line)


def _label(library: Library) -> str:
    return f"version {library.version} ({library.digest[:12] or 'empty'}, {len(library)} skills)"


def _title(skill: Skill | None) -> str:
    return f"{skill.name} version {skill.version}" if skill else "nothing"


def _lines(skill: Skill | None) -> list[str]:
    """Return what a change may concern, in reading order."""
    if skill is None:
        return []
    facts = [f"{label}: {value}" for label, value in _facts(skill) if value and label != "checked"]
    return "\n".join([*facts, render(skill)]).splitlines()


def _first_line(skill: Skill) -> str:
    return skill.description.partition("\n")[0]


def _printable(text: str) -> str:
    """Return the text without lone surrogates, which an environment's text may hold and no terminal takes."""
    return text.encode("utf-8", "replace").decode()


def _say(text: str) -> None:
    print(_printable(text))
