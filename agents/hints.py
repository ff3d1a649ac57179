"""Hints for training: what an environment's expert would do first, told before a task.

A hint is privileged. It may stand in prompts of episodes that are played to be learnt from, never in those
of an evaluation, and a policy must be trained on what it does *without* the hint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from palaestra.agents.context import Context
from palaestra.agents.episode import Episode
from palaestra.agents.rollout import Actor, Job
from palaestra.envs.core import TextEnv
from palaestra.envs.panel import PanelItem, make_env
from palaestra.errors import OptionError

TAG = "hint"
"""The tag of a job, and so of its episode, that holds the hint which it was given."""


def adviser(env_id: str, options: dict[str, Any]) -> TextEnv:
    """Return an environment to ask for hints. Raises ``OptionError`` where it has no expert."""
    env = make_env(env_id, options)
    if not env.has_expert:
        raise OptionError(f"{env_id} has no expert whose actions could be hinted at")
    return env


def hint(env: TextEnv, item: PanelItem, most: int) -> str:
    """Return the expert's first actions in this task as advice: ``most`` of them, and never its last one.

    The last action is the answer, or completes it; a task that the expert does with a single action, such as
    an exercise, has no hint ("" is returned), nor has one that the expert fails.
    """
    env.reset(seed=item.seed, options={"task": item.task_id})
    actions: list[str] = []
    over = success = False
    while not over:
        actions.append(env.expert())
        _, _, terminated, truncated, info = env.step(actions[-1])
        over, success = terminated or truncated, bool(info["success"])
    told = actions[: min(most, len(actions) - 1)] if success else []
    return f"Hint: a good way to begin is: {', then '.join(told)}." if told else ""


def jobs(env: TextEnv, episodes: Sequence[Episode], attempts: Sequence[int], most: int) -> list[Job]:
    """Return hinted jobs, one for each of the numbers ``attempts``, in every group that all failed.

    A group whose task has no hint gets none. ``env`` is the adviser, ``most`` as in ``hint``.
    """
    found: list[Job] = []
    for first, *_ in all_failed(episodes):
        item = PanelItem(first.env_id, first.task_id, first.seed, first.options)
        told = hint(env, item, most)
        if told:
            found += [Job(item, first.group, attempt, {TAG: told}) for attempt in attempts]
    return found


def all_failed(episodes: Sequence[Episode]) -> list[list[Episode]]:
    """Return the groups in which no try succeeded, without the tries whose infrastructure failed."""
    groups: dict[str, list[Episode]] = defaultdict(list)
    for episode in episodes:
        if not episode.failed:
            groups[episode.group].append(episode)
    return [group for group in groups.values() if not any(episode.success for episode in group)]


def is_hinted(episode: Episode) -> bool:
    """Return whether the episode was played with a hint in view."""
    return TAG in episode.tags


def hinted(actor: Actor, history: Context) -> None:
    """Begin with the hint in the job's tag before the first observation."""
    history.begin(f"{actor.job.tags[TAG]}\n\n{actor.observation}")
