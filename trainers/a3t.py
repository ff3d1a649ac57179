"""A3T: compose trajectories for what the agent fails, then set them against its failures, in rounds.

Source: "ReAct meets ActRe" (Yang et al. 2024, arXiv 2403.14589). In every round the agent plays each task
once. Where it fails, trajectories are composed: now and then an arbitrary admissible action takes the place
of its own, with a reason found afterwards (``palaestra.agents.actre``). Its own trajectories and the
successful composed ones go into a store that grows over the rounds, and all of it is trained on (Eq. 1):

    J(theta) = (1/M) sum over trajectories m of R(m) sum over t of [log pi(y_t | h_t) + w log pi(o_t | h_t)]

where y_t is what the agent wrote, o_t what it brought, and R = 1 for successes and R = R_f = -1 for the
agent's failure. For a task with K successes and a failure the gradient is 1/(K+1) times (Eq. 2,
reconstructed; an identity)

    (1 - 1/K) sum_k grad log p(s_k) + (1 + R_f) grad log p(f) + (1/K) sum_k grad [log p(s_k) - log p(f)]

so R_f = 0 is imitation of the successes (RFT), and R_f = -1 with K = 1 contrast alone, which nothing holds in
place. Hence K > 1 (``least_successes``): a task with fewer teaches by its successes only. A batch is drawn by
task, up to ``trajectories_per_task`` successes and the failure, so that the ratio holds within an update.

Where this differs from Eq. 1, because a sum pushed down has no bottom: log-likelihoods are means over a
trajectory's tokens (``length_mean``: failures are the longest trajectories), and tokens of a failure are
pushed no further than ``negative_floor_nats``; both are switches. Observations are predicted in successes
only, with weight ``observation_weight`` = w (off by default); those of a failure, which Eq. 1 un-predicts,
are never learnt from, and no switch changes that. Their mean divides by the same count of the agent's own
tokens on both sides, so that w does not change the ratio. The paper does not say whether a round begins from
the base model; here it does (``restart``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from palaestra.agents.actre import compose, compose_unsolved, coverage, imitable
from palaestra.agents.episode import Episode
from palaestra.agents.policies.core import Sampling
from palaestra.agents.rollout import Agent
from palaestra.agents.rounds import actions_of
from palaestra.errors import OptionError
from palaestra.trainers.core import instructions
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import LearnerConfig, Metrics
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.rounds import Lesson, RoundsConfig, RoundsTrainer, own_play
from palaestra.trainers.core.trajectories import by_task, distinct


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Learn from composed trajectories and own failures, round after round. The same command again resumes
    the run; more ``iterations`` continue it.
    """

    out: Path = Path("runs/a3t")
    """The run directory. The trained policy is left in its folder `policy`."""
    group_size: int = 1
    """Own tries at each task in a round."""
    failure_reward: float = -1.0
    """R_f, what the agent's own failure is worth: -1 (A3T) to 0 (RFT)."""
    least_successes: int = 2
    """Successes that a task needs before its failure is learnt from; 1 is known to be unstable."""
    negative_floor_nats: float = 4.0
    """A failure's tokens are pushed down to this much below certainty, no further; 0 is no floor."""
    tries: int = 10
    """Most trajectories to compose for a failed task in a round; 0 composes none."""
    wanted: int = 2
    """Successful ones after which a round composes no more for a task."""
    rate: float = 0.2
    """Share of a composed trajectory's actions that are arbitrary. 0, without `stuck_turns`, only samples."""
    stuck_turns: int = 3
    """Invalid actions in a row after which an arbitrary one comes in any case; 0 is never."""
    composing_temperature: float = 1.0
    """Sampling temperature of composed trajectories, where the agent acts itself."""
    explanation_tokens: int = 64
    """Longest reason for an arbitrary action; it has no effect without `thought`."""
    bootstrap: bool = True
    """Begin with a round that composes nothing and learns from successes alone (the paper's round 0)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("least_successes", "wanted", "composing_temperature", "explanation_tokens"))
        require_positive(self, ("tries",), or_zero=True)
        if not -1.0 <= self.failure_reward <= 0.0:
            raise OptionError(f"failure_reward must be in [-1, 0], not {self.failure_reward}")
        if self.least_successes > self.trajectories_per_task:
            raise OptionError(
                f"trajectories_per_task={self.trajectories_per_task} bounds the successes in a batch, so "
                f"least_successes={self.least_successes} cannot be kept"
            )
        if not self.failure_reward:
            idle = ("least_successes", "negative_floor_nats")
            refuse_idle(self, idle, "failure_reward=0 learns from no failure")
        if not self.tries:
            idle = ("wanted", "rate", "stuck_turns", "composing_temperature")
            refuse_idle(self, idle, "tries=0 composes nothing")
        if not self.thought or not self.tries:
            refuse_idle(self, ("explanation_tokens",), "no action is explained")
        self.composer()

    def learner(self) -> LearnerConfig:
        """Return the learner's settings."""
        return replace(super().learner(), negative_floor_nats=self.negative_floor_nats)

    def composer(self) -> Agent:
        """Return what plays the composed trajectories."""
        return compose(
            self.rate,
            stuck_turns=self.stuck_turns,
            context=self.context,
            window_turns=self.window_turns,
            thought=self.thought,
            remind_goal=self.remind_goal,
            system=self.system,
            sampling=Sampling(self.composing_temperature, max_tokens=self.max_new_tokens),
            explaining=Sampling(max_tokens=self.explanation_tokens),
            max_context_tokens=self.max_context_tokens,
        )


PRESETS: dict[str, dict[str, object]] = {
    # Of ALFWorld: Mistral-7B, 600 training tasks, rounds 0 to 3. The learning rate is 1e-4 with LoRA
    # there; a tenth of it is our choice for all weights.
    "published": {
        "iterations": 4,
        "tasks_per_iteration": 600,
        "tries": 40,
        "wanted": 40,  # all tries are made, also after successes
        "rate": 0.2,  # our choice: not published
        "thought": True,
        "system": instructions.HOUSEHOLD,  # our words
        "temperature": 0.7,  # our choice
        "epochs": 6,  # 10 in round 0
        "learning_rate": 1e-5,
        "warmup_steps": 50,  # our choice
        "average_checkpoints": True,
        "trajectories_per_task": 4,  # our choice
        "length_mean": False,
        "negative_floor_nats": 0.0,
        "observation_weight": 1.0,
        "max_new_tokens": 128,  # our choice
        "max_context_tokens": 4096,  # our choice
        "device": "cuda",
    },
}


class A3T(RoundsTrainer[Config]):
    """Play, compose for what failed, learn from both signs."""

    def bootstraps(self, iteration: int) -> bool:
        """Return whether this round only collects first successes."""
        return self.config.bootstrap and iteration == 1

    def collect(self, iteration: int) -> list[Episode]:
        """Play every task, then compose for those that no own try solved."""
        own = super().collect(iteration)
        if not self.config.tries or self.bootstraps(iteration):
            return own
        return own + self.compose(iteration, own)

    def compose(self, iteration: int, own: Sequence[Episode]) -> list[Episode]:
        """Compose trajectories for the tasks that no episode of ``own`` solved."""
        best = {episode.key: episode for episode in sorted(own, key=lambda episode: episode.success)}
        jobs = [job for job in self.jobs(iteration)[: len(self.items)] if job.item.key in best]
        budget = self.config.round_steps
        found = compose_unsolved(
            jobs,
            [best[job.item.key] for job in jobs],
            self.config.composer(),
            self.policy,
            tries=self.config.tries,
            wanted=self.config.wanted,
            actions=budget - actions_of(own) if budget else None,
            settings=self._settings,
        )
        return list(itertools.chain.from_iterable(found))

    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return the own trajectories, successes and failures, and the successful composed ones. A round that
        bootstraps drops its failures.
        """
        failures = self.config.failure_reward != 0 and not self.bootstraps(iteration)
        return [
            episode
            for episode in episodes
            if not episode.failed and (episode.success or (failures and not is_composed(episode)))
        ]

    def lessons(self, kept: Sequence[Episode]) -> list[Lesson]:
        """Return every task's distinct successes and, where there are enough, its latest failure."""
        found: list[Lesson] = []
        for episodes in by_task(kept).values():
            successes = distinct(imitable(episode) for episode in episodes if episode.success)
            failures = [episode for episode in episodes if not episode.success]
            contrast = self.config.failure_reward and len(successes) >= self.config.least_successes
            against = [self.rows(failures[-1], self.config.failure_reward)] if failures and contrast else []
            if successes:
                found.append(Lesson([self.rows(episode, 1.0) for episode in successes], against))
        return found

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put what is kept into the store; say how many tasks the agent solves by itself, in this round
        (``success``) and in any so far, and how many have a successful trajectory at all.
        """
        rows, metrics = super().credit(iteration, episodes)
        own = [episode for episode in episodes if not is_composed(episode)]
        composed = [episode for episode in episodes if is_composed(episode)]
        covered = coverage(own, composed)
        solved = {e.key for e in self.store.read(1, iteration) if e.success and not is_composed(e)}
        return rows, {
            **metrics,
            **own_play(own),
            "round/accumulated_success": len(solved) / len(self.items),
            "round/own_coverage": covered.before / max(1, covered.tasks),
            "round/composed": float(covered.composed),
            "round/composed_success": mean([episode.success for episode in composed]),
            "round/inserted": mean([float(episode.tags.get("inserted", 0)) for episode in composed]),
        }


def is_composed(episode: Episode) -> bool:
    """Return whether arbitrary actions may stand in the trajectory."""
    return bool(episode.tags.get("composed"))


def train(config: Config) -> Path:
    """Run A3T (or go on with it) and return the run directory."""
    return run("a3t", config, A3T)
