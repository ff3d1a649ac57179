"""RLTF-SD: learn from text feedback by distilling second tries into the prompt that has no feedback.

"Reinforcement learning from text feedback" (2026), its self-distillation half. A policy tries a task
(x0, y0), is told what the environment makes of that (feedback c0), and tries again with both in view
(x1 = [x0, y0, c0], y1). Feedback exists in training only, so what the second try did is pushed into the plain
context x0, with the *first* tries as the baseline:

    gradient = sum_i A_i grad log pi(y1_i | x0),   A_i = R(y1_i) - mean_j R(y0_j)

without importance weights: y1 was sampled under another prompt, and the bias is accepted for less variance.
Beside it, GRPO runs on first tries, and on second tries in their own context (``reinforce_second``).

Here a try is a whole episode, feedback is the environment's own text (its last observation, verdict and named
checks) instead of a judge's critique, and the two losses are means over their own tokens, so that
``distillation_coefficient`` weighs one against the other. We know the method from secondary sources; weight
and group size are our choices.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from palaestra.agents.attempts import feedback, in_view, pairs, retries
from palaestra.agents.episode import Episode, success_rate
from palaestra.trainers import grpo
from palaestra.trainers.core.batch import Row, imitation_rows
from palaestra.trainers.core.learner import Metrics
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import require_positive


@dataclass(frozen=True)
class Config(grpo.Config):
    """Learn from what a policy does after feedback, so that it does it without."""

    out: Path = Path("runs/rltf")
    """The run directory. The trained policy is left in its folder `policy`."""
    distillation_coefficient: float = 1.0
    """Weight of pushing second tries into the context without feedback; 0 leaves GRPO on both tries."""
    push_away: bool = True
    """Also push away second tries that did worse than the first ones' mean, as the formula has it."""
    reinforce_second: bool = True
    """Also run GRPO on second tries, compared with one another in the context with feedback."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("distillation_coefficient",), or_zero=True)


class RLTF(grpo.GRPO[Config]):
    """GRPO with a second try after feedback, which is distilled."""

    def collect(self, iteration: int) -> list[Episode]:
        """Play groups of first tries, then a second one after each."""
        firsts = super().collect(iteration)
        opening = in_view(firsts, feedback, remind_goal=self.config.remind_goal)
        return firsts + self.play(retries(firsts, self.config.group_size), self.config.agent(opening=opening))

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Return GRPO's rows of both tries, and second tries in the plain context as signed imitation."""
        firsts = [episode for episode in episodes if "after" not in episode.tags]
        seconds = [episode for episode in episodes if "after" in episode.tags]
        rows, metrics = super().credit(iteration, firsts)
        if self.config.reinforce_second:
            again = [replace(episode, group=f"{episode.group} again") for episode in seconds]
            rows += grpo.credited_rows(again, self.compare(again))
        distilled = self.distilled(pairs(episodes)) if self.config.distillation_coefficient else []
        metrics |= {
            "success": success_rate(firsts),
            "rltf/second_success": success_rate(seconds),
            "rltf/distilled_rows": float(len(distilled)),
        }
        return rows + distilled, metrics

    def distilled(self, found: Sequence[tuple[Episode, Episode]]) -> list[Row]:
        """Return second tries after the prompts without feedback, weighed by their first-turn advantages."""
        rows: list[Row] = []
        for (_, second), advantage in zip(found, first_turn_advantages(found), strict=True):
            if advantage == 0 or (advantage < 0 and not self.config.push_away):
                continue
            plain = self.plain(second)
            weight = self.config.distillation_coefficient * advantage
            rows += imitation_rows(plain, [weight] * len(plain.turns))
        return rows


def first_turn_advantages(found: Sequence[tuple[Episode, Episode]]) -> list[float]:
    """Return R(y1_i) - mean_j R(y0_j) for every pair; the mean is over the pairs of its task."""
    rewards: dict[str, list[float]] = defaultdict(list)
    for first, _ in found:
        rewards[first.group].append(first.reward)
    return [second.reward - mean(rewards[second.group]) for _, second in found]


def train(config: Config) -> Path:
    """Run RLTF-SD (or go on with it) and return the run directory."""
    return run("rltf", config, RLTF)


PRESETS: dict[str, dict[str, object]] = {
    # Weight, group size and learning rate are not known to us: all are our choice.
    "published": {
        "tasks_per_iteration": 64,
        "group_size": 8,
        "learning_rate": 1e-6,
        "max_new_tokens": 1024,
        "max_context_tokens": 4096,
        "device": "cuda",
    }
}
