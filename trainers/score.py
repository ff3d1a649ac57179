"""SCoRe: learn to correct oneself, by reinforcement on pairs of attempts at the same task.

Kumar et al., "Training Language Models to Self-Correct via Reinforcement Learning" (2024), sections 4 and 5.
A policy attempts a task (x1 = x, y1), is told in fixed words p that do not say whether it was right, and
attempts it again with the first attempt in view (x2 = [x1, y1, p], y2). Here an attempt is a whole episode
and the second one begins where the first began. Rewards r1, r2 are the episodes'; each token sees its own
attempt's (shaped) reward only (gamma = 0), and first attempts inside x2 are context, never a target:

* Stage I, so that second attempts get better while first ones stay what they were:
  max E[r2] - (beta2 + beta1) KL(first attempt) - beta1 KL(second attempt)
* Stage II, both attempts, where ``r2 + alpha (r2 - r1)`` rewards the correction itself:
  max E[r1 + r2 + alpha (r2 - r1)] - beta1 (KL(first) + KL(second))

KL is that from the policy before training, by the k3 estimate at each token. The paper's REINFORCE is the
clipped surrogate at its first step, where every ratio is 1. It names no baseline; ours is the mean over the
other attempts of the same number at the same task, and ``normalise_std`` divides by their spread, as GRPO
would. Differs from the paper: stages end at a fixed iteration; no first attempts of the untrained policy are
mixed in; an iteration in which no attempt differs from the others leaves the weights alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from palaestra.agents.attempts import edit_distance, in_view, pairs, retries
from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.rollout import Job
from palaestra.errors import OptionError
from palaestra.trainers.core.batch import Row, policy_rows
from palaestra.trainers.core.learner import LearnerConfig, Metrics
from palaestra.trainers.core.losses import Aggregation
from palaestra.trainers.core.online import OnlineConfig, OnlineTrainer, mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive

Pair = tuple[Episode, Episode]

INSTRUCTION = "There may be a mistake in the attempt above. Correct it, if there is one: do the task again."
_EPSILON = 1e-6


@dataclass(frozen=True)
class Config(OnlineConfig):
    """Teach a policy to correct its own first attempts, without being told whether they were right."""

    out: Path = Path("runs/score")
    """The run directory. The trained policy is left in its folder `policy`."""
    group_size: int = 8
    """Pairs of attempts at each task."""
    stage_one_iterations: int = 50
    """Iterations of stage I, which come first; 0 skips it."""
    alpha: float = 2.0
    """How much of the progress from first to second attempt is added to the second one's reward."""
    normalise_std: bool = False
    """Divide advantages by the spread of their group; alpha may then be smaller."""
    kl_coefficient: float = 0.01
    """Weight beta1 of the divergence of both attempts from the policy that training began with."""
    first_kl_coefficient: float = 0.1
    """Weight beta2 that is added to it for first attempts in stage I."""
    instruction: str = INSTRUCTION
    """What is said between the attempts."""
    tell_outcome: bool = False
    """Also show what the last action of the first attempt brought. Then it is no longer self-correction."""
    aggregation: Aggregation = "sequence-mean"
    """How the losses of tokens are averaged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise OptionError(
                f"group_size must be 2 or more, not {self.group_size}: the others are the baseline"
            )
        names = ("stage_one_iterations", "alpha", "kl_coefficient", "first_kl_coefficient")
        require_positive(self, names, or_zero=True)
        if not self.stage_one_iterations:
            refuse_idle(self, ("first_kl_coefficient",), "stage_one_iterations=0 is no stage I")
        if self.aggregation == "constant":
            raise OptionError("aggregation 'constant' has no constant here: take one of the others")

    def learner(self) -> LearnerConfig:
        """Return the learner's settings: the coefficients themselves stand in the rows."""
        stage_one = self.first_kl_coefficient if self.stage_one_iterations else 0.0
        divergence = 1.0 if self.kl_coefficient + stage_one > 0 else 0.0
        return replace(super().learner(), kl_coefficient=divergence, aggregation=self.aggregation)


class SCoRe(OnlineTrainer[Config]):
    """Attempt, attempt again, credit both by the stage's objective."""

    def collect(self, iteration: int) -> list[Episode]:
        """Play first attempts, then a second one after each."""
        return self.two_attempts(self.jobs(iteration))

    def two_attempts(self, jobs: Sequence[Job], temperature: float = 1.0) -> list[Episode]:
        """Return the first attempts of ``jobs`` and their second ones, all in one list."""
        config = self.config
        firsts = self.play(jobs, config.agent(temperature))
        opening = in_view(firsts, self._words, remind_goal=config.remind_goal)
        shift = 1 + max(job.attempt for job in jobs)
        return firsts + self.play(retries(firsts, shift), config.agent(temperature, opening))

    def _words(self, first: Episode) -> str:
        shown = first.final_observation if self.config.tell_outcome else ""
        return f"{shown}\n\n{self.config.instruction}" if shown else self.config.instruction

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return the rows of both attempts with the advantages and divergences of this stage."""
        stage = 1 if iteration <= self.config.stage_one_iterations else 2
        found = pairs(episodes)
        rows: list[Row] = []
        for group in by_task(found):
            for pair, advantages in zip(group, pair_advantages(group, stage, self.config), strict=True):
                rows += self._rows(pair, advantages, stage)
        metrics = correction(found) | {"score/stage": float(stage)}
        return rows, metrics | {"success": metrics["score/first"]}

    def _rows(self, pair: Pair, advantages: tuple[float, float], stage: int) -> list[Row]:
        strong = self.config.first_kl_coefficient if stage == 1 else 0.0
        weights = (self.config.kl_coefficient + strong, self.config.kl_coefficient)
        return [
            replace(row, divergence=[beta] * len(row.ids), group=f"{row.group} attempt {number}")
            for number, (attempt, advantage, beta) in enumerate(
                zip(pair, advantages, weights, strict=True), 1
            )
            for row in policy_rows(attempt, [advantage] * len(attempt.turns))
        ]

    def evaluate(self) -> Metrics:
        """Play both attempts at the evaluation panel; ``eval/success`` is that of first attempts."""
        jobs = [Job(item, group=str(number)) for number, item in enumerate(self._panel)]
        episodes = self.two_attempts(jobs, self.config.eval_temperature)
        firsts = [episode for episode in episodes if "after" not in episode.tags]
        measured = correction(pairs(episodes))
        return self.judge(firsts) | {name.replace("score/", "eval/"): x for name, x in measured.items()}


def pair_advantages(group: Sequence[Pair], stage: int, config: Config) -> list[tuple[float, float]]:
    """Return the advantages of first and second attempts; all pairs are of one task."""
    r1 = [first.reward for first, _ in group]
    r2 = [second.reward for _, second in group]
    if stage == 1:
        return [(0.0, a2) for a2 in relative(r2, config.normalise_std)]
    shaped = [shaped_reward(first, second, config.alpha) for first, second in zip(r1, r2, strict=True)]
    firsts, seconds = (relative(values, config.normalise_std) for values in (r1, shaped))
    return list(zip(firsts, seconds, strict=True))


def shaped_reward(r1: float, r2: float, alpha: float) -> float:
    """Return r2 + alpha (r2 - r1)."""
    return r2 + alpha * (r2 - r1)


def relative(values: Sequence[float], normalise_std: bool) -> list[float]:
    """Return each value less the mean of the others, or (``normalise_std``) less the mean of all over their
    standard deviation; 0 for a value that is alone.
    """
    count, total = len(values), math.fsum(values)
    if count < 2:
        return [0.0] * count
    if not normalise_std:
        return [value - (total - value) / (count - 1) for value in values]
    middle = total / count
    deviation = math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (count - 1))
    return [(value - middle) / (deviation + _EPSILON) for value in values]


def by_task(found: Sequence[Pair]) -> list[list[Pair]]:
    """Return the pairs task by task."""
    groups: dict[str, list[Pair]] = defaultdict(list)
    for pair in found:
        groups[pair[0].group].append(pair)
    return list(groups.values())


def correction(found: Sequence[Pair]) -> Metrics:
    """Return how second attempts compare with first ones, all as shares of the pairs.

    ``i_to_c`` were wrong and got right, ``c_to_i`` the other way round; an ``edit_distance`` of 0 means that
    attempts are only said again.
    """
    return {
        "score/first": success_rate(first for first, _ in found),
        "score/second": success_rate(second for _, second in found),
        "score/delta": mean([second.success - first.success for first, second in found]),
        "score/i_to_c": mean([second.success and not first.success for first, second in found]),
        "score/c_to_i": mean([first.success and not second.success for first, second in found]),
        "score/edit_distance": mean([edit_distance(first, second) for first, second in found]),
    }


def train(config: Config) -> Path:
    """Run SCoRe (or go on with it) and return the run directory."""
    return run("score", config, SCoRe)


PRESETS: dict[str, dict[str, object]] = {
    # MATH with Gemini 1.5 Flash: 3000 steps of 512 pairs, Adam 5e-6, T = 1, alpha 10, beta1 .01, beta2 .1.
    "published": {
        "iterations": 3000,
        "stage_one_iterations": 1500,  # the paper does not say when it changes; half is our choice
        "tasks_per_iteration": 64,  # 512 samples a step; how many of them share a task is our choice
        "group_size": 8,
        "alpha": 10.0,
        "learning_rate": 5e-6,
        "max_new_tokens": 1024,  # our choice
        "max_context_tokens": 4096,  # our choice
        "device": "cuda",
    }
}
