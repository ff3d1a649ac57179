"""Credit: from the episodes of a group (tries at one task from one start) to an advantage for every turn.

A turn's score is its episode's return, less a penalty where its action was not valid. Its advantage is the
score less the group's mean, over the group's standard deviation or not (Dr. GRPO). GiGPO adds a second
comparison among the turns of a group that saw the same observation. Failed episodes are left out: the
infrastructure failed, so they say nothing about the policy.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from palaestra.agents.episode import Episode
from palaestra.errors import OptionError, UnknownNameError

Baseline = Literal["episode", "steps"]
BASELINES: tuple[str, ...] = get_args(Baseline)

_EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class CreditConfig:
    """How episodes are compared. See ``group_advantages`` and ``step_advantages``."""

    baseline: Baseline = "episode"
    normalise_std: bool = True
    dynamic_filter: bool = True
    invalid_action_penalty: float = 0.0
    gigpo_omega: float = 0.0
    gigpo_gamma: float = 0.95

    def __post_init__(self) -> None:
        if self.baseline not in BASELINES:
            raise UnknownNameError("baseline", self.baseline, BASELINES)
        if self.invalid_action_penalty < 0 or self.gigpo_omega < 0:
            raise OptionError("invalid_action_penalty and gigpo_omega must not be negative")
        if not 0 <= self.gigpo_gamma <= 1:
            raise OptionError(f"gigpo_gamma must be in [0, 1], not {self.gigpo_gamma}")


@dataclass(frozen=True, slots=True)
class Credit:
    """One advantage a turn for every episode, in the order given; None where an episode teaches nothing.

    ``groups`` counts all groups, ``flat`` those whose returns were all equal, ``lone`` those with fewer than
    two episodes that did not fail, and ``failed`` the failed episodes.
    """

    advantages: list[list[float] | None]
    groups: int
    flat: int
    lone: int
    failed: int

    @property
    def informative(self) -> int:
        """How many groups have a spread to learn from."""
        return self.groups - self.flat - self.lone


def assign_credit(episodes: Sequence[Episode], config: CreditConfig) -> Credit:
    """Compare every episode with the others of its ``group``.

    A group of fewer than two episodes has nothing to compare and gets no advantages. (The published code
    gives a single row a baseline of 0 instead, which rewards whatever it did.) With ``dynamic_filter``
    (DAPO), neither does a group whose returns, before penalties, are all equal; without it, such rows have
    advantage 0 and only count when losses are averaged.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for number, episode in enumerate(episodes):
        members[episode.group].append(number)
    advantages: list[list[float] | None] = [None] * len(episodes)
    flat = lone = 0
    for numbers in members.values():
        judged = [number for number in numbers if not episodes[number].failed and episodes[number].turns]
        if len(judged) < 2:
            lone += 1
            continue
        group = [episodes[number] for number in judged]
        is_flat = len({episode.reward for episode in group}) == 1
        flat += is_flat
        if is_flat and config.dynamic_filter:
            continue
        for number, values in zip(judged, _of_group(group, config), strict=True):
            advantages[number] = values
    return Credit(advantages, len(members), flat, lone, sum(episode.failed for episode in episodes))


def _of_group(group: Sequence[Episode], config: CreditConfig) -> list[list[float]]:
    episode_part = group_advantages(
        group,
        baseline=config.baseline,
        normalise_std=config.normalise_std,
        penalty=config.invalid_action_penalty,
    )
    if not config.gigpo_omega:
        return episode_part
    step_part = step_advantages(
        group,
        gamma=config.gigpo_gamma,
        normalise_std=config.normalise_std,
        penalty=config.invalid_action_penalty,
    )
    return [
        [a + config.gigpo_omega * b for a, b in zip(of_episode, of_steps, strict=True)]
        for of_episode, of_steps in zip(episode_part, step_part, strict=True)
    ]


def turn_scores(episode: Episode, penalty: float = 0.0) -> list[float]:
    """Return the score of each turn: the episode's return, less ``penalty`` where the action was invalid."""
    return [episode.reward - (0.0 if turn.valid else penalty) for turn in episode.turns]


def group_advantages(
    group: Sequence[Episode],
    *,
    baseline: Baseline = "episode",
    normalise_std: bool = True,
    penalty: float = 0.0,
) -> list[list[float]]:
    """Return (score - mean) / (std + 1e-6) for every turn of every episode; without the division (Dr. GRPO)
    when ``normalise_std`` is off.

    ``baseline`` "episode": mean and std over one number an episode, the mean of its turns' scores, as GRPO
    is written. "steps": over all turns of all episodes, as verl-agent computes it by default, where long
    (mostly failing) episodes weigh more. The std is the unbiased one, as in the published code.
    """
    scores = [turn_scores(episode, penalty) for episode in group]
    compared = [score for of_episode in scores for score in of_episode]
    if baseline == "episode":
        compared = [math.fsum(of_episode) / len(of_episode) for of_episode in scores]
    mean, scale = _mean_and_scale(compared, normalise_std)
    return [[(score - mean) / scale for score in of_episode] for of_episode in scores]


def step_advantages(
    group: Sequence[Episode], *, gamma: float = 0.95, normalise_std: bool = True, penalty: float = 0.0
) -> list[list[float]]:
    """Return GiGPO's second part: each turn's discounted return less the mean over all turns of the group
    that saw the same observation (its anchor), over their std when ``normalise_std``; 0 for a turn whose
    observation nobody else saw.

    The return of turn t is reward_t + gamma return_{t+1}; the penalty of an invalid action is then taken
    from its own turn's return alone.
    """
    returns = [_discounted(episode, gamma, penalty) for episode in group]
    anchors: dict[str, list[float]] = defaultdict(list)
    for episode, values in zip(group, returns, strict=True):
        for turn, value in zip(episode.turns, values, strict=True):
            anchors[turn.observation].append(value)
    scales = {
        seen: _mean_and_scale(values, normalise_std) for seen, values in anchors.items() if len(values) > 1
    }

    def relative(observation: str, value: float) -> float:
        mean, scale = scales.get(observation, (value, 1.0))
        return (value - mean) / scale

    return [
        [relative(turn.observation, value) for turn, value in zip(episode.turns, values, strict=True)]
        for episode, values in zip(group, returns, strict=True)
    ]


def _discounted(episode: Episode, gamma: float, penalty: float) -> list[float]:
    values: list[float] = []
    following = 0.0
    for turn in reversed(episode.turns):
        following = turn.reward + gamma * following
        values.append(following - (0.0 if turn.valid else penalty))
    return values[::-1]


def _mean_and_scale(values: Sequence[float], normalise_std: bool) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    if not normalise_std:
        return mean, 1.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance) + _EPSILON
