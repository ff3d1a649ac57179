"""The loop of trainers that learn from what their policy just did: collect, credit, learn.

An algorithm is one file with three things: a ``Config`` (of ``OnlineConfig``), a class (of
``OnlineTrainer``) that says at least what the episodes are worth, and ``train``, which hands both to ``run``.
What happens around them (resuming, metrics, checkpoints, evaluation, budgets) is the same for all and here.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch

from palaestra.agents.context import Context, in_other_context
from palaestra.agents.episode import Episode, EpisodeWriter, success_rate
from palaestra.agents.policies.core import Sampling, Tokenizer
from palaestra.agents.progress import ProgressLine
from palaestra.agents.react import Opening, make_context, react
from palaestra.agents.rollout import Agent, Job, RolloutSettings, rollout
from palaestra.envs.core import TaskSet
from palaestra.envs.panel import PanelItem, make_env, make_panel, parse_options
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, LearnerConfig, Metrics, PolicyLoss
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy, resumed_policy, trainable_policy
from palaestra.trainers.core.run import Run


@dataclass(frozen=True)
class OnlineConfig:
    """The settings that every online trainer has."""

    policy: str
    """What to improve, such as tiny:runs/sft/policy or hf:FOLDER."""
    env: str = "palaestra/ALFWorld-v0"
    """The environment."""
    options: tuple[str, ...] = ()
    """Options of the environment as name=value, such as split=train."""
    out: Path = Path("runs/train")
    """The run directory. The trained policy is left in its folder `policy`."""

    iterations: int = 100
    """How often to collect, credit and learn."""
    environment_steps: int = 0
    """Stop after the iteration in which so many actions were taken in all; 0 is no such budget."""
    tasks_per_iteration: int = 8
    """Tasks of an iteration, drawn anew each time."""
    group_size: int = 8
    """Tries at each task."""
    max_new_tokens: int = 32
    """Longest completion of a turn."""
    context: Literal["append", "window"] = "append"
    """How the history becomes a prompt."""
    window_turns: int | None = None
    """Turns that the window context shows; it has no effect with append."""
    thought: bool = False
    """Completions read "Thought: ... Action: ..." instead of being the action."""
    system: str = ""
    """How to play, told before the first observation (as a system message where the policy's chat template
    has such). Give `--system "$(cat FILE)"` for a text in a file."""
    remind_goal: bool = False
    """Repeat the goal with every observation after the first, as the policy was trained to see it."""
    max_context_tokens: int = 2048
    """Longest prompt with completion; an episode that needs more ends there."""

    learning_rate: float = 2e-4
    """The learning rate after the warm-up."""
    warmup_steps: int = 10
    """Optimiser steps until the learning rate is reached."""
    weight_decay: float = 0.0
    """AdamW's decay of matrices."""
    max_grad_norm: float = 1.0
    """Longer gradients are scaled down to this norm."""
    tokens_per_micro_batch: int = 2048
    """Tokens of one forward pass; lower it when memory runs out."""

    evaluate_every: int = 0
    """Iterations between evaluations, the first before any training; 0 is none."""
    eval_options: tuple[str, ...] = ()
    """Options of the environment that is evaluated on, such as split=valid_unseen."""
    eval_tasks: int = 64
    """Tasks of the evaluation; always the same ones."""
    eval_temperature: float = 1.0
    """Sampling temperature of the evaluation; 0 is greedy."""
    save_episodes_every: int = 10
    """Iterations between those whose episodes are kept; 0 keeps none."""
    checkpoint_every: int = 20
    """Iterations between checkpoints."""
    keep_checkpoints: int = 2
    """How many checkpoints stay."""
    concurrency: int = 64
    """Episodes played at once."""
    max_failure_rate: float = 0.1
    """Share of failed episodes (the machine's fault) above which the run stops."""
    device: str = "cpu"
    """Where to train: cpu or cuda."""
    threads: int | None = None
    """Threads of torch; its own choice when not given."""
    seed: int = 0
    """Everything random derives from it."""

    def __post_init__(self) -> None:
        counts = ("iterations", "tasks_per_iteration", "group_size", "max_new_tokens", "checkpoint_every")
        require_positive(self, (*counts, "keep_checkpoints", "eval_tasks"))
        require_positive(self, ("environment_steps", "evaluate_every", "save_episodes_every"), or_zero=True)
        if not self.evaluate_every:
            idle = ("eval_options", "eval_tasks", "eval_temperature")
            refuse_idle(self, idle, "evaluate_every=0 is no evaluation")
        if self.context == "append":
            refuse_idle(self, ("window_turns",), "it belongs to context='window'")
        # Made here for the checks of its own, so that a wrong value is refused before any work.
        self.learner()

    def learner(self) -> LearnerConfig:
        """Return the learner's settings; an algorithm adds its own."""
        return LearnerConfig(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            weight_decay=self.weight_decay,
            max_grad_norm=self.max_grad_norm,
            tokens_per_micro_batch=self.tokens_per_micro_batch,
            device=self.device,
        )

    def agent(self, temperature: float = 1.0, opening: Opening | None = None) -> Agent:
        """Return what plays the episodes; ``opening`` begins their contexts in a way of its own."""
        return react(
            self.context,
            window_turns=self.window_turns,
            thought=self.thought,
            remind_goal=self.remind_goal,
            system=self.system,
            sampling=Sampling(temperature=temperature, max_tokens=self.max_new_tokens),
            max_context_tokens=self.max_context_tokens,
            opening=opening,
        )

    def history(self, tokenizer: Tokenizer) -> Context:
        """Return an empty context of the kind that episodes are played in."""
        limit = self.max_context_tokens
        return make_context(self.context, tokenizer, limit, self.window_turns, self.system)


# What may change when a run is resumed: no step's weights depend on it, but for rounding.
MAY_CHANGE = (
    "iterations",
    "environment_steps",
    "checkpoint_every",
    "keep_checkpoints",
    "concurrency",
    "max_failure_rate",
    "threads",
)

C = TypeVar("C", bound=OnlineConfig)


class OnlineTrainer(ABC, Generic[C]):
    """One run's loop body. Everything random in iteration ``i`` derives from (seed, i).

    An algorithm overrides ``credit`` and, where it differs, ``collect`` and ``learn``. What it remembers from
    iteration to iteration goes through ``state``, so that a resumed run agrees with one that never stopped.
    """

    def __init__(self, config: C, policy: TrainablePolicy, learner: Learner) -> None:
        self.config = config
        self.policy = policy
        self.learner = learner
        self.options = parse_options(config.options)
        self.tasks: TaskSet = _tasks(config.env, self.options)
        self.steps_taken = 0
        self._settings = RolloutSettings(
            concurrency=config.concurrency, max_failure_rate=config.max_failure_rate
        )
        self._panel = _evaluation_panel(config) if config.evaluate_every else ()

    @abstractmethod
    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the rows to learn from, with what every token is worth, and metrics."""

    def collect(self, iteration: int) -> list[Episode]:
        """Play this iteration's episodes."""
        return self.play(self.jobs(iteration))

    def learn(self, iteration: int, rows: Sequence[Row]) -> Metrics:
        """Update the weights from ``rows``; return metrics."""
        return self.update(rows)

    def state(self) -> dict[str, Any]:
        """Return what to remember beside weights and optimiser: numbers, text, lists, dicts and tensors."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned."""

    def iterate(self, iteration: int) -> tuple[Metrics, list[Episode]]:
        """Collect, credit, learn; return the metrics and the episodes."""
        began = time.perf_counter()
        episodes = self.collect(iteration)
        collected = time.perf_counter()
        rows, credited = self.credit(iteration, episodes)
        described = time.perf_counter()
        learnt = self.learn(iteration, rows)
        updated = time.perf_counter()
        self.steps_taken += sum(bool(turn.action) for episode in episodes for turn in episode.turns)
        metrics = describe(episodes) | {"rollout/environment_steps": float(self.steps_taken)} | credited
        metrics |= {f"learner/{name}": value for name, value in learnt.items()}
        if due(iteration, self.config.evaluate_every):
            metrics |= self.evaluate()
        metrics |= {
            "time/collect_s": collected - began,
            "time/credit_s": described - collected,
            "time/learn_s": updated - described,
            "time/iteration_s": time.perf_counter() - began,
        }
        return metrics, episodes

    def play(self, jobs: Sequence[Job], agent: Agent | None = None) -> list[Episode]:
        """Play ``jobs`` with the policy as it is now, by ``agent`` or the configured one."""
        return rollout(jobs, agent or self.config.agent(), self.policy, self._settings)

    def plain(self, episode: Episode) -> Episode:
        """Return the episode after the prompts of a policy that is given the task alone: what an opening
        (a hint, an earlier try) put before the first observation is gone.
        """
        history = self.config.history(self.policy.tokenizer)
        return in_other_context(episode, history, remind_goal=self.config.remind_goal)

    def jobs(self, iteration: int, round_number: int = 0, tasks: int | None = None) -> list[Job]:
        """Draw tasks: all tries of a group share the task and the environment's seed."""
        tasks = self.config.tasks_per_iteration if tasks is None else tasks
        generator = np.random.default_rng([self.config.seed, iteration, round_number])
        drawn = self.draw(generator, tasks)
        seeds = generator.integers(2**31, size=tasks)
        return [
            Job(
                PanelItem(self.config.env, self.tasks[index].id, int(seed), self.options),
                group=f"{iteration}.{round_number}.{rank}",
                attempt=attempt,
            )
            for rank, (index, seed) in enumerate(zip(drawn, seeds, strict=True))
            for attempt in range(self.config.group_size)
        ]

    def draw(self, generator: np.random.Generator, tasks: int) -> list[int]:
        """Return the indices of ``tasks`` tasks to try: all alike, where no curriculum says otherwise."""
        return generator.choice(len(self.tasks), tasks, replace=tasks > len(self.tasks)).tolist()

    def update(
        self, rows: Sequence[Row], policy_loss: PolicyLoss | None = None, weight: float = 1.0
    ) -> Metrics:
        """Let the learner update the weights; nothing happens where no row says anything."""
        if not any(any(row.advantage or ()) or any(row.imitation or ()) for row in rows):
            return {"trained_tokens": 0.0}
        metrics = self.learner.update(rows, policy_loss, weight)
        # What the policy remembers of prompts was computed by the old weights.
        self.policy.drop_caches()
        return metrics

    def evaluate(self) -> Metrics:
        """Play the fixed evaluation panel; return its success, reward and length."""
        agent = self.config.agent(self.config.eval_temperature)
        return self.judge(self.play([Job(item) for item in self._panel], agent))

    def judge(self, episodes: Sequence[Episode]) -> Metrics:
        """Return what the evaluation's episodes say."""
        judged = [episode for episode in episodes if not episode.failed]
        return {
            "eval/success": success_rate(judged),
            "eval/reward": mean([episode.reward for episode in judged]),
            "eval/turns": mean([len(episode.turns) for episode in judged]),
        }


def run(
    name: str,
    config: C,
    make: Callable[[C, TrainablePolicy, Learner], OnlineTrainer[C]],
    *,
    free: Collection[str] = MAY_CHANGE,
) -> Path:
    """Train (or go on with a run) and return the run directory; its folder ``policy`` holds the policy.

    ``name`` is the algorithm's, ``free`` are the settings that may change when a run is resumed. Raises
    ``OptionError`` for settings that cannot be used or differ from those that the run was begun with.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with Run(config.out, name, config, free=free, keep=config.keep_checkpoints) as directory:
        policy = trainable_policy(config.policy)
        learner = Learner(policy.model, config.learner())
        trainer = make(config, policy, learner)
        if directory.resumed:
            _resume(trainer, directory)
        elif config.evaluate_every:
            directory.log(0, trainer.evaluate())
        with ProgressLine(name, config.iterations, directory.step) as progress:
            for iteration in range(directory.step + 1, config.iterations + 1):
                if 0 < config.environment_steps <= trainer.steps_taken:
                    break
                metrics, episodes = trainer.iterate(iteration)
                directory.log(iteration, metrics)
                if due(iteration, config.save_episodes_every):
                    _keep_episodes(directory.episodes_file(iteration), episodes)
                if due(iteration, config.checkpoint_every) or _is_last(iteration, trainer):
                    directory.save(iteration, policy, {**learner.state(), "trainer": _remembered(trainer)})
                progress.advance(f"success {metrics['success']:.0%}  {metrics['time/iteration_s']:.1f} s")
        policy.save(directory.directory / "policy")
    return config.out


def describe(episodes: Sequence[Episode]) -> Metrics:
    """Return the metrics of episodes that every trainer logs."""
    judged = [episode for episode in episodes if not episode.failed]
    turns = [turn for episode in judged for turn in episode.turns]
    return {
        "success": success_rate(judged),
        "reward": mean([episode.reward for episode in judged]),
        "rollout/turns": len(turns) / max(1, len(judged)),
        "rollout/invalid_share": mean([not turn.valid for turn in turns]),
        "rollout/sampled_tokens": float(sum(episode.sampled_tokens for episode in judged)),
        "rollout/episodes": float(len(episodes)),
        "rollout/failed": float(len(episodes) - len(judged)),
    }


def mean(values: Sequence[float]) -> float:
    """Return the mean, nan of nothing."""
    return math.fsum(values) / len(values) if values else math.nan


def due(iteration: int, every: int) -> bool:
    """Return whether something that happens ``every`` iterations (0: never) happens in this one."""
    return every > 0 and iteration % every == 0


def _is_last(iteration: int, trainer: OnlineTrainer[Any]) -> bool:
    budget = trainer.config.environment_steps
    return iteration == trainer.config.iterations or 0 < budget <= trainer.steps_taken


def _remembered(trainer: OnlineTrainer[Any]) -> dict[str, Any]:
    return {"steps_taken": trainer.steps_taken, "own": trainer.state()}


def _resume(trainer: OnlineTrainer[Any], directory: Run) -> None:
    """Put the checkpoint's weights into the model: the reference copy, if any, keeps the initial ones."""
    assert directory.resumed is not None
    weights = resumed_policy(trainer.config.policy, directory.resumed.policy).model.state_dict()
    trainer.policy.model.load_state_dict(weights)
    trainer.learner.load_state(directory.resumed.learner)
    remembered = directory.resumed.learner["trainer"]
    trainer.steps_taken = int(remembered["steps_taken"])
    trainer.load_state(remembered["own"])
    trainer.policy.drop_caches()


def _tasks(env_id: str, options: dict[str, Any]) -> TaskSet:
    env = make_env(env_id, options)
    try:
        return env.tasks
    finally:
        env.close()


def _evaluation_panel(config: OnlineConfig) -> tuple[PanelItem, ...]:
    options = parse_options(config.eval_options)
    return make_panel(config.env, config.eval_tasks, seed=config.seed, options=options).items


def _keep_episodes(file: Path, episodes: Sequence[Episode]) -> None:
    with EpisodeWriter(file) as writer:
        for episode in episodes:
            writer.write(episode)
