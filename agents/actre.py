"""ActRe: explain an action after the fact, and so turn arbitrary actions into trajectories worth learning.

ReAct thinks, then acts. ActRe is shown an action and says why one would take it. An agent that now and then
has its action replaced by an arbitrary one, with ActRe's reason as its thought, reaches places where it
would never go by itself, in steps that look like its own. Source: A3T (Yang et al., 2024).

What was inserted was not sampled from the policy and is recorded so: its ids lie in the turn's prompt, as
context, and the turn is tagged ``inserted_tokens``. Policy gradients therefore skip it by construction.
Imitation, which wants it, calls ``imitable`` first.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from palaestra.agents.context import ContextFull, with_goal, written
from palaestra.agents.episode import Episode, EpisodeWriter
from palaestra.agents.policies.core import Policy, Sampling
from palaestra.agents.react import make_context, parse
from palaestra.agents.rollout import Actor, Agent, Job, Progress, RolloutSettings, rollout
from palaestra.agents.rounds import actions_of, affordable, round_settings
from palaestra.agents.transcript import ask, transcript
from palaestra.errors import OptionError

_UNLIMITED_TOKENS = 10_000_000

_BEFORE = """\
Each action below is followed by the reason for it: one sentence, in the first person, that follows from the \
task and from what was seen up to then. Write the reason for the last action.

Example
You stand in a hall. There is a coat rack 1, a drawer 1 and a door 1. Your task: bring the key to the door.
Action: go to drawer 1
Reason: Small things like a key are often kept in drawers, so I look into the drawer first.
You arrive at drawer 1. The drawer 1 is closed.
Action: open drawer 1
Reason: The drawer is closed, and I have to open it to see whether the key is in it.

Now
"""
_TELLTALE = re.compile(r"\b(random|arbitrar|at chance|by chance|no (particular |good )?reason|sampled)", re.I)


def compose(
    rate: float = 0.2,
    *,
    stuck_turns: int = 3,
    context: Literal["append", "window"] = "append",
    window_turns: int | None = None,
    thought: bool = True,
    remind_goal: bool = False,
    system: str = "",
    sampling: Sampling | None = None,
    explaining: Sampling | None = None,
    max_context_tokens: int | None = None,
) -> Agent:
    """Return a ReAct agent whose action is replaced, with probability ``rate`` a turn, by an admissible one.

    The action is drawn uniformly and gets its thought from ``explain``; one that the policy cannot explain is
    not inserted. After ``stuck_turns`` actions in a row that were not valid one is inserted in any case (0:
    never). With ``thought`` False, for policies that act without thinking, nothing is explained. Needs
    ``info["admissible_actions"]``. The rest is as in ``react``; ``explaining`` is how reasons are sampled.
    The episode's tag ``inserted`` counts the replaced actions.

    Raises ``OptionError`` or ``UnknownNameError`` for settings that cannot be used.
    """
    if not 0 <= rate <= 1 or stuck_turns < 0:
        raise OptionError(f"rate is a probability and stuck_turns not negative; got {rate}, {stuck_turns}")
    sampling = sampling or Sampling()
    explaining = explaining or Sampling(max_tokens=64)

    async def agent(actor: Actor) -> None:
        limit = min(max_context_tokens or _UNLIMITED_TOKENS, actor.context_tokens or _UNLIMITED_TOKENS)
        history = make_context(context, actor.tokenizer, limit, window_turns, system)
        history.begin(actor.observation)
        inserted = failed_in_a_row = 0
        while not actor.done:
            stuck = 0 < stuck_turns <= failed_in_a_row
            other = await _other_action(actor, thought, explaining) if _draws(actor, rate) or stuck else None
            if other is not None:
                action, thinking = other
                completion = written(actor.tokenizer, action, thinking or None)
                ids, kept = history.prompt(len(completion.ids))
                actor.insert(ids, completion.ids, kept=kept)
                valid = True
                inserted += 1
            else:
                ids, kept = history.prompt(sampling.max_tokens)
                completion = await actor.generate(ids, sampling, kept=kept)
                text = actor.tokenizer.decode(completion.ids)
                thinking, action, valid = parse(text) if thought else ("", text.strip(), True)
                valid = valid and action in _admissible(actor)
            history.record(completion)
            failed_in_a_row = 0 if valid else failed_in_a_row + 1
            actor.episode.tags["inserted"] = inserted
            observation, _, _ = await actor.step(
                action, valid=valid, tags={"thought": thinking} if thinking else {}
            )
            history.observe(with_goal(observation, actor.episode.goal) if remind_goal else observation)

    agent.__name__ = f"actre-{rate:g}-{context}{window_turns or ''}" + ("-thought" if thought else "")
    return agent


async def explain(actor: Actor, action: str, sampling: Sampling) -> str:
    """Ask the policy why one would take ``action`` now; return one line, or "" where there is no good answer.

    The question never says where the action comes from, and sentences that guess it (a reason that calls
    the action random would teach to act so) are left out.
    """
    record = transcript(actor.episode.turns, actor.observation, thoughts="after")
    try:
        answer = await ask(
            actor, _BEFORE, record, f"\nAction: {action}\nReason:", sampling, {"purpose": "explanation"}
        )
    except ContextFull:
        return ""
    return reason_in(answer)


def reason_in(answer: str) -> str:
    """Return the reason in the policy's answer, one line; "" when nothing usable is left of it."""
    text = answer.strip().removeprefix("Reason:").removeprefix("Thought:").strip()
    # A model that goes on with the record writes the next observation or action below its reason.
    line = text.partition("\n")[0].partition("Action:")[0].strip()
    sentences = re.split(r"(?<=[.!?])\s+", line)
    return " ".join(sentence for sentence in sentences if not _TELLTALE.search(sentence)).strip()


def imitable(episode: Episode) -> Episode:
    """Return a copy in which what was inserted counts as written by the agent, for imitation.

    Inserted ids move from the prompts to the completions, with log-probs 0, which belong to no distribution:
    such an episode must not be used for policy gradients. Other turns stay as they were sampled.
    """
    copy = replace(episode, turns=[], tags={**episode.tags, "imitable": True})
    for turn in episode.turns:
        count = turn.tags.get("inserted_tokens", 0)
        if count and not turn.completion_ids:  # an episode that was re-encoded has them there already
            turn = replace(
                turn,
                prompt_ids=turn.prompt_ids[:-count],
                completion_ids=turn.prompt_ids[-count:],
                logprobs=[0.0] * count,
            )
        copy.turns.append(turn)
    return copy


def compose_unsolved(
    jobs: Sequence[Job],
    own: Sequence[Episode],
    agent: Agent,
    policy: Policy,
    *,
    tries: int = 40,
    wanted: int = 1,
    actions: int | None = None,
    settings: RolloutSettings | None = None,
    writer: EpisodeWriter | None = None,
    progress: Progress | None = None,
) -> list[list[Episode]]:
    """Compose for every job whose ``own`` episode did not succeed, until ``wanted`` successes or ``tries``.

    ``agent`` is one of ``compose``. Returns each job's composed episodes, failed ones too (A3T learns from
    the successful ones alone). Try k of an attempt a samples as attempt ``a * (tries + 1) + k``, k from 1.
    With ``actions``, no try begins that might take more than are left of them, judged by the longest so far.
    """
    if len(jobs) != len(own):
        raise OptionError(f"{len(jobs)} jobs and {len(own)} own episodes: give one of each job")
    if tries < 1 or wanted < 1:
        raise OptionError("tries and wanted must be at least 1")
    settings = settings or RolloutSettings()
    composed: list[list[Episode]] = [[] for _ in jobs]
    longest = max((actions_of([episode]) for episode in own), default=1)
    for number in range(1, tries + 1):
        open_jobs = [
            n for n, first in enumerate(own) if not first.success and _successes(composed[n]) < wanted
        ]
        if actions is not None:
            taken = actions_of(itertools.chain.from_iterable(composed))
            open_jobs = affordable(open_jobs, actions - taken, max(1, longest))
        if not open_jobs:
            break
        again = [
            replace(
                jobs[n],
                group=jobs[n].group or jobs[n].item.key,
                attempt=jobs[n].attempt * (tries + 1) + number,
                tags={**jobs[n].tags, "composed": True},
            )
            for n in open_jobs
        ]
        allowing = round_settings(settings, itertools.chain.from_iterable(composed), len(again))
        episodes = rollout(again, agent, policy, allowing, writer=writer, progress=progress)
        for n, episode in zip(open_jobs, episodes, strict=True):
            composed[n].append(episode)
            longest = max(longest, actions_of([episode]))
    return composed


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of ``tasks`` tasks, how many have a successful trajectory: the agent's own, and with composed ones.

    ``by_scenario`` holds (tasks, before, after) of each kind of task.
    """

    tasks: int
    before: int
    after: int
    composed: int
    by_scenario: dict[str, tuple[int, int, int]]

    def __str__(self) -> str:
        if not self.tasks:
            return "no tasks"
        return (
            f"{self.tasks} tasks: the agent solved {self.before} ({self.before / self.tasks:.1%}), "
            f"with {self.composed} composed trajectories {self.after} ({self.after / self.tasks:.1%})"
        )


def coverage(own: Iterable[Episode], composed: Iterable[Episode]) -> Coverage:
    """Return the coverage of the tasks in ``own`` before and after the ``composed`` episodes.

    Episodes whose infrastructure failed count nowhere; a task counts as one item (id, seed and options).
    """
    scenarios: dict[str, str] = {}
    before: set[str] = set()
    for episode in own:
        if not episode.failed:
            scenarios[episode.key] = episode.scenario
            before |= {episode.key} if episode.success else set()
    tried = [episode for episode in composed if not episode.failed and episode.key in scenarios]
    after = before | {episode.key for episode in tried if episode.success}
    kinds = [Counter(scenarios[key] for key in keys) for keys in (scenarios, before, after)]
    return Coverage(
        len(scenarios),
        len(before),
        len(after),
        len(tried),
        {kind: (kinds[0][kind], kinds[1][kind], kinds[2][kind]) for kind in sorted(kinds[0])},
    )


def _draws(actor: Actor, rate: float) -> bool:
    return float(actor.generator.random()) < rate


async def _other_action(actor: Actor, thought: bool, explaining: Sampling) -> tuple[str, str] | None:
    """Return an admissible action and a thought that leads to it; None where there is none."""
    actions = _admissible(actor)
    if not actions:
        return None
    action = actions[int(actor.generator.integers(len(actions)))]
    if not thought:
        return action, ""
    reason = await explain(actor, action, explaining)
    return (action, reason) if reason else None


def _admissible(actor: Actor) -> Sequence[str]:
    actions = actor.info.get("admissible_actions")
    if actions is None:
        raise OptionError(
            f"{actor.episode.env_id} does not list its admissible actions; ActRe has nothing to insert"
        )
    return actions


def _successes(episodes: Iterable[Episode]) -> int:
    return sum(episode.success for episode in episodes)
