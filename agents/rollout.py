"""Rollouts: many episodes at once, batched policy calls, deadlines, retries, episodes on disk as they end.

One asyncio loop runs up to ``concurrency`` agents. What they ask of the policy is gathered until every live
episode has asked (or waits for a slow environment), sorted by job, and generated in one worker thread.
Environments that compute step in the loop; environments that wait (``step_kind = "io"``) each have a thread
of their own, which is abandoned when it hangs.

What is sampled depends on a job's item and attempt alone: each episode has its own generator, and neither
batch composition nor order nor concurrency enters (log-probs differ by rounding only).
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from palaestra.agents.context import ContextFull
from palaestra.agents.episode import Episode, EpisodeWriter, Turn
from palaestra.agents.gathering import Gathering
from palaestra.agents.policies.core import Completion, Policy, Request, Sampling, Tokenizer
from palaestra.agents.stage import FATAL, Stage, Stages
from palaestra.envs.panel import PanelItem
from palaestra.errors import ContractError, FailureRateError, InfrastructureError, OptionError

# Before this many episodes have ended, one failure says little about the rate of them.
_JOBS_BEFORE_RATE = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play. ``group`` and ``attempt`` place it among tries at the same task; the attempt
    also makes its sampling differ from theirs. ``tags`` are copied to the episode.
    """

    item: PanelItem
    group: str = ""
    attempt: int = 0
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How a rollout runs; nothing here changes what is sampled."""

    concurrency: int = 64
    """Episodes that are live at the same time."""
    max_batch: int = 64
    """Requests that the policy gets in one call."""
    step_deadline_s: float = 120.0
    """Longest that a waiting (io) environment may take to start, reset or step."""
    generate_deadline_s: float = 600.0
    """Longest that one policy call may take."""
    gather_wait_s: float = 0.02
    """How long a batch waits for episodes that are still stepping."""
    retries: int = 2
    """Further tries of an episode whose infrastructure failed, each in a fresh environment."""
    max_failure_rate: float = 0.1
    """Share of failed episodes above which the run stops."""

    def __post_init__(self) -> None:
        for name in ("concurrency", "max_batch", "step_deadline_s", "generate_deadline_s"):
            if getattr(self, name) <= 0:
                raise OptionError(f"{name} must be positive, not {getattr(self, name)}")
        if self.gather_wait_s < 0 or self.retries < 0 or not 0 <= self.max_failure_rate <= 1:
            raise OptionError(
                "gather_wait_s and retries must not be negative, and max_failure_rate is between 0 and 1"
            )


class Actor:
    """One live episode, as its agent sees it; collects the turns.

    ``observation``, ``info`` and ``done`` are what the environment said last. ``generate`` asks the policy,
    ``step`` acts; what was generated since the last step belongs to the turn of the next one. A generation
    that is followed by another one, not by a step, is a turn of its own without an action. ``aside``,
    ``insert`` and ``act_elsewhere`` are for agents that do more than observe and act. ``sessions`` are the
    names under which the policy was asked.
    """

    def __init__(
        self,
        job: Job,
        episode: Episode,
        stage: Stage,
        policy: Policy,
        session: str,
        ask: Callable[[Request], Awaitable[Completion]],
    ) -> None:
        self.job = job
        self.episode = episode
        self.generator = np.random.default_rng([job.item.seed, job.attempt])
        self.observation = ""
        self.info: dict[str, Any] = {}
        self.done = False
        self._stage = stage
        self._policy = policy
        self._ask = ask
        self._session = session
        self.sessions = [session]
        self._generated: tuple[list[int], int, Completion] | None = None
        self._row_tokens = 0

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the policy."""
        return self._policy.tokenizer

    @property
    def context_tokens(self) -> int | None:
        """The longest prompt and completion that the policy takes, or None where it does not say."""
        return getattr(self._policy, "context_tokens", None)

    async def generate(
        self, ids: Sequence[int], sampling: Sampling | None = None, *, kept: int = 0
    ) -> Completion:
        """Return the policy's completion of the prompt ``ids``.

        ``kept`` of them were in the sequence of the last turn (see ``Context.prompt``). Raises
        ``InfrastructureError`` when the policy failed or took too long; let it pass.
        """
        self._close_turn("", 0.0, valid=True, tags={"no_action": True})
        completion = await self._complete(ids, self._session, sampling, self.observation)
        self._generated = (list(ids[kept:]), kept, completion)
        return completion

    async def aside(
        self, ids: Sequence[int], sampling: Sampling | None = None, *, question: str, tags: Mapping[str, Any]
    ) -> Completion:
        """Ask the policy something beside the episode, such as what went wrong or why an action makes sense.

        The prompt ``ids`` (the text ``question``) stands alone. It and its completion are kept as a turn with
        the tags ``aside``, ``no_action`` and ``tags``, which has a row of its own in ``sequences`` and does
        not interrupt the row of the turns around it. Raises ``InfrastructureError`` as ``generate`` does.
        """
        # A session of its own, so that the episode's cache is still there when it goes on.
        session = f"{self._session} aside"
        if session not in self.sessions:
            self.sessions.append(session)
        completion = await self._complete(ids, session, sampling, question)
        self.episode.turns.append(
            Turn(
                observation=question,
                prompt_ids=list(ids),
                kept=0,
                completion_ids=completion.ids,
                logprobs=completion.logprobs,
                action="",
                finish_reason=completion.finish_reason,
                tags={**completion.tags, **tags, "aside": True, "no_action": True},
            )
        )
        return completion

    def insert(self, ids: Sequence[int], action_ids: Sequence[int], *, kept: int = 0) -> None:
        """Let the action of the next ``step`` be one that the policy did not sample, ``action_ids``.

        They are recorded at the end of the turn's prompt, so no trainer takes them for the policy's own, and
        counted in the turn's tag ``inserted_tokens``. ``ids`` and ``kept`` are as in ``generate``.
        """
        self._close_turn("", 0.0, valid=True, tags={"no_action": True})
        tags = {"inserted_tokens": len(action_ids)}
        self._generated = ([*ids[kept:], *action_ids], kept, Completion([], [], "stop", tags))

    def act_elsewhere(
        self, action: str, observation: str, *, valid: bool = True, tags: Mapping[str, Any] | None = None
    ) -> None:
        """End the turn by an action that went elsewhere than to the environment, such as code to a sandbox.

        ``observation`` is what it brought, and what the next turn shows.
        """
        self._close_turn(action, 0.0, valid=valid, tags=tags or {})
        self.observation = self.episode.final_observation = observation

    async def step(
        self, action: str, *, valid: bool = True, tags: Mapping[str, Any] | None = None
    ) -> tuple[str, float, bool]:
        """Act; return the next observation, the reward and whether the episode is over.

        Raises ``InfrastructureError`` when the environment failed or took too long; let it pass.
        """
        if self.done:
            raise ContractError("the episode is over; an agent stops when actor.done is True")
        observation, reward, terminated, truncated, info = await self._stage.step(action)
        if not math.isfinite(reward):
            raise InfrastructureError(f"{self.job.item.env_id}: a reward must be finite, got {reward!r}")
        if self._generated is None:
            self._generated = ([], self._row_tokens, Completion([], [], "stop"))
        self._close_turn(action, float(reward), valid=valid, tags=tags or {})
        self.observation, self.info = observation, info
        self._keep_metrics()
        self.episode.final_observation = observation
        self.done = terminated or truncated
        if self.done:
            self.episode.outcome = "terminated" if terminated else "truncated"
            self.episode.success = bool(info.get("success", False))
            self.episode.checks = dict(info.get("checks", {}))
        return observation, float(reward), self.done

    async def begin(self) -> None:
        """Reset the environment to the job's task. Called by the engine."""
        if self._stage.siblings:
            self.episode.tags["siblings"] = True
        try:
            self.observation, self.info = await self._stage.reset(self.job.item)
        finally:
            # Also where the reset failed: a scenario with an episode that nobody judged is not solved yet.
            self.episode.scenario = self._stage.scenario(self.job.item)
        self.episode.goal = str(self.info.get("goal", ""))
        self._keep_metrics()

    def end(self) -> None:
        """Keep a generation that no step followed. Called by the engine."""
        self._close_turn("", 0.0, valid=True, tags={"no_action": True})

    def _keep_metrics(self) -> None:
        """Keep the environment's metrics in the episode; each step's replace those before it."""
        if not (metrics := self.info.get("metrics")):
            return
        kept = {str(name): float(value) for name, value in metrics.items()}
        if unfit := [name for name, value in kept.items() if not math.isfinite(value)]:
            raise InfrastructureError(f"{self.job.item.env_id}: the metric {unfit[0]!r} must be finite")
        self.episode.tags["metrics"] = kept

    async def _complete(
        self, ids: Sequence[int], session: str, sampling: Sampling | None, observation: str
    ) -> Completion:
        view = self._stage.view(observation, self.info)
        completion = await self._ask(Request(ids, session, self.generator, sampling or Sampling(), view))
        if len(completion.ids) != len(completion.logprobs):
            raise ContractError(
                f"{self._policy.name} gave {len(completion.ids)} ids and {len(completion.logprobs)} log-probs"
            )
        return completion

    def _close_turn(self, action: str, reward: float, *, valid: bool, tags: Mapping[str, Any]) -> None:
        if self._generated is None:
            return
        prompt_ids, kept, completion = self._generated
        self._generated = None
        self._row_tokens = kept + len(prompt_ids) + len(completion.ids)
        self.episode.reward += reward
        self.episode.turns.append(
            Turn(
                observation=self.observation,
                prompt_ids=prompt_ids,
                kept=kept,
                completion_ids=completion.ids,
                logprobs=completion.logprobs,
                action=action,
                reward=reward,
                valid=valid,
                finish_reason=completion.finish_reason,
                tags={**completion.tags, **tags},
            )
        )


class Progress(Protocol):
    """Whoever wants to hear of every episode that ends."""

    def update(self, episode: Episode) -> None:
        """Count a finished episode."""
        ...


Agent = Callable[[Actor], Awaitable[None]]

_sessions = itertools.count()


def rollout(
    jobs: Sequence[Job],
    agent: Agent,
    policy: Policy,
    settings: RolloutSettings | None = None,
    writer: EpisodeWriter | None = None,
    progress: Progress | None = None,
) -> list[Episode]:
    """Play ``jobs`` and return their episodes, in the order of the jobs.

    ``writer`` and ``progress`` (such as a ``RolloutProgress``) get each episode as it ends.
    A failure of the infrastructure is tried again in a fresh environment; an error in ``agent`` itself is
    not. Either way the episode is recorded as failed, with what happened in ``failure``.

    Raises ``FailureRateError`` when more failed than
    ``settings.max_failure_rate`` allows, ``DeadlineError`` when the policy is stuck, ``StorageError`` when
    the disk is full, and ``OptionError`` or ``UnknownNameError`` for a job that cannot be played.
    """
    engine = _Engine(jobs, agent, policy, settings or RolloutSettings(), writer, progress)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(engine.run())
    # A notebook has a loop of its own, and a loop cannot run inside another.
    return _in_thread(engine)


class _Engine:
    """The state of one rollout."""

    def __init__(
        self,
        jobs: Sequence[Job],
        agent: Agent,
        policy: Policy,
        settings: RolloutSettings,
        writer: EpisodeWriter | None,
        progress: Progress | None,
    ) -> None:
        self._jobs, self._agent, self._policy, self._settings = list(jobs), agent, policy, settings
        self._writer = writer
        self._progress = progress
        self._queue = iter(range(len(self._jobs)))
        self._episodes: list[Episode | None] = [None] * len(self._jobs)
        self._live = self._finished = self._failed = 0
        self._stages = Stages(settings.step_deadline_s)

    async def run(self) -> list[Episode]:
        settings = self._settings
        self._gathering = Gathering(
            self._policy,
            lambda: self._live,
            max_batch=settings.max_batch,
            wait_s=settings.gather_wait_s,
            deadline_s=settings.generate_deadline_s,
        )
        players = [
            asyncio.create_task(self._play_jobs()) for _ in range(min(settings.concurrency, len(self._jobs)))
        ]
        gathering = asyncio.create_task(self._gathering.run())
        try:
            await _all_or_first_error(players, gathering)
        finally:
            await _cancel([*players, gathering])
            self._gathering.close()
            self._stages.close()
        self._check_failure_rate(at_least=1)
        return [episode for episode in self._episodes if episode is not None]

    async def _play_jobs(self) -> None:
        for index in self._queue:
            self._live += 1
            try:
                episode = await self._play(index)
            finally:
                self._live -= 1
                self._gathering.changed()
            self._finish(index, episode)

    def _finish(self, index: int, episode: Episode) -> None:
        self._episodes[index] = episode
        self._finished += 1
        self._failed += episode.failed
        if self._writer is not None:
            self._writer.write(episode)
        if self._progress is not None:
            self._progress.update(episode)
        self._check_failure_rate(at_least=_JOBS_BEFORE_RATE)

    def _check_failure_rate(self, at_least: int) -> None:
        if self._finished < at_least or self._failed <= self._settings.max_failure_rate * self._finished:
            return
        ended = [episode for episode in self._episodes if episode is not None]
        first = next(episode.failure for episode in ended if episode.failed)
        raise FailureRateError(
            f"{self._failed} of {self._finished} episodes failed, more than max_failure_rate = "
            f"{self._settings.max_failure_rate:g} allows. Episodes written so far are kept. The first "
            f"failure: {first}"
        )

    async def _play(self, index: int) -> Episode:
        """Play job ``index`` until it does not fail, or its tries are spent."""
        tries = 0
        while True:
            episode, again = await self._try(index)
            if tries:
                episode.tags["retries"] = tries
            if not again or tries == self._settings.retries:
                return episode
            tries += 1

    async def _try(self, index: int) -> tuple[Episode, bool]:
        """Play job ``index`` once; return the episode and whether trying again makes sense."""
        job, began = self._jobs[index], time.perf_counter()
        episode, session = _blank(job, self._agent, self._policy), f"episode {next(_sessions)}"
        stage, sound, again = self._stages.take(job.item), False, False
        actor = Actor(
            job, episode, stage, self._policy, session, lambda request: self._gathering.ask(index, request)
        )
        try:
            await actor.begin()
            await self._agent(actor)
            sound = True
        except ContextFull:
            sound = True
            episode.tags["context_full"] = True
        except FATAL:
            raise
        except InfrastructureError as error:
            again = True
            _fail(episode, error, str(error))
        except Exception as error:  # a mistake in the agent or the policy: the others go on
            _fail(episode, error, traceback.format_exc())
        finally:
            for name in actor.sessions:
                self._gathering.forget(name)
            (self._stages.give_back if sound else self._stages.discard)(stage)
        actor.end()
        episode.seconds = time.perf_counter() - began
        return episode, again


def _blank(job: Job, agent: Agent, policy: Policy) -> Episode:
    return Episode(
        env_id=job.item.env_id,
        task_id=job.item.task_id,
        goal="",
        seed=job.item.seed,
        policy=policy.name,
        agent=getattr(agent, "__name__", type(agent).__name__),
        options=dict(job.item.options),
        group=job.group,
        attempt=job.attempt,
        tags=dict(job.tags),
        key=job.item.key,
    )


def _fail(episode: Episode, error: Exception, failure: str) -> None:
    episode.outcome, episode.failure = "failed", failure
    episode.tags["failure_kind"] = type(error).__name__
    episode.reward, episode.success = 0.0, False


async def _all_or_first_error(players: list[asyncio.Task[None]], gathering: asyncio.Task[None]) -> None:
    """Wait for all players; raise the first error of a player or of the gathering."""
    waiting: set[asyncio.Task[None]] = {*players, gathering}
    while waiting - {gathering}:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    waiting = set(tasks)
    while waiting:
        # Again and again, since what an agent awaits may swallow a cancellation.
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)


def _in_thread(engine: _Engine) -> list[Episode]:
    result: list[list[Episode]] = []
    errors: list[BaseException] = []

    def target() -> None:
        try:
            result.append(asyncio.run(engine.run()))
        except BaseException as error:  # handed to the caller's thread
            errors.append(error)

    thread = threading.Thread(target=target, name="rollout", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]
