"""Does GRPO lift a cloned tiny policy on games it has never seen? The demo's recipe, over several seeds.

    python benchmarks/studies/grpo_alfworld.py --seeds 5 --workers 2

Each seed makes its own model, expert episodes and training tasks (split ``train``). Both policies of a seed
are measured on one fixed panel (split ``test``: rooms, layouts and goals disjoint from training), sampled at
temperature 1, the policy that GRPO trains, and greedily. Settings were tuned on split ``valid_unseen`` only.
Writes benchmarks/results/grpo_alfworld.md and .png. The same command again plays only what is missing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from palaestra.agents.scores import wilson_interval
from palaestra.cli.demo import grpo_config, measure, sft_config
from palaestra.trainers import grpo, sft

RESULTS = Path(__file__).parents[1] / "results"


def run_seed(out: Path, seed: int, tasks: int) -> None:
    """Clone, improve and measure one seed with one thread."""
    began = time.perf_counter()
    sft.train(sft_config(out / "sft", seed, episodes=6000, threads=1))
    cloned_s = time.perf_counter() - began
    settings = grpo_config(
        out / "grpo", out / "sft" / "policy", seed, iterations=200, learning_rate=3e-4, threads=1
    )
    grpo.train(settings)
    trained_s = time.perf_counter() - began
    measure(out / "bench", tasks, out / "sft" / "policy", out / "grpo" / "policy")
    if not (out / "seconds.json").exists():
        times = {"sft_s": cloned_s, "grpo_s": trained_s - cloned_s}
        (out / "seconds.json").write_text(json.dumps(times))


def run_all(out: Path, seeds: int, workers: int, tasks: int) -> None:
    """Run the seeds, ``workers`` at a time, each in a process of its own."""

    def one(seed: int) -> None:
        command = [sys.executable, __file__, "--seed", str(seed), "--out", str(out), "--tasks", str(tasks)]
        subprocess.run(command, check=True)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, range(seeds)))


def scores(folder: Path) -> dict[str, dict[str, float]]:
    """Return the benchmark's scores of one seed by contestant."""
    record = json.loads((folder / "bench" / "results.json").read_text())
    return {row["name"]: row for row in record["contestants"]}


def write_table(out: Path, seeds: int, tasks: int, command: str) -> str:
    """Return (and save) the table of all seeds."""
    rows, gains = [], []
    for seed in range(seeds):
        found = scores(out / f"seed-{seed}")
        seconds = json.loads((out / f"seed-{seed}" / "seconds.json").read_text())
        before, after = found["cloned"]["success"], found["GRPO"]["success"]
        gains.append(after - before)
        low, high = wilson_interval(round(after * tasks), tasks)
        rows.append(
            f"| {seed} | {before:.1%} | {after:.1%} ({low:.1%} to {high:.1%}) | {after - before:+.1%} "
            f"| {found['cloned, greedy']['success']:.1%} | {found['GRPO, greedy']['success']:.1%} "
            f"| {seconds['sft_s']:.0f} | {seconds['grpo_s']:.0f} |"
        )
    found = scores(out / "seed-0")
    text = "\n".join(
        [
            "# GRPO on generated ALFWorld games, small rooms, unseen test panel",
            "",
            f"Command: `{command}`",
            "",
            f"Panel: {tasks} games of split `test` (rooms and goals disjoint from training). Success sampled",
            "at temperature 1 unless marked greedy; one thread a seed, two seeds side by side on 2 cores.",
            "",
            "| seed | cloned | GRPO (95 % interval) | gain | cloned, greedy | GRPO, greedy "
            "| clone s | GRPO s |",
            "|---|---|---|---|---|---|---|---|",
            *rows,
            "",
            f"Lifted in {sum(gain > 0 for gain in gains)} of {seeds} seeds; gain median "
            f"{statistics.median(gains):+.1%}, smallest {min(gains):+.1%}, largest {max(gains):+.1%}.",
            f"For scale: random {found['random']['success']:.1%}, expert {found['expert']['success']:.1%}.",
            "",
            "![training success](grpo_alfworld.png)",
            "",
        ]
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "grpo_alfworld.md").write_text(text)
    return text


def draw(out: Path, seeds: int) -> None:
    """Draw the success of training episodes over iterations, one line a seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for seed in range(seeds):
        lines = (out / f"seed-{seed}" / "grpo" / "metrics.jsonl").read_text().splitlines()
        values = [row["success"] for row in map(json.loads, lines) if "success" in row]
        smooth = [statistics.fmean(values[max(0, i - 4) : i + 1]) for i in range(len(values))]
        axes.plot(range(1, len(smooth) + 1), smooth, label=f"seed {seed}")
    axes.set(xlabel="GRPO iteration", ylabel="success of training episodes (mean of 5)", ylim=(0, 1))
    axes.legend()
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(RESULTS / "grpo_alfworld.png", dpi=110)


def main() -> None:
    """Parse the arguments and run one seed or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--out", type=Path, default=Path("runs/studies/grpo_alfworld"))
    parser.add_argument("--seed", type=int, help="run this seed alone")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        run_seed(arguments.out / f"seed-{arguments.seed}", arguments.seed, arguments.tasks)
        return
    run_all(arguments.out, arguments.seeds, arguments.workers, arguments.tasks)
    command = (
        f"python benchmarks/studies/grpo_alfworld.py --seeds {arguments.seeds} --tasks {arguments.tasks}"
    )
    print(write_table(arguments.out, arguments.seeds, arguments.tasks, command))
    draw(arguments.out, arguments.seeds)


if __name__ == "__main__":
    main()
