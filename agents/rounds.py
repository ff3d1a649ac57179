"""Rounds: methods that play a panel several times over, each round only what is still open."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from palaestra.agents.episode import Episode
from palaestra.agents.rollout import RolloutSettings

T = TypeVar("T")


def round_settings(settings: RolloutSettings, earlier: Iterable[Episode], count: int) -> RolloutSettings:
    """Return the settings for a round of ``count`` episodes after ``earlier`` ones.

    ``max_failure_rate`` is a share of all episodes so far: late rounds are small, and one failure in a round
    of three is no reason to throw a hundred sound episodes away.
    """
    failures = [episode.failed for episode in earlier]
    allowed = settings.max_failure_rate * (len(failures) + count) - sum(failures)
    return replace(settings, max_failure_rate=min(1.0, max(0.0, allowed / count)))


def actions_of(episodes: Iterable[Episode]) -> int:
    """Return how many actions ``episodes`` took in their environments."""
    return sum(bool(turn.action) for episode in episodes for turn in episode.turns)


def affordable(jobs: Sequence[T], actions: int, longest: int) -> Sequence[T]:
    """Return the first of ``jobs``, as many as surely take no more than ``actions`` in all when none of them
    takes more than ``longest``.
    """
    return jobs[: max(0, actions) // longest]
