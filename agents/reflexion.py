"""Reflexion: try, put into words what went wrong, try again with those words in view.

Source of the idea: Reflexion (Shinn et al., 2023). As there, the signal between trials is the environment's
own verdict: a task that succeeded is not tried again. So a result is "success within k trials" and must be
reported as such (``success_within``); beside the success of single tries it compares unlike things.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

from palaestra.agents.context import ContextFull
from palaestra.agents.episode import Episode, EpisodeWriter
from palaestra.agents.policies.core import Policy, Sampling
from palaestra.agents.rollout import Actor, Agent, Job, Progress, RolloutSettings, rollout
from palaestra.agents.rounds import round_settings
from palaestra.agents.spending import spent
from palaestra.agents.transcript import ask, transcript
from palaestra.errors import OptionError

MEMORY = 3
"""Reflections that a trial is shown: the last ones."""

_BEFORE = "This is the record of your own try at a task. The try did not succeed.\n\n"
_AFTER = (
    "\n\nDo not retell the record. Name the mistake that decided the outcome, then state a new plan for the "
    "same task: the concrete actions to take, and where you will act otherwise. A few sentences.\nNew plan:"
)
_OPENING = "You tried this task before and did not succeed. What you noted for this try:\n"


def reflexion(
    jobs: Sequence[Job],
    agent: Agent,
    policy: Policy,
    *,
    trials: int = 3,
    sampling: Sampling | None = None,
    settings: RolloutSettings | None = None,
    writer: EpisodeWriter | None = None,
    every_try: EpisodeWriter | None = None,
    progress: Progress | None = None,
) -> list[list[Episode]]:
    """Play each job up to ``trials`` times with reflections in between; return each job's episodes in order.

    Trial k of an attempt a samples as attempt ``a * trials + k - 1``. Episodes are tagged with ``trial``, the
    ``reflections`` that they were shown, the ``reflection`` that they led to, and what the trials before cost
    (``earlier_tokens`` and so on, see ``spent``). ``writer`` and ``progress`` get each job's last
    episode as soon as it is decided, ``every_try`` every episode. An episode whose infrastructure failed is
    neither reflected upon nor tried again here (the rollout has done so). ``sampling`` is for reflections.

    Raises what ``rollout`` raises; ``max_failure_rate`` is a share of all trials so far.
    """
    if trials < 1:
        raise OptionError(f"trials must be at least 1, not {trials}")
    settings = settings or RolloutSettings()
    sampling = sampling or Sampling(temperature=0.0, max_tokens=256)
    results = _Results(trials, writer, progress)
    played: list[list[Episode]] = [[] for _ in jobs]
    for trial in range(1, trials + 1):
        numbers = [n for n, past in enumerate(played) if not past or not _decided(past[-1], trials)]
        if not numbers:
            break
        episodes = rollout(
            [_job(jobs[n], played[n], trial, trials) for n in numbers],
            reflective(agent, sampling) if trial < trials else informed(agent),
            policy,
            round_settings(settings, itertools.chain.from_iterable(played), len(numbers)),
            writer=every_try,
            progress=results,
        )
        for n, episode in zip(numbers, episodes, strict=True):
            played[n].append(episode)
    return played


def informed(agent: Agent) -> Agent:
    """Return ``agent`` shown, at the opening, the reflections in its job's tag ``reflections``."""

    async def told(actor: Actor) -> None:
        reflections = actor.job.tags.get("reflections", ())
        if reflections:
            actor.observation = opening(reflections, actor.observation)
        await agent(actor)

    told.__name__ = f"reflexion-{getattr(agent, '__name__', type(agent).__name__)}"
    return told


def reflective(agent: Agent, sampling: Sampling) -> Agent:
    """Return ``agent`` informed of earlier reflections, which reflects when it does not succeed."""
    inner = informed(agent)

    async def reflecting(actor: Actor) -> None:
        full: ContextFull | None = None
        try:
            await inner(actor)
        except ContextFull as error:  # a try that did not succeed, like any other
            full = error
        if not actor.episode.success:
            actor.episode.tags["reflection"] = await _reflect(actor, sampling)
        if full is not None:
            raise full

    reflecting.__name__ = inner.__name__
    return reflecting


def opening(reflections: Sequence[str], observation: str) -> str:
    """Return the first observation with the reflections before it."""
    notes = "".join(f"{number}. {text}\n" for number, text in enumerate(reflections, 1))
    return f"{_OPENING}{notes}\n{observation}"


def success_within(played: Sequence[Sequence[Episode]], trials: int) -> list[float]:
    """Return the share of jobs that succeeded within 1, 2, ... ``trials`` trials.

    Jobs that an infrastructure failure ended are left out.
    """
    judged = [past for past in played if past and not past[-1].failed]
    if not judged:
        return [math.nan] * trials
    wins = [sum(any(e.success for e in past[:k]) for past in judged) for k in range(1, trials + 1)]
    return [win / len(judged) for win in wins]


async def _reflect(actor: Actor, sampling: Sampling) -> str:
    """Ask for a reflection; "" when the policy says nothing or its context has no room for the question."""
    episode = actor.episode
    # What was noted after earlier tries stands in it, before the first observation.
    record = transcript(episode.turns, episode.final_observation or actor.observation)
    try:
        return await ask(actor, _BEFORE, record, _AFTER, sampling, {"purpose": "reflection"})
    except ContextFull:
        return ""


def _job(job: Job, past: Sequence[Episode], trial: int, trials: int) -> Job:
    tags = {**job.tags, "trial": trial}
    if past:
        noted = [text for episode in past if (text := episode.tags.get("reflection", ""))]
        tags["reflections"] = noted[-MEMORY:]
        tags.update(spent(past, "earlier"))
    return replace(job, attempt=job.attempt * trials + trial - 1, tags=tags)


def _decided(episode: Episode, trials: int) -> bool:
    return episode.success or episode.failed or episode.tags["trial"] == trials


class _Results:
    """Passes on the episodes that decide their job."""

    def __init__(self, trials: int, writer: EpisodeWriter | None, progress: Progress | None) -> None:
        self._trials, self._writer, self._progress = trials, writer, progress

    def update(self, episode: Episode) -> None:
        """Take an episode that ended."""
        if not _decided(episode, self._trials):
            return
        if self._writer is not None:
            self._writer.write(episode)
        if self._progress is not None:
            self._progress.update(episode)
