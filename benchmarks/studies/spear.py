"""SPEAR against GRPO at equal environment steps, and which of its parts help.

    python benchmarks/studies/spear.py --seeds 5

All arms of a seed start from the same weak clone and stop after the same number of actions. As in Dr.BoT, the
paper's base, advantages are not divided by the group's standard deviation, but in the last two arms:

* "GRPO": the base, without any of SPEAR;
* "more steps on good rows": GRPO with a second step on the good rows of the same iteration: the control for
  taking more steps;
* "plain self-imitation": a replay of good rows at full weight from the start, with the advantages they had;
* "SPEAR without bonus": the cosine warm-up, advantages over the running median, tokens dropped in both steps;
* "SPEAR": with the falling bonus for acting, which is all of SPEAR;
* "GRPO with std" and "SPEAR with std": with the division, as most code has it.

Rewards are 1 for a success. Settings were chosen on split valid_unseen, with seed 0 alone; the bases' order
(with or without the division) follows what docs/studies/spear_guess.md found.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from arms import Arm, Study, main, start

from palaestra.cli.demo import grpo_config
from palaestra.trainers import grpo, spear

ENVIRONMENT_STEPS = 28_000
# About as many iterations as the budget allows: both schedules end with the run, as they do as published.
SCHEDULE = 50
# A quarter of an iteration's rows, which is the published share of N_D.
REPLAY_ROWS = 8


def recipes(schedule: int, replay_rows: int) -> dict[str, dict[str, object]]:
    """Return by name what each arm changes, with schedules of so many iterations."""
    plain: dict[str, object] = {"imitate": "none", "tool_reward": "none", "covariance": "none"}
    plain |= {"normalise_std": False}
    full = {"imitation_warmup": 0, "replay_rows": replay_rows}
    scheduled = plain | {"imitate": "earlier", "imitation_warmup": schedule, "replay_rows": replay_rows}
    # The published lower bound of replay, 2, is never reached where successes are all worth the same.
    clipped = scheduled | {"covariance": "clip", "replay_covariance_bounds": (0.02, 60.0)}
    whole = clipped | {"tool_reward": "cosine", "tool_decay": schedule}
    return {
        "GRPO": plain,
        "more steps on good rows": plain | full | {"imitate": "present"},
        "plain self-imitation": plain | full | {"imitate": "earlier", "recalibrate": False},
        "SPEAR without bonus": clipped,
        "SPEAR": whole,
        # Over the spread of a group that failed, a bonus is as large as a success.
        "GRPO with std": plain | {"normalise_std": True},
        "SPEAR with std": whole | {"normalise_std": True},
    }


ARMS = recipes(SCHEDULE, REPLAY_ROWS)

CURVES = {
    "success": "success while training",
    "rollout/entropy": "entropy per token (nats)",
    "rollout/turns": "turns of an episode",
    "spear/imitated_rows": "rows imitated in an iteration",
    "learner/replay_dropped_share": "share of replayed tokens dropped",
}

FINDINGS = """
## What was found

No arm differs from GRPO beyond doubt: every interval of a difference holds zero. And none of them learns:
the clones solve 16 to 41 % of the first iteration's games (28 % on average, other games than the panel's),
and all arms end below that average, most with most of their actions refused. With 32 episodes an iteration
and a rate of 1e-3, the policies wear off. (The study of GRPO alone, `benchmarks/results/grpo_alfworld.md`,
has larger iterations, a rate of 3e-4, and gains 32 points.) So this page says which recipe loses least, and
nothing about which one learns best: that question is still open on ALFWorld.

* SPEAR without the bonus loses least (20.2 %, never below 12.7 %), then plain self-imitation (16.2 %, which
  ranges from 0 to 38 %), SPEAR (13.6 %), more steps on good rows (11.3 %), GRPO (6.5 %).
* Replaying good rows holds a failing policy; the bonus for acting takes some of that away.
* With the division by the group's spread, SPEAR ends at 0 % in every seed, as on GuessNumber: in a group that
  failed, the bonus alone is the advantage.

## How to read this

The clones are weak on purpose, and the budget is short: what is compared is how fast a recipe learns from
the same actions, not how far it can get. Success while training is measured on training games.

Clip-Cov needs replayed rows that differ in A_tilde. Where every stored row is a success worth 1, they differ
only by penalties and bonuses, so its published lower bound (2 at rewards of 10) lets it drop nothing; the
arms here take a hundredth of that. On-policy it drops one token of each micro-batch, which in batches this
small is more than the published share.
"""


def train(changes: dict[str, object], seed: int, folder: Path) -> Path:
    """Train one arm of one seed; leave what it did in ``numbers.json``."""
    base = grpo_config(folder / "run", start(seed), seed, iterations=3 * SCHEDULE, threads=1)
    settings: dict[str, object] = {name: getattr(base, name) for name in grpo.Config.__dataclass_fields__}
    settings |= {"tasks_per_iteration": 4, "environment_steps": ENVIRONMENT_STEPS, "save_episodes_every": 0}
    run = spear.train(spear.Config(**settings | changes))  # type: ignore[arg-type]
    (folder / "numbers.json").write_text(json.dumps(numbers(run)))
    return run


def numbers(run: Path) -> dict[str, float]:
    """Return what a run did beside succeeding, over all of it or at its end (its last 5 iterations)."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def over(metric: str, last: int = 0) -> float:
        return statistics.fmean(line.get(metric) or 0.0 for line in lines[-last:])

    return {
        "success over all of training": over("success"),
        "entropy at the end": over("rollout/entropy", 5),
        "turns at the end": over("rollout/turns", 5),
        "accepted share at the end": 1.0 - over("rollout/invalid_share", 5),
        "rows imitated an iteration": over("spear/imitated_rows"),
        "tokens dropped": over("learner/dropped_share"),
        "replayed tokens dropped": over("learner/replay_dropped_share"),
        "iterations": float(len(lines)),
    }


def arm(name: str) -> Arm:
    """Return an arm by its name."""
    run: Callable[[int, Path], Path] = partial(train, ARMS[name])
    return Arm(name, run)


STUDY = Study(
    name="spear",
    title="SPEAR against GRPO on generated ALFWorld games, small rooms",
    question="At equal environment steps from equal starts: does self-imitation with SPEAR's schedules beat "
    "GRPO, and more steps on good rows?",
    arms=[arm(name) for name in ARMS],
    baseline="GRPO",
    findings=FINDINGS,
    curves=CURVES,
)

if __name__ == "__main__":
    main(STUDY)
