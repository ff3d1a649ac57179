"""NFT, SAR and SEC against GRPO at equal environment steps, on tasks of several kinds.

    python benchmarks/studies/recipes.py --seeds 5

All arms of a seed start from the same weak clone, made for this study since it has to know several kinds of
tasks, take the same number of actions, and take 4 optimiser steps an iteration: with a single one, NFT would
be "GRPO, mean baseline" to the last digit. Advantages are compared as each method says:

* "GRPO": over the group's standard deviation;
* "GRPO, mean baseline": without the division, which NFT (at its first step) and SAR share: their control;
* "NFT", and "NFT, right tries alone": lambda 1 and 0, the latter being RFT;
* "SAR": the self-aligned reward with alpha 0.2;
* "SEC": GRPO on the kinds of tasks that a bandit draws, where all others draw them alike.

Rewards are 1 for a success, without the penalty of invalid actions, which NFT does not know. Settings were
chosen on split valid_unseen, with seed 0 alone.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path

from arms import Arm, Study, main

from palaestra.cli.demo import ENV, MAX_NEW_TOKENS, MAX_STEPS, sft_config
from palaestra.envs.panel import make_panel
from palaestra.trainers import grpo, nft, sar, sec, sft

ENVIRONMENT_STEPS = 14_000
STARTS = Path("runs/studies/recipes-starts")
KINDS = (
    "look_at_obj_in_light",
    "pick_and_place_simple",
    "pick_clean_then_place_in_recep",
    "pick_two_obj_and_place",
)
OPTIONS = ("scale=small", "split=train", f"max_steps={MAX_STEPS}", f"task_types={json.dumps(KINDS)}")

SHARED: dict[str, object] = {
    "env": ENV,
    "options": OPTIONS,
    "iterations": 200,
    "environment_steps": ENVIRONMENT_STEPS,
    "tasks_per_iteration": 4,
    "group_size": 8,
    "mini_batches": 4,
    "learning_rate": 5e-4,
    "warmup_steps": 5,
    "max_new_tokens": MAX_NEW_TOKENS,
    "max_context_tokens": 1024,
    "remind_goal": True,
    "save_episodes_every": 0,
    "threads": 1,
}

Trainer = Callable[[dict[str, object]], Path]


def _trainer(module: object) -> Trainer:
    def train(settings: dict[str, object]) -> Path:
        return module.train(module.Config(**settings))  # type: ignore[attr-defined]

    return train


ARMS: dict[str, tuple[Trainer, dict[str, object]]] = {
    "GRPO": (_trainer(grpo), {}),
    "GRPO, mean baseline": (_trainer(grpo), {"normalise_std": False}),
    "NFT": (_trainer(nft), {}),
    "NFT, right tries alone": (_trainer(nft), {"negative_weight": 0.0}),
    "SAR": (_trainer(sar), {}),
    "SEC": (_trainer(sec), {}),
}

FINDINGS = """
## How to read this

The clones are weak on purpose and the budget is short: what is compared is how fast a recipe learns from the
same actions. The panel holds all four kinds alike, whatever a curriculum drew in training; "success while
training" of SEC is on the tasks that it chose, so it cannot be compared with the others'. What SAR is for,
shorter answers, has little room in commands of a few words: see the tokens of an episode.
"""


def start(seed: int) -> Path:
    """Return a weak clone of the expert on all kinds, made when it is not there."""
    run = STARTS / f"seed-{seed}"
    if not (run / "policy").exists():
        settings = sft_config(run, seed, episodes=2000, threads=1)
        sft.train(sft.Config(**{**_fields(settings), "options": OPTIONS}))  # type: ignore[arg-type]
    return run / "policy"


def _fields(config: sft.Config) -> dict[str, object]:
    return {name: getattr(config, name) for name in sft.Config.__dataclass_fields__}


def train(name: str, seed: int, folder: Path) -> Path:
    """Train one arm of one seed; leave what it did in ``numbers.json``."""
    trainer, changes = ARMS[name]
    run = trainer(SHARED | changes | {"policy": f"tiny:{start(seed)}", "seed": seed, "out": folder / "run"})
    (folder / "numbers.json").write_text(json.dumps(numbers(run)))
    return run


def numbers(run: Path) -> dict[str, float]:
    """Return what a run did beside succeeding, over all of it or at its end (its last 5 iterations)."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]

    def over(metric: str, last: int = 0) -> float | None:
        values = [line[metric] for line in lines[-last:] if line.get(metric) is not None]
        return statistics.fmean(values) if values else None

    found = {
        "iterations": float(len(lines)),
        "entropy at the end": over("learner/entropy", 5),
        "turns at the end": over("rollout/turns", 5),
        "tokens of an episode at the end": (over("rollout/sampled_tokens", 5) or 0.0)
        / (over("rollout/episodes", 5) or 1.0),
        "self-aligned reward, right": over("rollout/self_aligned_right"),
        "self-aligned reward, wrong": over("rollout/self_aligned_wrong"),
        **{f"chance of {kind}": over(f"curriculum/chance/{kind}") for kind in KINDS},
    }
    return {name: value for name, value in found.items() if value is not None}


def arm(name: str) -> Arm:
    """Return an arm by its name."""
    run: Callable[[int, Path], Path] = partial(train, name)
    return Arm(name, run)


PANEL = make_panel(
    ENV,
    300,
    seed=1,
    options={"scale": "small", "max_steps": MAX_STEPS, "split": "test", "task_types": list(KINDS)},
    name="ALFWorld small, four kinds, unseen (300)",
)

STUDY = Study(
    name="recipes",
    title="NFT, SAR and SEC against GRPO on generated ALFWorld games, small rooms",
    question="At equal environment steps from equal starts, on games of four kinds: do likelihood training "
    "with negatives, a self-aligned reward or a curriculum beat GRPO?",
    arms=[arm(name) for name in ARMS],
    baseline="GRPO",
    findings=FINDINGS,
    panels={"unseen games of four kinds": PANEL},
    curves={"success": "success while training", "learner/entropy": "entropy per token (nats)"},
)

if __name__ == "__main__":
    main(STUDY)
