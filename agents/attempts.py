"""Further tries at a task with an earlier try in view, token for token as it was sampled.

The context of the new try is the context of the old one, gone on with: the sampled ids stay untouched, and
what is said in between is a message like any observation, so a chat template wraps it as its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from palaestra.agents.context import Context, in_other_context
from palaestra.agents.episode import Episode
from palaestra.agents.react import Opening
from palaestra.agents.rollout import Actor, Job
from palaestra.envs.panel import PanelItem


def retries(episodes: Sequence[Episode], shift: int) -> list[Job]:
    """Return a job for another try at the task of each episode, from the same start.

    It is attempt ``episode.attempt + shift`` of the same group (so it samples with numbers of its own) and
    tagged ``after`` with the attempt that it follows. Failed episodes get none.
    """
    return [
        Job(
            PanelItem(episode.env_id, episode.task_id, episode.seed, episode.options),
            group=episode.group,
            attempt=episode.attempt + shift,
            tags={"after": episode.attempt},
        )
        for episode in episodes
        if not episode.failed
    ]


def in_view(
    episodes: Sequence[Episode], words: Callable[[Episode], str], *, remind_goal: bool = False
) -> Opening:
    """Return the opening of ``retries``: the earlier try, ``words`` about it, then the first observation.

    The earlier try ends with its last action. What that brought often tells whether it was right, so it is
    only shown where ``words`` say it.
    """
    earlier = {(episode.group, episode.attempt): episode for episode in episodes}

    def again(actor: Actor, history: Context) -> None:
        first = earlier[actor.job.group, actor.job.tags["after"]]
        in_other_context(first, history, remind_goal=remind_goal)
        said = f"{words(first)}\n\n{actor.observation}"
        history.observe(said) if first.turns else history.begin(said)

    return again


def pairs(episodes: Sequence[Episode]) -> list[tuple[Episode, Episode]]:
    """Return (earlier try, later try) for every later try where neither failed."""
    earlier = {
        (episode.group, episode.attempt): episode for episode in episodes if "after" not in episode.tags
    }
    found = [(earlier[e.group, e.tags["after"]], e) for e in episodes if "after" in e.tags]
    return [(first, second) for first, second in found if not (first.failed or second.failed)]


def feedback(episode: Episode) -> str:
    """Return what the environment itself says of a try: the verdict, its checks, the last observation."""
    verdict = "This try succeeded." if episode.success else "This try did not succeed."
    if not episode.success and episode.outcome == "truncated":
        verdict += " It was cut off before the task was done."
    checks = [f"{name}: {'yes' if passed else 'no'}" for name, passed in sorted(episode.checks.items())]
    lines = [episode.final_observation, verdict, f"Checks: {', '.join(checks)}." if checks else ""]
    return "\n".join(line for line in lines if line)


def edit_distance(first: Episode, second: Episode) -> float:
    """Return how many words of the actions must change to turn one try into the other, as a share of the
    longer one's words: 0 for the same actions, 1 for nothing in common.
    """
    one, other = ([word for turn in e.turns for word in turn.action.split()] for e in (first, second))
    if not one or not other:
        return float(bool(one or other))
    row = list(range(len(other) + 1))
    for number, word in enumerate(one, 1):
        before, row[0] = row[0], number
        for at, match in enumerate(other, 1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (word != match))
    return row[-1] / max(len(one), len(other))
