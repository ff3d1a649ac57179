"""Group-relative policy optimisation: try each task several times and learn from the differences.

GRPO (Shao et al. 2024) over multi-turn episodes. Switches turn it into Dr. GRPO (``normalise_std`` off,
aggregation ``constant``), DAPO (``clip_high`` above ``clip_low``, ``dynamic_filter`` with resampling rounds,
aggregation ``token-mean``) and GiGPO (``gigpo_omega`` > 0).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from palaestra.agents.episode import Episode, EpisodeWriter, success_rate
from palaestra.agents.policies.core import Sampling
from palaestra.agents.progress import ProgressLine
from palaestra.agents.react import react
from palaestra.agents.rollout import Agent, Job, RolloutSettings, rollout
from palaestra.envs.core import TaskSet
from palaestra.envs.panel import PanelItem, make_env, make_panel, parse_options
from palaestra.errors import OptionError
from palaestra.trainers.core.advantages import Baseline, Credit, CreditConfig, assign_credit
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import Learner, LearnerConfig
from palaestra.trainers.core.losses import Aggregation
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy, resumed_policy, trainable_policy
from palaestra.trainers.core.run import Run


@dataclass(frozen=True)
class Config:
    """Improve a policy by its own tries at the tasks. The same command again resumes the run; more
    ``iterations`` continue it.
    """

    policy: str
    """What to improve, such as tiny:runs/sft/policy or hf:FOLDER."""
    env: str = "palaestra/ALFWorld-v0"
    """The environment."""
    options: tuple[str, ...] = ()
    """Options of the environment as name=value, such as split=train."""
    out: Path = Path("runs/grpo")
    """The run directory. The trained policy is left in its folder `policy`."""

    iterations: int = 100
    """How often to collect, credit and learn."""
    tasks_per_iteration: int = 8
    """Tasks of an iteration, drawn anew each time."""
    group_size: int = 8
    """Tries at each task, which are compared with one another."""
    max_new_tokens: int = 32
    """Longest completion of a turn."""
    context: Literal["append", "window"] = "append"
    """How the history becomes a prompt."""
    window_turns: int | None = None
    """Turns that the window context shows; it has no effect with append."""
    remind_goal: bool = False
    """Repeat the goal with every observation after the first, as the policy was trained to see it."""
    max_context_tokens: int = 2048
    """Longest prompt with completion; an episode that needs more ends there."""

    baseline: Baseline = "episode"
    """What a try is compared with: the mean over episodes, or over all their steps (verl-agent)."""
    normalise_std: bool = True
    """Divide advantages by the group's standard deviation; Dr. GRPO does not."""
    dynamic_filter: bool = True
    """Leave out groups whose tries all had the same return (DAPO)."""
    resampling_rounds: int = 0
    """How often to draw further tasks in place of the groups left out (DAPO)."""
    invalid_action_penalty: float = 0.0
    """Taken from the score of a turn whose action was malformed or not admissible."""
    gigpo_omega: float = 0.0
    """Weight of GiGPO's comparison among turns that saw the same observation; 0 is off."""
    gigpo_gamma: float = 0.95
    """Discount of GiGPO's step returns."""

    learning_rate: float = 2e-4
    """The learning rate after the warm-up."""
    warmup_steps: int = 10
    """Optimiser steps until the learning rate is reached."""
    weight_decay: float = 0.0
    """AdamW's decay of matrices."""
    max_grad_norm: float = 1.0
    """Longer gradients are scaled down to this norm."""
    mini_batches: int = 1
    """Optimiser steps over the rows of an iteration, each on a part of them."""
    epochs: int = 1
    """How often an iteration goes over its rows."""
    clip_low: float = 0.2
    """How far a bad token's ratio may fall below 1 in one iteration."""
    clip_high: float = 0.2
    """How far a good token's ratio may rise above 1; DAPO takes 0.28."""
    dual_clip: float = 0.0
    """Bound on the loss of bad tokens, as a multiple of the advantage; 0 is off."""
    aggregation: Aggregation = "token-mean"
    """How the losses of tokens are averaged."""
    constant_tokens: int = 0
    """The divisor of aggregation=constant."""
    kl_coefficient: float = 0.0
    """Weight of the divergence from the policy that training began with; 0 keeps no copy of it."""
    entropy_coefficient: float = 0.0
    """Bonus for entropy."""
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
        counts = ("iterations", "tasks_per_iteration", "max_new_tokens", "checkpoint_every")
        require_positive(self, (*counts, "keep_checkpoints", "eval_tasks"))
        if self.group_size < 2:
            raise OptionError(
                f"a group of {self.group_size} has nothing to compare; group_size must be 2 or more"
            )
        if min(self.resampling_rounds, self.evaluate_every, self.save_episodes_every) < 0:
            raise OptionError(
                "resampling_rounds, evaluate_every and save_episodes_every must not be negative"
            )
        if not self.dynamic_filter:
            refuse_idle(self, ("resampling_rounds",), "only the dynamic filter leaves groups out")
        if not self.gigpo_omega:
            refuse_idle(self, ("gigpo_gamma",), "gigpo_omega=0 switches GiGPO off")
        if not self.evaluate_every:
            refuse_idle(
                self, ("eval_options", "eval_tasks", "eval_temperature"), "evaluate_every=0 is no evaluation"
            )
        if self.context == "append":
            refuse_idle(self, ("window_turns",), "it belongs to context='window'")
        # Made here for the checks of their own, so that a wrong value is refused before any work.
        _learner_config(self)
        _credit_config(self)


# What may change when a run is resumed: no step's weights depend on it, but for rounding.
_MAY_CHANGE = (
    "iterations",
    "checkpoint_every",
    "keep_checkpoints",
    "concurrency",
    "max_failure_rate",
    "threads",
)


def train(config: Config) -> Path:
    """Run GRPO (or go on with it) and return the run directory.

    The directory's folder ``policy`` holds the trained policy, for ``tiny:DIR`` or ``hf:DIR``. Raises
    ``OptionError`` for settings that cannot be used or differ from those that the run was begun with.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with Run(config.out, "grpo", config, free=_MAY_CHANGE, keep=config.keep_checkpoints) as run:
        policy = trainable_policy(config.policy)
        learner = Learner(policy.model, _learner_config(config))
        if run.resumed:
            _resume(config, policy, learner, run)
        trainer = Trainer(config, policy, learner)
        if not run.resumed and config.evaluate_every:
            run.log(0, trainer.evaluate())
        with ProgressLine("grpo", config.iterations, run.step) as progress:
            for iteration in range(run.step + 1, config.iterations + 1):
                metrics, episodes = trainer.iterate(iteration)
                run.log(iteration, metrics)
                if _due(iteration, config.save_episodes_every):
                    _keep_episodes(run.episodes_file(iteration), episodes)
                if _due(iteration, config.checkpoint_every) or iteration == config.iterations:
                    run.save(iteration, policy, learner.state())
                progress.advance(f"success {metrics['success']:.0%}  {metrics['time/iteration_s']:.1f} s")
        policy.save(run.directory / "policy")
    return config.out


class Trainer:
    """One run's loop body. Everything random in iteration ``i`` derives from (seed, i)."""

    def __init__(self, config: Config, policy: TrainablePolicy, learner: Learner) -> None:
        self.config = config
        self.policy = policy
        self.learner = learner
        self._options = parse_options(config.options)
        self._tasks: TaskSet = _tasks(config, self._options)
        self._agent = _agent(config, temperature=1.0)
        self._settings = RolloutSettings(
            concurrency=config.concurrency, max_failure_rate=config.max_failure_rate
        )
        self._panel = _evaluation_panel(config) if config.evaluate_every else ()

    def iterate(self, iteration: int) -> tuple[dict[str, float], list[Episode]]:
        """Collect, credit, learn; return the metrics and the episodes."""
        began = time.perf_counter()
        episodes, credit = self.collect(iteration)
        collected = time.perf_counter()
        rows = [
            row
            for episode, advantages in zip(episodes, credit.advantages, strict=True)
            if advantages is not None
            for row in policy_rows(episode, advantages)
        ]
        credited = time.perf_counter()
        learnt = self.learn(rows)
        updated = time.perf_counter()
        metrics = _describe(episodes, credit) | {f"learner/{name}": value for name, value in learnt.items()}
        if _due(iteration, self.config.evaluate_every):
            metrics |= self.evaluate()
        metrics |= {
            "time/collect_s": collected - began,
            "time/credit_s": credited - collected,
            "time/learn_s": updated - credited,
            "time/iteration_s": time.perf_counter() - began,
        }
        return metrics, episodes

    def collect(self, iteration: int) -> tuple[list[Episode], Credit]:
        """Try ``tasks_per_iteration`` tasks; draw others in place of the groups that teach nothing."""
        episodes: list[Episode] = []
        wanted = self.config.tasks_per_iteration
        credit = assign_credit([], _credit_config(self.config))
        for round_number in range(self.config.resampling_rounds + 1):
            jobs = self.jobs(iteration, round_number, wanted - credit.informative)
            episodes += rollout(jobs, self._agent, self.policy, self._settings)
            credit = assign_credit(episodes, _credit_config(self.config))
            if credit.informative >= wanted:
                break
        return episodes, credit

    def jobs(self, iteration: int, round_number: int, tasks: int) -> list[Job]:
        """Draw tasks: all tries of a group share the task and the environment's seed."""
        generator = np.random.default_rng([self.config.seed, iteration, round_number])
        drawn = generator.choice(len(self._tasks), tasks, replace=tasks > len(self._tasks))
        seeds = generator.integers(2**31, size=tasks)
        return [
            Job(
                PanelItem(self.config.env, self._tasks[int(index)].id, int(seed), self._options),
                group=f"{iteration}.{round_number}.{rank}",
                attempt=attempt,
            )
            for rank, (index, seed) in enumerate(zip(drawn, seeds, strict=True))
            for attempt in range(self.config.group_size)
        ]

    def learn(self, rows: Sequence[Row]) -> dict[str, float]:
        """Update the weights; nothing happens where no row has an advantage."""
        if not any(any(row.advantage or ()) for row in rows):
            return {"trained_tokens": 0.0}
        metrics = self.learner.update(rows)
        # What the policy remembers of prompts was computed by the old weights.
        self.policy.drop_caches()
        return metrics

    def evaluate(self) -> dict[str, float]:
        """Play the fixed evaluation panel; return its success, reward and length."""
        agent = _agent(self.config, temperature=self.config.eval_temperature)
        episodes = rollout([Job(item) for item in self._panel], agent, self.policy, self._settings)
        judged = [episode for episode in episodes if not episode.failed]
        return {
            "eval/success": success_rate(judged),
            "eval/reward": _mean([episode.reward for episode in judged]),
            "eval/turns": _mean([len(episode.turns) for episode in judged]),
        }


def _describe(episodes: Sequence[Episode], credit: Credit) -> dict[str, float]:
    judged = [episode for episode in episodes if not episode.failed]
    turns = [turn for episode in judged for turn in episode.turns]
    return {
        "success": success_rate(judged),
        "reward": _mean([episode.reward for episode in judged]),
        "rollout/turns": len(turns) / max(1, len(judged)),
        "rollout/invalid_share": _mean([not turn.valid for turn in turns]),
        "rollout/sampled_tokens": float(sum(episode.sampled_tokens for episode in judged)),
        "rollout/episodes": float(len(episodes)),
        "rollout/failed": float(credit.failed),
        "rollout/groups": float(credit.groups),
        "rollout/flat_groups": float(credit.flat),
        "rollout/lone_groups": float(credit.lone),
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan


def _due(iteration: int, every: int) -> bool:
    return every > 0 and iteration % every == 0


def _tasks(config: Config, options: dict[str, Any]) -> TaskSet:
    env = make_env(config.env, options)
    try:
        return env.tasks
    finally:
        env.close()


def _evaluation_panel(config: Config) -> tuple[PanelItem, ...]:
    options = parse_options(config.eval_options)
    return make_panel(config.env, config.eval_tasks, seed=config.seed, options=options).items


def _agent(config: Config, temperature: float) -> Agent:
    return react(
        config.context,
        window_turns=config.window_turns,
        remind_goal=config.remind_goal,
        sampling=Sampling(temperature=temperature, max_tokens=config.max_new_tokens),
        max_context_tokens=config.max_context_tokens,
    )


def _keep_episodes(file: Path, episodes: Sequence[Episode]) -> None:
    with EpisodeWriter(file) as writer:
        for episode in episodes:
            writer.write(episode)


def _resume(config: Config, policy: TrainablePolicy, learner: Learner, run: Run) -> None:
    """Put the checkpoint's weights into the model: the reference copy, if any, keeps the initial ones."""
    assert run.resumed is not None
    weights = resumed_policy(config.policy, run.resumed.policy).model.state_dict()
    policy.model.load_state_dict(weights)
    learner.load_state(run.resumed.learner)
    policy.drop_caches()


def _credit_config(config: Config) -> CreditConfig:
    return CreditConfig(
        baseline=config.baseline,
        normalise_std=config.normalise_std,
        dynamic_filter=config.dynamic_filter,
        invalid_action_penalty=config.invalid_action_penalty,
        gigpo_omega=config.gigpo_omega,
        gigpo_gamma=config.gigpo_gamma,
    )


def _learner_config(config: Config) -> LearnerConfig:
    return LearnerConfig(
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        tokens_per_micro_batch=config.tokens_per_micro_batch,
        mini_batches=config.mini_batches,
        epochs=config.epochs,
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        dual_clip=config.dual_clip,
        aggregation=config.aggregation,
        constant_tokens=config.constant_tokens,
        kl_coefficient=config.kl_coefficient,
        entropy_coefficient=config.entropy_coefficient,
        device=config.device,
    )
