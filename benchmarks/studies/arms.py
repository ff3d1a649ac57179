"""The frame of a study: arms that differ in one thing each, over several seeds, measured alike.

A study file names its arms and calls ``main``. Every arm of every seed trains in a process of its own with
one thread; the arms of a seed run one after the other, so that they may share what an earlier one made, and
``--workers`` seeds run side by side. The trained policies are measured on fixed report panels. Running again
does only what is missing. The page goes to docs/studies/NAME.md, the curves beside it.

Intervals are Student's t over seeds at 95 %: they speak of the training recipe, not of one trained policy.
Differences are paired by seed, since all arms of a seed start from the same policy.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from palaestra.agents.benchmark import Contestant, benchmark
from palaestra.cli.demo import MAX_NEW_TOKENS, sft_config, unseen_panel
from palaestra.envs.panel import Panel
from palaestra.trainers import sft

STARTS = Path("runs/studies/starts")
PAGES = Path(__file__).parents[2] / "docs" / "studies"

# The 97.5 % quantile of Student's t by degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)


@dataclass(frozen=True)
class Arm:
    """One way to train. ``run(seed, folder)`` trains in ``folder`` and returns the run directory, which holds
    ``policy`` and ``metrics.jsonl``; a file ``numbers.json`` that it leaves in ``folder`` is reported too.
    """

    name: str
    run: Callable[[int, Path], Path]


@dataclass(frozen=True)
class Study:
    """What is compared. ``curves`` maps a metric of the runs to what the picture calls it; they are drawn
    ``over`` environment steps, or over updates where training takes no steps.
    """

    name: str
    title: str
    question: str
    arms: Sequence[Arm]
    baseline: str
    findings: str = ""
    panels: Mapping[str, Panel] = field(default_factory=dict)
    contestant: Callable[[Path], Contestant] | None = None
    curves: Mapping[str, str] = field(default_factory=lambda: {"success": "success while training"})
    over: Literal["environment steps", "updates"] = "environment steps"


def start(seed: int, episodes: int = 2000) -> Path:
    """Return a weak clone of the expert, the start of every arm of this seed (made when it is not there)."""
    run = STARTS / f"seed-{seed}"
    if not (run / "policy").exists():
        sft.train(sft_config(run, seed, episodes=episodes, threads=1))
    return run / "policy"


def untrained(seed: int, folder: Path) -> Path:
    """Be the arm that does nothing."""
    return start(seed).parent


def sampled(policy: Path, max_tokens: int = MAX_NEW_TOKENS, remind_goal: bool = True) -> Contestant:
    """Return a policy as the studies measure it: sampled at temperature 1, as it was trained."""
    return Contestant(
        "policy", f"tiny:{policy}", temperature=1.0, max_tokens=max_tokens, remind_goal=remind_goal
    )


def main(study: Study) -> None:
    """Run the study, or one arm of one seed, by the command line."""
    parser = argparse.ArgumentParser(description=study.question)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="seeds side by side")
    parser.add_argument("--out", type=Path, default=Path("runs/studies") / study.name)
    parser.add_argument("--arm", help="run this arm alone")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    given = parser.parse_args()
    names = [arm.name for arm in study.arms]
    if given.arm is not None and given.arm not in names:
        parser.error(f"no arm {given.arm!r}; there are {', '.join(names)}")
    if given.seed is not None:
        for arm in study.arms:
            if given.arm in (None, arm.name):
                _one(study, arm, given.seed, given.out)
        return
    with ThreadPoolExecutor(given.workers) as pool:
        list(pool.map(lambda seed: _seed(given.out, names, seed), range(given.seeds)))
    found = _collect(study, given.out, given.seeds)
    PAGES.mkdir(parents=True, exist_ok=True)
    _draw(study, given.out, given.seeds)
    page = _page(study, found, given.seeds)
    (PAGES / f"{study.name}.md").write_text(page)
    print(page)


def _seed(out: Path, names: Sequence[str], seed: int) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for name in names:
        if _done(out, seed, name).exists():
            continue
        command = [sys.executable, sys.argv[0], "--out", str(out), "--seed", str(seed), "--arm", name]
        subprocess.run(command, check=True, env=environment)


def _done(out: Path, seed: int, arm: str) -> Path:
    return out / f"seed-{seed}" / arm / "measured.json"


def _one(study: Study, arm: Arm, seed: int, out: Path) -> None:
    """Train and measure one arm of one seed; leave its numbers in ``measured.json``."""
    done = _done(out, seed, arm.name)
    folder = done.parent
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    run = arm.run(seed, folder)
    trained_s = time.perf_counter() - began
    contestant = study.contestant or sampled
    numbers: dict[str, float] = {}
    for name, panel in (study.panels or {"unseen games": unseen_panel(300)}).items():
        results = benchmark(panel, [contestant(run / "policy")], folder / "bench" / name.replace(" ", "-"))
        numbers[f"success, {name}"] = results.scores[0].success
    extra = folder / "numbers.json"
    numbers |= json.loads(extra.read_text()) if extra.exists() else {}
    steps = [
        line["rollout/environment_steps"] for line in _metrics(run) if "rollout/environment_steps" in line
    ]
    numbers |= {"environment steps": steps[-1] if steps else 0.0, "training s": trained_s}
    done.write_text(json.dumps({"run": str(run), **numbers}, indent=1) + "\n")


def _collect(study: Study, out: Path, seeds: int) -> dict[str, list[dict[str, float]]]:
    return {
        arm.name: [json.loads(_done(out, seed, arm.name).read_text()) for seed in range(seeds)]
        for arm in study.arms
    }


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return mean and the ends of its 95 % t interval; the ends are nan for fewer than two values."""
    middle = statistics.fmean(values)
    if len(values) < 2:
        return middle, math.nan, math.nan
    half = _T[min(len(values) - 2, len(_T) - 1)] * statistics.stdev(values) / math.sqrt(len(values))
    return middle, middle - half, middle + half


def _page(study: Study, found: dict[str, list[dict[str, float]]], seeds: int) -> str:
    measured = list(dict.fromkeys(name for rows in found.values() for row in rows for name in row))
    success = [name for name in measured if name.startswith("success, ")]
    others = [name for name in measured if name not in success and name != "run"]
    lines = [f"# {study.title}", "", study.question, ""]
    lines += [f"Command: `python benchmarks/studies/{study.name}.py --seeds {seeds}`", ""]
    for name in success:
        lines += [f"## {name[0].upper()}{name[1:]}", ""]
        lines += [f"| arm | mean of {seeds} seeds (95 %) | less {study.baseline} (95 %) | by seed |"]
        lines += ["|---|---|---|---|"]
        base = [row[name] for row in found[study.baseline]]
        for arm, rows in found.items():
            values = [row[name] for row in rows]
            gains = [value - other for value, other in zip(values, base, strict=True)]
            difference = "" if arm == study.baseline else _shown(gains, signed=True)
            each = ", ".join(f"{value:.1%}" for value in values)
            lines += [f"| {arm} | {_shown(values)} | {difference} | {each} |"]
        lines += [""]
    lines += ["## Other numbers (means over seeds)", "", "| arm | " + " | ".join(others) + " |"]
    lines += ["|---|" + "---|" * len(others)]
    for arm, rows in found.items():
        cells = [_mean_of(rows, name) for name in others]
        lines += [f"| {arm} | " + " | ".join(cells) + " |"]
    lines += ["", f"![curves]({study.name}.png)", ""]
    return "\n".join([*lines, *([study.findings.strip(), ""] if study.findings else [])])


def _mean_of(rows: Sequence[Mapping[str, float]], name: str) -> str:
    values = [row[name] for row in rows if name in row]
    if not values:
        return ""
    value = statistics.fmean(values)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _shown(values: Sequence[float], *, signed: bool = False) -> str:
    middle, low, high = interval(values)
    form = "+.1%" if signed else ".1%"
    if math.isnan(low):
        return f"{middle:{form}}"
    return f"{middle:{form}} ({low:{form}} to {high:{form}})"


def _metrics(run: Path) -> list[dict[str, float]]:
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _draw(study: Study, out: Path, seeds: int) -> None:
    """Draw every curve: the mean over seeds of each arm, and the range of its seeds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shape = (len(study.curves), 1)
    figure, axes = pyplot.subplots(*shape, figsize=(8, 4 * shape[0]), squeeze=False)
    for axis, (metric, label) in zip(axes[:, 0], study.curves.items(), strict=True):
        for number, arm in enumerate(study.arms):
            lines = [_line(_done(out, seed, arm.name), metric, study.over) for seed in range(seeds)]
            lines = [line for line in lines if line]
            length = min((len(line) for line in lines), default=0)
            if length < 2:
                continue
            colour = f"C{number}"  # of the arm, in all pictures
            steps = [statistics.fmean(line[i][0] for line in lines) for i in range(length)]
            values = [[line[i][1] for line in lines] for i in range(length)]
            axis.plot(steps, [statistics.fmean(column) for column in values], label=arm.name, color=colour)
            axis.fill_between(
                steps, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.12
            )
        axis.set(xlabel=study.over, ylabel=label)
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PAGES / f"{study.name}.png", dpi=100)


def _line(measured: Path, metric: str, over: str) -> list[tuple[float, float]]:
    """Return (environment steps or updates, mean of the last five values) of a run's metric."""
    place = "step" if over == "updates" else "rollout/environment_steps"
    rows = [
        (row[place], row[metric])
        for row in _metrics(Path(json.loads(measured.read_text())["run"]))
        if row.get(metric) is not None and place in row
    ]
    return [
        (steps, statistics.fmean(value for _, value in rows[max(0, i - 4) : i + 1]))
        for i, (steps, _) in enumerate(rows)
    ]
