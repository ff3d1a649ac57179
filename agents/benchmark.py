"""The benchmark: a panel of tasks, contestants that play it, and a table that can be trusted.

The output folder holds ``panel.json``, ``contestants.json``, files of episodes and ``results.json``. Running
again plays only what is missing; running on another panel, or with a contestant of the same name but other
settings, is refused. A score depends on the panel and the contestant alone: neither on the number of workers,
nor on how many episodes are live at once, nor on the parts in which it was played.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from palaestra.agents.comparison import Comparison, compare
from palaestra.agents.contestants import Contestant, check_ready, play
from palaestra.agents.episode import Episode, EpisodeWriter, read_episodes
from palaestra.agents.policies import load_policy
from palaestra.agents.progress import RolloutProgress
from palaestra.agents.rollout import Job, RolloutSettings
from palaestra.agents.rounds import round_settings
from palaestra.agents.scores import Score, score
from palaestra.envs.panel import Panel, PanelItem
from palaestra.errors import (
    DataError,
    FailureRateError,
    MissingExtraError,
    OptionError,
    StorageError,
    UnknownNameError,
    WorkerError,
)

_POLL_S = 0.2
_ROUNDS = 3

Played = dict[str, Episode]
"""Episodes by the key of their item."""


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``number`` of ``of`` of a panel, counted from 1: every ``of``-th item."""

    number: int
    of: int

    @staticmethod
    def parse(text: str) -> Shard:
        """Read ``i/n``. Raises ``OptionError``."""
        found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        if found is None:
            raise OptionError(f"a shard is written i/n, such as 2/3 for the second of three, not {text!r}")
        return Shard(int(found[1]), int(found[2]))

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise OptionError(f"of {self.of} shards there is no number {self.number}; they count from 1")

    def items(self, panel: Panel) -> tuple[PanelItem, ...]:
        """Return the part's items. Raises ``OptionError`` when the panel has too few for it to have any."""
        items = panel.items[self.number - 1 :: self.of]
        if not items:
            raise OptionError(f"{len(panel.items)} tasks cannot be played in {self.of} shards")
        return items


@dataclass(frozen=True, slots=True)
class Results:
    """All scores on one panel, or on the part ``shard`` of it, in the order in which contestants were given,
    and the comparisons of all pairs.
    """

    panel: Panel
    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...] = ()
    shard: Shard | None = None

    @property
    def items(self) -> tuple[PanelItem, ...]:
        """The items that the scores are about."""
        return self.panel.items if self.shard is None else self.shard.items(self.panel)

    def save(self, path: Path) -> None:
        """Write ``results.json``; numbers that are not finite become null."""
        panel, shard = self.panel, self.shard
        record = {
            "panel": {"name": panel.name, "digest": panel.digest, "size": len(panel.items)},
            "shard": {**asdict(shard), "tasks": len(self.items)} if shard is not None else None,
            "contestants": [asdict(score) for score in self.scores],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
        }
        _write(path, _finite(record))


def benchmark(
    panel: Panel,
    contestants: Sequence[Contestant],
    out: Path,
    *,
    workers: int = 1,
    shard: Shard | None = None,
    settings: RolloutSettings | None = None,
    show_progress: bool = False,
) -> Results:
    """Play what is missing of ``panel`` (or of one part of it) and return (and save) the results.

    Parts may be played at different times, or on different machines whose files of episodes are copied into
    one folder; a run without ``shard`` then finds nothing missing. A contestant's policy is loaded only when
    it has something to play; one whose policy is not there is refused before anybody plays.

    Raises ``OptionError`` when ``out`` holds something else, ``CheckpointError`` without a policy,
    ``FailureRateError`` when too many episodes failed; what was played is kept, and failed episodes are
    played anew by the next run.
    """
    if workers < 1:
        raise OptionError(f"workers must be at least 1, not {workers}")
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) != len(names):
        raise OptionError(f"contestants need names, each its own (NAME=...); got {names}")
    items = panel.items if shard is None else shard.items(panel)
    claims = _claims(out, panel, contestants)
    table = _Table(items, out, workers, shard, settings or RolloutSettings(), show_progress)
    played = {contestant.name: table.played(contestant) for contestant in contestants}
    missing = [contestant for contestant in contestants if table.missing(played[contestant.name])]
    for contestant in missing:
        check_ready(contestant)
    _write_claims(out, panel, claims)
    for contestant in missing:
        played[contestant.name] = table.play(contestant, played[contestant.name])
    scores = tuple(
        score(contestant.name, (played[contestant.name][item.key] for item in items), contestant.settings)
        for contestant in contestants
    )
    # The same numbers whenever this panel is measured.
    generator = np.random.default_rng(int(panel.digest, 16))
    results = Results(panel, scores, compare(_outcomes(played), generator), shard)
    results.save(out / "results.json")
    return results


def _outcomes(played: Mapping[str, Played]) -> dict[str, dict[str, bool]]:
    """Return for each contestant whether it solved each task that it was judged on."""
    return {
        name: {key: episode.success for key, episode in episodes.items() if not episode.failed}
        for name, episodes in played.items()
    }


@dataclass(frozen=True, slots=True)
class _Table:
    """Where contestants play: the items, the folder, and how."""

    items: tuple[PanelItem, ...]
    out: Path
    workers: int
    shard: Shard | None
    settings: RolloutSettings
    show_progress: bool

    def path(self, contestant: Contestant, worker: int) -> Path:
        # Parts that were played elsewhere must find room beside each other when they are copied here.
        part = f"{self.shard.number}of{self.shard.of}." if self.shard is not None else ""
        return self.out / f"episodes-{contestant.name}-{part}{worker}.jsonl"

    def played(self, contestant: Contestant) -> Played:
        """Return an episode of every item played so far; one that was judged replaces one that failed."""
        wanted = {item.key for item in self.items}
        played: Played = {}
        for path in _episode_files(self.out, contestant.name):
            for episode in read_episodes(path):
                known = played.get(episode.key)
                if episode.key in wanted and (known is None or known.failed):
                    played[episode.key] = episode
        return {item.key: played[item.key] for item in self.items if item.key in played}

    def missing(self, played: Played) -> list[PanelItem]:
        """Return the items that nobody judged yet."""
        return [item for item in self.items if item.key not in played or played[item.key].failed]

    def play(self, contestant: Contestant, played: Played) -> Played:
        """Play the missing items of a contestant, in this process or in others; return all its episodes.

        Raises ``WorkerError`` when processes died again and again.
        """
        for _ in range(_ROUNDS if self.workers > 1 else 1):
            missing = self.missing(played)
            # A share of the whole panel: of three episodes that are tried again, three may well fail.
            judged = [episode for episode in played.values() if not episode.failed]
            settings = round_settings(self.settings, judged, len(missing))
            whole = True
            if self.workers == 1:
                self._play_here(contestant, missing, settings)
            else:
                whole = self._play_in_processes(contestant, missing, settings)
            played = self.played(contestant)
            if whole:
                break
        if lost := sum(item.key not in played for item in self.items):
            raise WorkerError(
                f"{lost} of {len(self.items)} episodes of {contestant.name!r} were not played: worker "
                "processes died. What was played is kept; run the same command again, with fewer workers"
            )
        return played

    def _play_here(
        self, contestant: Contestant, items: Sequence[PanelItem], settings: RolloutSettings
    ) -> None:
        progress = RolloutProgress(contestant.name, len(items)) if self.show_progress else None
        try:
            _play(contestant, items, self.path(contestant, 0), settings, progress)
        finally:
            if progress is not None:
                progress.close()

    def _play_in_processes(
        self, contestant: Contestant, items: Sequence[PanelItem], settings: RolloutSettings
    ) -> bool:
        """Play ``items`` in spawned processes; return False when one died and left something unplayed."""
        context = multiprocessing.get_context("spawn")
        paths = [self.path(contestant, worker) for worker in range(min(self.workers, len(items)))]
        progress = RolloutProgress(contestant.name, len(items)) if self.show_progress else None
        tail = _Tail(paths, progress)
        processes = [
            context.Process(
                target=_work, args=(contestant, items[rank :: len(paths)], path, settings), daemon=True
            )
            for rank, path in enumerate(paths)
        ]
        for process in processes:
            process.start()
        try:
            while any(process.is_alive() for process in processes):
                time.sleep(_POLL_S)
                tail.report()
        finally:
            for process in processes:
                if process.is_alive():
                    process.kill()
                process.join()
            tail.report()
            if progress is not None:
                progress.close()
        codes = [process.exitcode for process in processes]
        _raise_for(codes, contestant, self.out)
        return all(code == 0 for code in codes)


def _raise_for(codes: Sequence[int | None], contestant: Contestant, out: Path) -> None:
    """Raise what the exit codes of worker processes say."""
    if _TOO_MANY_FAILURES in codes:
        raise FailureRateError(
            f"too many episodes of {contestant.name!r} failed; `failure` in the episodes in {out} says why"
        )
    if _DISK_FULL in codes:
        raise StorageError(f"a worker could not write to {out}; what was written before is intact")
    if _CANNOT_PLAY in codes:
        raise OptionError(f"{contestant.name!r} cannot be played; run with one worker to see the error")


def _play(
    contestant: Contestant,
    items: Sequence[PanelItem],
    path: Path,
    settings: RolloutSettings,
    progress: RolloutProgress | None,
) -> None:
    policy = load_policy(contestant.policy)
    with EpisodeWriter(path) as writer:
        play(contestant, [Job(item) for item in items], policy, settings, writer, progress)


class _Tail:
    """Follows the shards of worker processes for the progress line.

    Files, since a killed process cannot corrupt them for the others, as it could a shared queue.
    """

    def __init__(self, paths: Sequence[Path], progress: RolloutProgress | None) -> None:
        self._offsets = {path: path.stat().st_size if path.exists() else 0 for path in paths}
        self._progress = progress

    def report(self) -> None:
        """Tell the progress line of every episode written since the last time."""
        if self._progress is None:
            return
        for path, offset in self._offsets.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(offset)
                lines = file.read().split(b"\n")[:-1]
            self._offsets[path] = offset + sum(len(line) + 1 for line in lines)
            for line in lines:
                self._progress.update(Episode.from_json(line.decode()))


_TOO_MANY_FAILURES, _DISK_FULL, _CANNOT_PLAY = 71, 74, 64


def _work(contestant: Contestant, items: list[PanelItem], path: Path, settings: RolloutSettings) -> None:
    """Be a worker process; errors that the parent must know come back as exit codes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _play(contestant, items, path, settings, None)
    except FailureRateError:
        raise SystemExit(_TOO_MANY_FAILURES) from None
    except StorageError:
        raise SystemExit(_DISK_FULL) from None
    except (OptionError, UnknownNameError, DataError, MissingExtraError):
        raise SystemExit(_CANNOT_PLAY) from None


def _end_with_parent() -> None:
    """Leave when the parent was killed: the next run must not find somebody still writing to its files."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _claims(out: Path, panel: Panel, contestants: Sequence[Contestant]) -> dict[str, dict[str, object]]:
    """Return the settings of all who play in ``out``, by name.

    Raises ``OptionError`` when what was played there is something else.
    """
    path = out / "panel.json"
    if path.exists() and Panel.load(path).digest != panel.digest:
        raise OptionError(f"{out} holds results of another panel; choose another folder for this one")
    claims = _read_contestants(out / "contestants.json")
    for contestant in contestants:
        known, settings = claims.get(contestant.name, {}), contestant.settings
        changed = [name for name, value in settings.items() if known.get(name) != value]
        # Whoever could not even begin, for a path mistyped, holds no claim.
        if known and changed and _episode_files(out, contestant.name):
            raise OptionError(
                f"{out} holds results of a contestant {contestant.name!r} with another "
                f"{', '.join(changed)}; give this one another name or folder"
            )
        claims[contestant.name] = settings
    return claims


def _write_claims(out: Path, panel: Panel, claims: dict[str, dict[str, object]]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not (out / "panel.json").exists():
            panel.save(out / "panel.json")
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error}") from error
    _write(out / "contestants.json", claims)


def _episode_files(out: Path, name: str) -> list[Path]:
    """Return the files with a contestant's episodes, from all workers and parts."""
    # A name may begin like another one, with a hyphen after it.
    files = out.glob(f"episodes-{name}-*.jsonl")
    return sorted(file for file in files if file.stem.rpartition("-")[0] == f"episodes-{name}")


def _read_contestants(path: Path) -> dict[str, dict[str, object]]:
    """Return the settings of the contestants in a folder; older files lack settings that had no choice."""
    if not path.exists():
        return {}
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {name: Contestant(**settings).settings for name, settings in known.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} does not say which contestants have played here: {error}") from error


def _write(path: Path, record: object) -> None:
    """Write JSON whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; the file from before is intact") from error


def _finite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
