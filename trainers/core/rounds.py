"""Rounds: play a fixed set of tasks, keep what is worth imitating in a store, train on the store, again.

Between two rounds stands a whole training, not a step: it begins from the starting policy or goes on with the
last round's, has optimiser and learning rate of its own, and may leave the mean of its epochs' weights. The
batches are drawn by task, so that what is to be compared within a task meets in one update.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.rollout import Agent, Job, rollout
from palaestra.agents.rounds import actions_of, affordable, round_settings
from palaestra.envs.panel import make_env, make_panel
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, LearnerConfig, Metrics
from palaestra.trainers.core.online import OnlineConfig, OnlineTrainer, mean
from palaestra.trainers.core.options import require_positive
from palaestra.trainers.core.policies import TrainablePolicy
from palaestra.trainers.core.schedules import Decay
from palaestra.trainers.core.trajectories import (
    TrajectoryStore,
    by_task,
    distinct,
    mean_over_trajectories,
    trajectory_rows,
)


@dataclass(frozen=True)
class RoundsConfig(OnlineConfig):
    """The settings of every trainer that works in rounds."""

    iterations: int = 3
    """Rounds: play the tasks, then train."""
    tasks_per_iteration: int = 64
    """Tasks to learn on; the same ones in every round."""
    group_size: int = 4
    """Tries at each task in a round."""
    temperature: float = 1.0
    """Sampling temperature of the tries."""
    round_steps: int = 0
    """Most actions to take in a round; 0 is no bound."""

    accumulate: bool = True
    """Train on the trajectories of all rounds so far, not of the last alone."""
    restart: bool = True
    """Train every round from the starting policy; otherwise go on with the last round's."""
    epochs: int = 4
    """How often a round's training goes over the tasks."""
    tasks_per_batch: int = 8
    """Tasks of an optimiser step, each with its trajectories."""
    trajectories_per_task: int = 4
    """Most trajectories to imitate of one task in an epoch; drawn anew in each."""
    learning_rate: float = 1e-3
    """The highest learning rate of a round's training."""
    warmup_steps: int = 5
    """Optimiser steps of each round until the learning rate is reached."""
    decay: Decay = "cosine"
    """How the learning rate falls until the round's last step."""
    average_checkpoints: bool = False
    """Leave the mean of the weights at the ends of a round's epochs, not the last ones."""
    length_mean: bool = True
    """A trajectory's log-likelihood is the mean over the tokens its agent wrote; otherwise the sum."""
    observation_weight: float = 0.0
    """Weight of predicting what the actions of imitated trajectories brought, beside the actions' 1."""

    save_episodes_every: int = 0
    """Rounds between those whose episodes are all kept, also those that are not learnt from; 0 keeps none."""
    checkpoint_every: int = 1
    """Rounds between checkpoints."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("temperature", "epochs", "tasks_per_batch", "trajectories_per_task"))
        require_positive(self, ("round_steps", "observation_weight"), or_zero=True)

    def learner(self) -> LearnerConfig:
        """Return the learner's settings, but for the length of a round, which decides the decay."""
        # Rows are weighed by trajectory already.
        return replace(super().learner(), aggregation="sequence-sum")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one task teaches: trajectories to imitate, and those that go with them into every batch of it."""

    imitated: list[list[Row]]
    always: list[list[Row]] = field(default_factory=list)


C = TypeVar("C", bound=RoundsConfig)


class RoundsTrainer(OnlineTrainer[C], Generic[C]):
    """An algorithm says at least which episodes to keep; what to do with them, if it is not plain imitation.

    Rounds count from 1. ``round`` is the last that was played.
    """

    def __init__(self, config: C, policy: TrainablePolicy, learner: Learner) -> None:
        super().__init__(config, policy, learner)
        self.round = 0
        self.store = TrajectoryStore(config.out / "trajectories")
        panel = make_panel(config.env, config.tasks_per_iteration, seed=config.seed, options=self.options)
        self.items = panel.items
        self.max_steps = _max_steps(config.env, self.options)
        self._solved: set[str] = set()
        self._start = _weights(policy.model) if config.restart else {}

    @abstractmethod
    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return those of a round's episodes that belong into the store."""

    def lessons(self, kept: Sequence[Episode]) -> list[Lesson]:
        """Return what to learn from the trajectories ``kept``: to imitate the distinct successes."""
        return [
            Lesson([self.rows(episode, 1.0) for episode in distinct(episodes)])
            for episodes in by_task(episode for episode in kept if episode.success).values()
        ]

    def rows(self, episode: Episode, value: float) -> list[Row]:
        """Return the rows of a trajectory that is worth ``value``; observations are only ever imitated."""
        return trajectory_rows(
            episode,
            value,
            length_mean=self.config.length_mean,
            observation_weight=self.config.observation_weight if value > 0 else 0.0,
        )

    def jobs(self, iteration: int, round_number: int = 0, tasks: int | None = None) -> list[Job]:
        """Return the tries of a round: once through all tasks, then again. Each samples on its own."""
        size = self.config.group_size
        return [
            Job(item, group=item.key, attempt=iteration * size + number)
            for number in range(size)
            for item in self.items[:tasks]
        ]

    def collect(self, iteration: int) -> list[Episode]:
        """Play the tries of a round."""
        agent = self.config.agent(self.config.temperature)
        return self.play_within(self.jobs(iteration), agent, self.config.round_steps)

    def play_within(
        self, jobs: Sequence[Job], agent: Agent, actions: int, earlier: Sequence[Episode] = ()
    ) -> list[Episode]:
        """Play ``jobs`` in their order, as long as the next one surely fits into what the episodes
        ``earlier`` in the round left of ``actions`` (0: all).
        """
        played = list(earlier)
        while wave := self.fitting(jobs[len(played) - len(earlier) :], actions, played):
            settings = round_settings(self._settings, played, len(wave))
            played += rollout(wave, agent, self.policy, settings)
        return played[len(earlier) :]

    def fitting(self, jobs: Sequence[Job], actions: int, played: Sequence[Episode]) -> Sequence[Job]:
        """Return the first of ``jobs`` that surely fit into what is left of ``actions`` (0: all of them)."""
        return affordable(jobs, actions - actions_of(played), self.max_steps) if actions else jobs

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put what is kept into the store. Rows are made in ``learn``, from the store."""
        kept = self.keep(iteration, episodes)
        self.store.add(iteration, kept)
        self.round = iteration
        known = self.store.read(1, iteration)
        return [], {
            "round/kept": float(len(kept)),
            "round/coverage": self.solved_by(known),
            "round/trajectories": float(len(known)),
        }

    def solved_by(self, episodes: Sequence[Episode]) -> float:
        """Return the share of the tasks that some of ``episodes`` solved."""
        return len({episode.key for episode in episodes if episode.success}) / len(self.items)

    def learn(self, iteration: int, rows: Sequence[Row]) -> Metrics:
        """Train on the store; return the metrics of the optimiser steps, averaged, and their number."""
        lessons = self.lessons(self.store.read(1 if self.config.accumulate else iteration, iteration))
        self.begin_training(len(lessons))
        total: dict[str, Tensor] = {}
        taken: list[Metrics] = []
        for epoch in range(self.config.epochs if lessons else 0):
            generator = np.random.default_rng([self.config.seed, iteration, epoch])
            taken += [self.update(batch) for batch in self.batches(lessons, generator)]
            if self.config.average_checkpoints:
                total = _plus(total, self.policy.model)
        if total:
            _put(self.policy.model, {name: value / self.config.epochs for name, value in total.items()})
            self.policy.drop_caches()
        names = dict.fromkeys(name for metrics in taken for name in metrics)
        averages = {name: mean([metrics[name] for metrics in taken if name in metrics]) for name in names}
        return averages | {"steps": float(len(taken)), "tasks": float(len(lessons))}

    def begin_training(self, lessons: int) -> None:
        """Make the learner of a round over ``lessons`` tasks, on the weights that it begins with."""
        if self._start:
            _put(self.policy.model, self._start)
            self.policy.drop_caches()
        steps = self.config.epochs * -(-lessons // self.config.tasks_per_batch)
        decays = self.config.decay != "constant" and steps
        self.learner = Learner(
            self.policy.model,
            replace(
                self.config.learner(),
                decay=self.config.decay if decays else "constant",
                decay_steps=steps if decays else 0,
            ),
        )

    def batches(self, lessons: Sequence[Lesson], generator: np.random.Generator) -> list[list[Row]]:
        """Return the rows of every optimiser step of an epoch: the tasks in a random order, of each some of
        its trajectories to imitate and all that always go with them.
        """
        most = self.config.trajectories_per_task
        order = generator.permutation(len(lessons)).tolist()
        found: list[list[Row]] = []
        for begin in range(0, len(order), self.config.tasks_per_batch):
            trajectories: list[list[Row]] = []
            for lesson in (lessons[number] for number in order[begin : begin + self.config.tasks_per_batch]):
                chosen = generator.permutation(len(lesson.imitated))[:most].tolist()
                trajectories += [lesson.imitated[n] for n in chosen] + lesson.always
            found.append(mean_over_trajectories(trajectories))
        return found

    def judge(self, episodes: Sequence[Episode]) -> Metrics:
        """Return what the evaluation says of this round's policy, and which share of its tasks the policies
        of all rounds so far have solved between them, which is another thing: a best of several tries.
        """
        if not self.round:
            return super().judge(episodes)
        self._solved |= {episode.key for episode in episodes if episode.success}
        tried = {episode.key for episode in episodes if not episode.failed}
        accumulated = len(tried & self._solved) / max(1, len(tried))
        return super().judge(episodes) | {"eval/accumulated_success": accumulated}

    def state(self) -> dict[str, Any]:
        """Return how many rounds of the store count, and which evaluation tasks were solved."""
        return {"round": self.round, "solved": sorted(self._solved)}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take back what ``state`` returned; what the store holds of later rounds will be overwritten."""
        self.round = int(state["round"])
        self._solved = set(state["solved"])
        self.store.require(1, self.round)


def own_play(episodes: Sequence[Episode]) -> Metrics:
    """Return success and reward of the ``episodes`` that a policy played alone, for a round's metrics."""
    judged = [episode for episode in episodes if not episode.failed]
    return {"success": success_rate(judged), "reward": mean([episode.reward for episode in judged])}


def _weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def _plus(total: dict[str, Tensor], model: nn.Module) -> dict[str, Tensor]:
    weights = _weights(model)
    return {name: total[name] + value for name, value in weights.items()} if total else weights


@torch.no_grad()
def _put(model: nn.Module, weights: dict[str, Any]) -> None:
    for name, value in model.named_parameters():
        value.copy_(weights[name])


def _max_steps(env_id: str, options: dict[str, Any]) -> int:
    env = make_env(env_id, options)
    try:
        return env.max_steps
    finally:
        env.close()
