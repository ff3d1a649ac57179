"""How many tasks get a successful trajectory by composing, beyond those that the agent solves by itself.

    python benchmarks/studies/actre_coverage.py runs/studies/grpo_alfworld/seed-0/sft/policy

The agent plays every training task once. For each task that it failed, trajectories are composed (some of
its actions replaced by arbitrary admissible ones) until one succeeds or the tries are spent; and, as the
ablation, it is simply given the same number of further tries with nothing inserted. The difference between
these two is what inserting is worth. ``--thought`` lets ActRe write the inserted actions' reasons, for
policies that think before they act; the tiny policy of the demo acts without thinking.

Writes benchmarks/results/actre_coverage.md, or ``--out``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

from palaestra.agents.actre import compose, compose_unsolved, coverage
from palaestra.agents.policies import load_policy
from palaestra.agents.policies.core import Sampling
from palaestra.agents.progress import RolloutProgress
from palaestra.agents.react import react
from palaestra.agents.rollout import Job, rollout
from palaestra.agents.scores import wilson_interval
from palaestra.envs.panel import make_panel

RESULTS = Path(__file__).parents[1] / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("policy", type=Path, help="folder of a saved tiny policy")
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--tries", type=int, default=10, help="further tries of each failed task")
    parser.add_argument("--rate", type=float, default=0.2, help="share of turns with an inserted action")
    parser.add_argument("--split", default="train")
    parser.add_argument("--task-types", nargs="+", default=["pick_and_place_simple"])
    parser.add_argument("--max-steps", type=int, default=20)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--thought", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS / "actre_coverage.md")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    options = {
        "scale": "small",
        "split": given.split,
        "max_steps": given.max_steps,
        "task_types": given.task_types,
    }
    panel = make_panel("palaestra/ALFWorld-v0", given.tasks, seed=given.seed, options=options)
    jobs = [Job(item) for item in panel.items]
    policy = load_policy(f"tiny:{given.policy}")
    how = {
        "thought": given.thought,
        "remind_goal": True,  # as the demo and its study train their policies
        "sampling": Sampling(given.temperature, max_tokens=96 if given.thought else 24),
    }
    began = time.perf_counter()
    progress = RolloutProgress("own", len(jobs))
    own = rollout(jobs, react(**how), policy, progress=progress)
    progress.close()
    print(f"own: {coverage(own, [])}")
    rows = []
    for name, agent in (
        ("tried again, nothing inserted", compose(0.0, stuck_turns=0, **how)),
        (f"composed, rate {given.rate:g}", compose(given.rate, **how)),
    ):
        played = list(
            itertools.chain.from_iterable(compose_unsolved(jobs, own, agent, policy, tries=given.tries))
        )
        report = coverage(own, played)
        print(f"{name}: {report}")
        low, high = wilson_interval(report.after, report.tasks)
        rows.append(
            f"| {name} | {len(played)} | {sum(e.success for e in played)} "
            f"| {report.after / report.tasks:.1%} ({low:.1%} to {high:.1%}) |"
        )
    first = coverage(own, [])
    low, high = wilson_interval(first.before, first.tasks)
    text = "\n".join(
        [
            "# ActRe: tasks with a successful trajectory before and after composing",
            "",
            f"Panel: {first.tasks} generated ALFWorld games, `{json.dumps(options)}`, digest {panel.digest}.",
            f"Policy: `{policy.name}` from `{given.policy}`, temperature {given.temperature:g}, "
            f"{'thinking' if given.thought else 'acting without thinking (so nothing had to be explained)'}.",
            f"Up to {given.tries} further tries of each failed task, until the first success. "
            f"{time.perf_counter() - began:.0f} s in all.",
            "",
            "| | further tries played | of them successful | tasks covered (95 % interval) |",
            "|---|---|---|---|",
            f"| own first try | 0 | | {first.before / first.tasks:.1%} ({low:.1%} to {high:.1%}) |",
            *rows,
            "",
        ]
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    print(f"\n{text}")


if __name__ == "__main__":
    main()
