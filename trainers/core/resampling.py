"""Dynamic sampling: draw further tasks in place of those whose tries teach nothing (DAPO)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from palaestra.agents.episode import Episode
from palaestra.trainers.core.online import OnlineTrainer


def collect_informative(
    trainer: OnlineTrainer[Any], iteration: int, rounds: int, informative: Callable[[Sequence[Episode]], int]
) -> list[Episode]:
    """Play ``tasks_per_iteration`` tasks, then up to ``rounds`` times as many more as ``informative`` (the
    count of groups that teach something) still misses; return all the episodes.
    """
    episodes: list[Episode] = []
    missing = trainer.config.tasks_per_iteration
    for round_number in range(rounds + 1):
        episodes += trainer.play(trainer.jobs(iteration, round_number, missing))
        missing = trainer.config.tasks_per_iteration - informative(episodes)
        if missing <= 0:
            break
    return episodes
