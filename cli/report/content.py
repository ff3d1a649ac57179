"""Reads a run directory, a benchmark directory or an episode file into the plain data of a report page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import palaestra
from palaestra.cli.report.curves import curves, read_metrics
from palaestra.cli.report.episodes import Packed, Place, choose, choose_tasks, counting, pack, places
from palaestra.cli.report.reading import Record, flatten, read_json
from palaestra.cli.report.results import (
    command,
    complete,
    contestants,
    read_contestants,
    read_results,
    tokenizer_file,
    unfinished,
)
from palaestra.cli.report.turns import Decode, load_decoder
from palaestra.envs.panel import Panel
from palaestra.errors import DataError


@dataclass(slots=True)
class Source:
    """What was found at a path, before any of it is read."""

    path: Path
    kind: str
    episode_files: list[Path]
    tokenizers: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def label(self, file: Path) -> str:
        """Return what the episodes of a file are called: in a benchmark, their contestant."""
        if self.kind == "benchmark":
            return file.stem.removeprefix("episodes-").rpartition("-")[0] or file.stem
        return file.stem


def content(path: Path, max_episodes: int) -> Record:
    """Return everything that the page of ``path`` shows, as JSON-able data.

    At most ``max_episodes`` episodes are taken, spread evenly over all of them. What cannot be read is named
    in the ``notes`` of the page. Raises ``DataError`` when ``path`` holds nothing to show.
    """
    source = find_source(path)
    metrics = read_metrics(path / "metrics.jsonl", source.notes) if path.is_dir() else []
    results = read_results(path / "results.json", source.notes) if path.is_dir() else None
    declared = (
        results["contestants"] if results else read_contestants(path / "contestants.json", source.notes)
    )
    packed, total = read_episodes(source, declared, max_episodes)
    config = read_json(path / "config.json", source.notes) if path.is_dir() else None
    if not (metrics or packed.rows or results):
        why = f" ({'; '.join(source.notes)})" if source.notes else ""
        raise DataError(f"{path} holds no episodes, metrics or results that can be shown{why}")
    if results:
        complete(results, packed.rows, packed.tasks)
    elif source.kind == "benchmark":
        results = unfinished(declared, packed.rows, packed.tasks, read_panel(path / "panel.json"))
        source.notes.insert(0, "This benchmark has no results yet: the numbers are of the episodes so far.")
    files = [file for file in (*source.episode_files, path) if file.exists()]
    newest = max(file.stat().st_mtime for file in files)
    return {
        "title": path.resolve().name,
        "kind": source.kind,
        "path": str(path),
        "when": datetime.fromtimestamp(newest).astimezone().isoformat(timespec="seconds"),
        "version": palaestra.__version__,
        "config": settings(config) if isinstance(config, Mapping) else {},
        "panel": results["panel"] if results else None,
        "shard": results["shard"] if results else None,
        "contestants": results["contestants"] if results else contestants(packed.rows, packed.tasks),
        "comparisons": results["comparisons"] if results else [],
        "command": command(results, path) if results and (path / "panel.json").exists() else "",
        "measured": results is not None,
        "curves": curves(metrics),
        "rows": packed.rows,
        "tasks": packed.tasks,
        "blocks": packed.blocks,
        "total_episodes": total,
        "notes": source.notes,
    }


def settings(config: Mapping[str, object]) -> Record:
    """Return the settings of a run as flat pairs: the trainer first, its settings, then the versions."""
    inner = config.get("config")
    if not isinstance(inner, Mapping):
        return dict(flatten(config))
    around = {key: value for key, value in config.items() if key not in ("config", "versions")}
    versions = {"version of": config.get("versions", {})}
    return dict(flatten({**around, **inner, **versions}))


def find_source(path: Path) -> Source:
    """Say what ``path`` is. Raises ``DataError`` when there is nothing that can be read."""
    if path.is_file():
        return Source(path, "episodes", [path], sorted(path.parent.glob("**/tokenizer.json"))[-1:])
    if not path.is_dir():
        raise DataError(
            f"{path} does not exist; give a run directory, a benchmark directory or a .jsonl of episodes"
        )
    files = sorted({*path.glob("episodes*.jsonl"), *(path / "episodes").rglob("*.jsonl")})
    # The contestants are written before the first episode, the results after the last.
    measured = any((path / name).exists() for name in ("results.json", "contestants.json"))
    kind = "benchmark" if measured else "training run"
    # The newest, since the folders of checkpoints are numbered.
    return Source(path, kind, files, sorted(path.glob("**/tokenizer.json"))[-1:])


def read_episodes(source: Source, declared: Sequence[Record], limit: int) -> tuple[Packed, int]:
    """Return up to ``limit`` episodes as page data, and how many there are in all.

    ``declared`` are the contestants with their settings, as far as they are known.

    The lines are counted first and only the chosen ones parsed: a long run has more than memory holds.
    """
    found = [place for file in source.episode_files for place in places(file)]
    if source.kind != "benchmark":
        chosen, order = choose(found, limit), {}
    else:
        again = len(found)
        found = counting(found, source.label)
        if again > len(found):
            source.notes.append(
                f"{again - len(found)} episodes were played again or copied: of each only one counts"
            )
        chosen, order = choose_tasks(found, limit), task_order(source.path / "panel.json", found)
    decoders = decoders_of(source, declared)
    packed = pack(chosen, source.label, decoders, order, source.notes)
    return packed, len(found)


def task_order(panel: Path, found: Sequence[Place]) -> dict[str, int]:
    """Return the rank of each task key: as in the panel's file, or as found where that cannot be read."""
    known = read_panel(panel)
    keys = [item.key for item in known.items] if known else []
    return {key: rank for rank, key in enumerate(dict.fromkeys([*keys, *(place.key for place in found)]))}


def read_panel(file: Path) -> Panel | None:
    """Return the panel of a benchmark, or None where it cannot be read."""
    try:
        return Panel.load(file)
    except DataError:
        return None


def decoders_of(source: Source, declared: Sequence[Record]) -> Callable[[str], Sequence[Decode]]:
    """Return a function from a contestant's name to what may spell its tokens, its own tokenizer first."""
    own = {row.get("name"): tokenizer_file(row.get("settings") or {}) for row in declared}
    files = dict.fromkeys([*(file for file in own.values() if file), *source.tokenizers])
    loaded = {file: load_decoder(file) for file in files}

    def of(name: str) -> Sequence[Decode]:
        file = own.get(name)
        return [loaded[file]] if file else [loaded[other] for other in source.tokenizers]

    return of
