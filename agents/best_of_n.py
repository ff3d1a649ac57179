"""Best of n: try n times, then choose one try without knowing how any of them was judged.

Self-consistency (Wang et al., 2023) chooses the answer that most tries gave (``majority``); a verifier
chooses the try that it scores highest (``highest``). Whoever chooses sees the tries with everything
left out that the environment said about their outcome, so the reward cannot do the choosing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from palaestra.agents.episode import Episode, EpisodeWriter
from palaestra.agents.policies.core import Policy
from palaestra.agents.rollout import Agent, Job, Progress, RolloutSettings, rollout
from palaestra.agents.spending import spent
from palaestra.errors import ContractError, OptionError

Answer = Callable[[Episode], str | None]
"""The final answer of a try in canonical form: equal answers are equal texts. None when it has none."""

Choice = Callable[[Sequence[Episode]], tuple[int, dict[str, Any]]]
"""Chooses among tries: the number of the chosen one, and tags that say why."""


def best_of_n(
    jobs: Sequence[Job],
    agent: Agent,
    policy: Policy,
    *,
    tries: int,
    choose: Choice | None = None,
    settings: RolloutSettings | None = None,
    writer: EpisodeWriter | None = None,
    every_try: EpisodeWriter | None = None,
    progress: Progress | None = None,
) -> list[Episode]:
    """Play each job ``tries`` times; return the try of each that ``choose`` took (``majority()`` by default).

    Try k of an attempt a samples as attempt ``a * tries + k``; the tries of a job are one group. A chosen
    episode is a copy with the tags ``tries``, ``chosen``, what ``choose`` adds, ``tries_succeeded`` (its best
    possible choice: for reports, never for choosing) and what all tries together cost (``tries_tokens`` and
    so on, see ``spent``). ``writer`` and ``progress`` get each job's chosen episode as soon as its last try
    ended, ``every_try`` every episode. Tries whose infrastructure failed cannot be chosen unless all did.
    """
    if tries < 1:
        raise OptionError(f"tries must be at least 1, not {tries}")
    attempts = [
        replace(job, group=job.group or job.item.key, attempt=job.attempt * tries + number)
        for job in jobs
        for number in range(tries)
    ]
    chooser = _Chooser(tries, choose or majority(), writer, progress)
    rollout(attempts, agent, policy, settings, writer=every_try, progress=chooser)
    return [chooser.chosen[job.item.key, job.attempt] for job in jobs]


def majority(answer: Answer | None = None) -> Choice:
    """Return the choice of the first try that gave the most frequent answer (ties: the answer given first).

    Tries without an answer have no vote. ``answer`` is ``final_answer`` unless given.
    """
    answer_of = answer or final_answer

    def choose(tries: Sequence[Episode]) -> tuple[int, dict[str, Any]]:
        answers = [answer_of(episode) for episode in tries]
        votes = Counter(given for given in answers if given is not None)
        if not votes:
            return 0, {"votes": {}}
        # most_common keeps the order in which equal counts were first met.
        return answers.index(votes.most_common(1)[0][0]), {"votes": dict(votes.most_common())}

    return choose


def highest(score: Callable[[Episode], float]) -> Choice:
    """Return the choice of the try that a verifier's ``score`` puts highest (ties: the first).

    Raises ``ContractError`` for a score that is not a number.
    """

    def choose(tries: Sequence[Episode]) -> tuple[int, dict[str, Any]]:
        scores = [float(score(episode)) for episode in tries]
        if any(math.isnan(value) for value in scores):
            raise ContractError(f"a verifier's scores must be numbers, got {scores}")
        return scores.index(max(scores)), {"score": max(scores)}

    return choose


def final_answer(episode: Episode) -> str | None:
    """Return the last action with case and spacing evened out; None when there was none."""
    actions = [turn.action for turn in episode.turns if turn.action]
    return " ".join(actions[-1].casefold().split()) or None if actions else None


def mean_logprob(episode: Episode) -> float:
    """Return the mean log-prob of the sampled tokens: how sure the policy was. A verifier for free."""
    logprobs = [value for turn in episode.turns for value in turn.logprobs]
    return math.fsum(logprobs) / len(logprobs) if logprobs else -math.inf


def without_verdict(episode: Episode) -> Episode:
    """Return a copy that says nothing of how the environment judged it.

    Rewards, checks and what came after the last action are left out, and the outcome too, since in many
    environments only success terminates.
    """
    turns = [replace(turn, reward=0.0) for turn in episode.turns]
    return replace(
        episode, turns=turns, final_observation="", reward=0.0, success=False, outcome="truncated", checks={}
    )


class _Chooser:
    """Collects the tries of each job and chooses when the last one has ended."""

    def __init__(
        self, tries: int, choose: Choice, writer: EpisodeWriter | None, progress: Progress | None
    ) -> None:
        self.chosen: dict[tuple[str, int], Episode] = {}
        self._tries, self._choose, self._writer, self._progress = tries, choose, writer, progress
        self._ended: dict[tuple[str, int], list[Episode]] = {}

    def update(self, episode: Episode) -> None:
        """Take a try that ended."""
        job = episode.key, episode.attempt // self._tries
        ended = self._ended.setdefault(job, [])
        ended.append(episode)
        if len(ended) < self._tries:
            return
        chosen = self.chosen[job] = self._result(sorted(self._ended.pop(job), key=lambda e: e.attempt))
        if self._writer is not None:
            self._writer.write(chosen)
        if self._progress is not None:
            self._progress.update(chosen)

    def _result(self, tries: Sequence[Episode]) -> Episode:
        judged = [episode for episode in tries if not episode.failed]
        number, why = self._choose([without_verdict(episode) for episode in judged]) if judged else (0, {})
        chosen = (judged or tries)[number]
        tags = {
            **why,
            "tries": len(tries),
            "chosen": chosen.attempt % self._tries,
            "tries_succeeded": sum(episode.success for episode in judged),
            **spent(tries, "tries"),
        }
        return replace(chosen, agent=f"best-of-{len(tries)}-{chosen.agent}", tags={**chosen.tags, **tags})
