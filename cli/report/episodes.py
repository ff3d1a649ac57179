"""The episodes of a page: which are listed, which have their turns in it, packed in compressed blocks.

A page lists episodes in rows, one for each, and the tasks they were played on. Their turns, which are most
of the bytes, lie in blocks that the page inflates when it needs them. A task's episodes share a block:
they share most of their text, and are looked at together.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from palaestra.agents.episode import Episode
from palaestra.cli.report.reading import Record
from palaestra.cli.report.turns import Decode, episode_data, episode_row, task_data
from palaestra.errors import DataError

T = TypeVar("T")

_BLOCKS_BYTES = 12_000_000
_BLOCK_EPISODES = 24
_BLOCK_BYTES = 1_500_000
_KEY = re.compile(rb'"key": "((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Place:
    """Where an episode stands: line ``number`` (from 1) of ``file``, ``size`` bytes from ``offset`` on."""

    file: Path
    offset: int
    number: int = 1
    size: int = 0
    failed: bool = False
    key: str = ""


@dataclass(slots=True)
class Packed:
    """What a page holds of episodes: ``rows`` in the order of their ``tasks``, and blocks of turns."""

    rows: list[Record] = field(default_factory=list)
    tasks: list[Record] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)


def places(file: Path) -> Iterator[Place]:
    """Yield the place of each whole line of an episode file. Raises ``DataError`` when it cannot be read."""
    try:
        with file.open("rb") as lines:
            offset = 0
            for number, line in enumerate(lines, 1):
                if line.strip() and line.endswith(b"\n"):
                    yield Place(file, offset, number, len(line), b'"outcome": "failed"' in line, _key(line))
                offset += len(line)
    except OSError as error:
        raise DataError(f"cannot read {file}: {error}") from error


def _key(line: bytes) -> str:
    """Return the key of an episode without parsing it: it stands behind all texts, near the line's end."""
    start = line.rfind(b'"key": "')
    found = _KEY.match(line, start) if start >= 0 else None
    return found[1].decode("utf-8", "replace") if found else ""


def choose(found: Sequence[Place], limit: int) -> list[Place]:
    """Return at most ``limit`` places in order: failed ones up to a quarter, the others spread evenly."""
    if len(found) <= limit:
        return list(found)
    failed = [i for i, place in enumerate(found) if place.failed]
    kept = set(spread(failed, max(1, limit // 4)))
    others = [i for i in range(len(found)) if i not in kept]
    kept.update(spread(others, limit - len(kept)))
    return [found[i] for i in sorted(kept)]


def choose_tasks(found: Sequence[Place], limit: int) -> list[Place]:
    """Return the places of whole tasks, spread evenly, so that contestants can be compared on each.

    Only where not even one task fits are there fewer than all of its places.
    """
    if len(found) <= limit:
        return list(found)
    tasks = list(dict.fromkeys(place.key for place in found))
    kept = set(spread(tasks, max(1, limit * len(tasks) // len(found))))
    return [place for place in found if place.key in kept][:limit]


def counting(found: Sequence[Place], label: Callable[[Path], str]) -> list[Place]:
    """Return the places that a benchmark counts: of a contestant's on a task, the first that did not fail."""
    counted: dict[tuple[str, str], Place] = {}
    for place in found:
        which = (label(place.file), place.key or f"{place.file} {place.number}")
        if which not in counted or counted[which].failed:
            counted[which] = place
    return list(counted.values())


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return ``count`` of ``items``, or all, evenly spread."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def pack(
    chosen: Sequence[Place],
    label: Callable[[Path], str],
    decoders: Callable[[str], Sequence[Decode]],
    order: Mapping[str, int],
    notes: list[str],
    *,
    budget_bytes: int = _BLOCKS_BYTES,
) -> Packed:
    """Read the episodes at ``chosen`` and return what the page holds of them.

    ``label`` says whose the episodes of a file are, ``decoders`` how that one's tokens may be spelt,
    ``order`` gives the ranks of task keys. Blocks beyond ``budget_bytes`` are left out, evenly over tasks.
    """
    packed, broken = Packed(), []
    numbers: dict[str, int] = {}
    blocks: list[bytes] = []
    for batch in _batches(sorted(chosen, key=lambda place: order.get(place.key, len(order)))):
        texts: list[str] = []
        for place in batch:
            try:
                episode = Episode.from_json(_line_at(place))
            except DataError as error:
                broken.append(str(error))
                continue
            source = label(place.file)
            row = episode_row(episode, source)
            row.update(task=_task(episode, packed, numbers), block=len(blocks), line=len(texts))
            row.update(file=place.file.name, number=place.number)
            packed.rows.append(row)
            texts.append(_spelt(episode_data(episode, decoders(source))))
        # A lone surrogate, which an environment's text may hold, has no UTF-8.
        blocks.append(zlib.compress("\n".join(texts).encode("utf-8", "replace"), 6))
    if broken:
        notes.append(f"{len(broken)} episodes cannot be read and are left out; the first: {broken[0]}")
    _fit(packed, blocks, budget_bytes)
    return packed


def _spelt(record: Record) -> str:
    """Return the record as the page would spell it, since that is how the page searches in it."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _task(episode: Episode, packed: Packed, numbers: dict[str, int]) -> int:
    """Return the number of the episode's task, which is added where it is new."""
    key = episode.key or f"{episode.env_id} {episode.task_id} {episode.seed}"
    if key not in numbers:
        numbers[key] = len(packed.tasks)
        packed.tasks.append({"key": episode.key, **task_data(episode)})
    return numbers[key]


def _batches(chosen: Sequence[Place]) -> Iterator[list[Place]]:
    """Yield the places of each block: whole tasks where they stand together, up to some size."""
    batch: list[Place] = []
    for _, group in itertools.groupby(chosen, key=lambda place: place.key):
        for place in group:
            batch.append(place)
            if sum(other.size for other in batch) > _BLOCK_BYTES or len(batch) >= 4 * _BLOCK_EPISODES:
                yield batch
                batch = []
        if len(batch) >= _BLOCK_EPISODES:
            yield batch
            batch = []
    if batch:
        yield batch


def _fit(packed: Packed, blocks: Sequence[bytes], budget_bytes: int) -> None:
    """Keep as many blocks as fit; the rows of the others point to none."""
    kept = everything = range(len(blocks))
    # Base64 writes three bytes in four.
    while sum(len(blocks[i]) for i in kept) * 4 / 3 > budget_bytes:
        kept = spread(everything, len(kept) - 1)
    packed.blocks = [base64.b64encode(blocks[i]).decode() for i in kept]
    places_of = {old: new for new, old in enumerate(kept)}
    for row in packed.rows:
        row["block"] = places_of.get(row["block"], -1)


def unpack(block: str) -> list[Record]:
    """Return the episodes of a block, as the page does when it opens one."""
    text = zlib.decompress(base64.b64decode(block)).decode()
    return [json.loads(line) for line in text.split("\n") if line]


def _line_at(place: Place) -> str:
    with place.file.open("rb") as lines:
        lines.seek(place.offset)
        return lines.readline().decode("utf-8", errors="replace")
