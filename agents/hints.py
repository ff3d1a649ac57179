"""Hints for training: what an environment's expert would do first, told before a task.

A hint is privileged. It may stand in prompts of episodes that are played to be learnt from, never in those
of an evaluation, and a policy must be trained on what it does *without* the hint.
"""

from __future__ import annotations

from palaestra.agents.context import Context
from palaestra.agents.rollout import Actor
from palaestra.envs.core import TextEnv
from palaestra.envs.panel import PanelItem

TAG = "hint"
"""The tag of a job, and so of its episode, that holds the hint which it was given."""


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


def hinted(actor: Actor, history: Context) -> None:
    """Begin with the hint in the job's tag before the first observation."""
    history.begin(f"{actor.job.tags[TAG]}\n\n{actor.observation}")
