"""Executions a second of every sandbox of this machine, against a cold start of the same Python, in one run.

    python benchmarks/sandboxes.py [--seconds 3] [--rounds 5] [--workers 2]

Every contestant runs the same programs, ``workers`` at a time, and must print the same. Rounds alternate
between the contestants, since noise of the machine only ever takes away: the fastest round counts, the median
stands beside it. Then a turn of a session, a snapshot, and split grades of HumanEval solutions (these need
PALAESTRA_SHARED). Sandboxes that do not work here are named with the reason.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from palaestra.errors import PalaestraError
from palaestra.sandboxes.core import Limits, Program, Sandbox
from palaestra.sandboxes.forkserver import ForkSandbox, python_command
from palaestra.sandboxes.grading import grade
from palaestra.sandboxes.ladder import open_sandbox

SHARED = Path(os.environ.get("PALAESTRA_SHARED", Path(__file__).parents[2] / "shared"))
PROGRAMS = {
    "print(1)": ("print(1)", b"1\n"),
    "a function of HumanEval's size": (
        "from typing import List\n\n"
        "def below_zero(operations: List[int]) -> bool:\n"
        "    balance = 0\n"
        "    for operation in operations:\n"
        "        balance += operation\n"
        "        if balance < 0:\n"
        "            return True\n"
        "    return False\n\n"
        "def check(candidate):\n"
        + "".join(
            f"    assert candidate([{n}, -{n}, {n % 3}, -{n % 5}]) == {n % 3 < n % 5}\n" for n in range(9)
        )
        + "check(below_zero)\nprint('passed')",
        b"passed\n",
    ),
}
Run = Callable[[str], bytes]


def cold(source: str) -> bytes:
    """Run ``source`` in a fresh interpreter: the same that the fork servers are made of."""
    command = [python_command()[0], "-I", "-c", source]
    return subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL).stdout


def contestants(workers: int) -> tuple[dict[str, Run], list[Sandbox], dict[str, str]]:
    """Return how to run a program in each sandbox, the sandboxes to close, and why others are missing."""
    runs: dict[str, Run] = {"cold start, no isolation": cold}
    opened: list[Sandbox] = []
    missing: dict[str, str] = {}
    for name, options in (
        ("fork", {"namespaces": True}),
        ("fork", {"namespaces": False}),
        ("bubblewrap", {}),
        ("docker", {}),
        ("subprocess", {}),
    ):
        try:
            sandbox = open_sandbox(name, workers=workers, **options)
        except PalaestraError as error:
            missing[f"{name} {options or ''}"] = str(error)
            continue
        opened.append(sandbox)
        runs[f"{name}: {sandbox.rung.name}"] = lambda source, sandbox=sandbox: (
            sandbox.run(Program(source)).stdout
        )
    return runs, opened, missing


def rate(run: Run, source: str, expected: bytes, seconds: float, workers: int) -> float:
    """Return executions a second with ``workers`` threads asking."""
    end = time.perf_counter() + seconds

    def work(_: int) -> int:
        count = 0
        while time.perf_counter() < end:
            found = run(source)
            assert found == expected, found
            count += 1
        return count

    began = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        done = sum(pool.map(work, range(workers)))
    return done / (time.perf_counter() - began)


def compare(arguments: argparse.Namespace) -> None:
    """Print executions a second of every contestant, and their ratio to the cold start."""
    runs, opened, missing = contestants(arguments.workers)
    try:
        for label, (source, expected) in PROGRAMS.items():
            rates: dict[str, list[float]] = {name: [] for name in runs}
            for _ in range(arguments.rounds):
                for name, run in runs.items():
                    rates[name].append(rate(run, source, expected, arguments.seconds, arguments.workers))
            base, base_median = max(rates[next(iter(runs))]), statistics.median(rates[next(iter(runs))])
            print(f"\n{label}: executions a second, {arguments.workers} at a time")
            print(f"{'contestant':<44}{'best':>8}{'ratio':>8}{'median':>9}{'ratio':>8}")
            for name, values in rates.items():
                best, median = max(values), statistics.median(values)
                print(
                    f"{name:<44}{best:>8.1f}{best / base:>7.1f}x{median:>9.1f}{median / base_median:>7.1f}x"
                )
    finally:
        for sandbox in opened:
            sandbox.close()
    for name, reason in missing.items():
        print(f"{name}: not here ({' '.join(reason.split())[:200]})")


def sessions() -> None:
    """Print the time of a turn, a snapshot, a rollback and a reset of a session."""
    with ForkSandbox(2) as sandbox, sandbox.session(Limits()) as session:
        session.run("state = {i: str(i) for i in range(1000)}")
        times: dict[str, list[float]] = {
            "turn": [],
            "snapshot": [],
            "rollback": [],
            "reset and first turn": [],
        }
        for _ in range(200):
            times["turn"].append(_timed(lambda: session.run("state[0] += '.'")))
        if "a second process" not in sandbox.rung.lacks:
            for _ in range(50):
                times["snapshot"].append(_timed(session.snapshot))
                session.run("state[1] = 0")
                times["rollback"].append(_timed(session.rollback))
        for _ in range(50):
            times["reset and first turn"].append(_timed(lambda: (session.reset(), session.run("1"))))
    print("\na session, one at a time: median and 95th percentile, in milliseconds")
    for name, values in times.items():
        if values:
            ordered = sorted(value * 1e3 for value in values)
            print(f"{name:<44}{statistics.median(ordered):>8.2f}{ordered[int(len(ordered) * 0.95)]:>8.2f}")


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def grades(seconds: float) -> None:
    """Print split grades a second: canonical solutions of HumanEval, each with its tests, two at a time."""
    file = SHARED / "data" / "code" / "HumanEval.jsonl.gz"
    if not file.exists():
        print(f"\nsplit grades: not measured, {file} is not here")
        return
    with gzip.open(file, "rt") as lines:
        problems = [json.loads(line) for line in lines]
    # A few problems take long by themselves (one finds large primes): the sandbox is what is measured.
    quick = problems[:30]

    def one(problem: dict[str, str]) -> bool:
        return grade(
            sandbox,
            candidate=problem["prompt"] + problem["canonical_solution"],
            tests=problem["test"],
            entry_point=problem["entry_point"],
        ).passed

    with ForkSandbox(4) as sandbox, ThreadPoolExecutor(2) as pool:
        list(pool.map(one, quick))
        rates = []
        for _ in range(3):
            done, began = 0, time.perf_counter()
            while time.perf_counter() - began < seconds:
                passed = list(pool.map(one, quick))
                assert all(passed), [p["task_id"] for p, ok in zip(quick, passed, strict=True) if not ok]
                done += len(passed)
            rates.append(done / (time.perf_counter() - began))
    print(f"\nsplit grades a second, 2 at a time, the first {len(quick)} HumanEval problems")
    print(f"{'best and median of 3 rounds':<44}{max(rates):>8.1f}{statistics.median(rates):>8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print("$ python benchmarks/sandboxes.py " + " ".join(sys.argv[1:]))
    print(f"Python {platform.python_version()}, {platform.platform()}, {os.cpu_count()} cores")
    print(f"load average of the machine at the start: {os.getloadavg()[0]:.1f} (idle: 0)")
    compare(arguments)
    sessions()
    grades(arguments.seconds)


if __name__ == "__main__":
    main()
