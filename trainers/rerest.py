"""Re-ReST: self-training whose failures are tried again after reflection.

Dou et al., "Re-ReST: Reflection-Reinforced Self-Training for Language Agents" (2024), section 3. The agent M
tries every task k times; the successes are its self-training set D_M. A reflector R tries the failures again,
given the failed try y and the environment's feedback, y' ~ R(. | x, y, feedback); those that succeed now are
D_R. Then M is trained by maximum likelihood on D_M and D_R together, every target after the prompts that M
itself gets: x -> y', without the failed try, the feedback or a reflection.

R is trained before it is used: what an untrained R put right gives D_refl = {(x, y, feedback) -> y'}, R is
fine-tuned on that, and tries again what is still wrong. Here R begins as a copy of M and lives for one round;
the paper samples once, which is ``iterations=1``. With ``retry="reflection"`` the recipe is Reflexion (Shinn
et al., 2023) turned into training data: M puts into words what went wrong and tries again with that note in
view, and what succeeds within ``trials`` is imitated without the notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from palaestra.agents.attempts import feedback, in_view, pairs, retries
from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.policies.core import Sampling
from palaestra.agents.reflexion import reflexion
from palaestra.agents.rounds import actions_of, affordable
from palaestra.errors import UnknownNameError
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, Metrics
from palaestra.trainers.core.online import run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.rounds import RoundsConfig, RoundsTrainer, own_play
from palaestra.trainers.core.trajectories import mean_over_trajectories

Retry = Literal["feedback", "reflection"]
RETRIES: tuple[str, ...] = get_args(Retry)

# Attempts of the reflector are numbered from here on, so that they share no random numbers with first tries.
_FAR = 1_000_000


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Imitate own successes, and failures that were put right, without what helped to put them right."""

    out: Path = Path("runs/rerest")
    """The run directory. The trained policy is left in its folder `policy`."""
    iterations: int = 1
    """Rounds: try the tasks, put failures right, train."""
    retry: Retry = "feedback"
    """What a retry is given: the failed try with the environment's feedback (Re-ReST), or the policy's own
    reflections on it (Reflexion)."""
    reflector_epochs: int = 2
    """How often the reflector is trained on what an untrained one put right; 0 leaves it untrained."""
    trials: int = 3
    """Most tries of retry=reflection, the first one included."""
    reflection_tokens: int = 64
    """Longest reflection of retry=reflection."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.retry not in RETRIES:
            raise UnknownNameError("retry", self.retry, RETRIES)
        require_positive(self, ("reflector_epochs",), or_zero=True)
        require_positive(self, ("trials", "reflection_tokens"))
        if self.retry == "feedback":
            refuse_idle(self, ("trials", "reflection_tokens"), "they belong to retry='reflection'")
        else:
            refuse_idle(self, ("reflector_epochs", "round_steps"), "it belongs to retry='feedback'")


class ReReST(RoundsTrainer[Config]):
    """Rounds of self-training on successes and on failures put right."""

    def collect(self, iteration: int) -> list[Episode]:
        """Return the tries of a round and the retries of those that failed."""
        if self.config.retry == "reflection":
            return self.reflected(iteration)
        firsts = super().collect(iteration)
        failures = [episode for episode in firsts if not episode.success]
        found = self.corrected(failures, _FAR, firsts)
        learnt = [second for _, second in pairs(failures + found) if second.success]
        if self.config.reflector_epochs and learnt:
            done = {(e.group, e.tags["after"]) for e in learnt}
            wrong = [e for e in failures if (e.group, e.attempt) not in done]
            with self.reflector(iteration, learnt):
                found += self.corrected(wrong, 2 * _FAR, firsts + found)
        return firsts + found

    def corrected(self, failures: Sequence[Episode], shift: int, played: Sequence[Episode]) -> list[Episode]:
        """Return a retry of each failure with the failed try and the environment's feedback in view.

        With ``round_steps``, only as many as fit into what ``played`` left of them: nothing, where
        ``group_size`` lets first tries take all.
        """
        jobs = retries(failures, shift)
        if self.config.round_steps:
            jobs = affordable(jobs, self.config.round_steps - actions_of(played), self.max_steps)
        opening = in_view(failures, feedback, remind_goal=self.config.remind_goal)
        return self.play(jobs, self.config.agent(self.config.temperature, opening))

    @contextmanager
    def reflector(self, iteration: int, learnt: Sequence[Episode]) -> Iterator[None]:
        """Let the policy be the reflector for a while: itself, fine-tuned on ``learnt`` in their contexts."""
        model = self.policy.model
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        learner = Learner(model, self.config.learner())
        targets = [self.rows(episode, 1.0) for episode in learnt]
        size = self.config.tasks_per_batch * self.config.trajectories_per_task
        try:
            for epoch in range(self.config.reflector_epochs):
                generator = np.random.default_rng([self.config.seed, iteration, epoch, 1])
                order = generator.permutation(len(targets)).tolist()
                for begin in range(0, len(order), size):
                    chosen = [targets[number] for number in order[begin : begin + size]]
                    learner.update(mean_over_trajectories(chosen))
            self.policy.drop_caches()
            yield
        finally:
            model.load_state_dict(kept)
            self.policy.drop_caches()

    def reflected(self, iteration: int) -> list[Episode]:
        """Return the tries of all trials; what later ones were told is gone from their observations."""
        config = self.config
        played = reflexion(
            self.jobs(iteration),
            config.agent(config.temperature),
            self.policy,
            trials=config.trials,
            sampling=Sampling(config.temperature, config.reflection_tokens),
            settings=self._settings,
        )
        return [_untold(episode, past[0]) for past in played for episode in past]

    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return the successes, each after the prompts of a policy that is given the task alone."""
        return [self.plain(episode) for episode in episodes if episode.success]

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put the successes into the store; say how many of them are failures put right."""
        own = [episode for episode in episodes if not is_retry(episode)]
        again = [episode for episode in episodes if is_retry(episode)]
        rows, metrics = super().credit(iteration, episodes)
        metrics |= {
            "rerest/retries": float(len(again)),
            "rerest/corrected": float(sum(episode.success for episode in again)),
        }
        if again:
            metrics["rerest/retry_success"] = success_rate(again)
        return rows, metrics | own_play(own)


def is_retry(episode: Episode) -> bool:
    """Return whether this try came after another one at the same task."""
    return "after" in episode.tags or episode.tags.get("trial", 1) > 1


def _untold(episode: Episode, first: Episode) -> Episode:
    """Return a later trial with the first observation as the environment gave it."""
    if not (is_retry(episode) and episode.turns and first.turns):
        return episode
    opening = replace(episode.turns[0], observation=first.turns[0].observation)
    return replace(episode, turns=[opening, *episode.turns[1:]])


def train(config: Config) -> Path:
    """Run Re-ReST (or go on with it) and return the run directory."""
    return run("rerest", config, ReReST)


PRESETS: dict[str, dict[str, object]] = {
    # HotpotQA with Llama-3-8B: up to 3 samples a task at T = 0.7, 3 epochs of batches of 128, rate 3e-4, with
    # LoRA of rank 8 there; a tenth of the rate is our choice for all weights.
    "published": {
        "tasks_per_iteration": 5000,
        "group_size": 3,
        "temperature": 0.7,
        "epochs": 3,
        "tasks_per_batch": 128,
        "trajectories_per_task": 1,
        "learning_rate": 3e-5,
        "length_mean": False,
        "max_new_tokens": 256,  # our choice
        "max_context_tokens": 4096,  # our choice
        "device": "cuda",
    }
}
