"""The benchmark: a panel of tasks, contestants that play it, and a table that can be trusted.

The output folder holds ``panel.json``, ``contestants.json``, one ``episodes-NAME-WORKER.jsonl`` a shard and
``results.json``. Running again plays only what is missing; running on another panel, or with a contestant
of the same name but other settings, is refused. A score depends on the panel and the contestant alone:
neither on the number of workers, nor on how many episodes are live at once.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from palaestra.agents.episode import Episode, EpisodeWriter, read_episodes
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Sampling
from palaestra.agents.progress import RolloutProgress
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, RolloutSettings, rollout
from palaestra.envs.panel import Panel, PanelItem
from palaestra.errors import FailureRateError, OptionError, StorageError, UnknownNameError, WorkerError

_POLL_S = 0.2
_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Contestant:
    """A policy in an agent: what is compared. ``policy`` is a name for ``load_policy``."""

    name: str
    policy: str
    context: Literal["append", "window"] = "append"
    window_turns: int | None = None
    thought: bool = False
    remind_goal: bool = False
    temperature: float = 0.0
    max_tokens: int = 64

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\*?[]"):
            raise OptionError(f"a contestant's name becomes a file name; {self.name!r} cannot")


@dataclass(frozen=True, slots=True)
class Score:
    """What a contestant reached on a panel. ``interval`` is the 95 % Wilson interval of ``success``.

    Episodes that failed for reasons of infrastructure are counted in ``failures`` and nowhere else.
    """

    name: str
    success: float
    interval: tuple[float, float]
    reward: float
    steps: float
    tokens: float
    seconds: float
    episodes: int
    failures: int
    by_scenario: dict[str, dict[str, float]] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Results:
    """All scores on one panel, in the order in which the contestants were given."""

    panel: Panel
    scores: tuple[Score, ...]

    def save(self, path: Path) -> None:
        """Write ``results.json``."""
        record = {
            "panel": {"name": self.panel.name, "digest": self.panel.digest, "size": len(self.panel.items)},
            "contestants": [asdict(score) for score in self.scores],
        }
        _write(path, record)


def benchmark(
    panel: Panel,
    contestants: Sequence[Contestant],
    out: Path,
    *,
    workers: int = 1,
    settings: RolloutSettings | None = None,
    show_progress: bool = False,
) -> Results:
    """Play what is missing of ``panel`` for every contestant and return (and save) the results.

    Raises ``OptionError`` when ``out`` holds something else, ``FailureRateError`` when too many episodes
    failed; what was played is kept.
    """
    if workers < 1:
        raise OptionError(f"workers must be at least 1, not {workers}")
    names = [contestant.name for contestant in contestants]
    if not names or len(set(names)) != len(names):
        raise OptionError(f"contestants need names, each its own; got {names}")
    _claim(out, panel, contestants)
    settings = settings or RolloutSettings()
    scores = tuple(_measure(panel, c, out, workers, settings, show_progress) for c in contestants)
    results = Results(panel, scores)
    results.save(out / "results.json")
    return results


def score(name: str, episodes: Iterable[Episode], settings: dict[str, Any] | None = None) -> Score:
    """Summarise episodes; those that failed count as failures only."""
    episodes = list(episodes)
    judged = [episode for episode in episodes if not episode.failed]
    by_scenario: dict[str, list[bool]] = defaultdict(list)
    for episode in judged:
        by_scenario[episode.scenario].append(episode.success)
    wins = sum(episode.success for episode in judged)
    return Score(
        name=name,
        success=_mean(episode.success for episode in judged),
        interval=wilson_interval(wins, len(judged)),
        reward=_mean(episode.reward for episode in judged),
        steps=_mean(len(episode.turns) for episode in judged),
        tokens=_mean(episode.sampled_tokens for episode in judged),
        seconds=_mean(episode.seconds for episode in judged),
        episodes=len(judged),
        failures=len(episodes) - len(judged),
        by_scenario={
            scenario: {"success": sum(outcomes) / len(outcomes), "episodes": len(outcomes)}
            for scenario, outcomes in sorted(by_scenario.items())
        },
        settings=settings or {},
    )


def wilson_interval(wins: int, tries: int) -> tuple[float, float]:
    """Return the 95 % interval of a success rate (Wilson 1927); (0, 1) when nothing was tried."""
    if tries == 0:
        return 0.0, 1.0
    z = 1.959964
    rate = wins / tries
    centre = (rate + z * z / (2 * tries)) / (1 + z * z / tries)
    half = z / (1 + z * z / tries) * math.sqrt(rate * (1 - rate) / tries + z * z / (4 * tries * tries))
    return max(0.0, centre - half), min(1.0, centre + half)


def _measure(
    panel: Panel,
    contestant: Contestant,
    out: Path,
    workers: int,
    settings: RolloutSettings,
    show_progress: bool,
) -> Score:
    """Play the missing items of one contestant, in this process or in ``workers`` others."""
    for _ in range(_ROUNDS):
        missing = _missing(panel, _played(out, contestant))
        if not missing:
            break
        if workers == 1:
            progress = RolloutProgress(contestant.name, len(missing)) if show_progress else None
            try:
                _play(contestant, missing, _shard_path(out, contestant, 0), settings, progress)
            finally:
                if progress is not None:
                    progress.close()
            break
        if _play_in_processes(contestant, missing, out, workers, settings, show_progress):
            break
    played = _played(out, contestant)
    lost = sum(item.key not in played for item in panel.items)
    if lost:
        raise WorkerError(
            f"{lost} of {len(panel.items)} episodes of {contestant.name!r} were not played: worker "
            "processes died. What was played is kept; run the same command again, with fewer workers"
        )
    return score(contestant.name, (played[item.key] for item in panel.items), asdict(contestant))


def _play(
    contestant: Contestant,
    items: Sequence[PanelItem],
    path: Path,
    settings: RolloutSettings,
    progress: RolloutProgress | None,
) -> None:
    agent = react(
        contestant.context,
        window_turns=contestant.window_turns,
        thought=contestant.thought,
        remind_goal=contestant.remind_goal,
        sampling=Sampling(contestant.temperature, contestant.max_tokens),
    )
    policy = load_policy(contestant.policy)
    with EpisodeWriter(path) as writer:
        rollout([Job(item) for item in items], agent, policy, settings, writer=writer, progress=progress)


def _play_in_processes(
    contestant: Contestant,
    items: Sequence[PanelItem],
    out: Path,
    workers: int,
    settings: RolloutSettings,
    show_progress: bool,
) -> bool:
    """Play ``items`` in spawned processes; return False when one died and left something unplayed."""
    context = multiprocessing.get_context("spawn")
    shards = [_shard_path(out, contestant, worker) for worker in range(min(workers, len(items)))]
    progress = RolloutProgress(contestant.name, len(items)) if show_progress else None
    tail = _Tail(shards, progress)
    processes = [
        context.Process(
            target=_play_shard, args=(contestant, items[rank :: len(shards)], path, settings), daemon=True
        )
        for rank, path in enumerate(shards)
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
    if _TOO_MANY_FAILURES in codes:
        raise FailureRateError(
            f"too many episodes of {contestant.name!r} failed; `failure` in the episodes in {out} says why"
        )
    if _DISK_FULL in codes:
        raise StorageError(f"a worker could not write to {out}; what was written before is intact")
    if _WRONG_OPTION in codes:
        raise OptionError(f"{contestant.name!r} cannot be played; run with one worker to see the error")
    return all(code == 0 for code in codes)


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


_TOO_MANY_FAILURES, _DISK_FULL, _WRONG_OPTION = 71, 74, 64


def _play_shard(
    contestant: Contestant, items: list[PanelItem], path: Path, settings: RolloutSettings
) -> None:
    """Be a worker process; errors that the parent must know come back as exit codes."""
    try:
        _play(contestant, items, path, settings, None)
    except FailureRateError:
        raise SystemExit(_TOO_MANY_FAILURES) from None
    except StorageError:
        raise SystemExit(_DISK_FULL) from None
    except (OptionError, UnknownNameError):
        raise SystemExit(_WRONG_OPTION) from None


def _missing(panel: Panel, played: dict[str, Episode]) -> list[PanelItem]:
    return [item for item in panel.items if item.key not in played or played[item.key].failed]


def _played(out: Path, contestant: Contestant) -> dict[str, Episode]:
    """Return an episode of every item played so far; one that was judged replaces one that failed."""
    played: dict[str, Episode] = {}
    for path in sorted(out.glob(f"episodes-{contestant.name}-*.jsonl")):
        if path.stem.rpartition("-")[0] != f"episodes-{contestant.name}":
            continue
        for episode in read_episodes(path):
            if episode.key not in played or played[episode.key].failed:
                played[episode.key] = episode
    return played


def _claim(out: Path, panel: Panel, contestants: Sequence[Contestant]) -> None:
    """Note in ``out`` what is measured there, or refuse when that is something else."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        panel_path, contestants_path = out / "panel.json", out / "contestants.json"
        if panel_path.exists() and Panel.load(panel_path).digest != panel.digest:
            raise OptionError(f"{out} holds results of another panel; choose another folder for this one")
        known = json.loads(contestants_path.read_text()) if contestants_path.exists() else {}
        for contestant in contestants:
            settings = asdict(contestant)
            if known.setdefault(contestant.name, settings) != settings:
                changed = [k for k, v in settings.items() if known[contestant.name].get(k) != v]
                raise OptionError(
                    f"{out} holds results of a contestant {contestant.name!r} with another "
                    f"{', '.join(changed)}; give this one another name or folder"
                )
        if not panel_path.exists():
            panel.save(panel_path)
        _write(contestants_path, known)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error}") from error


def _write(path: Path, record: object) -> None:
    """Write JSON whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=True) + "\n")
        temporary.replace(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}; the file from before is intact") from error


def _shard_path(out: Path, contestant: Contestant, worker: int) -> Path:
    return out / f"episodes-{contestant.name}-{worker}.jsonl"


def _mean(values: Iterable[float]) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers) if numbers else math.nan
