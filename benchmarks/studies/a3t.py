"""A3T and its parts at equal environment steps: where trajectories come from, and what failures are worth.

    python benchmarks/studies/a3t.py --seeds 5

All arms of a seed start from the same weak clone, play the same 64 training tasks in three rounds, take the
same number of actions in each, and train the clone anew on all that was found so far:

* "untrained": the clone;
* "RFT": its own successes, of as many tries as the actions allow;
* "RFT, extra epochs": the same, over which training goes twice as often: the control for more training;
* "RFT, composed": one own try at each task; the rest of the actions goes into composing for those it failed;
  own and composed successes are imitated (R_f = 0);
* "A3T": the same, and the own failures of tasks with two successes or more are pushed away (R_f = -1, K > 1);
* "A3T, hot": A3T, but in place of composing the agent samples at temperature 1.2: the control for what
  inserted actions are worth;
* "A3T, shuffled": A3T, but who succeeded is dealt out anew among the trajectories of each task: the control
  for what the labels are worth.

The clones act without thinking, so that inserted actions need no reasons: this is A3T without ActRe's words.
Settings were chosen on split valid_unseen, with seed 0 alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from arms import Arm, Study, main, start, untrained

from palaestra.agents.episode import Episode
from palaestra.cli.demo import ENV, MAX_NEW_TOKENS, training_options
from palaestra.trainers import a3t, rft
from palaestra.trainers.core.online import run
from palaestra.trainers.core.rounds import Lesson
from palaestra.trainers.core.trajectories import by_task

SHARED: dict[str, object] = {
    "env": ENV,
    "options": training_options(),
    "iterations": 3,
    "tasks_per_iteration": 64,
    "round_steps": 3000,
    "epochs": 5,
    "learning_rate": 5e-4,
    "max_new_tokens": MAX_NEW_TOKENS,
    "max_context_tokens": 1024,
    "remind_goal": True,
    "keep_checkpoints": 1,
    "threads": 1,
}
# The clone is what the paper's round 0 makes, so all three rounds compose.
ROUNDS: dict[str, object] = {**SHARED, "bootstrap": False}
# More than the actions of a round allow.
OWN_TRIES: dict[str, object] = {**SHARED, "group_size": 32}

Trainer = Callable[[dict[str, object]], Path]


class Shuffled(a3t.A3T):
    """A3T without knowing which trajectory of a task succeeded, only how many did."""

    def lessons(self, kept: Sequence[Episode]) -> list[Lesson]:
        """Return the lessons of A3T after every task's outcomes were dealt out anew."""
        generator = np.random.default_rng([self.config.seed, self.round])
        dealt: list[Episode] = []
        for episodes in by_task(kept).values():
            outcomes = generator.permutation([episode.success for episode in episodes]).tolist()
            dealt += [replace(e, success=outcome) for e, outcome in zip(episodes, outcomes, strict=True)]
        return super().lessons(dealt)


def _rft(settings: dict[str, object]) -> Path:
    return rft.train(rft.Config(**settings))  # type: ignore[arg-type]


def _a3t(settings: dict[str, object]) -> Path:
    return a3t.train(a3t.Config(**settings))  # type: ignore[arg-type]


def _shuffled(settings: dict[str, object]) -> Path:
    return run("a3t-shuffled", a3t.Config(**settings), Shuffled)  # type: ignore[arg-type]


ARMS: dict[str, tuple[Trainer, dict[str, object]]] = {
    "RFT": (_rft, OWN_TRIES),
    "RFT, extra epochs": (_rft, OWN_TRIES | {"epochs": 10}),
    "RFT, composed": (_a3t, ROUNDS | {"failure_reward": 0.0}),
    "A3T": (_a3t, ROUNDS),
    "A3T, hot": (_a3t, ROUNDS | {"rate": 0.0, "stuck_turns": 0, "composing_temperature": 1.2}),
    "A3T, shuffled": (_shuffled, ROUNDS),
}

CURVES = {
    "round/coverage": "training tasks with a successful trajectory",
    "success": "success of the round's own tries, training tasks",
}

FINDINGS = """
## How to read this

*Coverage* is the share of the 64 training tasks with a successful trajectory in the store: after the first
own tries (of RFT: all of them), after all of round 1, and at the end. *Single* success is that of the own
tries in the last round, *accumulated* the share of training tasks that own tries solved in some round: a best
of several tries (of RFT: of many in each round), not to be compared with a single one. Success on unseen
games is of one try each.

## What came out

A3T does not win here, it loses. Imitating one's own successes, of as many tries as the actions allow (RFT),
gains 12 points; twice the training adds nothing beyond noise. With composed trajectories in place of some own
tries imitation gains 4 points, and with failures pushed away nothing is left of that: A3T ends where the
clone began, and so does the control in which the labels are dealt out anew. The sign of a trajectory did not
help, it only cost.

These arms do not show why, but the numbers fit this: coverage, which composing is for, is the same with and
without it (76 to 78 % in the end), because this agent already acts at temperature 1 and many own tries reach
as far; a composed success holds actions that nobody would take, which are imitated too; and most tokens of a
failure are those of good play, which are pushed away with it. The paper's model began at 86 %, this one at
17 %.

One setting of A3T was measured: R_f = -1, K > 1, a floor of 4 nats, 5 epochs. While settings were chosen,
with one seed and more epochs, A3T had come out 5 points ahead of RFT, within the noise of 200 games; that did
not hold up.
"""


def train(trainer: Trainer, settings: dict[str, object], seed: int, folder: Path) -> Path:
    """Train one arm of one seed; leave what it found in ``numbers.json``."""
    own = {"policy": f"tiny:{start(seed)}", "out": folder / "run", "seed": seed}
    directory = trainer(settings | own)
    (folder / "numbers.json").write_text(json.dumps(numbers(directory)))
    return directory


def numbers(directory: Path) -> dict[str, float]:
    """Return what the rounds of a run found."""
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    first, last = lines[0], lines[-1]
    found = {
        "coverage, own tries of round 1": first.get("round/own_coverage", first["round/coverage"]),
        "coverage, round 1": first["round/coverage"],
        "coverage, round 3": last["round/coverage"],
        "single success, round 3": last["success"],
        "accumulated success, round 3": last.get("round/accumulated_success", last["round/coverage"]),
        "trajectories": last["round/trajectories"],
        "optimiser steps": sum(line["learner/steps"] for line in lines),
    }
    composed = [line["round/composed_success"] for line in lines if "round/composed_success" in line]
    return found | ({"composed success": sum(composed) / len(composed)} if composed else {})


STUDY = Study(
    name="a3t",
    title="A3T on generated ALFWorld games, small rooms",
    question="At equal environment steps from equal starts: do composed trajectories and pushing failures "
    "away teach more than imitating one's own successes?",
    arms=[Arm("untrained", untrained)]
    + [Arm(name, partial(train, trainer, settings)) for name, (trainer, settings) in ARMS.items()],
    baseline="RFT",
    findings=FINDINGS,
    curves=CURVES,
)

if __name__ == "__main__":
    main(STUDY)
