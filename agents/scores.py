"""Scores: what the episodes of one contestant say about it, in numbers."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from palaestra.agents.episode import Episode
from palaestra.agents.spending import spending

Name = TypeVar("Name", bound=Hashable)

SOLVED = "solved"


@dataclass(frozen=True, slots=True)
class Score:
    """What a contestant reached on a panel. ``interval`` is the 95 % Wilson interval of ``success``.

    ``steps``, ``tokens``, ``prompt_tokens`` and ``seconds`` are means over the judged episodes, ``cost`` is
    the sum of what a server charged for them (see ``Spending``); nan where it is unknown, or where the policy
    reads no tokens. ``endings`` counts how episodes ended, ``within`` is the success within 1, 2, ... tries
    of an agent that is told whether it succeeded. ``metrics`` are means of what environments measured, each
    over the judged episodes that have it. ``scenario_goal`` is the share of ``scenarios`` of which all played
    tasks were solved, with its Wilson interval (see ``scenario_goals``). Episodes that failed for reasons of
    infrastructure are counted in ``failures`` and ``failure_kinds``, and nowhere else.
    """

    name: str
    success: float
    interval: tuple[float, float]
    reward: float
    steps: float
    tokens: float
    prompt_tokens: float
    seconds: float
    cost: float
    episodes: int
    failures: int
    by_scenario: dict[str, dict[str, float]] = field(default_factory=dict)
    by_env: dict[str, dict[str, float]] = field(default_factory=dict)
    endings: dict[str, int] = field(default_factory=dict)
    failure_kinds: dict[str, int] = field(default_factory=dict)
    within: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    scenario_goal: float = math.nan
    scenario_goal_interval: tuple[float, float] = (0.0, 1.0)
    scenarios: int = 0
    settings: dict[str, Any] = field(default_factory=dict)


def score(name: str, episodes: Iterable[Episode], settings: Mapping[str, Any] | None = None) -> Score:
    """Summarise episodes; those that failed count as failures only."""
    episodes, settings = list(episodes), dict(settings or {})
    judged = [episode for episode in episodes if not episode.failed]
    failed = [episode for episode in episodes if episode.failed]
    costs = [spending(episode) for episode in judged]
    # The ids of a scripted policy are the bytes of what it wrote: nothing that a model would have sampled.
    counts = [] if settings.get("policy") in ("random", "expert") else costs
    wins = sum(episode.success for episode in judged)
    several = len({episode.env_id for episode in episodes}) > 1
    goals = scenario_goals(episodes)
    return Score(
        name=name,
        success=_mean(episode.success for episode in judged),
        interval=wilson_interval(wins, len(judged)),
        reward=_mean(episode.reward for episode in judged),
        steps=_mean(_steps(episode) for episode in judged),
        tokens=_mean(one.tokens for one in counts),
        prompt_tokens=_mean(one.prompt_tokens for one in counts),
        seconds=_mean(one.seconds for one in costs),
        cost=sum(one.cost for one in costs) if costs else math.nan,
        episodes=len(judged),
        failures=len(failed),
        by_scenario=_rates((_scenario(episode, several), episode) for episode in judged),
        by_env=_rates((episode.env_id, episode) for episode in judged),
        endings=_counted(ending(episode) for episode in judged),
        failure_kinds=_counted(str(e.tags.get("failure_kind", "unknown")) for e in failed),
        within=_within(judged, settings),
        metrics=mean_metrics(episode.tags.get("metrics") for episode in judged),
        scenario_goal=_mean(goals.values()),
        scenario_goal_interval=wilson_interval(sum(goals.values()), len(goals)),
        scenarios=len(goals),
        settings=settings,
    )


def ending(episode: Episode) -> str:
    """Return in a few words how an episode ended that did not fail.

    One that ended on its own and unsolved is named after the first check of the verifier that it missed.
    """
    if episode.success:
        return SOLVED
    if episode.tags.get("context_full"):
        return "context full"
    if episode.tags.get("turn_limit"):
        return "turn limit"
    if episode.outcome == "truncated":
        return "step limit"
    missed = next((check for check, passed in episode.checks.items() if not passed), None)
    return f"check missed: {missed}" if missed else "ended unsolved"


def scenario_goals(episodes: Iterable[Episode]) -> dict[tuple[str, str], bool]:
    """Return for each (environment id, scenario) whether all episodes of it were solved.

    Only for environments whose tasks are siblings within a scenario (``TextEnv.siblings``), of which the
    rollout gives each episode the tag ``siblings``. An episode that failed leaves its scenario out where all
    others were solved: nobody knows. One that failed before its task was known belongs to no scenario.
    """
    return solved_groups(
        ((episode.env_id, episode.scenario), None if episode.failed else episode.success)
        for episode in episodes
        if episode.tags.get("siblings") and not (episode.failed and not episode.scenario)
    )


def solved_groups(outcomes: Iterable[tuple[Name, bool | None]]) -> dict[Name, bool]:
    """Return for each name whether all its outcomes are True; without a False, one None leaves it out."""
    groups: dict[Name, set[bool | None]] = defaultdict(set)
    for name, outcome in outcomes:
        groups[name].add(outcome)
    return {name: found == {True} for name, found in groups.items() if False in found or None not in found}


def mean_metrics(found: Iterable[Mapping[str, float] | None]) -> dict[str, float]:
    """Return the mean of each metric over those that have it, in the order in which they first come."""
    values: dict[str, list[float]] = defaultdict(list)
    for metrics in found:
        for name, value in (metrics or {}).items():
            values[name].append(value)
    return {name: _mean(numbers) for name, numbers in values.items()}


def wilson_interval(wins: int, tries: int) -> tuple[float, float]:
    """Return the 95 % interval of a success rate (Wilson 1927); (0, 1) when nothing was tried."""
    if tries == 0:
        return 0.0, 1.0
    z = 1.959964
    rate = wins / tries
    centre = (rate + z * z / (2 * tries)) / (1 + z * z / tries)
    half = z / (1 + z * z / tries) * math.sqrt(rate * (1 - rate) / tries + z * z / (4 * tries * tries))
    return max(0.0, centre - half), min(1.0, centre + half)


def _scenario(episode: Episode, several: bool) -> str:
    """Return the scenario of an episode, with its environment's name before it among ``several``."""
    return f"{episode.env_id.rpartition('/')[2]}: {episode.scenario}" if several else episode.scenario


def _steps(episode: Episode) -> int:
    """Return how often the agent acted; a turn may also be a question beside the episode."""
    return sum(not turn.tags.get("no_action") for turn in episode.turns)


def _rates(named: Iterable[tuple[str, Episode]]) -> dict[str, dict[str, float]]:
    outcomes: dict[str, list[bool]] = defaultdict(list)
    for name, episode in named:
        outcomes[name].append(episode.success)
    return {
        name: {"success": sum(found) / len(found), "episodes": len(found)}
        for name, found in sorted(outcomes.items())
    }


def _within(judged: Sequence[Episode], settings: Mapping[str, Any]) -> tuple[float, ...]:
    if settings.get("agent") != "reflexion" or not judged:
        return ()
    solved = [int(episode.tags.get("trial", 1)) for episode in judged if episode.success]
    return tuple(
        sum(trial <= most for trial in solved) / len(judged) for most in range(1, int(settings["tries"]) + 1)
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    """Return how often each name occurs, the most frequent first."""
    counts = Counter(names)
    return dict(sorted(counts.items(), key=lambda item: (item[0] != SOLVED, -item[1], item[0])))


def _mean(values: Iterable[float]) -> float:
    numbers = [float(value) for value in values]
    return sum(numbers) / len(numbers) if numbers else math.nan
