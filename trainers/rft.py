"""Rejection-sampling fine-tuning: try every task several times and imitate what succeeded.

Source: RFT (Yuan et al. 2023, "Scaling relationship on learning mathematical reasoning"). The policy samples
G trajectories of each task, the environment's verdict rejects, and the distinct successes are imitated:

    J(theta) = (1/M) sum over the M kept trajectories of (1/n) sum over its n tokens of log pi_theta(token)

Each round trains the starting policy anew on the trajectories of all rounds. Switches make its relatives:
with ``--no-accumulate`` it is the outer loop of STaR (Zelikman et al. 2022), which restarts from the base
model with the last round's successes alone; with ``--no-restart`` the rounds continue one another, as in
ReST-EM and online RFT.

STaR also *rationalises* (``--rationalise``): a task that no own try of the round solved is tried once more
with a hint, and a success is imitated after the prompts without it, as if the policy had found it by itself.
STaR's hint is the answer, from which the policy reasons backwards. Ours are the first actions of the
environment's expert (``agents/hints.py``), which never hold the answer: a task that the expert does with a
single action has no hint and is left as it is. Evaluations are never hinted, and a round's ``success`` and
``coverage`` count own tries alone. With ``round_steps`` hinted tries get what own ones left: nothing, where
``group_size`` lets those take all. What the expert does to give a hint counts as no action.

The published loss is a mean over the tokens of a batch, not over its trajectories; there, long solutions
count more. Here a trajectory counts once, since in a game a long success is a clumsy one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from palaestra.agents import hints
from palaestra.agents.episode import Episode
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Metrics
from palaestra.trainers.core.online import run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.rounds import RoundsConfig, RoundsTrainer, own_play

# Attempts with a hint are numbered from here on, so that they share no random numbers with a round's own.
_FAR = 1_000_000


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Imitate a policy's own successes, round after round. The same command again resumes the run; more
    ``iterations`` continue it.
    """

    out: Path = Path("runs/rft")
    """The run directory. The trained policy is left in its folder `policy`."""
    rationalise: bool = False
    """Try the tasks that no own try of the round solved once more with a hint, as STaR does, and imitate what
    succeeds without it."""
    hint_actions: int = 4
    """How many of the expert's first actions a hint names at most; the last one is never named."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, ("hint_actions",))
        if not self.rationalise:
            refuse_idle(self, ("hint_actions",), "it belongs to rationalise")


PRESETS: dict[str, dict[str, object]] = {
    # Of GSM8K: one round of 100 samples for each of 7,473 problems, three epochs in batches of 128.
    "published": {
        "iterations": 1,
        "tasks_per_iteration": 7473,
        "group_size": 100,
        "temperature": 0.7,
        "epochs": 3,
        "learning_rate": 2e-5,
        "warmup_steps": 50,  # our choice: the paper warms up over 3 % of its steps
        "tasks_per_batch": 32,  # with four trajectories each: 128
        "trajectories_per_task": 4,  # our choice: the paper shows every distinct solution in every epoch
        "max_new_tokens": 512,
        "max_context_tokens": 4096,  # our choice
        "device": "cuda",
    },
}


class RFT(RoundsTrainer[Config]):
    """Keep the successes, hinted ones without their hints; the rest is the rounds' own."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._adviser = hints.adviser(self.config.env, self.options) if self.config.rationalise else None

    def collect(self, iteration: int) -> list[Episode]:
        """Play the tries of a round, then hinted ones where all of a task failed."""
        own = super().collect(iteration)
        return own + self.rationalised(iteration, own)

    def rationalised(self, iteration: int, own: Sequence[Episode]) -> list[Episode]:
        """Return a hinted try at each task that has a hint and that none of its tries in ``own`` solved."""
        if self._adviser is None:
            return []
        jobs = hints.jobs(self._adviser, own, [_FAR + iteration], self.config.hint_actions)
        agent = self.config.agent(self.config.temperature, hints.hinted)
        return self.play_within(jobs, agent, self.config.round_steps, own)

    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return the episodes that succeeded, each after the prompts of a policy without a hint."""
        return [
            self.plain(episode) if hints.is_hinted(episode) else episode
            for episode in episodes
            if episode.success and not episode.failed
        ]

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put the successes into the store; say too how many tasks some own try solved in this round."""
        rows, metrics = super().credit(iteration, episodes)
        own = [episode for episode in episodes if not hints.is_hinted(episode)]
        metrics |= own_play(own) | {"round/solved": self.solved_by(own)}
        if self.config.rationalise:
            guided = [episode for episode in episodes if hints.is_hinted(episode)]
            metrics["round/hinted"] = float(len(guided))
            metrics["round/rationalised"] = float(sum(episode.success for episode in guided))
        return rows, metrics

    def solved_by(self, episodes: Sequence[Episode]) -> float:
        """Return the share of the tasks that some of ``episodes`` solved without a hint."""
        return super().solved_by([episode for episode in episodes if not hints.is_hinted(episode)])


def train(config: Config) -> Path:
    """Run RFT (or go on with it) and return the run directory."""
    return run("rft", config, RFT)
