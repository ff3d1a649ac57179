"""B-STaR: iterated self-training that chooses its temperature and its selection anew in every round.

Source: B-STaR (Zeng et al. 2024, arXiv 2412.17256). Sampling hot finds more distinct successes, sampling cold
purer ones; what is best shifts as the policy changes. So each round first plays a small dev set at several
temperatures T and picks the T and the threshold theta on scores with the best balance score, the mean over
dev tasks of

    bs = min(n+ / n*, 1) x (n+ / n)        n selected trajectories, n+ of them correct, n* wanted; 0 if n = 0

then samples the training tasks at that T, selects by that theta, and goes on training from the last round's
policy. Selected are, of each task, the best distinct trajectories with a score above theta, at most c of
them; c grows from 1 until there are ``selected_per_task`` times as many as tasks, or no more.

The published score is correctness plus a fifth of a process reward. There is no process reward model here:

    score = reward - brevity x turns / max_steps

so that the shorter of two successes is preferred; reward and turns are the environment's. Gold solutions are
not added. Where every reward is 0 or 1 and ``brevity`` below 1, any theta above 0 selects without an error,
and the search is about the temperature alone. Many theta tie then, and the balance score does not see errors
at tasks that have no success: of those that tie, the ones whose selection is purest count, and of these the
middle one, since the lowest admits errors that the dev set happens not to hold and the highest fits it tight.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from palaestra.agents.episode import Episode, success_rate
from palaestra.agents.rollout import Job
from palaestra.agents.rounds import actions_of
from palaestra.envs.panel import make_panel
from palaestra.errors import OptionError
from palaestra.trainers.core.batch import Row
from palaestra.trainers.core.learner import Learner, Metrics
from palaestra.trainers.core.online import mean, run
from palaestra.trainers.core.options import refuse_idle, require_positive
from palaestra.trainers.core.policies import TrainablePolicy
from palaestra.trainers.core.rounds import Lesson, RoundsConfig, RoundsTrainer
from palaestra.trainers.core.trajectories import by_task, distinct

# Two panels of one task set differ by their seeds; the dev set must not be the training set.
_DEV_SEED = 7919


@dataclass(frozen=True)
class Config(RoundsConfig):
    """Imitate a policy's own successes, with temperature and selection balanced anew in every round. The same
    command again resumes the run; more ``iterations`` continue it.
    """

    out: Path = Path("runs/bstar")
    """The run directory. The trained policy is left in its folder `policy`."""
    group_size: int = 8
    """Tries at each task in a round."""
    accumulate: bool = False
    """Train on the trajectories of all rounds so far, not of the last alone."""
    restart: bool = False
    """Train every round from the starting policy; otherwise go on with the last round's."""

    temperatures: tuple[float, ...] = (0.6, 0.8, 1.0, 1.2)
    """Temperatures to choose from."""
    dev_tasks: int = 16
    """Tasks that the choice is made on."""
    dev_tries: int = 8
    """Tries at each of them at every temperature."""
    wanted_correct: int = 4
    """n*, the correct trajectories a task should have selected; more count no further."""
    selected_per_task: float = 4.0
    """How many trajectories to select, in the mean over tasks."""
    threshold_step: float = 0.01
    """Thresholds to choose from are this far apart, between -1 and 1."""
    brevity: float = 0.2
    """What an episode of the greatest length loses of its score."""

    def __post_init__(self) -> None:
        super().__post_init__()
        positive = ("dev_tasks", "dev_tries", "wanted_correct", "selected_per_task", "threshold_step")
        require_positive(self, positive)
        require_positive(self, ("brevity",), or_zero=True)
        refuse_idle(self, ("temperature",), "B-STaR chooses among `temperatures`")
        if not self.temperatures or min(self.temperatures) <= 0:
            raise OptionError(f"temperatures must be above 0 and at least one, not {self.temperatures}")

    @property
    def thresholds(self) -> list[float]:
        """The thresholds to choose from, in order."""
        count = round(2 / self.threshold_step)
        return [round(-1 + number * self.threshold_step, 6) for number in range(count + 1)]


PRESETS: dict[str, dict[str, object]] = {
    # Of MATH: Mistral-7B after supervised fine-tuning, nine rounds of 500 steps.
    "published": {
        "iterations": 9,
        "tasks_per_iteration": 11_500,  # our choice; the paper samples its whole training set
        "group_size": 64,
        "temperatures": tuple(round(0.5 + 0.05 * number, 2) for number in range(15)),
        "dev_tasks": 1000,
        "dev_tries": 64,
        "wanted_correct": 8,
        "selected_per_task": 3.55,
        "epochs": 1,  # our choice: at most 11,500 / 36 = 320 steps, of some 128 trajectories each
        "tasks_per_batch": 36,
        "learning_rate": 5e-6,
        "warmup_steps": 15,  # our choice
        "max_new_tokens": 512,  # our choice
        "max_context_tokens": 2048,  # our choice
        "device": "cuda",
    },
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A temperature and a threshold, with the balance score and the share of successes of what they select
    of the dev set.
    """

    temperature: float
    threshold: float
    balance: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """The distinct trajectories of one task with their scores, best first."""

    episodes: list[Episode]
    scores: list[float]

    def above(self, threshold: float) -> int:
        """Return how many have a score above ``threshold``."""
        return bisect.bisect_left(self.scores, -threshold, key=lambda score: -score)


class BStar(RoundsTrainer[Config]):
    """Choose, sample, select, go on training."""

    def __init__(self, config: Config, policy: TrainablePolicy, learner: Learner) -> None:
        super().__init__(config, policy, learner)
        self.dev_items = make_panel(
            config.env, config.dev_tasks, seed=config.seed + _DEV_SEED, options=self.options
        ).items
        self._chosen = Choice(math.nan, math.nan, math.nan, math.nan)
        self._search: Metrics = {}

    def collect(self, iteration: int) -> list[Episode]:
        """Choose on the dev set, then play the training tasks at the temperature chosen."""
        jobs, temperatures = self.dev_jobs(iteration), self.config.temperatures
        played = {
            temperature: self.play(jobs, self.config.agent(temperature)) for temperature in temperatures
        }
        self._chosen = self.choose(played)
        self._search = self.diagnose(played[self._chosen.temperature])
        searched = sum(map(actions_of, played.values()))
        self.steps_taken += searched
        budget = self.config.round_steps
        if 0 < budget <= searched:
            raise OptionError(
                f"the search took {searched} actions, round_steps={budget} leaves none to train on: raise "
                "it, or search with fewer temperatures, dev_tasks or dev_tries"
            )
        agent = self.config.agent(self._chosen.temperature)
        return self.play_within(self.jobs(iteration), agent, budget - searched if budget else 0)

    def dev_jobs(self, iteration: int) -> list[Job]:
        """Return the tries of the dev set in this round, the same for every temperature."""
        tries = self.config.dev_tries
        return [
            Job(item, group=item.key, attempt=iteration * tries + number)
            for item in self.dev_items
            for number in range(tries)
        ]

    def choose(self, played: Mapping[float, Sequence[Episode]]) -> Choice:
        """Return the temperature and threshold with the best balance score; the purer selection, then the
        lower temperature and the middle one of its thresholds where several tie.
        """
        found = [
            self.weigh(tasks, temperature, threshold)
            for temperature, episodes in played.items()
            for tasks in [self.rank(episodes)]
            for threshold in self.config.thresholds
        ]
        best = max((choice.balance, choice.accuracy) for choice in found)
        tied = [choice for choice in found if (choice.balance, choice.accuracy) == best]
        coldest = min(choice.temperature for choice in tied)
        tied = [choice for choice in tied if choice.temperature == coldest]
        return tied[len(tied) // 2]

    def weigh(self, tasks: Sequence[Ranked], temperature: float, threshold: float) -> Choice:
        """Return what a choice is worth: the mean balance score, and the accuracy, of what it selects."""
        chosen = self.select(tasks, threshold)
        correct = [sum(episode.success for episode in picked) for picked in chosen]
        scores = [
            balance_score(right, len(picked), self.config.wanted_correct)
            for right, picked in zip(correct, chosen, strict=True)
        ]
        selected = sum(map(len, chosen))
        return Choice(temperature, threshold, mean(scores), sum(correct) / selected if selected else 0.0)

    def rank(self, episodes: Sequence[Episode]) -> list[Ranked]:
        """Return the distinct trajectories of every task, best first."""
        sound = [episode for episode in episodes if not episode.failed]
        ranked: list[Ranked] = []
        for tries in by_task(sound).values():
            best = sorted(distinct(tries), key=self.score, reverse=True)
            ranked.append(Ranked(best, [self.score(episode) for episode in best]))
        return ranked

    def score(self, episode: Episode) -> float:
        """Return the episode's reward, less what its length costs."""
        return episode.reward - self.config.brevity * actions_of([episode]) / self.max_steps

    def select(self, tasks: Sequence[Ranked], threshold: float) -> list[list[Episode]]:
        """Return the selected trajectories of every task (of some, none)."""
        counts = [task.above(threshold) for task in tasks]
        cap = smallest_cap(counts, self.config.selected_per_task * len(tasks))
        return [task.episodes[: min(cap, count)] for task, count in zip(tasks, counts, strict=True)]

    def diagnose(self, episodes: Sequence[Episode]) -> Metrics:
        """Return what the dev set says of exploration (what is there) and exploitation (what is picked)."""
        tasks = self.rank(episodes)
        successes = [sum(episode.success for episode in task.episodes) for task in tasks]
        return {
            "balance/score": self._chosen.balance,
            "balance/temperature": self._chosen.temperature,
            "balance/threshold": self._chosen.threshold,
            "balance/solved_by_some_try": mean([count > 0 for count in successes]),
            "balance/distinct_successes": mean(successes),
            "balance/accuracy": success_rate(episodes),
            "balance/selected_accuracy": self._chosen.accuracy,
        }

    def keep(self, iteration: int, episodes: Sequence[Episode]) -> list[Episode]:
        """Return what the chosen threshold selects."""
        chosen = self.select(self.rank(episodes), self._chosen.threshold)
        return list(itertools.chain.from_iterable(chosen))

    def lessons(self, kept: Sequence[Episode]) -> list[Lesson]:
        """Return all that was selected, to imitate."""
        return [
            Lesson([self.rows(episode, 1.0) for episode in distinct(episodes)])
            for episodes in by_task(kept).values()
        ]

    def credit(self, iteration: int, episodes: Sequence[Episode]) -> tuple[list[Row], Metrics]:
        """Put what is selected into the store; report the choice and the state of the dev set."""
        rows, metrics = super().credit(iteration, episodes)
        return rows, metrics | self._search


def balance_score(correct: int, selected: int, wanted: int) -> float:
    """Return min(correct / wanted, 1) x correct / selected; 0 where nothing was selected."""
    return min(correct / wanted, 1.0) * correct / selected if selected else 0.0


def smallest_cap(counts: Sequence[int], target: float) -> int:
    """Return the smallest c with sum over tasks of min(c, count) >= target, or that which takes all."""
    most = max(counts, default=0)
    return next((c for c in range(1, most) if sum(min(c, count) for count in counts) >= target), most)


def train(config: Config) -> Path:
    """Run B-STaR (or go on with it) and return the run directory."""
    return run("bstar", config, BStar)
