"""The harness's own cost: steps a second of GuessNumber, ours and Gymnasium's vector environments in one run.

    python benchmarks/vector.py [--members 64] [--seconds 2] [--rounds 5]

Every contestant plays the same guesses from the same seeds and must hand back the same observations, rewards
and flags; autoresets are included (mode NextStep). Rounds alternate between the contestants and the fastest
counts, since noise of the machine only ever adds time. Then the time to import palaestra, in fresh processes.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

import palaestra  # registers the environments
from palaestra.envs.vector import TextVectorEnv

ENV_ID = "palaestra/GuessNumber-v0"
Contestants = dict[str, Callable[[int], Any]]

CONTESTANTS: Contestants = {
    "palaestra TextVectorEnv": lambda members: TextVectorEnv(ENV_ID, members),
    "the same, infos read": lambda members: TextVectorEnv(ENV_ID, members),
    "gymnasium SyncVectorEnv": lambda members: SyncVectorEnv([_make] * members),
    "gymnasium AsyncVectorEnv": lambda members: AsyncVectorEnv([_make] * members, shared_memory=False),
}


def _make() -> gymnasium.Env:
    # The bare environment, as our vector environment uses it: gymnasium's checkers are not what is compared.
    return gymnasium.make(ENV_ID, disable_env_checker=True).unwrapped


def guesses(members: int, steps: int) -> list[list[str]]:
    """Return random guesses, ``steps`` lists of one a member."""
    numbers = np.random.default_rng(0).integers(1, 101, (steps, members))
    return [[str(number) for number in row] for row in numbers]


def check_equal(members: int) -> None:
    """Fail unless all contestants report the same over 100 steps, infos included."""
    told = []
    for build in CONTESTANTS.values():
        envs = build(members)
        rows: list[Any] = [envs.reset(seed=0)[0]]
        for actions in guesses(members, 100):
            observations, rewards, ends, cuts, infos = envs.step(actions)
            rows.append(
                (observations, rewards.tolist(), ends.tolist(), cuts.tolist(), infos["steps"].tolist())
            )
        envs.close()
        told.append(rows)
    assert all(rows == told[0] for rows in told), "the contestants do not agree"


def measure(envs: Any, actions: list[list[str]], seconds: float, read: bool) -> tuple[float, float]:
    """Return steps a second (members counted one by one, resets too) and the share that were resets."""
    envs.reset(seed=0)
    steps = resets = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for row in actions:
            *_, ends, cuts, infos = envs.step(row)
            resets += int(np.count_nonzero(ends | cuts))
            if read:
                infos["success"]
        steps += len(actions) * envs.num_envs
    return steps / elapsed, resets / steps


def import_times_s(statement: str, count: int = 7) -> list[float]:
    """Return the wall times of ``statement`` in fresh processes, less that of an empty program."""

    def once(program: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return time.perf_counter() - start

    once(statement)  # writes the byte code
    empty = statistics.median(once("pass") for _ in range(count))
    return [once(statement) - empty for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--members", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    print("$ python benchmarks/vector.py " + " ".join(sys.argv[1:]))
    print(
        f"Python {platform.python_version()}, gymnasium {importlib.metadata.version('gymnasium')}, numpy "
        f"{np.__version__}, palaestra {palaestra.__version__}, {platform.machine()}, {os.cpu_count()} cores"
    )
    print(f"load average of the machine at the start: {os.getloadavg()[0]:.1f} (idle: 0)")
    check_equal(8)
    print("all contestants report the same observations, rewards, flags and infos over 100 steps: yes\n")
    actions = guesses(arguments.members, 50)
    live = {name: build(arguments.members) for name, build in CONTESTANTS.items()}
    rates: dict[str, list[float]] = {name: [] for name in live}
    share = 0.0
    for _ in range(arguments.rounds):
        for name, envs in live.items():
            rate, share = measure(envs, actions, arguments.seconds, name.endswith("infos read"))
            rates[name].append(rate)
    for envs in live.values():
        envs.close()
    ours = max(rates["palaestra TextVectorEnv"])
    print(
        f"{ENV_ID}, {arguments.members} members, {share:.0%} of the steps are resets; "
        "all but Async use one thread"
    )
    print(f"{'contestant':<28}{'best steps/s':>14}{'median':>12}{'ours is':>10}")
    for name, values in rates.items():
        print(
            f"{name:<28}{max(values):>14,.0f}{statistics.median(values):>12,.0f}{ours / max(values):>9.1f}x"
        )
    print("\nimport in a fresh process, less an empty one (7 runs): median, smallest, largest")
    for label, statement in {
        "import gymnasium": "import gymnasium",
        "import palaestra": "import palaestra",
        "first gym.make and reset": f"import gymnasium, palaestra; gymnasium.make({ENV_ID!r}).reset(seed=0)",
    }.items():
        times = import_times_s(statement)
        print(f"{label:<28}{statistics.median(times):>8.3f} s{min(times):>8.3f} s{max(times):>8.3f} s")


if __name__ == "__main__":
    main()
