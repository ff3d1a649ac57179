"""Published solutions of HumanEval and MBPP, and mutants of them, graded as the environment grades.

    python benchmarks/code_sets.py [--humaneval FILE] [--mbpp FILE] [--mutants 12]

Every solution is graded as ``palaestra/Code-v0`` grades it; then its single-change mutants, until one fails.
Every exception is listed. HumanEval is read from PALAESTRA_SHARED where no file is given; MBPP, in its
authors' format with solutions, must be given (mbpp.jsonl of google-research/mbpp).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from palaestra.envs.code.mutate import mutants
from palaestra.envs.code.problem import assemble
from palaestra.envs.code.sets import SET_SPLITS, ProblemSet
from palaestra.envs.core import Task
from palaestra.sandboxes.core import Limits
from palaestra.sandboxes.grading import Grade, grade, grade_in_process
from palaestra.sandboxes.ladder import default_sandbox

SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).parents[2] / "shared"))
_LIMITS = Limits(cpu_s=5.0, wall_s=40.0)


def judge(task: Task, code: str) -> Grade:
    """Grade a program as the environment does."""
    problem = task.data["problem"]
    return (grade_in_process if problem.objects else grade)(
        default_sandbox(),
        candidate=assemble(problem, code),
        tests=problem.tests,
        prelude=problem.prelude,
        entry_point=problem.entry_point,
        limits=_LIMITS,
    )


def examine(task: Task, most: int) -> tuple[str, Grade, bool]:
    """Return the task's id, the grade of its solution, and whether one of ``most`` mutants fails."""
    problem = task.data["problem"]
    gold = judge(task, problem.solution)
    changed = list(mutants(problem.solution, entry_point=problem.entry_point))[:most]
    return task.id, gold, any(not judge(task, mutant).passed for mutant in changed)


def report(source: str, file: Path, most: int) -> None:
    """Print what came of one set."""
    began = time.perf_counter()
    tasks = [task for split in SET_SPLITS[source] for task in ProblemSet(source, split, file)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda task: examine(task, most), tasks))
    passed = [one for one in found if one[1].passed]
    trust = Counter(gold.trust for _, gold, _ in found)
    print(f"\n{source}: {file.name}, {len(tasks)} problems, {time.perf_counter() - began:.0f} s")
    print(f"solutions that score 1: {len(passed)} of {len(tasks)} (graded by trust: {dict(trust)})")
    print(f"with a mutant, of at most {most}, that scores less: {sum(less for *_, less in found)}")
    for name, gold, less in found:
        if not gold.passed:
            print(f"  {name}: {gold.outcome}: {' '.join(gold.message.split())[:150]}")
        elif not less:
            print(f"  {name}: no mutant scores less")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--humaneval", type=Path, default=SHARED / "data" / "code" / "HumanEval.jsonl.gz")
    parser.add_argument("--mbpp", type=Path)
    parser.add_argument("--mutants", type=int, default=12)
    arguments = parser.parse_args()
    shown = [f"--mbpp {arguments.mbpp.name}"] if arguments.mbpp else []
    print("$ python benchmarks/code_sets.py " + " ".join(shown))
    print(f"Python {platform.python_version()}, sandbox: {default_sandbox().rung.name}")
    for source, file in (("humaneval", arguments.humaneval), ("mbpp", arguments.mbpp)):
        if file is None or not file.exists():
            print(f"\n{source}: no file given", file=sys.stderr if file is None else sys.stdout)
            continue
        report(source, file, arguments.mutants)


if __name__ == "__main__":
    main()
