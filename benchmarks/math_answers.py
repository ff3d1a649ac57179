"""The verdicts of Math-v0 on all of GSM8K's test and MATH-500: right answers, and other problems' answers.

    python benchmarks/math_answers.py [--gsm8k FILE] [--math FILE]

For each problem, through the environment itself: the expert's answer, the publisher's whole solution, and the
gold answer with other signs must score 1 (99.5 % or better, every exception is printed); the answers of other
problems and the near misses must score 0, except where an answer is equal by value (those pairs are printed).
Then the checker alone, without the glance before it, on each gold answer, and the speed of both. Exits with 1
when the bar is missed.

The files default to those of PALAESTRA_SHARED. Needs ``palaestra[math]``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from palaestra.envs.math import answers
from palaestra.envs.math.env import MathEnv
from palaestra.envs.math.verify import CHECKER
from palaestra.envs.panel import make_env
from palaestra.sandboxes.core import usable_cores

SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).resolve().parents[2] / "shared"))
BAR = 0.995
SHIFTS = (1, 7, 100)


def score(env: MathEnv, task: str, action: str) -> float:
    env.reset(seed=0, options={"task": task})
    return env.step(action)[1]


def report(name: str, total: int, exceptions: list[str], passed: bool, began: float) -> bool:
    print(f"  {name:<42} {total - len(exceptions):>6,} of {total:>6,}   {time.perf_counter() - began:6.1f} s")
    for exception in exceptions:
        print(f"      {exception}")
    return passed


def right_answers(env: MathEnv, name: str, answer: Callable[[str], str]) -> bool:
    """Score one right answer for each problem; print those that did not score 1."""
    began = time.perf_counter()
    exceptions = [
        f"{task.id}: gold {task.data['gold']!r}, answered {answer(task.goal)[-80:]!r}"
        for task in env.tasks
        if score(env, task.id, answer(task.goal)) != 1.0
    ]
    return report(name, len(env.tasks), exceptions, len(exceptions) <= (1 - BAR) * len(env.tasks), began)


def other_answers(env: MathEnv) -> bool:
    """Answer each problem with the answers of three others; print the pairs that scored 1."""
    began, size = time.perf_counter(), len(env.tasks)
    same, equal = 0, []
    for number, task in enumerate(env.tasks):
        for shift in SHIFTS:
            other = env.tasks[(number + shift) % size].data["gold"]
            if score(env, task.id, f"\\boxed{{{other}}}") == 1.0:
                if answers.normal(task.data["gold"]) == answers.normal(other):
                    same += 1
                else:
                    equal.append(f"equal by value: gold {task.data['gold']!r}, answered {other!r}")
    total = len(SHIFTS) * size
    print(f"  {'others answered: the same text, scored 1':<42} {same:>6,} of {total:>6,}")
    return report("others answered: another text, scored 0", total - same, equal, True, began)


def near_misses(env: MathEnv) -> bool:
    """Play every near miss of every problem."""
    began, total, exceptions = time.perf_counter(), 0, []
    for task in env.tasks:
        env.reset(seed=0, options={"task": task.id})
        for (action,) in env.near_misses():
            total += 1
            if score(env, task.id, action) != 0.0:
                exceptions.append(f"{task.id}: gold {task.data['gold']!r}, answered {action!r}")
    return report("near misses scored 0", total, exceptions, not exceptions, began)


def checker_alone(env: MathEnv) -> bool:
    """Ask the checker whether each gold answer equals itself, and time it and the glance."""
    began, exceptions, times_s = time.perf_counter(), [], []
    CHECKER.ask("equal", "1", "1")  # starts it
    for task in env.tasks:
        gold, before = task.data["gold"], time.perf_counter()
        if not CHECKER.ask("equal", gold, gold, task.goal):
            exceptions.append(f"{task.id}: {gold!r}")
        times_s.append(time.perf_counter() - before)
    passed = report("the checker alone, gold = gold", len(env.tasks), exceptions, not exceptions, began)
    before = time.perf_counter()
    decided = sum(answers.compare(task.data["gold"], "7") is not None for task in env.tasks) / len(env.tasks)
    glance_s = (time.perf_counter() - before) / len(env.tasks)
    print(
        f"  a glance takes {1e6 * glance_s:.0f} us, and decides on the answer 7 for {decided:.1%} of problems"
    )
    median_s = statistics.median(times_s)
    print(f"  the checker takes {1e3 * median_s:.1f} ms in the median, {max(times_s):.2f} s at most")
    return passed


def measure(source: str, file: Path) -> bool:
    env = make_env("palaestra/Math-v0", {"source": source, "split": "all", "data": str(file)})
    assert isinstance(env, MathEnv)
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    solutions = {row.get("problem", row.get("question")): row.get("solution", row["answer"]) for row in rows}
    gold = {task.goal: task.data["gold"] for task in env.tasks}
    print(f"\n{source}: {len(env.tasks):,} problems of {file.name}")
    passed = [
        right_answers(env, "the gold answer scored 1", lambda goal: f"\\boxed{{{gold[goal]}}}"),
        right_answers(env, "the publisher's solution scored 1", lambda goal: solutions[goal]),
        right_answers(env, "with other signs scored 1", lambda goal: with_other_signs(gold[goal])),
        other_answers(env),
        near_misses(env),
        checker_alone(env),
    ]
    return all(passed)


def with_other_signs(gold: str) -> str:
    other = gold.replace("\\frac", "\\dfrac").replace("\\left", "").replace("\\right", "").replace(" ", "\\,")
    return f"So we have it.\n\n**Final answer:** ${other}$."


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--gsm8k", type=Path, default=SHARED / "data/math/gsm8k_test.jsonl")
    parser.add_argument("--math", type=Path, default=SHARED / "data/math/math500.jsonl")
    files = vars(parser.parse_args())
    packages = ("math-verify", "sympy", "palaestra")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {versions}")
    print(f"{usable_cores()} cores, load average at the start {os.getloadavg()[0]:.1f}")
    passed = [measure(source, file) for source, file in files.items()]
    sys.exit(not all(passed))


if __name__ == "__main__":
    main()
