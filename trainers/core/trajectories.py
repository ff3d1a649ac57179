"""Trajectories to imitate: what of an episode is a target and how much, and a store of them on disk.

A trajectory's log-likelihood is the sum over the tokens that its agent wrote, or their mean. Its rows carry
signed weights such that, under the aggregation ``sequence-sum``, an update's loss is exactly
``-(1/M) sum over its M trajectories of value x log-likelihood``, however many rows a trajectory has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from palaestra.agents.episode import Episode, EpisodeWriter, read_episodes, sequences
from palaestra.errors import DataError, StorageError
from palaestra.trainers.core.batch import Row


def trajectory_rows(
    episode: Episode, value: float, *, length_mean: bool = True, observation_weight: float = 0.0
) -> list[Row]:
    """Return the rows of one trajectory, every token that the agent wrote with weight ``value``, or with
    ``value`` over the number of such tokens (``length_mean``).

    ``observation_weight`` is the weight, relative to those tokens', of what the agent's actions brought:
    learning to predict it makes a world model of the policy. Questions beside the episode are no targets.
    A trajectory without a target has no rows.
    """
    aside = [bool(turn.tags.get("aside")) for turn in episode.turns]
    found = [s for s in sequences(episode) if any(turn >= 0 and not aside[turn] for turn in s.turn)]
    written = sum(sum(sequence.mask) for sequence in found)
    share = value / written if length_mean and written else value
    rows: list[Row] = []
    for sequence in found:
        first = sequence.mask.index(True)
        weights = [
            share if sampled else share * observation_weight if at > first else 0.0
            for at, sampled in enumerate(sequence.mask)
        ]
        rows.append(
            Row(sequence.ids, sequence.mask, sequence.logprobs, imitation=weights, group=episode.group)
        )
    return rows


def mean_over_trajectories(trajectories: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the rows of one update in which every trajectory counts once.

    The aggregation ``sequence-sum`` divides by the number of rows; where a trajectory has several (a window
    context), they are scaled so that the number of trajectories divides instead.
    """
    counting = [
        [row for row in rows if any(row.imitation or ())] for rows in trajectories if _says_something(rows)
    ]
    rows = [row for trajectory in counting for row in trajectory]
    if len(rows) == len(counting):
        return rows
    scale = len(rows) / len(counting)
    return [replace(row, imitation=[scale * weight for weight in row.imitation or ()]) for row in rows]


def _says_something(rows: Sequence[Row]) -> bool:
    return any(any(row.imitation or ()) for row in rows)


def distinct(episodes: Iterable[Episode]) -> list[Episode]:
    """Return the episodes without those whose actions an earlier one at the same task took already."""
    seen: set[tuple[str, ...]] = set()
    kept: list[Episode] = []
    for episode in episodes:
        actions = (episode.key, *(turn.action for turn in episode.turns if turn.action))
        if actions not in seen:
            seen.add(actions)
            kept.append(episode)
    return kept


class TrajectoryStore:
    """Trajectories that accumulate over rounds, one file of episodes a round in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def add(self, round_number: int, episodes: Iterable[Episode]) -> None:
        """Write the trajectories of a round, in place of what an interrupted one may have left."""
        path = self._file(round_number)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"cannot replace {path}: {error}") from error
        with EpisodeWriter(path) as writer:
            for episode in episodes:
                writer.write(episode)

    def read(self, first: int, last: int) -> list[Episode]:
        """Return the trajectories of rounds ``first`` to ``last``, in their order."""
        self.require(first, last)
        return [e for number in range(first, last + 1) for e in read_episodes(self._file(number))]

    def require(self, first: int, last: int) -> None:
        """Raise ``DataError`` where one of the rounds ``first`` to ``last`` is missing."""
        for number in range(first, last + 1):
            if not self._file(number).is_file():
                raise DataError(
                    f"{self._file(number)} is missing, and the run cannot go on without the trajectories of "
                    "that round: put the file back, or begin a new run in another --out"
                )

    def _file(self, round_number: int) -> Path:
        return self.directory / f"round-{round_number:04d}.jsonl"


def by_task(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    """Return the episodes of every task (id, seed and options), in their order."""
    found: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        found[episode.key].append(episode)
    return dict(found)
