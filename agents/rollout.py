"""The rollout engine: many episodes at once, one batch of policy calls at a time.

``rollout`` plays jobs (panel items) with an agent, a short async function of an ``Actor``. The engine

* keeps ``concurrency`` episodes live and asks the policy once for all that wait; with environments that
  compute, a batch is flushed when every live episode waits, so that its make-up is deterministic;
* gives each episode its own generator, from (item seed, attempt): what is sampled depends neither on the
  batch, nor on the order of jobs, nor on the number of workers;
* treats a failure of the environment or the policy as a typed outcome: the job is retried in a fresh
  environment, then recorded as ``failed`` without a reward; above ``max_failure_rate`` the run stops;
* hands each finished episode to the writer at once, so that stopping loses only what was live.

An error of the agent's own code, or of an option, is no failure of the infrastructure: it ends the run.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from palaestra.agents.calls import DeadlineCaller
from palaestra.agents.context import ContextFullError
from palaestra.agents.episode import Episode, EpisodeWriter, Turn
from palaestra.agents.policies.core import Completion, Policy, Request, Sampling, Tokenizer, View
from palaestra.envs.core import TextEnv
from palaestra.envs.panel import PanelItem, make_env
from palaestra.errors import (
    ContractError,
    FailureRateError,
    InfrastructureError,
    OptionError,
    PalaestraError,
)

Result = TypeVar("Result")

_GATHER_S = 0.02
_RATE_AFTER = 20


@dataclass(frozen=True, slots=True)
class Job:
    """One episode to play. Tries of one ``group`` share task and seed and differ in ``attempt``."""

    item: PanelItem
    group: str = ""
    attempt: int = 0
    tags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """How to run: ``concurrency`` live episodes, deadlines in seconds, ``retries`` of a failed job, the
    share of failed episodes above which the run stops. ``guard_compute`` steps every environment in a
    thread under the deadline, not only those that declare themselves ``io``.
    """

    concurrency: int = 64
    step_deadline_s: float = 60.0
    generate_deadline_s: float = 300.0
    retries: int = 2
    max_failure_rate: float = 0.1
    guard_compute: bool = False

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise OptionError(f"concurrency must be at least 1, not {self.concurrency}")
        if self.retries < 0 or not 0 <= self.max_failure_rate <= 1:
            raise OptionError("retries must be 0 or more, and max_failure_rate in [0, 1]")
        if min(self.step_deadline_s, self.generate_deadline_s) <= 0:
            raise OptionError("deadlines must be positive numbers of seconds")


class Progress(Protocol):
    """Is told of every finished episode."""

    def update(self, episode: Episode) -> None:
        """Take note of a finished episode."""
        ...


class Actor:
    """One live episode, as an agent sees it: look at ``observation`` and ``info``, ``generate``, ``step``."""

    def __init__(self, engine: _Engine, env: TextEnv, job: Job, session: str) -> None:
        self._engine = engine
        self._env = env
        self._job = job
        self._session = session
        self.generator = np.random.default_rng([job.item.seed, job.attempt])
        self.observation = ""
        self.info: dict[str, Any] = {}
        self.done = False
        self.episode = Episode(
            env_id=job.item.env_id,
            task_id=job.item.task_id,
            goal="",
            seed=job.item.seed,
            policy=engine.policy.name,
            agent=engine.agent_name,
            options=dict(job.item.options),
            group=job.group,
            attempt=job.attempt,
            tags=dict(job.tags),
            key=job.item.key,
        )

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of the policy that answers."""
        return self._engine.policy.tokenizer

    async def begin(self) -> None:
        """Reset the environment to the job's task (the engine calls this before the agent)."""
        item = self._job.item
        self.observation, self.info = await self._engine.in_env(
            self._env, lambda: self._env.reset(seed=item.seed, options={"task": item.task_id})
        )
        self.episode.goal = str(self.info.get("goal", ""))
        self.episode.scenario = self._env.task.scenario

    async def generate(self, ids: Sequence[int], kept: int, sampling: Sampling) -> Completion:
        """Ask the policy; the exchange becomes the newest turn. ``ids`` is the whole prompt, of which the
        first ``kept`` ids were in the running sequence already (0 starts a fresh one).
        """
        expert = self._env.expert if self._env.has_expert else None
        view = View(self.observation, self.info, expert)
        request = Request(ids, self._session, self.generator, sampling, view)
        completion = await self._engine.ask(self._job, request)
        turn = Turn(
            observation=self.observation,
            prompt_ids=list(ids[kept:]),
            kept=kept,
            completion_ids=list(completion.ids),
            logprobs=list(completion.logprobs),
            action="",
            finish_reason=completion.finish_reason,
            tags=dict(completion.tags),
        )
        self.episode.turns.append(turn)
        return completion

    async def step(self, action: str, *, valid: bool = True, tags: Mapping[str, Any] | None = None) -> None:
        """Take ``action`` in the environment; it belongs to the newest turn. ``valid`` is the agent's word
        that the completion had the right form; an action outside ``admissible_actions`` is invalid too.
        """
        turn = self._turn_of_action()
        admissible = self.info.get("admissible_actions")
        turn.action = action
        turn.valid = valid and (admissible is None or action in admissible)
        turn.tags.update(tags or {})
        self.observation, reward, terminated, truncated, self.info = await self._engine.in_env(
            self._env, lambda: self._env.step(action)
        )
        turn.reward = reward
        self.episode.reward += reward
        if terminated or truncated:
            self._end("terminated" if terminated else "truncated")

    def end_early(self, tag: str) -> None:
        """End the episode as truncated for a reason of the agent's own, recorded as a tag."""
        self.episode.tags[tag] = True
        self._end("truncated")

    def _turn_of_action(self) -> Turn:
        if self.done:
            raise ContractError("the episode is over; look at actor.done before stepping")
        turns = self.episode.turns
        if not turns or turns[-1].action:
            turns.append(Turn(self.observation, [], _sequence_length(turns), [], [], ""))
        return turns[-1]

    def _end(self, outcome: str) -> None:
        self.done = True
        self.episode.outcome = outcome  # pyright: ignore[reportAttributeAccessIssue]
        self.episode.success = bool(self.info.get("success", False))
        self.episode.checks = {str(k): bool(v) for k, v in self.info.get("checks", {}).items()}
        self.episode.final_observation = self.observation


Agent = Callable[[Actor], Awaitable[None]]


def rollout(
    jobs: Sequence[Job],
    agent: Agent,
    policy: Policy,
    settings: RolloutSettings | None = None,
    *,
    writer: EpisodeWriter | None = None,
    progress: Progress | None = None,
) -> list[Episode]:
    """Play ``jobs`` and return their episodes in the order of the jobs.

    Raises ``FailureRateError`` when more episodes failed than ``settings`` allow, ``StorageError`` when
    the writer cannot write; whatever was written before stays.
    """
    engine = _Engine(agent, policy, settings or RolloutSettings(), writer, progress)
    return asyncio.run(engine.run(jobs))


class _Engine:
    """One call of ``rollout``: the live episodes, what they wait for, and the environments they use."""

    def __init__(
        self,
        agent: Agent,
        policy: Policy,
        settings: RolloutSettings,
        writer: EpisodeWriter | None,
        progress: Progress | None,
    ) -> None:
        self.policy = policy
        self.agent_name = getattr(agent, "name", getattr(agent, "__name__", "agent"))
        self._agent = agent
        self._settings = settings
        self._writer = writer
        self._progress = progress
        self._idle: dict[str, list[TextEnv]] = defaultdict(list)
        self._callers: dict[int, DeadlineCaller] = {}
        self._generator_caller = DeadlineCaller("generate")
        self._waiting: list[tuple[int, Request, asyncio.Future[Completion]]] = []
        self._order: dict[str, int] = {}
        self._running = 0
        self._in_env = 0
        self._wake = asyncio.Event()
        self._finished = self._failed = 0

    async def run(self, jobs: Sequence[Job]) -> list[Episode]:
        """Play all jobs; close every environment and thread on the way out, whatever happens."""
        results: list[Episode | None] = [None] * len(jobs)
        queue = iter(enumerate(jobs))
        batcher = asyncio.create_task(self._batch_forever())
        workers = [
            asyncio.create_task(self._work(queue, results))
            for _ in range(min(self._settings.concurrency, len(jobs)))
        ]
        try:
            pending: set[asyncio.Task[None]] = {*workers, batcher}
            while any(worker in pending for worker in workers):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            self._check_failure_rate(at_end=True)
            return [episode for episode in results if episode is not None]
        finally:
            for task in (*workers, batcher):
                task.cancel()
            await asyncio.gather(*workers, batcher, return_exceptions=True)
            self._close()

    async def _work(self, queue: Iterator[tuple[int, Job]], results: list[Episode | None]) -> None:
        self._running += 1
        try:
            for index, job in queue:
                episode = await self._play_with_retries(index, job)
                results[index] = episode
                self._finished += 1
                self._failed += episode.failed
                if self._writer is not None:
                    self._writer.write(episode)
                if self._progress is not None:
                    self._progress.update(episode)
                self._check_failure_rate(at_end=False)
        finally:
            self._running -= 1
            self._wake.set()

    async def _play_with_retries(self, index: int, job: Job) -> Episode:
        begun = time.perf_counter()
        for attempt in range(self._settings.retries + 1):
            session = f"{index}/{attempt}"
            self._order[session] = index
            try:
                episode, failure = await self._play(job, session)
            finally:
                del self._order[session]
                self.policy.forget(session)
            episode.seconds = time.perf_counter() - begun
            if failure is None:
                if attempt:
                    episode.tags["retries"] = attempt
                return episode
            episode.tags["retries"] = attempt
        return episode  # pyright: ignore[reportPossiblyUnboundVariable]

    async def _play(self, job: Job, session: str) -> tuple[Episode, Exception | None]:
        """Play one try; return its episode and the infrastructure's failure, if there was one."""
        env = self._take_env(job.item)
        actor = Actor(self, env, job, session)
        try:
            await actor.begin()
            try:
                await self._agent(actor)
            except ContextFullError:
                actor.end_early("context_full")
            if not actor.done:
                actor.end_early("gave_up")
        except InfrastructureError as error:
            self._discard(env)
            _mark_failed(actor.episode, error)
            return actor.episode, error
        except BaseException:
            self._discard(env)
            raise
        self._idle[_env_key(job.item)].append(env)
        return actor.episode, None

    # ---- the policy ------------------------------------------------------------------------------

    async def ask(self, job: Job, request: Request) -> Completion:
        """Wait for the policy's answer to ``request``, together with everybody else's."""
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._order[request.session], request, future))
        self._wake.set()
        return await future

    async def _batch_forever(self) -> None:
        """Flush the waiting requests whenever nobody else can still join them."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not self._waiting or len(self._waiting) + self._in_env < self._running:
                continue
            if self._in_env:  # slow environments: give them a moment, then go on without them
                await asyncio.sleep(_GATHER_S)
            await self._flush()
            if self._waiting:
                self._wake.set()

    async def _flush(self) -> None:
        batch = sorted(self._waiting, key=lambda entry: entry[0])
        self._waiting = []
        requests = [request for _, request, _ in batch]
        try:
            completions = await self._complete(requests)
        except InfrastructureError as error:
            for _, _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, _, future), completion in zip(batch, completions, strict=True):
            if not future.done():
                future.set_result(completion)

    async def _complete(self, requests: list[Request]) -> list[Completion]:
        """Ask the policy, a blocking one in a thread; anything but an error of options is a failure."""
        deadline_s = self._settings.generate_deadline_s
        blocking = getattr(self.policy, "generate_sync", None)
        try:
            if blocking is not None:
                return await self._generator_caller.call(lambda: blocking(requests), deadline_s, "generate")
            return await asyncio.wait_for(self.policy.generate(requests), deadline_s)
        except PalaestraError:
            raise
        except Exception as error:
            raise InfrastructureError(f"the policy {self.policy.name!r} failed: {error!r}") from error

    # ---- the environments ------------------------------------------------------------------------

    async def in_env(self, env: TextEnv, call: Callable[[], Result]) -> Result:
        """Run ``call`` on an environment: inline when it computes, in its own thread when it waits."""
        try:
            if env.step_kind == "compute" and not self._settings.guard_compute:
                return call()
            caller = self._callers.setdefault(id(env), DeadlineCaller("env"))
            self._in_env += 1
            self._wake.set()
            try:
                return await caller.call(call, self._settings.step_deadline_s, type(env).__name__)
            finally:
                self._in_env -= 1
        except PalaestraError:
            raise
        except Exception as error:
            raise InfrastructureError(f"{type(env).__name__} failed: {error!r}") from error

    def _take_env(self, item: PanelItem) -> TextEnv:
        idle = self._idle[_env_key(item)]
        return idle.pop() if idle else make_env(item.env_id, item.options)

    def _discard(self, env: TextEnv) -> None:
        caller = self._callers.pop(id(env), None)
        if caller is not None:
            caller.close()
        try:
            env.close()
        except Exception:  # it failed already; that it cannot even close changes nothing
            return

    def _close(self) -> None:
        for envs in self._idle.values():
            for env in envs:
                self._discard(env)
        self._idle.clear()
        self._generator_caller.close()

    def _check_failure_rate(self, at_end: bool) -> None:
        if not self._finished or (self._finished < _RATE_AFTER and not at_end):
            return
        rate = self._failed / self._finished
        if rate > self._settings.max_failure_rate:
            raise FailureRateError(
                f"{self._failed} of {self._finished} episodes failed ({rate:.0%}, allowed "
                f"{self._settings.max_failure_rate:.0%}); the episodes' `failure` says why. "
                "Mend the cause and run again, or raise max_failure_rate"
            )


def _mark_failed(episode: Episode, error: Exception) -> None:
    episode.outcome = "failed"
    episode.failure = f"{type(error).__name__}: {error}"
    episode.reward = 0.0
    episode.success = False


def _sequence_length(turns: Sequence[Turn]) -> int:
    if not turns:
        return 0
    last = turns[-1]
    return last.kept + len(last.prompt_ids) + len(last.completion_ids)


def _env_key(item: PanelItem) -> str:
    return f"{item.env_id}?{sorted(item.options.items())!r}"
